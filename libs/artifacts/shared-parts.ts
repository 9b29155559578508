import { type BlobPart, MAX_PARTS } from './blob-parts.js';
import type { Piece } from './content-pieces.js';
import type { Digest } from './digest.js';

/** A blob whose content may be that of others, too. */
export interface Sketched {
  digest: Digest;
  pieces: readonly Piece[];
}

/** A run of bytes that another blob has (`digest` is set), or that no other has. */
export interface Run {
  digest: Digest | undefined;
  /** In the other blob; in this one, where no other has it. */
  offset: number;
  length: number;
}

/** Shorter runs are not worth a request to the store. */
const LEAST_RUN = 64 * 1024;

/** Finds the runs of pieces that others have, as long as they can be. They cover the content, in order. */
export function findRuns(pieces: readonly Piece[], others: readonly Sketched[]): Run[] {
  const known = placesOf(others);
  const runs: Run[] = [];
  let at = 0;
  for (const { hash, length } of pieces) {
    const last = runs.at(-1);
    const places = (known.get(hash) ?? []).filter((place) => place.length === length);
    const next = places.find(
      ({ digest, offset }) =>
        digest === last?.digest && offset === (last?.offset ?? 0) + (last?.length ?? 0),
    );
    const place = next ?? places[0];
    const isOwn = place === undefined && last?.digest === undefined;
    if (last && (next || isOwn)) last.length += length;
    else runs.push({ digest: place?.digest, offset: place?.offset ?? at, length });
    at += length;
  }
  return runs.length > MAX_PARTS ? [] : withoutShort(runs);
}

/** Where the pieces of others are; of many places of one piece a few do. */
function placesOf(others: readonly Sketched[]): Map<bigint, BlobPart[]> {
  const known = new Map<bigint, BlobPart[]>();
  for (const { digest, pieces } of others) {
    let offset = 0;
    for (const { hash, length } of pieces) {
      const places = known.get(hash);
      if (!places) known.set(hash, [{ digest, offset, length }]);
      else if (places.length < 8) places.push({ digest, offset, length });
      offset += length;
    }
  }
  return known;
}

function withoutShort(runs: Run[]): Run[] {
  const kept: Run[] = [];
  let at = 0;
  for (const run of runs) {
    const last = kept.at(-1);
    const isOwn = run.digest === undefined || run.length < LEAST_RUN;
    if (isOwn && last && last.digest === undefined) last.length += run.length;
    else kept.push(isOwn ? { digest: undefined, offset: at, length: run.length } : run);
    at += run.length;
  }
  return kept;
}
