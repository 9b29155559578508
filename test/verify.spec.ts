import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BlobScrub } from '#artifacts';
import { createLogger, Metrics, readConfig } from '#platform';
import { Slipway } from '#sdk';
import { ownArtifacts, type Replica, startReplica } from './support/artifacts.js';
import { constantModel } from './support/models.js';
import { exitOf } from './support/processes.js';
import { digestOf, startRegistry, type TestRegistry } from './support/registry.js';
import { ownBucket, s3IsThere } from './support/s3.js';
import { flipped, StoredBlobs } from './support/stored-blobs.js';

const MiB = 1024 * 1024;

describe('slipway verify', () => {
  let folder: string;
  let registry: TestRegistry;
  let stored: StoredBlobs;
  let slipway: Slipway;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-verify-'));
    registry = await startRegistry({ DATA_DIR: folder });
    stored = new StoredBlobs(folder);
    slipway = new Slipway({ url: registry.url });
  }, 60_000);
  afterAll(async () => {
    await registry.close();
    await rm(folder, { recursive: true, force: true });
  });

  const verify = async (body: object = {}) => {
    const { body: answer } = await registry.http
      .post('/api/v1/blobs/verify')
      .send(body)
      .expect(200);
    return answer as {
      checked: number;
      bytes: number;
      damaged: { digest: string; reason: string; size: number; usedBy: object[] }[];
      next: string | null;
    };
  };
  const command = async (...args: string[]) => {
    const main = join('dist', 'apps', 'cli', 'main.js');
    const child = spawn(process.execPath, [main, 'verify', ...args], {
      env: { PATH: process.env.PATH, SLIPWAY_URL: registry.url, XDG_CACHE_HOME: folder },
    });
    const [out, errors, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      exitOf(child),
    ]);
    return { out, errors, code };
  };

  it('finds what is damaged, says what needs it, and lets it be mended by uploading it again', async () => {
    const bytes = constantModel(7);
    const digest = digestOf(bytes);
    const version = await registry.logVersion('churn', bytes);
    expect(await verify({ model: 'churn' })).toMatchObject({ checked: 3, damaged: [], next: null });

    await stored.rot(digest, flipped(bytes));
    const usedBy = [{ model: 'churn', version, kind: 'file', path: 'model.json' }];
    expect((await verify()).damaged).toEqual([
      { digest, reason: 'bytes', size: bytes.length, usedBy },
    ]);
    await registry.http.head(`/api/v1/blobs/${digest}`).expect(404);
    const { text: metrics } = await registry.http.get('/metrics');
    expect(metrics).toMatch(/^slipway_blobs_damaged(\{.*\})? 1$/m);
    const refused = await registry.http
      .post('/api/v1/models/other/versions')
      .send({ files: [{ path: 'model.json', digest }] });
    expect(refused.body).toMatchObject({ code: 'BLOB_MISSING', missing: [digest] });

    await registry.upload(bytes);
    await registry.http.head(`/api/v1/blobs/${digest}`).expect(200);
    expect(await stored.read(digest)).toEqual(bytes);
    expect((await verify()).damaged).toEqual([]);
  });

  it('finds a blob that is gone, one that was cut, and those of Programs', async () => {
    const bytes = constantModel(8);
    await registry.logVersion('programs', bytes);
    const { body: program } = await registry.http.get('/api/v1/models/programs/versions/1/program');
    const weights = program.weights.digest as string;
    await writeFile(stored.pathOf(weights), (await stored.read(weights)).subarray(1));
    await unlink(stored.pathOf(digestOf(bytes)));
    const { damaged } = await slipway.verify({ model: 'programs', version: 'latest' });
    const found = new Map(damaged.map((blob) => [blob.digest, blob]));
    expect(found.size).toBe(2);
    expect(found.get(weights)).toMatchObject({ reason: 'size', usedBy: [{ path: 'weights.bin' }] });
    expect(found.get(digestOf(bytes))).toMatchObject({
      reason: 'missing',
      usedBy: [{ path: 'model.json' }],
    });
    await registry.upload(bytes);
    await slipway.check('programs', 1);
    for (const end = Date.now() + 20_000; Date.now() < end;) {
      if ((await slipway.verify({ model: 'programs' })).damaged.length === 0) break;
    }
    expect((await slipway.verify({ model: 'programs', version: 1 })).damaged).toEqual([]);
  }, 60_000);

  it('clears the mark when the bytes are right again', async () => {
    const bytes = Buffer.from('comes back');
    const digest = await registry.upload(bytes);
    await stored.alter(digest, Buffer.from('comes BACK'));
    expect((await verify()).damaged).toMatchObject([{ digest, reason: 'bytes' }]);
    await stored.alter(digest, bytes);
    expect((await verify()).damaged).toEqual([]);
    await registry.http.head(`/api/v1/blobs/${digest}`).expect(200);
  });

  it('goes through everything in steps', async () => {
    const digests = await Promise.all(
      Array.from({ length: 25 }, () => registry.upload(randomBytes(100))),
    );
    const seen: string[] = [];
    let checked = 0;
    for (let after: string | null = ''; after !== null;) {
      const step = await verify({ after, limit: 7 });
      checked += step.checked;
      if (step.next !== null) seen.push(step.next);
      after = step.next;
    }
    expect(checked).toBeGreaterThanOrEqual(digests.length);
    expect(seen).toEqual(seen.toSorted());
    expect(await slipway.verify()).toMatchObject({ checked, damaged: [] });
  });

  it.each<[object, string]>([
    [{ after: 'sha256:x' }, '/after'],
    [{ limit: 0 }, '/limit'],
    [{ version: '1' }, '/model'],
  ])('refuses %j', async (body, pointer) => {
    const answer = await registry.http.post('/api/v1/blobs/verify').send(body).expect(400);
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });

  it('is a command that fails where something is damaged', async () => {
    const bytes = constantModel(9);
    await registry.logVersion('typed', bytes);
    const sound = await command('typed/1');
    expect(sound).toMatchObject({ code: 0, errors: '' });
    expect(sound.out).toMatch(/^typed\/1: 3 blobs, .*\/s: all sound\n$/);
    await stored.rot(digestOf(bytes), flipped(bytes));
    const damaged = await command('--all');
    expect(damaged.code).toBe(1);
    expect(damaged.out).toContain(`damaged ${digestOf(bytes)}`);
    expect(damaged.out).toContain('typed/1 model.json');
    expect(damaged.errors).toContain('next: slipway log typed PATH');
    const json = await command('typed', '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ checked: 3, damaged: [{ reason: 'bytes' }] });
    expect(await command()).toMatchObject({ code: 2 });
    expect(await command('typed', '--all')).toMatchObject({ code: 2 });
    expect(await command('nobody')).toMatchObject({ code: 1 });
    await registry.upload(bytes);
    expect(await command('--all')).toMatchObject({ code: 0 });
  }, 60_000);

  it('says with each answer which bytes it is, also on a part', async () => {
    const digest = await registry.upload(Buffer.from('0123456789'));
    const expected = `sha-256=:${Buffer.from(digest.slice(7), 'hex').toString('base64')}:`;
    const path = `/api/v1/blobs/${digest}`;
    expect((await registry.http.get(path)).headers['repr-digest']).toBe(expected);
    const part = await registry.http.get(path).set('Range', 'bytes=2-4').expect(206);
    expect(part.headers['repr-digest']).toBe(expected);
  });
});

