import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { DomainError, type Logger } from '#platform';

/** Where blobs come from; `ArtifactStore` is one. */
export interface BlobSource {
  read(digest: string): Promise<Readable>;
}

export interface ProgramCacheOptions {
  /** Folder of its own; made where it does not exist. */
  folder: string;
  store: BlobSource;
  /** Bytes on disk; by default 20 GiB, but never more than half of what the disk has free. */
  limit?: number;
  log: Logger;
}

interface CachedBlob {
  size: number;
  lastUsed: number;
  holds: number;
}

const DIGEST = /^sha256:([0-9a-f]{64})$/;
const DEFAULT_LIMIT = 20 * 2 ** 30;

/**
 * Blobs on the local disk by digest. A file has its name only when its bytes were verified and are on disk for good, so
 * that a replica which restarts with the store away finds what it served. Blobs that are held are never evicted.
 */
export class ProgramCache {
  readonly #options: ProgramCacheOptions;
  readonly #blobs = new Map<string, CachedBlob>();
  readonly #fetches = new Map<string, Promise<void>>();
  #limit = DEFAULT_LIMIT;
  #size = 0;

  constructor(options: ProgramCacheOptions) {
    this.#options = options;
  }

  /** Takes stock of the folder; what a crash left half-written is removed. */
  async open(): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (!/^[0-9a-f]{64}$/.test(name)) {
        await rm(path, { force: true, recursive: true });
        continue;
      }
      const { size, mtimeMs } = await stat(path);
      this.#blobs.set(`sha256:${name}`, { size, lastUsed: mtimeMs, holds: 0 });
      this.#size += size;
    }
    const { bavail, bsize } = await statfs(folder);
    this.#limit = this.#options.limit ?? Math.min(DEFAULT_LIMIT, (bavail * bsize + this.#size) / 2);
  }

  /** Bytes on disk. */
  get size(): number {
    return this.#size;
  }

  /**
   * The path of a blob, fetched and verified where it is not here yet (once, however many ask), and kept until `release`.
   * @throws DomainError UNAVAILABLE (the store is away), DIGEST_MISMATCH, BLOB_MISSING
   */
  async hold(digest: string): Promise<string> {
    const path = this.#pathOf(digest);
    for (;;) {
      const blob = this.#blobs.get(digest);
      if (blob) {
        blob.holds++;
        blob.lastUsed = Date.now();
        utimes(path, new Date(), new Date()).catch(() => undefined);
        return path;
      }
      let fetch = this.#fetches.get(digest);
      if (!fetch) {
        fetch = this.#fetch(digest, path).finally(() => this.#fetches.delete(digest));
        this.#fetches.set(digest, fetch);
      }
      await fetch;
    }
  }

  release(digest: string): void {
    const blob = this.#blobs.get(digest);
    if (blob?.holds) blob.holds--;
  }

  /** Forgets a blob whose file turned out to be damaged, so that the next `hold` fetches it anew. */
  async discard(digest: string): Promise<void> {
    const blob = this.#blobs.get(digest);
    if (!blob) return;
    this.#blobs.delete(digest);
    this.#size -= blob.size;
    await rm(this.#pathOf(digest), { force: true });
  }

  #pathOf(digest: string): string {
    const hex = DIGEST.exec(digest)?.[1];
    if (!hex)
      throw new DomainError('INVALID_ARGUMENT', `${JSON.stringify(digest)} is not a digest`);
    return join(this.#options.folder, hex);
  }

  async #fetch(digest: string, path: string): Promise<void> {
    const part = join(this.#options.folder, `${randomUUID()}.part`);
    try {
      const size = await this.#download(digest, part);
      await rename(part, path);
      await syncFolder(this.#options.folder);
      this.#blobs.set(digest, { size, lastUsed: Date.now(), holds: 0 });
      this.#size += size;
      await this.#evict(digest);
    } catch (error) {
      await rm(part, { force: true });
      if (error instanceof DomainError && error.code !== 'INTERNAL') throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new DomainError(
        'UNAVAILABLE',
        `${digest} cannot be fetched from the artifact store: ${why}`,
        {
          cause: error,
          retryAfter: 2,
        },
      );
    }
  }

  async #download(digest: string, part: string): Promise<number> {
    const source = await this.#options.store.read(digest);
    const file = await open(part, 'wx', 0o600);
    const hash = createHash('sha256');
    let size = 0;
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        hash.update(chunk);
        size += chunk.length;
        await file.writeFile(chunk);
      }
      await file.sync();
    } finally {
      source.destroy();
      await file.close();
    }
    const got = `sha256:${hash.digest('hex')}`;
    if (got !== digest) {
      throw new DomainError(
        'DIGEST_MISMATCH',
        `The artifact store answered ${digest} with other bytes (${got})`,
      );
    }
    return size;
  }

  /** Removes the longest unused blobs that nobody holds until the bound is kept; `spared` has just come. */
  async #evict(spared: string): Promise<void> {
    if (this.#size <= this.#limit) return;
    const idle = [...this.#blobs].filter(([digest, blob]) => !blob.holds && digest !== spared);
    idle.sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
    for (const [digest] of idle) {
      if (this.#size <= this.#limit) return;
      await this.discard(digest);
    }
    if (this.#size > this.#limit) {
      this.#options.log.warn(
        { size: this.#size, limit: this.#limit },
        'the cache is over its bound: all of it is in use',
      );
    }
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
