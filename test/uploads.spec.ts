import { randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DomainError, problemOf, systemContext } from '#platform';
import { chunked, collect, digestFor } from './artifact-store.contract.js';
import { ownArtifacts, type Replica, startReplica } from './support/artifacts.js';
import { until } from './support/processes.js';
import { ownBucket, s3IsThere } from './support/s3.js';
import { TcpProxy } from './support/tcp-proxy.js';

const MiB = 1024 * 1024;
const stores: [string, (() => Promise<Record<string, string>>) | undefined][] = [
  ['a folder', undefined],
];
if (s3IsThere('uploads and garbage collection with the S3 driver')) stores.push(['S3', ownBucket]);

describe.each(stores)('with %s', (_name, store) => {
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

  const begin = async () => (await a.uploads.begin(systemContext)).id;
  const part = (content: Buffer, start?: number) => ({
    content: Readable.from(chunked(content)),
    start,
  });

  describe('an upload', () => {
    it('becomes a blob by its last bytes', async () => {
      const content = randomBytes(10 * MiB);
      const id = await begin();
      expect(await a.uploads.append(id, part(content.subarray(0, 9 * MiB), 0))).toEqual({
        id,
        received: 9 * MiB,
      });
      const blob = await a.uploads.finish(id, digestFor(content), part(content.subarray(9 * MiB)));
      expect(blob).toEqual({ digest: digestFor(content), size: content.length });
      expect((await buffer(await a.blobs.open(blob.digest))).equals(content)).toBe(true);
      expect(await a.verifier.verify(blob.digest)).toBeUndefined();
      await expect(a.uploads.status(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect(await collect(a.store.listStaged())).toEqual([]);
    });

    it.each(['save', 'commit'] as const)(
      'is whole after its bytes were sent again because the store did not %s them',
      async (step) => {
        const content = randomBytes(3 * MiB);
        let failures = 0;
        const stage = a.store.stage.bind(a.store);
        a.store.stage = (...given) => {
          const staging = stage(...given);
          const act = staging[step].bind(staging) as (...rest: unknown[]) => Promise<never>;
          staging[step] = (...rest: unknown[]) => {
            if (failures-- > 0) throw new DomainError('UNAVAILABLE', 'The store is away.');
            return act(...rest);
          };
          return staging;
        };
        try {
          const id = await begin();
          await a.uploads.append(id, part(content.subarray(0, MiB)));
          failures = 1;
          const send = async () => {
            const { received } = await a.uploads.status(id);
            const rest = part(content.subarray(received), received);
            if (step === 'save') await a.uploads.append(id, rest);
            return a.uploads.finish(id, digestFor(content), step === 'save' ? undefined : rest);
          };
          await expect(send()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
          expect(await send()).toEqual({ digest: digestFor(content), size: content.length });
        } finally {
          a.store.stage = stage;
        }
      },
    );

    it('takes no bytes at all', async () => {
      const id = await begin();
      const { digest } = await a.uploads.finish(id, digestFor(Buffer.alloc(0)));
      expect(await buffer(await a.blobs.open(digest))).toHaveLength(0);
      expect(await a.blobs.put(Buffer.alloc(0))).toEqual({ digest, size: 0 });
    });

    it('goes on at another replica, which hashes again what it has not seen', async () => {
      const content = randomBytes(20 * MiB);
      const id = await begin();
      await a.uploads.append(id, part(content.subarray(0, 7 * MiB), 0));
      expect(await b.uploads.status(id)).toEqual({ id, received: 7 * MiB });
      await b.uploads.append(id, part(content.subarray(7 * MiB, 19 * MiB), 7 * MiB));
      await a.uploads.append(id, part(content.subarray(19 * MiB), 19 * MiB));
      await a.uploads.finish(id, digestFor(content));
      expect(await b.verifier.verify(digestFor(content))).toBeUndefined();
    });

    it('keeps what came when the connection breaks', async () => {
      const content = randomBytes(12 * MiB);
      const id = await begin();
      const broken = new PassThrough();
      const appending = a.uploads.append(id, { content: broken, start: 0 });
      broken.write(content.subarray(0, 11 * MiB));
      await until(() => broken.readableLength + broken.writableLength === 0);
      broken.destroy(new Error('cut'));
      await expect(appending).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      const { received } = await a.uploads.status(id);
      expect(received).toBe(11 * MiB);
      await a.uploads.append(id, part(content.subarray(received), received));
      await a.uploads.finish(id, digestFor(content));
      expect(await a.verifier.verify(digestFor(content))).toBeUndefined();
    });

    it('tells where to go on when the bytes belong elsewhere', async () => {
      const id = await begin();
      await a.uploads.append(id, part(randomBytes(1000), 0));
      for (const start of [0, 999, 1001]) {
        await expect(a.uploads.append(id, part(randomBytes(10), start))).rejects.toMatchObject({
          code: 'RANGE_NOT_SATISFIABLE',
          extra: { received: 1000 },
        });
      }
      await a.uploads.cancel(id);
    });

    it('is gone, and nothing is stored, when the digest is another one', async () => {
      const content = randomBytes(9 * MiB);
      const wrong = digestFor(Buffer.from('something else'));
      const id = await begin();
      await a.uploads.append(id, part(content, 0));
      await expect(a.uploads.finish(id, wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
      await expect(a.uploads.status(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(a.blobs.get(wrong)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(a.blobs.get(digestFor(content))).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect(await a.store.stat(digestFor(content))).toBeUndefined();
      expect(await collect(a.store.listStaged())).toEqual([]);
    });

    it('has one writer at a time, here and at other replicas', async () => {
      const id = await begin();
      const slow = new PassThrough();
      const first = a.uploads.append(id, { content: slow, start: 0 });
      slow.write(Buffer.alloc(1000));
      await until(() => slow.readableLength + slow.writableLength === 0);
      await expect(a.uploads.append(id, part(randomBytes(10), 0))).rejects.toMatchObject({
        code: 'CONFLICT',
      });
      const elsewhere = b.uploads.append(id, part(randomBytes(10), 0));
      const refused = expect(elsewhere).rejects.toMatchObject({ code: 'CONFLICT' });
      await refused;
      slow.end();
      expect(await first).toEqual({ id, received: 1000 });
      await a.uploads.cancel(id);
    }, 20_000);

    it('is taken over when its writer is dead', async () => {
      const id = await begin();
      await a.dataSource.query(
        `UPDATE upload SET store_state = jsonb_build_object('lease', jsonb_build_object('owner', 'dead', 'until',
           extract(epoch FROM now()) + 2)) WHERE id = $1`,
        [id],
      );
      expect(await b.uploads.append(id, part(Buffer.alloc(10), 0))).toEqual({ id, received: 10 });
      await b.uploads.cancel(id);
    });

    it('can be given up while bytes come in', async () => {
      const id = await begin();
      const slow = new PassThrough();
      const appending = a.uploads.append(id, { content: slow, start: 0 });
      slow.write(Buffer.alloc(100));
      await until(() => slow.readableLength + slow.writableLength === 0);
      await b.uploads.cancel(id);
      slow.end(Buffer.alloc(100));
      await expect(appending).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await a.garbage.collect({ uploadAge: 0 });
      expect(await collect(a.store.listStaged())).toEqual([]);
    });

    it('of an unknown id is not found', async () => {
      for (const id of ['b2c57f0e-76ab-4a5b-9d37-cbd1c7b2d1c0', 'no-uuid', '../x']) {
        await expect(a.uploads.status(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await expect(a.uploads.cancel(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await expect(a.uploads.append(id, part(Buffer.alloc(1)))).rejects.toMatchObject({
          code: 'NOT_FOUND',
        });
      }
    });

    it('finishes when the store had the bytes, but nobody heard of it', async () => {
      const content = randomBytes(9 * MiB);
      const digest = digestFor(content);
      const id = await begin();
      await a.uploads.append(id, part(content, 0));
      await refuseBlobs(a);
      await expect(a.uploads.finish(id, digest)).rejects.toThrow('no rows today');
      await a.dataSource.query('DROP TRIGGER refuse ON blob');
      expect(await a.store.stat(digest)).toEqual({ size: content.length });
      await a.garbage.collect({ grace: 0 });
      expect(await b.uploads.finish(id, digest)).toEqual({ digest, size: content.length });
      expect(await b.verifier.verify(digest)).toBeUndefined();
    });

    it('sent fifty times at once makes one blob', async () => {
      const content = randomBytes(300_000);
      const other = randomBytes(300_000);
      const send = async (bytes: Buffer, index: number): Promise<unknown> => {
        const replica = index % 2 ? a : b;
        try {
          const { id } = await replica.uploads.begin(systemContext);
          return await replica.uploads.finish(id, digestFor(content), part(bytes));
        } catch (error) {
          // On a busy machine fifty may wait too long for a connection to PostgreSQL: 503, after which a client asks again.
          if (problemOf(error, '-').status === 503) return send(bytes, index);
          throw error;
        }
      };
      const results = await Promise.allSettled(
        Array.from({ length: 51 }, (_, i) => send(i === 25 ? other : content, i)),
      );
      const failed = results.filter(({ status }, i) => status === 'rejected' && i !== 25);
      expect(failed).toEqual([]);
      expect(results[25]).toMatchObject({ reason: { code: 'DIGEST_MISMATCH' } });
      expect(await a.verifier.verify(digestFor(content))).toBeUndefined();
      expect(await a.store.stat(digestFor(other))).toBeUndefined();
      expect(await collect(a.store.listStaged())).toEqual([]);
    });
  });

  describe('referring to blobs', () => {
    it('names every blob that is missing, and keeps none', async () => {
      const stored = await a.blobs.put(randomBytes(10));
      const absent = [digestFor(randomBytes(10)), digestFor(randomBytes(10))];
      const blobs = [stored.digest, ...absent].map((digest, i) => ({
        digest,
        pointer: `/files/${i}/digest`,
      }));
      const asking = a.dataSource.transaction((manager) =>
        a.blobs.reference(manager, { kind: 'version', owner: 'v', blobs }),
      );
      await expect(asking).rejects.toMatchObject({
        code: 'BLOB_MISSING',
        extra: { missing: absent },
        errors: [{ pointer: '/files/1/digest' }, { pointer: '/files/2/digest' }],
      });
      expect(await a.dataSource.query('SELECT 1 FROM blob_reference')).toEqual([]);
    });
  });
});

if (s3IsThere('uploads through an outage of S3')) {
  it('an upload goes on after an outage of S3', async () => {
    const bucket = await ownBucket();
    const proxy = new TcpProxy(new URL(bucket.S3_ENDPOINT ?? ''));
    const { env, remove } = await ownArtifacts(async () => ({
      ...bucket,
      S3_ENDPOINT: await proxy.open(),
    }));
    const replica = await startReplica(env);
    const content = randomBytes(30 * MiB);
    const rest = (from: number) => ({
      content: Readable.from(chunked(content.subarray(from))),
      start: from,
    });
    const { id } = await replica.uploads.begin(systemContext);
    await replica.uploads.append(id, {
      content: Readable.from(chunked(content.subarray(0, 9 * MiB))),
    });
    await proxy.cut();
    const begun = Date.now();
    const down = { code: 'UNAVAILABLE' };
    await expect(replica.store.check()).rejects.toMatchObject(down);
    await expect(replica.uploads.append(id, rest(9 * MiB))).rejects.toMatchObject(down);
    await expect(
      replica.uploads.finish(id, digestFor(content), rest(9 * MiB)),
    ).rejects.toMatchObject(down);
    await expect(replica.garbage.collect()).rejects.toMatchObject(down);
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(await replica.uploads.status(id)).toEqual({ id, received: 9 * MiB });
    await proxy.open();
    await replica.uploads.finish(id, digestFor(content), rest(9 * MiB));
    expect(await replica.verifier.verify(digestFor(content))).toBeUndefined();
    await proxy.cut();
    await replica.dataSource.destroy();
    await remove();
  });
}

/** From now on the database takes no row of a blob. */
async function refuseBlobs({ dataSource }: Replica): Promise<void> {
  await dataSource.query(`
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no rows today'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON blob FOR EACH ROW EXECUTE FUNCTION refuse()`);
}
