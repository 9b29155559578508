import type { Readable } from 'node:stream';
import { DomainError } from '#platform';
import type { SavedStaging, Staging } from './artifact-store.js';
import { ContentHash } from './content-hash.js';
import type { Digest } from './digest.js';
import {
  busy,
  LEASE_SECONDS,
  noUpload,
  type UploadRow,
  type UploadRows,
  type Verified,
} from './upload-rows.js';

interface WriterOptions {
  id: string;
  owner: string;
  row: UploadRow;
  staging: Staging;
  hash: ContentHash | undefined;
}

/** One request that writes to an upload: it holds the lease, hashes what passes by and acknowledges what is durable. */
export class UploadWriter {
  /** Resolves when the request has let go of the upload; never rejects. */
  readonly settled: Promise<void>;
  /** True from the moment at which the connection of the request is known to be gone. */
  isCut = false;
  published = false;
  /** Has seen all bytes so far; absent where it did not see the first ones, or saw some that were not stored. */
  hash: ContentHash | undefined;
  /** Acknowledged bytes. */
  received: number;
  verified: Verified | undefined;
  private readonly id: string;
  private readonly owner: string;
  private readonly staging: Staging;
  private readonly renewal: NodeJS.Timeout;
  private lost = false;
  private cause: unknown;
  private settle: () => void = () => {};

  constructor(
    private readonly rows: UploadRows,
    { id, owner, row, staging, hash }: WriterOptions,
  ) {
    this.id = id;
    this.owner = owner;
    this.staging = staging;
    this.hash = hash;
    this.received = row.received;
    this.verified = row.store_state.verified;
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
    });
    this.renewal = setInterval(() => void this.renew(), (LEASE_SECONDS * 1000) / 4);
  }

  /** Bytes so far, acknowledged or not. */
  get size(): number {
    return this.staging.size;
  }

  /** Takes what comes, up to `length`. A connection that breaks ends the content: what came is kept. */
  async append(content: Readable, length = Infinity): Promise<void> {
    const { hash, size } = this;
    this.hash = undefined;
    const gone = () => {
      this.isCut ||= !content.readableEnded;
    };
    content.once('close', gone);
    try {
      await this.staging.append(this.pass(content, length, hash), (saved) =>
        this.checkpoint(saved),
      );
    } finally {
      content.removeListener('close', gone);
    }
    // Not before the store has it all.
    this.hash = hash;
    const came = this.size - size;
    if (came > 0) this.verified = undefined;
    if (this.isCut || length === Infinity || came === length) return;
    await this.save();
    throw DomainError.invalid(
      '',
      `Content-Range promised ${length} bytes, but ${came} came; these are kept.`,
    );
  }

  /** Acknowledges all bytes so far. */
  async save(): Promise<void> {
    await this.checkpoint(await this.staging.save());
  }

  /** @throws DomainError where the bytes ended before their end; nobody is there any more to hear it */
  throwIfCut(): void {
    if (!this.isCut) return;
    throw new DomainError(
      'INVALID_ARGUMENT',
      `The connection ended early; ${this.received} bytes are kept.`,
      {
        cause: this.cause,
      },
    );
  }

  /** The digest of all bytes so far, from the store where no hash has seen them all. */
  async digest(): Promise<Digest> {
    if (!this.hash) {
      await this.save();
      const hash = new ContentHash();
      for await (const chunk of await this.staging.read()) hash.update(chunk as Buffer);
      this.hash = hash;
    }
    return this.hash.digest;
  }

  /** Makes the blob; the bytes are known to be those of the digest. */
  async publish(blob: Verified): Promise<void> {
    const { held, stored } = await this.rows.announce(this.id, this.owner, blob);
    await this.holding(held);
    this.verified = blob;
    const written = !stored;
    await this.staging.commit(blob.digest, (saved) => this.checkpoint(saved), { replace: written });
    await this.rows.publish(this.id, blob, { written, checksums: this.hash?.checksums });
    this.published = true;
    // The blob is there; what its making has left over, the collector finds in any case.
    await this.staging.discard().catch(() => undefined);
  }

  /** Lets go of the upload, at once where the database can be reached. */
  async close(): Promise<void> {
    clearInterval(this.renewal);
    if (!this.published && !this.lost) {
      await this.rows
        .release(this.id, this.owner)
        .catch(() => this.rows.letGo(this.id, this.owner));
    }
    this.settle();
  }

  private async *pass(
    content: Readable,
    length: number,
    hash: ContentHash | undefined,
  ): AsyncGenerator<Buffer> {
    let came = 0;
    try {
      // Refusing the rest must not destroy the connection that the refusal is to be sent on.
      for await (const chunk of content.iterator({
        destroyOnReturn: false,
      }) as AsyncIterable<Buffer>) {
        await this.holding(!this.lost);
        came += chunk.length;
        if (came > length) {
          throw DomainError.invalid('', `Content-Range promised ${length} bytes, but more came.`);
        }
        hash?.update(chunk);
        yield chunk;
      }
    } catch (error) {
      if (error instanceof DomainError) throw error;
      this.isCut = true;
      this.cause = error;
    }
  }

  private async checkpoint(saved: SavedStaging): Promise<void> {
    await this.holding(await this.rows.checkpoint(this.id, this.owner, saved, this.verified));
    this.received = saved.received;
  }

  private async renew(): Promise<void> {
    const held = await this.rows.renew(this.id, this.owner).catch(() => true);
    if (!held) this.lost = true;
  }

  private async holding(held: boolean): Promise<void> {
    if (held) return;
    this.lost = true;
    throw (await this.rows.find(this.id)) ? busy() : noUpload(this.id);
  }
}
