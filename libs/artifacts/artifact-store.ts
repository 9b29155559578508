import type { Readable } from 'node:stream';
import type { BlobPart } from './blob-parts.js';
import type { Digest } from './digest.js';

/**
 * Where the bytes of blobs live. A blob is found by its digest alone; every key in the store is made by us from a
 * digest or from the id of an upload, never from anything that a client named.
 *
 * Promises of every driver (`test/artifact-store.contract.ts` checks them):
 * - content is invisible until it is committed, and then it is there as a whole;
 * - what `commit`, `save` or a checkpoint has acknowledged survives a kill -9 and a loss of power;
 * - memory does not grow with the size of a blob;
 * - bytes that were damaged are mended by committing the right ones with `replace`;
 * - a blob may lie in parts of others ({@link compose}), and is read, measured and removed like any other;
 * - a store that does not answer or refuses is `UNAVAILABLE` within 10 seconds, never a hang.
 */
export abstract class ArtifactStore {
  /** Answers when the store can be read and written. @throws DomainError UNAVAILABLE with what is wrong */
  abstract check(): Promise<void>;

  abstract stat(digest: Digest): Promise<{ size: number } | undefined>;

  /**
   * The bytes of a blob as they are stored, unverified. The stream gives exactly the bytes that were asked for, or
   * ends with an error: never fewer in silence.
   * @param range bytes from `offset` (default 0), `length` of them (default: up to the end)
   * @throws DomainError NOT_FOUND before the first byte where there is no such blob
   */
  abstract read(digest: Digest, range?: ByteRange): Promise<Readable>;

  /**
   * The bytes of a blob where the store can vouch for them: they were compared with their digest, and nobody has changed
   * them since. What comes over a network is never vouched for.
   * @param size that the blob must have
   * @returns undefined where the store cannot vouch: read them and compare
   */
  async readSealed(
    _digest: Digest,
    _size: number,
    _range?: ByteRange,
  ): Promise<Readable | undefined> {
    return undefined;
  }

  /**
   * As {@link read}, for a reader who compares all bytes. Its `seal`, called when they were right, lets the store vouch for
   * them from then on, if it can.
   */
  async readToSeal(
    digest: Digest,
    size: number,
  ): Promise<{ stream: Readable; seal: () => Promise<void> }> {
    return { stream: await this.read(digest, { length: size }), seal: async () => undefined };
  }

  /** Vouches no longer for bytes that were found damaged. */
  async unseal(_digest: Digest): Promise<void> {
    return undefined;
  }

  /**
   * Lets a blob be read out of parts of others from now on, and gives up its own bytes, in this order: whatever ends it in
   * between, the blob is there. The caller has compared the parts, which have bytes of their own, with the digest.
   */
  abstract compose(digest: Digest, parts: readonly BlobPart[]): Promise<void>;

  /** How a blob is stored: its own bytes come before its parts, where it has both. */
  abstract layout(digest: Digest): Promise<{ size?: number; parts?: BlobPart[] }>;

  /** Forgets the parts of a blob that has its own bytes. */
  abstract forgetParts(digest: Digest): Promise<void>;

  /** Removes a blob; one that is not there is no error. */
  abstract delete(digest: Digest): Promise<void>;

  /** All blobs, in no order. */
  abstract list(): AsyncIterable<StoredBlob>;

  /**
   * Content on its way to become a blob.
   * @param id a UUID of ours; two stagings with one id are the same content
   * @param saved what the last `save` or checkpoint said, at any replica and before any restart; absent: nothing yet
   */
  abstract stage(id: string, saved?: SavedStaging): Staging;

  /** Everything staged and not committed, that of uploads long forgotten included, in no order. */
  abstract listStaged(): AsyncIterable<StagedContent>;
}

/** Content that grows by `append` until it is committed or discarded. One caller at a time. */
export interface Staging {
  /** Bytes so far, saved or not. */
  readonly size: number;

  /**
   * Adds bytes at the end. Where `content` or the store fails, what the last checkpoint said still holds.
   * @param checkpoint awaited each time when more of the content is durable
   */
  append(content: AsyncIterable<Buffer>, checkpoint: Checkpoint): Promise<void>;

  /** Makes all bytes so far durable. */
  save(): Promise<SavedStaging>;

  /** All bytes as of the last `save` or checkpoint, from the first one. */
  read(): Promise<Readable>;

  /**
   * Publishes the bytes so far as the blob of this digest, which the caller has computed from them. Committing content
   * that is there already, or was committed by an earlier call that nobody heard the end of, succeeds.
   * @param checkpoint awaited with what must be known to discard an interrupted commit
   * @param replace writes these bytes also where some of this size are in their place already, because those may be
   * damaged; whoever reads them at the time gets the old bytes or the new ones
   */
  commit(digest: Digest, checkpoint: Checkpoint, options?: { replace?: boolean }): Promise<void>;

  /** Gives up what is staged, or clears what a commit has left over. What is not there is no error. */
  discard(): Promise<void>;
}

/** What must be kept (as JSON, in a row) to go on with a staging later or elsewhere. */
export interface SavedStaging {
  /** Bytes that are durable. */
  received: number;
  /** The driver's own. */
  state: Record<string, unknown>;
}

export type Checkpoint = (saved: SavedStaging) => Promise<void>;

export interface ByteRange {
  offset?: number;
  length?: number;
}

export interface StoredBlob {
  digest: Digest;
  /** Bytes that it takes in the store. */
  size: number;
  /** By the clock of the store. */
  modifiedAt: Date;
}

export interface StagedContent {
  id: string;
  /** Enough to discard it. */
  saved: SavedStaging;
  modifiedAt: Date;
}

/** Bytes a read from a disk, and what is gathered before a write to it: twice as fast as Node's default of 64 KiB. */
export const CHUNK_SIZE = 1024 * 1024;
