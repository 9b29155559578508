import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FolderArtifactStore, openArtifactStore } from '#artifacts';
import { createLogger, readConfig } from '#platform';
import { Slipway } from '#sdk';
import { ProgramCache, ProgramLoader } from '#serving';
import { type BlobReader, BlobReaders, type Outcome } from '../support/blob-readers.js';
import { type Lie, lies, LyingProxy } from '../support/lying-proxy.js';
import { constantModel } from '../support/models.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { digestOf, startRegistry, type TestRegistry } from '../support/registry.js';
import { ownBucket, s3IsThere } from '../support/s3.js';
import { flipped, StoredBlobs } from '../support/stored-blobs.js';

const MiB = 1024 * 1024;
/** Of each driver: a thousand in all. */
const READS = amount(500, 10_000);

/** Milliseconds after which a pull that gets nowhere is given up. */
const PATIENCE = 1500;

/** Of one MiB and of several, so that parts of a blob are compared as well. */
const files = () => ({
  'small.bin': randomBytes(3000),
  'sub/middle.bin': randomBytes(200_000),
  'large.bin': randomBytes(MiB + 123_456),
});

/** What came of the reads, by the way on which they went. */
class Tally {
  private readonly counts = new Map<string, Record<Outcome, number>>();

  add(way: string, outcome: Outcome): void {
    const count = this.counts.get(way) ?? { right: 0, noticed: 0, UNNOTICED: 0 };
    count[outcome] += 1;
    this.counts.set(way, count);
  }

  get unnoticed(): string[] {
    return [...this.counts].flatMap(([way, count]) => (count.UNNOTICED > 0 ? [way] : []));
  }

  get figures(): Record<string, string> {
    return Object.fromEntries(
      [...this.counts].map(([way, { right, noticed }]) => [
        way,
        `${noticed} noticed (${right} right all the same)`,
      ]),
    );
  }
}

function oneOf<T>(all: readonly T[]): T {
  const [chosen] = all.slice(randomInt(all.length));
  if (chosen === undefined) throw new Error('There is nothing to choose from');
  return chosen;
}

/** Pulls take long, since the SDK asks again and again: one of many. */
function someReader({ readers }: BlobReaders): BlobReader {
  const quick = readers.filter(({ way }) => way !== 'pull');
  return oneOf(randomInt(50) === 0 ? readers.filter(({ way }) => way === 'pull') : quick);
}

