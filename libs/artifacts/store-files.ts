import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { DomainError } from '#platform';
import { type ByteRange, CHUNK_SIZE } from './artifact-store.js';
import { ExactStream } from './exact-stream.js';

// Files of a store, whose failures are outages of the store.

/** @returns undefined where there is no such file */
export async function openFile(
  path: string,
  what: string,
  range: ByteRange = {},
): Promise<Readable | undefined> {
  const file = await ifPresent(open(path, 'r'));
  if (!file) return undefined;
  const offset = range.offset ?? 0;
  const size = () => reachable(async () => (await file.stat()).size);
  const length = range.length ?? Math.max(0, (await orClose(file, size)) - offset);
  return streamOf(file, what, { offset, length });
}

/** Closes the file at its end. */
export async function streamOf(
  file: FileHandle,
  what: string,
  { offset, length }: Required<ByteRange>,
  approve?: () => Promise<void>,
): Promise<Readable> {
  if (length === 0) {
    await reachable(() => file.close());
    return Readable.from([]);
  }
  const stream = createReadStream('', {
    fd: file,
    start: offset,
    end: offset + length - 1,
    highWaterMark: CHUNK_SIZE,
  });
  return new ExactStream(stream, length, what, approve);
}

/** Closes a file after its use. What a disk could not keep it may say only then, so a failing close is a failure. */
export async function closing(file: FileHandle, use: () => Promise<void>): Promise<void> {
  await orClose(file, use);
  await reachable(() => file.close());
}

/** Leaves a file open for whoever goes on with it, but never open behind a failure. */
export async function orClose<T>(file: FileHandle, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
}

export async function ifPresent<T>(asked: Promise<T>): Promise<T | undefined> {
  return reachable(() =>
    asked.catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw cause;
    }),
  );
}

/** What the file system refuses (no space, no right, a broken disk) is an outage of the store, with its reason. */
export async function reachable<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof DomainError || !isSystemError(cause)) throw cause;
    const reason =
      cause.code === 'ENOSPC' || cause.code === 'EDQUOT' ? 'is full' : `failed (${cause.code})`;
    throw new DomainError('UNAVAILABLE', `The artifact store ${reason}. Try again later.`, {
      cause,
      retryAfter: 5,
    });
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return typeof error === 'object' && error !== null && 'code' in error && 'syscall' in error;
}
