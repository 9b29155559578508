import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger, DomainError } from '#platform';
import { type BlobSource, ProgramCache } from './program-cache.js';

const log = createLogger({ LOG_LEVEL: 'silent' }, 'test');
const digestOf = (bytes: string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A store in memory that counts its reads, and can be away or lie. */
class Store implements BlobSource {
  readonly blobs = new Map<string, string>();
  reads = 0;
  away = false;

  put(bytes: string, digest = digestOf(bytes)): string {
    this.blobs.set(digest, bytes);
    return digest;
  }

  async read(digest: string): Promise<Readable> {
    this.reads++;
    if (this.away) throw new Error('connect ECONNREFUSED');
    const bytes = this.blobs.get(digest);
    if (bytes === undefined) throw DomainError.notFound(digest);
    return Readable.from([Buffer.from(bytes.slice(0, 2)), Buffer.from(bytes.slice(2))]);
  }
}

let folder: string;
let store: Store;

const cacheOf = async (limit?: number) => {
  const cache = new ProgramCache({ folder, store, log, ...(limit && { limit }) });
  await cache.open();
  return cache;
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-cache-'));
  store = new Store();
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe('ProgramCache', () => {
  it('fetches a blob once, however many ask', async () => {
    const digest = store.put('hello');
    const cache = await cacheOf();
    const paths = await Promise.all(Array.from({ length: 20 }, () => cache.hold(digest)));
    expect(new Set(paths).size).toBe(1);
    expect(store.reads).toBe(1);
    expect(await readFile(paths[0] ?? '', 'utf8')).toBe('hello');
  });

  it('keeps nothing of bytes that are not those of the digest', async () => {
    const digest = store.put('lies', digestOf('truth'));
    const cache = await cacheOf();
    await expect(cache.hold(digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await readdir(folder)).toEqual([]);
    store.put('truth');
    expect(await readFile(await cache.hold(digest), 'utf8')).toBe('truth');
  });

  it('says that the store is away, and tries anew when asked again', async () => {
    const digest = store.put('hello');
    const cache = await cacheOf();
    store.away = true;
    await expect(cache.hold(digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    store.away = false;
    await expect(cache.hold(digest)).resolves.toContain(folder);
  });

  it('finds what it had after a restart, and clears what a crash has left', async () => {
    const digest = store.put('hello');
    await (await cacheOf()).hold(digest);
    await writeFile(join(folder, 'something.part'), 'half');
    const cache = await cacheOf();
    store.away = true;
    expect(await readFile(await cache.hold(digest), 'utf8')).toBe('hello');
    expect(await readdir(folder)).toEqual([digest.slice(7)]);
  });

  it('stays within its bound: the longest unused goes, never what is held', async () => {
    const [a, b, c] = ['aaaa', 'bbbb', 'cccc'].map((bytes) => store.put(bytes));
    const cache = await cacheOf(10);
    for (const digest of [a, b]) {
      await cache.hold(digest ?? '');
      if (digest === b) cache.release(digest ?? '');
    }
    await cache.hold(c ?? '');
    const left = new Set(await readdir(folder));
    expect(left).toEqual(new Set([a, c].map((digest) => digest?.slice(7))));
    expect(cache.size).toBe(8);
  });

  it('fetches anew what was found damaged', async () => {
    const digest = store.put('hello');
    const cache = await cacheOf();
    const path = await cache.hold(digest);
    await writeFile(path, 'HELLO');
    await cache.discard(digest);
    expect(await readFile(await cache.hold(digest), 'utf8')).toBe('hello');
  });
});
