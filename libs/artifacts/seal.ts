import type { Stats } from 'node:fs';
import { hexOf, type Digest } from './digest.js';

/** 2000-01-01: with 28 bits on top of it a seal lies before mid-2008, when nobody can have written a file of ours. */
const EARLIEST = 946_684_800;
const SPAN = 2 ** 28;

/**
 * The time of modification (s since 1970) that the file of a blob is given when its bytes were compared with the digest.
 * Whatever is written to the file afterwards, or put in its place, sets another time: a seal that is broken costs the
 * reader a comparison, one that holds saves it. Whole seconds, because not every file system keeps more.
 */
export function sealOf(digest: Digest): number {
  return EARLIEST + (parseInt(hexOf(digest).slice(0, 8), 16) % SPAN);
}

export function isSealed({ mtimeMs }: Stats, digest: Digest): boolean {
  return mtimeMs === sealOf(digest) * 1000;
}