if (s3IsThere('the proof that a lying S3 server is noticed')) {
  describe('an S3 server that lies', () => {
    let proxy: LyingProxy;
    let registry: TestRegistry;
    let readers: BlobReaders;
    let env: Record<string, string>;

    beforeAll(async () => {
      env = await ownBucket();
      proxy = new LyingProxy(new URL(env.S3_ENDPOINT ?? ''));
      env.S3_ENDPOINT = await proxy.start();
      registry = await startRegistry(env);
      const store = openArtifactStore(readConfig(env));
      readers = await new BlobReaders(registry, store).learn(files());
    }, 60_000);
    afterAll(async () => {
      proxy.liar = () => undefined;
      await registry.close();
      await proxy.stop();
    });

    it(
      'is noticed by every reader',
      async () => {
        const tally = new Tally();
        const told = new Map<Lie, number>();
        while (proxy.told < READS) {
          const { way, digests, read } = someReader(readers);
          const lie = oneOf(lies);
          const liar = oneOf(digests).slice('sha256:'.length);
          // A passing fault, or one that stays.
          let left = oneOf([1, Infinity]);
          const before = proxy.told;
          proxy.liar = (name) => (name === liar && left-- > 0 ? lie : undefined);
          const outcome = await read(PATIENCE);
          proxy.liar = () => undefined;
          if (proxy.told > before) {
            tally.add(way, outcome);
            told.set(lie, (told.get(lie) ?? 0) + proxy.told - before);
          }
          expect([way, lie, outcome]).not.toContain('UNNOTICED');
        }
        expect(tally.unnoticed).toEqual([]);
        expect([...told.keys()].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
          lies.toSorted((a, b) => (a < b ? -1 : 1)),
        );
        report(`${proxy.told} lies of an S3 server, 0 unnoticed`, tally.figures);
      },
      proofTimeout,
    );

    it(
      'is never compiled',
      async () => {
        const count = amount(9, 90);
        const models = Array.from({ length: count }, (_, i) => ({
          name: `compiled-${i}`,
          bytes: constantModel(1000 + i),
          lie: lies[i % lies.length],
        }));
        const lying = new Map(
          models.map(({ bytes, lie }) => [digestOf(bytes).slice('sha256:'.length), lie]),
        );
        const asked = new Set<string>();
        proxy.liar = (name) => {
          if (lying.has(name)) asked.add(name);
          return lying.get(name);
        };
        for (const { name, bytes } of models) {
          const digest = await registry.upload(bytes);
          await registry.http
            .post(`/api/v1/models/${name}/versions`)
            .send({ files: [{ path: 'model.json', digest }] })
            .expect(201);
        }
        while (asked.size < count) await new Promise((resolve) => setTimeout(resolve, 20));
        for (const { name } of models) {
          const { body } = await registry.http.get(`/api/v1/models/${name}/versions/1`);
          expect(body.serving.state).toBe('pending');
        }
        proxy.liar = () => undefined;
        for (const { name } of models)
          expect((await registry.compiled(name, 1)).serving.state).toBe('servable');
        report('compile steps that were lied to', { count, unnoticed: 0 });
      },
      proofTimeout,
    );

    it('never gets wrong bytes into an upload that goes on', async () => {
      let noticed = 0;
      let right = 0;
      for (const lie of lies) {
        const bytes = randomBytes(300_000);
        const begun = await registry.http.post('/api/v1/blobs/uploads').expect(202);
        const location = String(begun.headers.location);
        const send = (method: 'patch' | 'put', path: string, part: Buffer) =>
          registry.http[method](path).set('Content-Type', 'application/octet-stream').send(part);
        await send('patch', location, bytes.subarray(0, 100_000)).expect(202);
        // The end that does not fill a part is read back.
        proxy.liar = (name) => (/^\d{5}-/.test(name) ? lie : undefined);
        const digest = digestOf(bytes);
        const end = await send('put', `${location}?digest=${digest}`, bytes.subarray(100_000));
        proxy.liar = () => undefined;
        if (end.status === 201) {
          const { body } = await registry.http.get(`/api/v1/blobs/${digest}`).expect(200);
          expect((body as Buffer).equals(bytes)).toBe(true);
          right += 1;
        } else {
          expect([lie, end.status]).toEqual([lie, expect.any(Number)]);
          expect([400, 404, 503]).toContain(end.status);
          await registry.http.head(`/api/v1/blobs/${digest}`).expect(404);
          noticed += 1;
        }
      }
      report('uploads whose parts were read back wrongly', { noticed, right, unnoticed: 0 });
    });
  });
}

