import { Readable } from 'node:stream';
import { DomainError } from '#platform';
import type { ByteRange } from './artifact-store.js';
import { isDigest, type Digest } from './digest.js';
import { ExactStream } from './exact-stream.js';

/** A range of another blob. */
export interface BlobPart {
  digest: Digest;
  offset: number;
  length: number;
}

/** A blob has no more parts than this: each is a request to the store. */
export const MAX_PARTS = 10_000;

export function sizeOfParts(parts: readonly BlobPart[]): number {
  return parts.reduce((size, { length }) => size + length, 0);
}

/** The list of parts as it is stored. */
export function writeParts(parts: readonly BlobPart[]): Buffer {
  const rows = parts.map(({ digest, offset, length }) => [digest, offset, length]);
  return Buffer.from(JSON.stringify({ format: 1, parts: rows }));
}

/** @throws DomainError UNAVAILABLE where the stored list is damaged */
export function readParts(stored: Buffer, digest: Digest): BlobPart[] {
  const parts = parsed(stored);
  if (parts) return parts;
  throw new DomainError(
    'UNAVAILABLE',
    `The artifact store has a damaged list of parts of ${digest}.`,
    {
      retryAfter: 1,
    },
  );
}

function parsed(stored: Buffer): BlobPart[] | undefined {
  let list: unknown;
  try {
    list = JSON.parse(stored.toString());
  } catch {
    return undefined;
  }
  if (typeof list !== 'object' || list === null || !('parts' in list)) return undefined;
  const { parts: rows } = list;
  if (!Array.isArray(rows) || rows.length === 0 || rows.length > MAX_PARTS) return undefined;
  const parts = rows.map((row: unknown) => (Array.isArray(row) ? partOf(row) : undefined));
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

function partOf([digest, offset, length]: unknown[]): BlobPart | undefined {
  if (!isDigest(digest) || !isCount(offset) || !isCount(length)) return undefined;
  return { digest, offset, length };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/**
 * The bytes of a blob out of its parts, read one after the other.
 * @param read the bytes of a blob that has its own
 * @returns as `ArtifactStore.read`: exactly the bytes that were asked for, or an error
 */
export function joinParts(
  parts: readonly BlobPart[],
  read: (digest: Digest, range: Required<ByteRange>) => Promise<Readable>,
  what: string,
  { offset = 0, length }: ByteRange = {},
): Readable {
  const wanted = length ?? Math.max(0, sizeOfParts(parts) - offset);
  if (wanted === 0) return Readable.from([]);
  async function* bytes(): AsyncGenerator<Buffer> {
    for (const part of within(parts, offset, wanted)) {
      yield* (await read(part.digest, part)) as AsyncIterable<Buffer>;
    }
  }
  const joined = Readable.from(bytes(), { objectMode: false });
  return new ExactStream(joined, wanted, what);
}

/** The parts of a range. */
function* within(parts: readonly BlobPart[], offset: number, length: number): Iterable<BlobPart> {
  const end = offset + length;
  let at = 0;
  for (const part of parts) {
    const first = Math.max(offset, at);
    const last = Math.min(end, at + part.length);
    if (last > first) {
      yield { digest: part.digest, offset: part.offset + first - at, length: last - first };
    }
    at += part.length;
  }
}
