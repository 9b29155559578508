import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { DomainError } from '#platform';
import type { Checkpoint, SavedStaging, Staging } from './artifact-store.js';
import type { Digest } from './digest.js';
import { ExactStream } from './exact-stream.js';
import type { S3Bucket, S3Multipart } from './s3-bucket.js';

/** All parts but the last have this size, because some stores (R2) demand it. */
export const PART_SIZE = 8 * 1024 * 1024;
/** S3's own bound: a blob has at most 78 GiB. */
const MAX_PARTS = 10_000;
const COPIES_AT_ONCE = 4;

interface PartsState {
  partSize: number;
  /** The name of each stored part; a name is never written twice, so that a late write of somebody else harms nothing. */
  parts: string[];
  /** The short last part that a longer one has replaced. */
  replaced?: string;
  /** CRC32 of the short last part: it is read back and written anew, past the hash of the upload. */
  tailChecksum?: number;
  /** A commit that was begun. */
  multipart?: S3Multipart;
}

/**
 * Staged content as one object a part, `{index}-{random}`. The end that does not fill a part is kept in memory and is
 * stored, too, when it must be durable (`save`); the next append reads it back and writes it anew with what follows.
 * Commit lets the store put the parts together under the final key. Unlike the parts of a multipart upload these
 * objects can be read (to hash them again), listed on every server, and copied to a key known only at the end.
 */
export class S3Staging implements Staging {
  size: number;
  private saved: number;
  private readonly state: PartsState;
  private tail: Buffer | undefined;
  private spare: Buffer | undefined;

  constructor(
    private readonly bucket: S3Bucket,
    private readonly prefix: string,
    private readonly target: (digest: Digest) => string,
    /** Whether a blob without bytes of its own is there in parts of others. */
    private readonly lies: (digest: Digest) => Promise<boolean>,
    saved?: SavedStaging,
  ) {
    this.saved = saved?.received ?? 0;
    this.size = this.saved;
    this.state = { partSize: PART_SIZE, parts: [], ...(saved?.state as Partial<PartsState>) };
  }

  async append(content: AsyncIterable<Buffer>, checkpoint: Checkpoint): Promise<void> {
    await this.removeReplaced();
    await this.loadTail();
    let flight: Promise<void> = Promise.resolve();
    try {
      for await (const chunk of content) {
        for (let rest = chunk; rest.length > 0;) {
          rest = rest.subarray(this.fill(rest));
          if (this.size % this.state.partSize > 0) continue;
          // One part is on its way while the next one fills: two buffers, however long the content is.
          const [part, index] = [this.takeTail(), this.size / this.state.partSize - 1];
          await flight;
          flight = this.storeWhole(index, part, checkpoint);
          flight.catch(() => undefined);
        }
      }
    } finally {
      await flight;
      this.spare = undefined;
    }
  }

  async save(): Promise<SavedStaging> {
    if (this.saved !== this.size) {
      const index = Math.floor(this.size / this.state.partSize);
      const tail = this.tailBytes();
      await this.store(index, tail);
      this.state.tailChecksum = crc32(tail);
      this.saved = this.size;
    }
    return this.snapshot();
  }

  async read(): Promise<Readable> {
    return Readable.from(this.partsOf(this.saved), { objectMode: false });
  }

  async commit(digest: Digest, checkpoint: Checkpoint, { replace = false } = {}): Promise<void> {
    const key = this.target(digest);
    const present = await this.bucket.stat(key);
    if (present?.size === this.size && !replace) return;
    if (!present && !replace && (await this.lies(digest))) return;
    if (this.state.parts.length === 0) {
      await this.bucket.put(key, this.tailBytes(), { once: !present && !replace });
      return;
    }
    if (this.state.multipart) await this.bucket.abortMultipart(this.state.multipart);
    const multipart = await this.bucket.beginMultipart(key);
    this.state.multipart = multipart;
    await checkpoint(this.snapshot());
    await this.bucket.completeMultipart(multipart, await this.assemble(multipart));
    const made = await this.bucket.stat(key);
    if (made?.size === this.size) return;
    throw new DomainError('UNAVAILABLE', `The artifact store did not keep all of ${digest}.`, {
      retryAfter: 2,
    });
  }