describe('files of the folder store that change', () => {
  let folder: string;
  let registry: TestRegistry;
  let stored: StoredBlobs;
  let readers: BlobReaders;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-lying-'));
    registry = await startRegistry({ DATA_DIR: folder });
    stored = new StoredBlobs(folder);
    const store = new FolderArtifactStore(join(folder, 'artifacts'));
    readers = await new BlobReaders(registry, store).learn(files());
  }, 60_000);
  afterAll(async () => {
    await registry.close();
    await rm(folder, { recursive: true });
  });

  const changes: Record<string, (digest: string, bytes: Buffer) => Promise<void>> = {
    'a bit flipped': (digest, bytes) =>
      stored.alter(digest, flipped(bytes, randomInt(bytes.length))),
    cut: (digest, bytes) => truncate(stored.pathOf(digest), randomInt(bytes.length)),
    'longer than it was': (digest, bytes) =>
      stored.alter(digest, Buffer.concat([randomBytes(9), bytes])),
    gone: (digest) => unlink(stored.pathOf(digest)),
    'another blob of its size': (digest, bytes) => stored.alter(digest, randomBytes(bytes.length)),
    'right, but copied': (digest, bytes) => stored.alter(digest, bytes),
  };
  const rotten = (digest: string, bytes: Buffer) =>
    stored.rot(digest, flipped(bytes, randomInt(bytes.length)));
  /** Who compares by himself, or lets the client do so. */
  const comparing = ['blob', 'file', 'serving', 'pull'];

  it(
    'are noticed by every reader, and a disk that rots by every client that compares',
    async () => {
      const tally = new Tally();
      for (let i = 0; i < READS; i++) {
        const { way, digests, read } = someReader(readers);
        const digest = oneOf(digests);
        const bytes = await stored.read(digest);
        const how = oneOf([
          ...Object.keys(changes),
          ...(comparing.includes(way) ? ['rotten'] : []),
        ]);
        await (changes[how] ?? rotten)(digest, bytes);
        // The SDK asks again for twenty seconds; whoever gives up earlier has nothing either.
        const outcome = await read(how === 'right, but copied' ? undefined : PATIENCE);
        tally.add(how, outcome);
        expect([way, how, outcome]).not.toContain('UNNOTICED');
        if (how === 'right, but copied') expect([way, outcome]).toEqual([way, 'right']);
        await writeFile(stored.pathOf(digest), bytes);
      }
      expect(tally.unnoticed).toEqual([]);
      report(`${READS} changed files of the folder store, 0 unnoticed`, tally.figures);
    },
    proofTimeout,
  );

  it('are not compiled, even where only the digest tells', async () => {
    const bytes = constantModel(77);
    const digest = await registry.upload(bytes);
    await rotten(digest, bytes);
    await registry.http
      .post('/api/v1/models/rotten/versions')
      .send({ files: [{ path: 'model.json', digest }] })
      .expect(201);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { body } = await registry.http.get('/api/v1/models/rotten/versions/1').expect(200);
    expect(body.serving.state).toBe('pending');
    await stored.rot(digest, bytes);
    expect((await registry.compiled('rotten', 1)).serving.state).toBe('servable');
  }, 30_000);

  it(
    'are never loaded by serving, also where its own cache was altered',
    async () => {
      const log = createLogger({ LOG_LEVEL: 'silent' }, 'test');
      const cacheFolder = join(folder, 'serving-cache');
      const store = new FolderArtifactStore(join(folder, 'artifacts'));
      const cache = new ProgramCache({ folder: cacheFolder, store, log });
      await cache.open();
      const compartments = { load: () => Promise.reject(new Error('A tree needs none')) };
      const loader = new ProgramLoader({ files: cache, compartments, timeout: 10_000, log });
      const { headers, body } = await registry.http.get('/api/v1/models/tree/versions/1/program');
      const program = String(headers.etag).replaceAll('"', '');
      const parts = [program, body.weights.digest as string];
      const load = () =>
        loader.load(
          'tree',
          { versionId: 'tree/1', version: 1, program, example: null, quarantine: null },
          () => undefined,
        );
      await (await load()).retire();
      const rounds = amount(50, 500);
      for (let i = 0; i < rounds; i++) {
        const digest = oneOf(parts);
        const cached = join(cacheFolder, digest.slice('sha256:'.length));
        const bytes = await readFile(cached);
        await writeFile(cached, flipped(bytes, randomInt(bytes.length)));
        await expect(load()).rejects.toMatchObject({ retry: 'soon' });
        // What was damaged is fetched anew.
        await (await load()).retire();
      }
      report('loads from an altered cache', { rounds, unnoticed: 0 });
    },
    proofTimeout,
  );

  it(
    'are all found by verify, and nothing else is',
    async () => {
      const count = amount(300, 10_000);
      const damaged = amount(3, 100);
      const blobs = new Map<string, Buffer>();
      while (blobs.size < count) {
        const more = Array.from({ length: Math.min(20, count - blobs.size) }, () =>
          randomBytes(randomInt(1, 100_000)),
        );
        for (const bytes of more) blobs.set(digestOf(bytes), bytes);
        await Promise.all(more.map((bytes) => registry.upload(bytes)));
      }
      const slipway = new Slipway({ url: registry.url });
      expect((await slipway.verify()).damaged).toEqual([]);
      const chosen = [...blobs].toSorted(() => Math.random() - 0.5).slice(0, damaged);
      for (const [digest, bytes] of chosen) await rotten(digest, bytes);
      const begun = performance.now();
      const { checked, bytes, damaged: found } = await slipway.verify();
      const seconds = (performance.now() - begun) / 1000;
      const digests = (all: Iterable<string>) => [...all].toSorted((a, b) => (a < b ? -1 : 1));
      expect(digests(found.map(({ digest }) => digest))).toEqual(
        digests(chosen.map(([digest]) => digest)),
      );
      for (const { digest } of found)
        await registry.http.head(`/api/v1/blobs/${digest}`).expect(404);
      for (const [, right] of chosen) await registry.upload(right);
      expect((await slipway.verify()).damaged).toEqual([]);
      report('blobs with one bit flipped, found by verify', {
        found: `${found.length} of ${damaged}`,
        false: 0,
        checked,
        'MB/s': Math.round(bytes / 1e6 / seconds),
      });
    },
    proofTimeout,
  );
});
