import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { DomainError, type RequestContext } from '#platform';
import { ArtifactStore } from './artifact-store.js';
import { ContentHash } from './content-hash.js';
import { parseDigest, type Digest } from './digest.js';
import { busy, LEASE_SECONDS, noUpload, UploadRows, type UploadRow } from './upload-rows.js';
import { UploadWriter } from './upload-writer.js';

export interface UploadStatus {
  id: string;
  /** Bytes that are durable; the next one to send. */
  received: number;
}

/** What comes with a request that brings bytes. */
export interface UploadPart {
  content: Readable;
  /** Where the sender believes that the bytes belong; absent: at the end. */
  start?: number | undefined;
  /** How many bytes the sender promised. */
  length?: number | undefined;
}

/** How long a request waits for the one before it, whose connection may be gone already, to put its bytes away. */
const PATIENCE_MS = 250;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const HASHES_KEPT = 10_000;

/**
 * Uploads in the steps of the OCI Distribution specification. What is acknowledged is durable, and an upload goes on
 * after a cut, a restart, or at another replica: all that must be known is in its row and in the store.
 *
 * The digest is computed while bytes pass by. The state of that hash lives in this process only; where it is lost (a
 * restart, another replica), the bytes are read back from the store and hashed once when the upload is finished.
 */
@Injectable()
export class UploadService {
  /** What clients did since the process began, for metrics; {@link put} is not counted. */
  readonly counts = { begun: 0, finished: 0, cancelled: 0, bytes: 0 };
  private readonly rows: UploadRows;
  private receiving = 0;
  private readonly listeners: ((blob: { digest: Digest; size: number }) => void)[] = [];
  private readonly writers = new Map<string, UploadWriter>();
  private readonly hashes = new Map<string, { hash: ContentHash; received: number }>();

  constructor(
    @InjectDataSource() dataSource: DataSource,
    private readonly store: ArtifactStore,
  ) {
    this.rows = new UploadRows(dataSource);
  }

  /** Calls the listener whenever a client's upload has become a blob. */
  onPublished(listener: (blob: { digest: Digest; size: number }) => void): void {
    this.listeners.push(listener);
  }

  /** Whether a client's bytes are coming in at this moment. */
  get isReceiving(): boolean {
    return this.receiving > 0;
  }

  /** @param manager of the caller's transaction, where it is to be part of one */
  async begin(context: RequestContext, manager?: EntityManager): Promise<UploadStatus> {
    const id = await this.rows.insert(context, manager);
    this.counts.begun++;
    return { id, received: 0 };
  }

  /** @throws DomainError NOT_FOUND */
  async status(id: string): Promise<UploadStatus> {
    const writer = this.writers.get(id);
    if (writer) await settling(writer);
    const row = uuid.test(id) ? await this.rows.find(id) : undefined;
    if (!row) throw noUpload(id);
    return { id, received: row.received };
  }

  /**
   * Appends bytes. Where the connection breaks, the bytes that came are kept.
   * @throws DomainError NOT_FOUND; RANGE_NOT_SATISFIABLE (`extra.received`) where the bytes belong elsewhere; CONFLICT
   * where another request writes to this upload; PAYLOAD_TOO_LARGE; UNAVAILABLE
   */
  async append(id: string, part: UploadPart): Promise<UploadStatus> {
    heard(part.content);
    return this.writing(id, async (writer) => {
      await this.receive(writer, part);
      return { id, received: writer.received };
    });
  }

  /**
   * Appends the last bytes, if any, and makes the blob. When this has returned, the blob survives every crash.
   * @throws DomainError as {@link append}; DIGEST_MISMATCH, after which the upload is gone and nothing is stored
   */
  async finish(
    id: string,
    digest: string,
    part?: UploadPart,
  ): Promise<{ digest: Digest; size: number }> {
    const wanted = parseDigest(digest);
    if (part) heard(part.content);
    return this.writing(id, async (writer) => {
      if (part && isRepeated(writer, part, wanted)) part.content.resume();
      else if (part) await this.receive(writer, part, { last: true });
      const { size } = writer;
      if (writer.verified?.digest !== wanted || writer.verified.size !== size) {
        const actual = await writer.digest();
        if (actual !== wanted) {
          await this.discard(id);
          throw mismatch(wanted, actual, size);
        }
      }
      await writer.publish({ digest: wanted, size });
      this.counts.finished++;
      for (const listener of this.listeners) listener({ digest: wanted, size });
      return { digest: wanted, size };
    });
  }

  /** Stores our own bytes, whose digest nobody knows yet. */
  async put(
    content: Readable | Buffer,
    context: RequestContext,
  ): Promise<{ digest: Digest; size: number }> {
    const stream = Buffer.isBuffer(content) ? streamOf(content) : content;
    heard(stream);
    const id = await this.rows.insert(context);
    try {
      return await this.writing(id, async (writer) => {
        await receive(writer, { content: stream }, { last: true });
        const blob = { digest: await writer.digest(), size: writer.size };
        await writer.publish(blob);
        return blob;
      });
    } catch (error) {
      // The collector finds what cannot be cleared now.
      await this.discard(id).catch(() => undefined);
      throw error;
    }
  }