  async discard(): Promise<void> {
    if (this.state.multipart) await this.bucket.abortMultipart(this.state.multipart);
    let keys: string[] = [];
    for await (const { key } of this.bucket.list(this.prefix)) {
      keys.push(key);
      if (keys.length < 1000) continue;
      await this.bucket.remove(keys);
      keys = [];
    }
    await this.bucket.remove(keys);
  }

  /** @returns how many bytes of `chunk` fitted into the present part */
  private fill(chunk: Buffer): number {
    const at = this.size % this.state.partSize;
    if (this.size >= MAX_PARTS * this.state.partSize) {
      throw new DomainError(
        'PAYLOAD_TOO_LARGE',
        'A blob in this store has at most 78 GiB: split the file.',
      );
    }
    this.tail ??= this.spare ?? Buffer.allocUnsafeSlow(this.state.partSize);
    this.spare = undefined;
    const taken = chunk.copy(this.tail, at);
    this.size += taken;
    return taken;
  }

  private takeTail(): Buffer {
    const tail = this.tail ?? Buffer.alloc(0);
    this.tail = undefined;
    return tail;
  }

  private tailBytes(): Buffer {
    return this.tail?.subarray(0, this.size % this.state.partSize) ?? Buffer.alloc(0);
  }

  /** After a restart or at another replica: the bytes that did not fill a part. */
  private async loadTail(): Promise<void> {
    const length = this.size % this.state.partSize;
    if (length === 0 || this.tail) return;
    const tail = Buffer.allocUnsafeSlow(this.state.partSize);
    let at = 0;
    for await (const chunk of this.partsOf(this.size, this.state.parts.length - 1)) {
      at += chunk.copy(tail, at);
    }
    const { tailChecksum } = this.state;
    if (tailChecksum !== undefined && crc32(tail.subarray(0, length)) !== tailChecksum) {
      throw new DomainError(
        'UNAVAILABLE',
        'The artifact store gave other bytes of an upload than it was given. Try again.',
        { retryAfter: 1 },
      );
    }
    this.tail = tail;
  }

  private async storeWhole(index: number, part: Buffer, checkpoint: Checkpoint): Promise<void> {
    await this.store(index, part);
    this.spare = part;
    this.saved = (index + 1) * this.state.partSize;
    await checkpoint(this.snapshot());
    await this.removeReplaced();
  }

  private async store(index: number, part: Buffer): Promise<void> {
    const name = `${String(index).padStart(5, '0')}-${randomBytes(6).toString('hex')}`;
    await this.bucket.put(this.prefix + name, part);
    const replaced = this.state.parts[index];
    if (replaced !== undefined) this.state.replaced = replaced;
    this.state.parts[index] = name;
  }

  /** Only after a checkpoint: until then the short part is the one that counts. */
  private async removeReplaced(): Promise<void> {
    const { replaced } = this.state;
    if (replaced === undefined) return;
    await this.bucket.remove([this.prefix + replaced]);
    delete this.state.replaced;
  }

  private snapshot(): SavedStaging {
    const { parts, ...state } = this.state;
    return { received: this.saved, state: { ...state, parts: [...parts] } };
  }

  private async *partsOf(size: number, from = 0): AsyncGenerator<Buffer> {
    const { partSize, parts } = this.state;
    for (let index = from; index * partSize < size; index += 1) {
      const length = Math.min(partSize, size - index * partSize);
      const found = await this.bucket.get(`${this.prefix}${parts[index]}`);
      if (!found) throw DomainError.notFound('The content of the upload', 'Begin a new upload.');
      yield* new ExactStream(found.body, length, 'an upload');
    }
  }

  /** @returns the ETags of all parts, in order */
  private async assemble(multipart: S3Multipart): Promise<string[]> {
    const etags: string[] = [];
    const { partSize, parts } = this.state;
    const count = Math.ceil(this.size / partSize);
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count) {
        const index = next++;
        const inMemory = index === count - 1 && this.tail && this.size % partSize > 0;
        const content = inMemory ? this.tailBytes() : `${this.prefix}${parts[index]}`;
        etags[index] = await this.bucket.putPart(multipart, index + 1, content);
      }
    };
    await Promise.all(Array.from({ length: COPIES_AT_ONCE }, work));
    return etags;
  }
}
