import { createHash, randomUUID } from 'node:crypto';
import type { ArtifactStore } from '#artifacts';
import { DomainError } from '#platform';
import type { NeededBlob } from './needed-blobs.js';

/** A blob that is not as the rows say. */
export interface BlobFault extends NeededBlob {
  fault: 'missing' | 'damaged';
  /** In a few words. */
  detail: string;
}

export interface BlobCheckOptions {
  /** Reads every blob and compares its digest, not only its size. */
  deep?: boolean;
  /** Where blobs are brought to that are not there yet. */
  copyTo?: ArtifactStore;
  /** Told at once, in no order. */
  onFault(fault: BlobFault): void;
}

export interface BlobCheck {
  checked: number;
  /** Bytes of all that were checked, as the rows say. */
  bytes: number;
  copied: number;
  faults: number;
}

const AT_ONCE = 8;

/**
 * Whether a store has the blobs that rows need; with `copyTo`, brings them to another store, where each appears whole and
 * verified or not at all.
 * @throws DomainError UNAVAILABLE where a store does not answer
 */
export async function checkBlobs(
  blobs: AsyncIterable<NeededBlob>,
  store: ArtifactStore,
  options: BlobCheckOptions,
): Promise<BlobCheck> {
  const result: BlobCheck = { checked: 0, bytes: 0, copied: 0, faults: 0 };
  const source = blobs[Symbol.asyncIterator]();
  let failed = false;
  const work = async (): Promise<void> => {
    while (!failed) {
      const next = await source.next();
      if (next.done) return;
      const blob = next.value;
      const outcome = await look(blob, store, options);
      result.checked += 1;
      result.bytes += blob.size;
      if (outcome === 'copied') result.copied += 1;
      else if (outcome !== 'there') {
        result.faults += 1;
        options.onFault({ ...blob, ...outcome });
      }
    }
  };
  const workers = Array.from({ length: AT_ONCE }, async () => {
    try {
      await work();
    } catch (error) {
      failed = true;
      throw error;
    }
  });
  const ended = await Promise.allSettled(workers);
  await source.return?.();
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  return result;
}

type Fault = Pick<BlobFault, 'fault' | 'detail'>;

async function look(
  blob: NeededBlob,
  store: ArtifactStore,
  { deep, copyTo }: BlobCheckOptions,
): Promise<Fault | 'there' | 'copied'> {
  const found = await store.stat(blob.digest);
  if (!found) return { fault: 'missing', detail: 'it is not in the store' };
  if (found.size !== blob.size) {
    return { fault: 'damaged', detail: `it has ${found.size} bytes instead of ${blob.size}` };
  }
  const wanted = copyTo && (await copyTo.stat(blob.digest))?.size !== blob.size;
  if (wanted) return copy(blob, store, copyTo);
  return deep ? read(blob, store) : 'there';
}

async function read(blob: NeededBlob, store: ArtifactStore): Promise<Fault | 'there'> {
  const hash = createHash('sha256');
  for await (const chunk of (await store.read(blob.digest)) as AsyncIterable<Buffer>) {
    hash.update(chunk);
  }
  return `sha256:${hash.digest('hex')}` === blob.digest ? 'there' : otherBytes;
}

async function copy(
  { digest, size }: NeededBlob,
  from: ArtifactStore,
  to: ArtifactStore,
): Promise<Fault | 'copied'> {
  const hash = createHash('sha256');
  async function* content(): AsyncGenerator<Buffer> {
    const stream = (await from.read(digest, { length: size })) as AsyncIterable<Buffer>;
    for await (const chunk of stream) {
      hash.update(chunk);
      yield chunk;
    }
  }
  const { size: own, parts } = await from.layout(digest);
  if (own === undefined && parts) {
    // Its parts are needed by the same rows, and are copied as these.
    for await (const _ of content());
    if (`sha256:${hash.digest('hex')}` !== digest) return otherBytes;
    await to.compose(digest, parts);
    return 'copied';
  }
  // Nobody goes on with this staging later: a copy that was cut off begins anew.
  const forget = async (): Promise<void> => undefined;
  const staging = to.stage(randomUUID());
  try {
    await staging.append(content(), forget);
    if (`sha256:${hash.digest('hex')}` !== digest) {
      await staging.discard();
      return otherBytes;
    }
    await staging.save();
    await staging.commit(digest, forget);
    return 'copied';
  } catch (error) {
    await staging.discard().catch(() => undefined);
    const lost = error instanceof DomainError && error.code === 'NOT_FOUND';
    if (lost) return { fault: 'missing', detail: 'it is not in the store any more' };
    throw error;
  }
}

const otherBytes: Fault = { fault: 'damaged', detail: 'its bytes have another digest' };
