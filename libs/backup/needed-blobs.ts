import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type pg from 'pg';
import { isDigest, type Digest } from '#artifacts';
import { DomainError } from '#platform';
import { writeChecked } from './checked-file.js';
import type { NeededBlobs } from './manifest.js';

/** A blob that rows need, and for what. */
export interface NeededBlob {
  digest: Digest;
  size: number;
  neededBy: Need[];
}

/** Of what neither a version nor its Program is, `model` and `version` are null. */
export interface Need {
  kind: string;
  owner: string;
  model: string | null;
  version: number | null;
}

interface Row extends Need {
  digest: Digest;
  size: string;
}

const BATCH = 1000;

/** Every blob that a row needs, in the order of digests. The caller has begun a transaction. */
export async function* neededBlobs(client: pg.ClientBase): AsyncGenerator<NeededBlob> {
  await client.query(
    `DECLARE needed NO SCROLL CURSOR FOR
     SELECT r.digest, b.size::text AS size, r.kind, r.owner, m.name AS model, v.version
     FROM blob_reference r JOIN blob b ON b.digest = r.digest
     LEFT JOIN model_version v ON v.id::text = r.owner
     LEFT JOIN registered_model m ON m.id = v.model_id
     ORDER BY r.digest, m.name, v.version, r.kind`,
  );
  let blob: NeededBlob | undefined;
  for (;;) {
    const { rows } = await client.query<Row>(`FETCH ${BATCH} FROM needed`);
    for (const { digest, size, ...need } of rows) {
      if (blob?.digest !== digest) {
        if (blob) yield blob;
        blob = { digest, size: Number(size), neededBy: [] };
      }
      blob.neededBy.push(need);
    }
    if (rows.length < BATCH) break;
  }
  if (blob) yield blob;
  await client.query(`CLOSE needed`);
}

/** Writes the list, one JSON object a line. */
export async function writeNeeded(
  path: string,
  blobs: AsyncIterable<NeededBlob>,
): Promise<Omit<NeededBlobs, 'included'>> {
  let count = 0;
  let size = 0;
  async function* lines(): AsyncGenerator<Buffer> {
    for await (const blob of blobs) {
      count += 1;
      size += blob.size;
      yield Buffer.from(`${JSON.stringify(blob)}\n`);
    }
  }
  const file = await writeChecked(path, Readable.from(lines()));
  return { ...file, count, size };
}

/** Reads what {@link writeNeeded} wrote. @throws DomainError FAILED_PRECONDITION at a line that it did not write */
export async function* readNeeded(path: string): AsyncGenerator<NeededBlob> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    number += 1;
    const blob = JSON.parse(line) as NeededBlob;
    if (!isDigest(blob.digest) || !Number.isSafeInteger(blob.size)) {
      throw new DomainError('FAILED_PRECONDITION', `Line ${number} of ${path} is damaged.`);
    }
    yield blob;
  }
}
