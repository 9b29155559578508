import { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { HotPool } from '#database';
import { DomainError, systemContext } from '#platform';
import { ArtifactStore, CHUNK_SIZE, type ByteRange } from './artifact-store.js';
import { KEEP_SECONDS, referenceBlobs, type WantedBlobs } from './blob-references.js';
import { compareRange, compareWhole } from './compared-stream.js';
import { CHECKSUM_SIZE, ContentHash } from './content-hash.js';
import { parseDigest, type Digest } from './digest.js';
import { UploadService } from './upload.service.js';

export interface StoredBlobInfo {
  digest: Digest;
  size: number;
}

interface BlobRow extends StoredBlobInfo {
  damaged: boolean;
}

/** Blobs that are complete. */
@Injectable()
export class BlobService {
  private readonly pool: HotPool;
  private readonly measuring = new Map<Digest, Promise<void>>();

  constructor(
    @InjectDataSource() dataSource: DataSource,
    private readonly store: ArtifactStore,
    private readonly uploads: UploadService,
  ) {
    this.pool = HotPool.of(dataSource);
  }

  /** @throws DomainError NOT_FOUND */
  async get(digest: string): Promise<StoredBlobInfo> {
    const { size } = await this.find(digest);
    return { digest: parseDigest(digest), size };
  }

  /**
   * As {@link get}, and keeps the blob from garbage collection for some time, so that a client that skips uploading it
   * can count on it. A blob that is known to be damaged is not stored: uploading it again mends it.
   */
  async keep(digest: string, seconds = KEEP_SECONDS): Promise<StoredBlobInfo> {
    const row = await this.pool.row<{ size: number }>(
      {
        name: 'blob-keep',
        text: `UPDATE blob SET kept_until = greatest(kept_until, now() + make_interval(secs => $2))
          WHERE digest = $1 AND damaged_at IS NULL RETURNING size`,
      },
      [parseDigest(digest), seconds],
    );
    if (!row) throw DomainError.notFound(`The blob ${digest}`, 'Upload it first.');
    return { digest: parseDigest(digest), size: Number(row.size) };
  }

  /**
   * The bytes, or a part of them: the right ones to the last, or an error of the stream. What the store does not vouch for
   * is compared while it passes by, and the end of it is kept back until it is known to be right.
   * @param compare compares also what the store vouches for
   * @throws DomainError NOT_FOUND; UNAVAILABLE also where the store has lost the bytes, or gives others
   */
  async open(digest: string, range: ByteRange = {}, { compare = false } = {}): Promise<Readable> {
    const blob = await this.find(digest);
    const { offset = 0 } = range;
    const length = Math.min(range.length ?? Infinity, blob.size - offset);
    if (length <= 0) return Readable.from([]);
    try {
      const sealed =
        compare || blob.damaged
          ? undefined
          : await this.store.readSealed(blob.digest, blob.size, { offset, length });
      if (sealed) return sealed;
      if (length === blob.size) return await this.readWhole(blob);
      return await this.readRange(blob, { offset, length });
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'NOT_FOUND') throw error;
      // It may have been collected in this moment.
      await this.get(digest);
      await this.suspect(blob.digest);
      throw new DomainError('UNAVAILABLE', `The artifact store has lost the bytes of ${digest}.`, {
        cause: error,
      });
    }
  }

  /** Stores our own bytes, such as those of a compiled Program. */
  async put(content: Readable | Buffer): Promise<StoredBlobInfo> {
    return this.uploads.put(content, systemContext);
  }

  /** See {@link referenceBlobs}; `dereferenceBlobs` takes it back. */
  async reference(manager: EntityManager, wanted: WantedBlobs): Promise<Map<string, number>> {
    return referenceBlobs(manager, wanted);
  }

  private async find(digest: string): Promise<BlobRow> {
    const row = await this.pool.row<{ size: number; damaged: boolean }>(
      {
        name: 'blob-find',
        text: `SELECT size, damaged_at IS NOT NULL AS damaged FROM blob WHERE digest = $1`,
      },
      [parseDigest(digest)],
    );
    if (!row) throw DomainError.notFound(`The blob ${digest}`);
    return { digest: parseDigest(digest), size: Number(row.size), damaged: row.damaged };
  }

  private async readWhole({ digest, size }: StoredBlobInfo): Promise<Readable> {
    const hash = new ContentHash();
    const { stream, seal } = await this.store.readToSeal(digest, size);
    return compareWhole(stream, hash, async () => {
      if (hash.digest !== digest) {
        await this.suspect(digest);
        throw damaged(digest);
      }
      await seal();
    });
  }

  private async readRange(
    blob: StoredBlobInfo,
    { offset, length }: Required<ByteRange>,
  ): Promise<Readable> {
    const { digest, size } = blob;
    const first = Math.floor(offset / CHUNK_SIZE);
    const end = Math.ceil((offset + length) / CHUNK_SIZE);
    const start = first * CHUNK_SIZE;
    const checksums = await this.checksumsOf(blob, first, end - first);
    const content = await this.store.read(digest, {
      offset: start,
      length: Math.min(end * CHUNK_SIZE, size) - start,
    });
    const wrong = (): Error => {
      this.suspect(digest).catch(() => undefined);
      return damaged(digest);
    };
    return compareRange(content, { checksums, skip: offset - start, length, wrong });
  }

  /** Of `count` MiB from the `first` one. A blob without checksums is read whole, once, to make them. */
  private async checksumsOf(blob: StoredBlobInfo, first: number, count: number): Promise<Buffer> {
    const read = () =>
      this.pool.row<{ checksums: Buffer | null }>(
        {
          name: 'blob-checksums',
          text: `SELECT substring(checksums FROM $2::int FOR $3::int) AS checksums FROM blob WHERE digest = $1`,
        },
        [blob.digest, first * CHECKSUM_SIZE + 1, count * CHECKSUM_SIZE],
      );
    let row = await read();
    if (row && !row.checksums) {
      await this.measure(blob);
      row = await read();
    }
    if (!row?.checksums) throw DomainError.notFound(`The blob ${blob.digest}`);
    return row.checksums;
  }

  /** Once, however many ask. */
  private measure(blob: StoredBlobInfo): Promise<void> {
    let measured = this.measuring.get(blob.digest);
    if (!measured) {
      measured = this.writeChecksums(blob).finally(() => this.measuring.delete(blob.digest));
      this.measuring.set(blob.digest, measured);
    }
    return measured;
  }

  private async writeChecksums({ digest, size }: StoredBlobInfo): Promise<void> {
    const hash = new ContentHash();
    const { stream, seal } = await this.store.readToSeal(digest, size);
    for await (const chunk of stream) hash.update(chunk as Buffer);
    if (hash.digest !== digest) {
      await this.suspect(digest);
      throw damaged(digest);
    }
    await seal();
    await this.pool.rows(
      { name: 'blob-measured', text: `UPDATE blob SET checksums = $2 WHERE digest = $1` },
      [digest, hash.checksums],
    );
  }

  /** A reader got wrong bytes: once more may be a fault of the line, so the next scrub looks here first. */
  private async suspect(digest: Digest): Promise<void> {
    await this.pool
      .rows(
        {
          name: 'blob-suspect',
          text: `UPDATE blob SET verified_at = to_timestamp(0) WHERE digest = $1`,
        },
        [digest],
      )
      .catch(() => undefined);
  }
}

function damaged(digest: Digest): DomainError {
  return new DomainError(
    'UNAVAILABLE',
    `The artifact store gave wrong bytes for ${digest}. Try again; if they stay wrong, slipway verify says what needs them and what to do.`,
    { retryAfter: 1 },
  );
}
