import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { basename, join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DomainError } from '#platform';
import type { CheckedFile } from './manifest.js';

/** Writes a stream to a new file, durably. */
export async function writeChecked(path: string, content: Readable): Promise<CheckedFile> {
  const hash = createHash('sha256');
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true });
  await pipeline(content, count, file);
  return { file: basename(path), bytes, sha256: hash.digest('hex') };
}

/** @throws DomainError FAILED_PRECONDITION that names the file, where it is not what was written */
export async function verifyChecked(folder: string, expected: CheckedFile): Promise<void> {
  const path = join(folder, expected.file);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : String(error));
  }
  if (bytes !== expected.bytes) throw damaged(path, `${bytes} bytes instead of ${expected.bytes}`);
  if (hash.digest('hex') !== expected.sha256) throw damaged(path, 'its SHA-256 is another one');
}

function damaged(path: string, how: string): DomainError {
  return new DomainError(
    'FAILED_PRECONDITION',
    `${path} of the backup is damaged (${how}). Nothing was restored; take another backup.`,
  );
}