  /** Gives an upload up. @throws DomainError NOT_FOUND */
  async cancel(id: string): Promise<void> {
    await this.discard(id);
    this.counts.cancelled++;
  }

  private async discard(id: string): Promise<void> {
    const row = uuid.test(id) ? await this.rows.remove(id) : undefined;
    if (!row) throw noUpload(id);
    this.hashes.delete(id);
    // It is given up, whatever the store says: what cannot be cleared now, the collector finds.
    await this.store
      .stage(id, savedOf(row))
      .discard()
      .catch(() => undefined);
  }

  private async receive(
    writer: UploadWriter,
    part: UploadPart,
    options: { last?: boolean } = {},
  ): Promise<void> {
    const before = writer.size;
    this.receiving++;
    try {
      await receive(writer, part, options);
    } finally {
      this.receiving--;
      this.counts.bytes += writer.size - before;
    }
  }

  /** Runs `work` as the only one who writes to the upload, here or at any replica. */
  private async writing<T>(id: string, work: (writer: UploadWriter) => Promise<T>): Promise<T> {
    if (!uuid.test(id)) throw noUpload(id);
    const before = this.writers.get(id);
    if (before && !(await settling(before))) throw busy();
    const owner = randomUUID();
    const row = await this.lease(id, owner);
    const kept = this.hashes.get(id);
    this.hashes.delete(id);
    const hash =
      row.received === 0
        ? new ContentHash()
        : kept?.received === row.received
          ? kept.hash
          : undefined;
    const staging = this.store.stage(id, row.store_state.driver && savedOf(row));
    const writer = new UploadWriter(this.rows, { id, owner, row, staging, hash });
    this.writers.set(id, writer);
    try {
      return await work(writer);
    } finally {
      await writer.close();
      if (this.writers.get(id) === writer) this.writers.delete(id);
      // One that has seen bytes which are not kept would make the whole content look damaged.
      if (writer.hash && !writer.published && writer.size === writer.received)
        this.keepHash(id, writer.hash, writer.received);
    }
  }

  /** A lease that its process cannot renew any more runs out in seconds; until then this waits for it. */
  private async lease(id: string, owner: string): Promise<UploadRow> {
    const patience = Date.now() + (LEASE_SECONDS + 1) * 1000;
    for (;;) {
      const row = await this.rows.lease(id, owner).catch((error: unknown) => {
        // It may have been given, and nobody but this request knows its owner.
        this.rows.letGo(id, owner);
        throw error;
      });
      if (row) return row;
      if (!(await this.rows.find(id))) throw noUpload(id);
      if (Date.now() > patience || this.writers.has(id)) throw busy();
      await sleep(100);
    }
  }

  private keepHash(id: string, hash: ContentHash, received: number): void {
    const [oldest] = this.hashes.keys();
    if (this.hashes.size >= HASHES_KEPT && oldest !== undefined) this.hashes.delete(oldest);
    this.hashes.set(id, { hash, received });
  }
}

/** Without an empty chunk, which some streams take for their end. */
function streamOf(content: Buffer): Readable {
  return Readable.from(content.length > 0 ? [content] : []);
}

/** A stream may break before anybody reads it; whoever reads it then will be told. */
function heard(content: Readable): void {
  content.on('error', () => {});
}

/** Waits for a writer that is about to end. @returns whether it has ended */
async function settling(writer: UploadWriter): Promise<boolean> {
  const soon = sleep(PATIENCE_MS, false);
  const settled = writer.settled.then(() => true);
  if (await Promise.race([settled, soon])) return true;
  return writer.isCut ? settled : false;
}

/**
 * Whether a request brings bytes that the upload is known to have, because an earlier one like it got as far as naming the
 * blob: after the bytes of a digest no others can follow.
 */
function isRepeated({ verified, size }: UploadWriter, part: UploadPart, wanted: Digest): boolean {
  return verified?.digest === wanted && verified.size === size && (part.start ?? 0) < size;
}

async function receive(
  writer: UploadWriter,
  part: UploadPart,
  { last = false } = {},
): Promise<void> {
  const { start = writer.received } = part;
  if (start !== writer.received) {
    throw new DomainError(
      'RANGE_NOT_SATISFIABLE',
      `The upload has ${writer.received} bytes, so the next one is byte ${writer.received}, not ${start}.`,
      { extra: { received: writer.received } },
    );
  }
  await writer.append(part.content, part.length);
  if (!last || writer.isCut) await writer.save();
  writer.throwIfCut();
}

function savedOf({ received, store_state }: UploadRow) {
  return { received, state: store_state.driver ?? {} };
}

function mismatch(wanted: Digest, actual: Digest, size: number): DomainError {
  const message = `The ${size} bytes that came have the digest ${actual}, not ${wanted}. Nothing was stored; upload again.`;
  return new DomainError('DIGEST_MISMATCH', message, {
    errors: [{ pointer: '/digest', message: `The digest of the bytes is ${actual}.` }],
    extra: { actual },
  });
}
