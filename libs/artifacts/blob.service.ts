import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { HotPool } from '#database';
import { DomainError, systemContext } from '#platform';
import { ArtifactStore, type ByteRange } from './artifact-store.js';
import { KEEP_SECONDS, referenceBlobs, type WantedBlobs } from './blob-references.js';
import { digestOf, parseDigest, type Digest } from './digest.js';
import { UploadService } from './upload.service.js';

export interface StoredBlobInfo {
  digest: Digest;
  size: number;
}

/** Blobs that are complete. */
@Injectable()
export class BlobService {
  private readonly pool: HotPool;

  constructor(
    @InjectDataSource() dataSource: DataSource,
    private readonly store: ArtifactStore,
    private readonly uploads: UploadService,
  ) {
    this.pool = HotPool.of(dataSource);
  }

  /** @throws DomainError NOT_FOUND */
  async get(digest: string): Promise<StoredBlobInfo> {
    const row = await this.pool.row<{ size: number }>(
      { name: 'blob-get', text: `SELECT size FROM blob WHERE digest = $1` },
      [parseDigest(digest)],
    );
    if (!row) throw DomainError.notFound(`The blob ${digest}`);
    return { digest: parseDigest(digest), size: Number(row.size) };
  }

  /**
   * As {@link get}, and keeps the blob from garbage collection for some time, so that a client that skips uploading it
   * can count on it.
   */
  async keep(digest: string, seconds = KEEP_SECONDS): Promise<StoredBlobInfo> {
    const row = await this.pool.row<{ size: number }>(
      {
        name: 'blob-keep',
        text: `UPDATE blob SET kept_until = greatest(kept_until, now() + make_interval(secs => $2))
          WHERE digest = $1 RETURNING size`,
      },
      [parseDigest(digest), seconds],
    );
    if (!row) throw DomainError.notFound(`The blob ${digest}`, 'Upload it first.');
    return { digest: parseDigest(digest), size: Number(row.size) };
  }

  /**
   * The bytes, or a part of them, unverified: exactly as many as the blob has, or an error of the stream.
   * @throws DomainError NOT_FOUND; UNAVAILABLE also where the store has lost the bytes
   */
  async open(digest: string, { offset = 0, length }: ByteRange = {}): Promise<Readable> {
    const blob = await this.get(digest);
    const rest = blob.size - offset;
    try {
      return await this.store.read(blob.digest, { offset, length: Math.min(length ?? rest, rest) });
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'NOT_FOUND') throw error;
      // It may have been collected in this moment.
      await this.get(digest);
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

  /** Reads a blob whole and compares. @returns what is wrong with it, or undefined */
  async verify(digest: string): Promise<string | undefined> {
    const hash = createHash('sha256');
    try {
      for await (const chunk of await this.open(digest)) hash.update(chunk as Buffer);
    } catch (error) {
      if (error instanceof DomainError && error.code === 'UNAVAILABLE') return error.message;
      throw error;
    }
    const actual = digestOf(hash);
    return actual === digest
      ? undefined
      : `The stored bytes of ${digest} have the digest ${actual}.`;
  }
}
