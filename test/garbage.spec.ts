import { randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dereferenceBlobs, type Digest } from '#artifacts';
import { DomainError, systemContext } from '#platform';
import { chunked, collect, commit, digestFor } from './artifact-store.contract.js';
import { ownArtifacts, type Replica, startReplica } from './support/artifacts.js';
import { ownBucket, s3IsThere } from './support/s3.js';

const MiB = 1024 * 1024;
const HOUR = 3600;
const stores: [string, (() => Promise<Record<string, string>>) | undefined, number][] = [
  ['a folder', undefined, 200],
];
if (s3IsThere('garbage collection with the S3 driver')) stores.push(['S3', ownBucket, 50]);

describe.each(stores)('garbage with %s', (_name, store, usualRounds) => {
  const rounds = Number(process.env.TEST_ROUNDS ?? usualRounds);
  let env: Record<string, string>;
  let remove: () => Promise<void>;
  let a: Replica;
  let b: Replica;

  beforeAll(async () => {
    ({ env, remove } = await ownArtifacts(store));
    a = await startReplica(env);
    b = await startReplica(env);
  });

  afterAll(async () => {
    await a.dataSource.destroy();
    await b.dataSource.destroy();
    await remove();
  });

  const refer = (replica: Replica, owner: string, digest: Digest) =>
    replica.dataSource.transaction((manager) =>
      replica.blobs.reference(manager, { kind: 'version', owner, blobs: [{ digest }] }),
    );
  const release = (replica: Replica, owner: string) =>
    replica.dataSource.transaction((manager) =>
      dereferenceBlobs(manager, { kind: 'version', owners: [owner] }),
    );
  const stored = async () => (await collect(a.store.list())).map(({ digest }) => digest);
  /** As if the last keep had been so long ago. */
  const age = (digest: Digest, seconds: number) =>
    a.dataSource.query(
      `UPDATE blob SET kept_until = kept_until - make_interval(secs => $2) WHERE digest = $1`,
      [digest, seconds],
    );

  it('is a blob that nothing refers to, an hour after it was last wanted', async () => {
    const { digest } = await a.blobs.put(randomBytes(100));
    expect(await a.garbage.collect()).toMatchObject({ blobs: 0 });
    await age(digest, HOUR + 1);
    await a.blobs.keep(digest);
    expect(await a.garbage.collect()).toMatchObject({ blobs: 0 });
    await age(digest, HOUR + 1);
    expect(await a.garbage.collect({ dryRun: true })).toEqual({ blobs: 1, uploads: 0, bytes: 100 });
    expect(await stored()).toEqual([digest]);
    expect(await a.garbage.collect()).toEqual({ blobs: 1, uploads: 0, bytes: 100 });
    expect(await stored()).toEqual([]);
    await expect(a.blobs.keep(digest)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is never what somebody refers to, and is that an hour after the last one let go', async () => {
    const { digest } = await a.blobs.put(randomBytes(100));
    await refer(a, 'one', digest);
    await refer(a, 'two', digest);
    await age(digest, 100 * HOUR);
    await a.garbage.collect({ grace: 0 });
    await release(a, 'one');
    await age(digest, 100 * HOUR);
    await a.garbage.collect({ grace: 0 });
    expect(await stored()).toEqual([digest]);
    await release(a, 'two');
    expect(await a.garbage.collect()).toMatchObject({ blobs: 0 });
    expect(await a.garbage.collect({ grace: 0 })).toMatchObject({ blobs: 1 });
    expect(await stored()).toEqual([]);
  });

  it('is an upload that nobody touched for a day, with its bytes', async () => {
    const { id } = await a.uploads.begin(systemContext);
    await a.uploads.append(id, { content: Readable.from(chunked(randomBytes(9 * MiB))) });
    expect(await a.garbage.collect()).toMatchObject({ uploads: 0 });
    await a.dataSource.query(
      `UPDATE upload SET touched_at = now() - interval '25 hours' WHERE id = $1`,
      [id],
    );
    expect(await a.garbage.collect()).toEqual({ blobs: 0, uploads: 1, bytes: 9 * MiB });
    await expect(a.uploads.status(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await collect(a.store.listStaged())).toEqual([]);
  });

  it('is what a crash has left in the store without a row', async () => {
    await commit(a.store, randomBytes(50));
    const staging = a.store.stage(randomUUID());
    await staging.append(chunked(randomBytes(9 * MiB)), async () => {});
    await staging.save();
    expect(await a.garbage.collect()).toEqual({ blobs: 0, uploads: 0, bytes: 0 });
    expect(await a.garbage.collect({ grace: 0, uploadAge: 0 })).toMatchObject({
      blobs: 1,
      uploads: 1,
    });
    expect(await stored()).toEqual([]);
    expect(await collect(a.store.listStaged())).toEqual([]);
  });

  it('is not the place of an upload that is being finished', async () => {
    const content = randomBytes(1000);
    const digest = digestFor(content);
    const { id } = await a.uploads.begin(systemContext);
    await commit(a.store, content);
    await a.dataSource.query(
      `UPDATE upload SET store_state = jsonb_build_object('verified', jsonb_build_object('digest', $2::text, 'size', 1000))
       WHERE id = $1`,
      [id, digest],
    );
    expect(await a.garbage.collect({ grace: 0 })).toMatchObject({ blobs: 0 });
    expect(await stored()).toEqual([digest]);
    await a.uploads.cancel(id);
    expect(await a.garbage.collect({ grace: 0 })).toMatchObject({ blobs: 1 });
  });

  it('is collected by one at a time', async () => {
    const passes = Array.from({ length: 4 }, (_, i) => (i % 2 ? a : b).garbage.collect());
    expect(await Promise.all(passes)).toHaveLength(4);
  });

  it('is never what a version needs, however uploads, versions and collectors race', async () => {
    let missing = 0;
    let collected = 0;
    let racing = true;
    const collectAlways = async ({ garbage }: Replica) => {
      while (racing) collected += (await garbage.collect({ grace: 0 })).blobs;
    };
    const makeVersion = async (replica: Replica, owner: string, content: Buffer) => {
      const digest = digestFor(content);
      for (;;) {
        try {
          await replica.blobs.keep(digest);
        } catch {
          const { id } = await replica.uploads.begin(systemContext);
          await replica.uploads.finish(id, digest, { content: Readable.from([content]) });
        }
        try {
          await refer(replica, owner, digest);
          break;
        } catch (error) {
          if (!(error instanceof DomainError) || error.code !== 'BLOB_MISSING') throw error;
          missing += 1;
        }
      }
      // From here on it must be there, until its owner lets go.
      for (let look = 0; look < 3; look += 1) {
        await sleep(Math.random() * 5);
        expect((await buffer(await replica.blobs.open(digest))).equals(content)).toBe(true);
      }
      await release(replica, owner);
      await age(digest, HOUR);
    };
    const collectors = [collectAlways(a), collectAlways(b)];
    try {
      for (let round = 0; round < rounds; round += 1) {
        // The same bytes again and again: what is being collected is what is being uploaded.
        const content = Buffer.alloc(2000, round % 2);
        const versions = [a, b, a, b].map((replica) => makeVersion(replica, randomUUID(), content));
        await Promise.all(versions);
      }
    } finally {
      racing = false;
      await Promise.all(collectors);
    }
    process.stderr.write(
      `garbage race: ${rounds} rounds, ${collected} blobs collected in between, ${missing} versions had to upload again\n`,
    );
    expect(collected).toBeGreaterThan(0);
    await a.garbage.collect({ grace: 0, uploadAge: 0 });
    expect(await stored()).toEqual([]);
    expect(await collect(a.store.listStaged())).toEqual([]);
  }, 180_000);
});
