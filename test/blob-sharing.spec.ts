import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it, test } from '@jest/globals';
import { type ArtifactStore, dereferenceBlobs, type Digest, FolderArtifactStore } from '#artifacts';
import { backup, restore } from '#backup';
import { inTransaction } from '#database';
import { readConfig, systemContext } from '#platform';
import { ownArtifacts, type Replica, startReplica } from './support/artifacts.js';
import { collect } from './artifact-store.contract.js';
import { report } from './support/proof.js';
import { ownBucket, s3IsThere } from './support/s3.js';
import { flipped, StoredBlobs } from './support/stored-blobs.js';

const MiB = 2 ** 20;
const nobody: Digest = `sha256:${'1'.repeat(64)}`;
const fail = (fault: unknown): never => {
  throw new Error(JSON.stringify(fault));
};

function suite(name: string, store?: () => Promise<Record<string, string>>): void {
  describe(`what blobs have in common (${name})`, () => {
    let own: Awaited<ReturnType<typeof ownArtifacts>>;
    let replica: Replica;
    beforeAll(async () => {
      own = await ownArtifacts(store);
      replica = await startReplica(own.env);
    });
    afterAll(async () => {
      await replica.dataSource.destroy();
      await own.remove();
    });

    /** A version of a model: a backbone, and a head that was trained anew. */
    const versionOf = (backbone: Buffer, head = 200_000): Buffer =>
      Buffer.concat([randomBytes(50), backbone, randomBytes(head)]);

    async function put(content: Buffer, owner: string): Promise<Digest> {
      const { digest } = await replica.uploads.put(Readable.from([content]), systemContext);
      await inTransaction(replica.dataSource, (manager) =>
        replica.blobs.reference(manager, { kind: 'version', owner, blobs: [{ digest }] }),
      );
      return digest;
    }

    async function release(owners: string[]): Promise<void> {
      await inTransaction(replica.dataSource, (manager) =>
        dereferenceBlobs(manager, { kind: 'version', owners }),
      );
    }

    const get = async (digest: Digest): Promise<Buffer> => buffer(await replica.blobs.open(digest));

    async function bytesStored(): Promise<number> {
      const blobs = await collect(replica.store.list());
      return blobs.reduce((sum, { size }) => sum + size, 0);
    }

    it('is stored once, and every reader gets the same bytes', async () => {
      const backbone = randomBytes(8 * MiB);
      const contents = [versionOf(backbone), versionOf(backbone), versionOf(backbone)];
      const digests: Digest[] = [];
      for (const [i, content] of contents.entries()) digests.push(await put(content, `same-${i}`));
      const before = await bytesStored();
      const shared = await replica.sharing.share();
      const after = await bytesStored();
      report(`three versions with the same 8 MiB (${name})`, { before, after });
      expect(shared.shared).toBe(2);
      expect(before - after).toBeGreaterThan(15 * MiB);
      for (const [i, digest] of digests.entries()) {
        const content = contents[i] ?? Buffer.alloc(0);
        expect((await get(digest)).equals(content)).toBe(true);
        expect(await replica.blobs.get(digest)).toEqual({ digest, size: content.length });
        const range = { offset: 3 * MiB - 7, length: 5 * MiB + 100 };
        const part = await buffer(await replica.blobs.open(digest, range));
        expect(part.equals(content.subarray(range.offset, range.offset + range.length))).toBe(true);
        expect(await replica.verifier.verify(digest)).toBeUndefined();
      }
      expect(await replica.sharing.share()).toMatchObject({ shared: 0 });
      // The same file again: nothing more is stored.
      await put(contents[1] ?? Buffer.alloc(0), 'again');
      expect(await bytesStored()).toBe(after);
    });

    it('stays as long as anything needs it, and then goes', async () => {
      await release(['same-0', 'same-1', 'same-2', 'again']);
      await replica.garbage.collect({ grace: 0 });
      expect(await bytesStored()).toBe(0);
      const backbone = randomBytes(4 * MiB);
      const [first, second] = [versionOf(backbone), versionOf(backbone)];
      const one = await put(first, 'first');
      const two = await put(second, 'second');
      expect(await replica.sharing.share()).toMatchObject({ shared: 1 });
      expect((await replica.store.layout(two)).parts?.map(({ digest }) => digest)).toContain(one);
      await release(['first']);
      await replica.garbage.collect({ grace: 0 });
      expect((await get(two)).equals(second)).toBe(true);
      await release(['second']);
      const { blobs } = await replica.garbage.collect({ grace: 0 });
      expect(blobs).toBe(3);
      expect(await collect(replica.store.list())).toEqual([]);
      const rows = await replica.dataSource.query<unknown[]>(`SELECT 1 FROM blob`);
      expect(rows).toEqual([]);
    });

    it('leaves alone what has little in common, or is small', async () => {
      await put(randomBytes(MiB), 'other');
      await put(randomBytes(MiB), 'another');
      const small = randomBytes(100_000);
      await put(Buffer.concat([small, Buffer.of(1)]), 'small');
      await put(Buffer.concat([small, Buffer.of(2)]), 'smaller');
      expect(await replica.sharing.share()).toMatchObject({ shared: 0, compared: 2 });
    });

    it('goes on where a process came to its end at any step', async () => {
      const backbone = randomBytes(3 * MiB);
      const first = versionOf(backbone);
      await put(first, 'steps');
      await replica.sharing.share();
      for (const when of ['before', 'between', 'after'] as const) {
        const content = versionOf(backbone);
        const digest = await put(content, `steps-${when}`);
        const broken = await startReplica(own.env);
        breakCompose(broken.store, when);
        await broken.sharing.share().catch(() => undefined);
        await broken.dataSource.destroy();
        expect((await get(digest)).equals(content)).toBe(true);
        await replica.garbage.collect({ grace: 0 });
        expect((await get(digest)).equals(content)).toBe(true);
        await replica.sharing.share();
        const { size, parts } = await replica.store.layout(digest);
        expect({ size, isComposed: parts !== undefined }).toEqual({ isComposed: true });
        expect((await get(digest)).equals(content)).toBe(true);
        await replica.garbage.collect({ grace: 0 });
        expect((await get(digest)).equals(content)).toBe(true);
      }
    });

    if (store) return;

    it('says which blobs a flipped bit damages, and is mended by uploading them again', async () => {
      const backbone = randomBytes(4 * MiB);
      const [first, second] = [versionOf(backbone), versionOf(backbone)];
      const base = await put(first, 'mend-1');
      const two = await put(second, 'mend-2');
      await replica.sharing.share();
      const files = new StoredBlobs(own.env.DATA_DIR ?? '');
      await files.rot(base, flipped(await files.read(base), 2 * MiB));
      expect(await replica.verifier.verify(base)).toBe('bytes');
      expect(await replica.verifier.verify(two)).toBe('bytes');
      await expect(get(two)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      const range = { offset: 2 * MiB - 1000, length: 2000 };
      const part = async () => buffer(await replica.blobs.open(two, range));
      await expect(part()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      // Its own bytes first, then out of parts again.
      await put(second, 'mend-2');
      expect((await get(two)).equals(second)).toBe(true);
      await replica.sharing.share();
      await put(first, 'mend-1');
      expect((await get(base)).equals(first)).toBe(true);
      expect(await replica.verifier.verify(base)).toBeUndefined();
      await replica.sharing.share();
      expect((await get(two)).equals(second)).toBe(true);
      expect((await get(base)).equals(first)).toBe(true);
    });

    it('is backed up once, and restored', async () => {
      const backbone = randomBytes(4 * MiB);
      const contents = [versionOf(backbone), versionOf(backbone), versionOf(backbone)];
      const digests: Digest[] = [];
      for (const [i, content] of contents.entries()) digests.push(await put(content, `kept-${i}`));
      await replica.sharing.share();
      const folder = join(own.env.DATA_DIR ?? '', 'backup');
      const { check } = await backup(readConfig(own.env), folder, { blobs: true, onFault: fail });
      expect(check.faults).toBe(0);
      const copies = new FolderArtifactStore(folder);
      expect((await copies.layout(digests[2] ?? nobody)).parts).toBeDefined();
      const empty = await ownArtifacts();
      try {
        await restore(readConfig(empty.env), folder, { deep: true, onFault: fail });
        const restored = await startReplica(empty.env);
        for (const [i, digest] of digests.entries()) {
          expect(
            (await buffer(await restored.blobs.open(digest))).equals(contents[i] ?? backbone),
          ).toBe(true);
        }
        await restored.dataSource.destroy();
      } finally {
        await empty.remove();
      }
    });

    it('is damaged where a part is missing', async () => {
      const backbone = randomBytes(2 * MiB);
      await put(versionOf(backbone), 'lost-1');
      const two = await put(versionOf(backbone), 'lost-2');
      await replica.sharing.share();
      const [part] = (await replica.store.layout(two)).parts ?? [];
      if (!part) throw new Error('It has no parts');
      await replica.store.delete(part.digest);
      expect(await replica.verifier.verify(two)).toBe('missing');
    });
  });
}

/** A store whose process ends before, in the middle of, or after it has put the parts in the place of the bytes. */
function breakCompose(store: ArtifactStore, when: 'before' | 'between' | 'after'): void {
  const compose = store.compose.bind(store);
  store.compose = async function broken(digest, parts) {
    const own = when === 'between' ? await buffer(await store.read(digest)) : undefined;
    if (when !== 'before') await compose(digest, parts);
    if (own) {
      const staging = store.stage('11111111-2222-3333-4444-555555555555');
      await staging.append(Readable.from([own]), async () => undefined);
      await staging.commit(digest, async () => undefined, { replace: true });
    }
    throw new Error('The process ends here.');
  };
}

suite('a folder');
if (s3IsThere('sharing in S3')) suite('S3', ownBucket);
else test.skip('sharing in S3 (TEST_S3_ENDPOINT is not set)', () => {});