const stores: [string, (() => Promise<Record<string, string>>) | undefined][] = [
  ['a folder', undefined],
];
if (s3IsThere('verifying and mending blobs with the S3 driver')) stores.push(['S3', ownBucket]);

describe.each(stores)('blobs in %s', (name, store) => {
  let replica: Replica;
  let end: () => Promise<void>;
  let env: Record<string, string>;

  beforeEach(async () => {
    const own = await ownArtifacts(store);
    ({ env } = own);
    replica = await startReplica(env);
    end = async () => {
      await replica.dataSource.destroy();
      await own.remove();
    };
  });

  const put = (bytes: Buffer) => replica.blobs.put(bytes);
  /** Puts other bytes to the place of a blob. */
  const damage = async (digest: string, bytes: Buffer) => {
    const { store: driver } = replica;
    const staging = driver.stage('00000000-0000-4000-8000-000000000001');
    await staging.append(chunksOf(bytes), async () => {});
    await staging.commit(digest as `sha256:${string}`, async () => {}, { replace: true });
    await staging.discard();
  };
  const read = async (digest: string, range = {}) => {
    const chunks: Buffer[] = [];
    for await (const chunk of await replica.blobs.open(digest, range, { compare: true }))
      chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  };

  it('are never read to their end where they are wrong, and are mended while they are read', async () => {
    const bytes = randomBytes(3 * MiB + 5);
    const { digest } = await put(bytes);
    await damage(digest, flipped(bytes, 2 * MiB));
    await expect(read(digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    // Marked, it is compared whatever the store says of it.
    expect(await replica.verifier.verify(digest)).toBe('bytes');
    await expect(replica.blobs.keep(digest)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const reading = async () => {
      for (let i = 0; i < 20; i++) await read(digest).catch(() => undefined);
    };
    await Promise.all([reading(), reading(), put(bytes)]);
    expect((await read(digest)).equals(bytes)).toBe(true);
    expect(await replica.blobs.keep(digest)).toMatchObject({ size: bytes.length });
    expect(await replica.verifier.verify(digest)).toBeUndefined();
    await end();
  });

  it('have parts that are compared, also where nothing was known of their parts', async () => {
    const bytes = randomBytes(3 * MiB + 5);
    const { digest } = await put(bytes);
    const ranges = [
      [0, 1],
      [MiB - 1, 2],
      [2 * MiB + 7, MiB],
      [3 * MiB, 5],
      [17, 3 * MiB - 17],
      [0, 3 * MiB + 4],
    ] as const;
    const readAll = async () => {
      for (const [offset, length] of ranges) {
        const part = bytes.subarray(offset, offset + length);
        expect((await read(digest, { offset, length })).equals(part)).toBe(true);
      }
    };
    await readAll();
    await replica.dataSource.query(`UPDATE blob SET checksums = NULL`);
    await readAll();
    await damage(digest, flipped(bytes, MiB + 3));
    for (const [offset, length] of ranges) {
      const touched = offset < 2 * MiB && offset + length > MiB;
      const got = read(digest, { offset, length });
      if (touched) await expect(got).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      else expect((await got).equals(bytes.subarray(offset, offset + length))).toBe(true);
    }
    await end();
  });

  it('that are large are verified over several steps', async () => {
    const bytes = randomBytes(6 * MiB);
    const { digest } = await put(bytes);
    const walk = async () => {
      const sum = { steps: 0, bytes: 0, checked: 0, damaged: [] as object[] };
      for (let after: string | null = ''; after !== null; sum.steps++) {
        const step = await replica.verifier.step({ after, patience: -1 });
        sum.bytes += step.bytes;
        sum.checked += step.checked;
        sum.damaged.push(...step.damaged);
        after = step.next;
      }
      return sum;
    };
    const sound = await walk();
    expect(sound).toMatchObject({ bytes: bytes.length, checked: 1, damaged: [] });
    expect(sound.steps).toBeGreaterThan(4);
    await damage(digest, flipped(bytes));
    // It was looked at twice.
    expect(await walk()).toMatchObject({
      bytes: 2 * bytes.length,
      checked: 1,
      damaged: [{ digest, size: bytes.length, reason: 'bytes' }],
    });
    await end();
  });

  it('are scrubbed when they were not verified for long', async () => {
    const [old, young] = [await put(randomBytes(1000)), await put(randomBytes(1000))];
    await damage(old.digest, randomBytes(1000));
    await damage(young.digest, randomBytes(1000));
    await replica.dataSource.query(
      `UPDATE blob SET verified_at = now() - interval '16 days' WHERE digest = $1`,
      [old.digest],
    );
    const config = readConfig(env);
    const scrub = new BlobScrub(
      replica.dataSource,
      replica.verifier,
      config,
      createLogger(config, 'test'),
      new Metrics(),
    );
    expect(await scrub.scrub()).toMatchObject({ checked: 1, damaged: [{ digest: old.digest }] });
    expect(await scrub.scrub()).toMatchObject({ checked: 0, damaged: [] });
    await end();
  });

  const onFolder = name === 'a folder' ? it : it.skip;
  onFolder('are sealed again once they were compared', async () => {
    const bytes = randomBytes(5000);
    const { digest } = await put(bytes);
    const path = new StoredBlobs(env.DATA_DIR ?? '').pathOf(digest);
    const seal = (await stat(path)).mtimeMs;
    expect(seal).toBeLessThan(Date.parse('2009-01-01'));
    await writeFile(path, bytes);
    expect((await stat(path)).mtimeMs).toBeGreaterThan(seal);
    expect((await read(digest)).equals(bytes)).toBe(true);
    expect((await stat(path)).mtimeMs).toBe(seal);
    await end();
  });
});

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
