import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import { digestOf, type ArtifactStore, type Digest, type SavedStaging } from '#artifacts';

/** What every driver promises. Call it from the driver's own spec, with a constructor of an empty store. */
export function artifactStoreContract(name: string, create: () => Promise<ArtifactStore>): void {
  describe(`${name} keeps the ArtifactStore contract`, () => {
    it('says that it can be reached', async () => {
      await (await create()).check();
    });

    it.each([0, 1, 1000, 3 * MiB, 16 * MiB, 40 * MiB + 7])(
      'gives back %i bytes as they were committed',
      async (size) => {
        const store = await create();
        const content = randomBytes(size);
        const digest = await commit(store, content);
        expect(await store.stat(digest)).toEqual({ size });
        expect((await buffer(await store.read(digest))).equals(content)).toBe(true);
      },
    );

    it('gives exactly the range that was asked for', async () => {
      const store = await create();
      const content = randomBytes(3 * MiB);
      const digest = await commit(store, content);
      for (const [offset, length] of [
        [0, 1],
        [0, content.length],
        [1_500_000, 1_000_000],
        [content.length - 1, 1],
        [17, 0],
      ] as const) {
        const part = await buffer(await store.read(digest, { offset, length }));
        expect(part.equals(content.subarray(offset, offset + length))).toBe(true);
      }
      const rest = await buffer(await store.read(digest, { offset: 3_000_000 }));
      expect(rest.equals(content.subarray(3_000_000))).toBe(true);
    });

    it('fails rather than give fewer bytes than were asked for', async () => {
      const store = await create();
      const digest = await commit(store, randomBytes(1000));
      const reading = async () => buffer(await store.read(digest, { offset: 500, length: 501 }));
      await expect(reading()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });

    it('says so before the first byte when there is no such blob', async () => {
      const store = await create();
      await store.check();
      expect(await store.stat(nobody)).toBeUndefined();
      await expect(store.read(nobody)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await store.delete(nobody);
    });

    it('hides content until it is committed', async () => {
      const store = await create();
      const content = randomBytes(MiB);
      const staging = store.stage(randomUUID());
      await staging.append(chunked(content), async () => {});
      await staging.save();
      expect(await store.stat(digestFor(content))).toBeUndefined();
      expect(await collect(store.list())).toEqual([]);
      await staging.commit(digestFor(content), async () => {});
      const [blob, ...others] = await collect(store.list());
      expect(blob).toMatchObject({ digest: digestFor(content), size: MiB });
      expect(Math.abs(Number(blob?.modifiedAt) - Date.now())).toBeLessThan(60_000);
      expect(others).toEqual([]);
    });

    it.each([0, 1, 5 * MiB, 16 * MiB, 32 * MiB - 1, 33 * MiB])(
      'goes on after %i saved bytes, with nothing but what was saved',
      async (cut) => {
        const store = await create();
        const content = randomBytes(35 * MiB);
        const id = randomUUID();
        const first = store.stage(id);
        await first.append(chunked(content.subarray(0, cut)), async () => {});
        const saved = json(await first.save());
        expect(saved.received).toBe(cut);

        const second = store.stage(id, saved);
        expect((await buffer(await second.read())).equals(content.subarray(0, cut))).toBe(true);
        await second.append(chunked(content.subarray(cut)), async () => {});
        await second.commit(digestFor(content), async () => {});
        await second.discard();
        expect((await buffer(await store.read(digestFor(content)))).equals(content)).toBe(true);
        expect(await collect(store.listStaged())).toEqual([]);
      },
    );

    it('grows by many small appends', async () => {
      const store = await create();
      const content = randomBytes(18 * MiB);
      const id = randomUUID();
      let saved: SavedStaging | undefined;
      for (let at = 0; at < content.length; at += 1_500_000) {
        const staging = store.stage(id, saved);
        await staging.append(chunked(content.subarray(at, at + 1_500_000)), async () => {});
        saved = json(await staging.save());
      }
      const staging = store.stage(id, saved);
      await staging.commit(digestFor(content), async () => {});
      expect((await buffer(await store.read(digestFor(content)))).equals(content)).toBe(true);
    });

    it('goes on from the last checkpoint when an append breaks off', async () => {
      const store = await create();
      const content = randomBytes(75 * MiB);
      const id = randomUUID();
      let saved: SavedStaging = { received: 0, state: {} };
      const broken = async function* () {
        yield* chunked(content.subarray(0, 70 * MiB));
        throw new Error('cut');
      };
      const checkpoint = async (present: SavedStaging) => {
        saved = json(present);
      };
      await expect(store.stage(id).append(broken(), checkpoint)).rejects.toThrow('cut');
      expect(saved.received).toBeGreaterThanOrEqual(32 * MiB);
      expect(saved.received).toBeLessThanOrEqual(70 * MiB);
      const staging = store.stage(id, saved);
      await staging.append(chunked(content.subarray(saved.received)), async () => {});
      await staging.commit(digestFor(content), async () => {});
      expect((await buffer(await store.read(digestFor(content)))).equals(content)).toBe(true);
    });

    it('stores nothing of an append whose checkpoint was refused', async () => {
      const store = await create();
      const id = randomUUID();
      const refuse = async () => {
        throw new Error('lost the lease');
      };
      const appending = store.stage(id).append(chunked(randomBytes(64 * MiB)), refuse);
      await expect(appending).rejects.toThrow('lost the lease');
      await store.stage(id).discard();
      expect(await collect(store.listStaged())).toEqual([]);
    });

    it('lists what is staged, and forgets what is discarded', async () => {
      const store = await create();
      const ids = [randomUUID(), randomUUID()];
      for (const id of ids) {
        const staging = store.stage(id);
        await staging.append(chunked(randomBytes(MiB)), async () => {});
        await staging.save();
      }
      const staged = await collect(store.listStaged());
      expect(staged.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
      for (const { id, saved } of staged) await store.stage(id, saved).discard();
      expect(await collect(store.listStaged())).toEqual([]);
      await store.stage(randomUUID()).discard();
    });

    it('keeps one blob when many commit the same bytes at once', async () => {
      const store = await create();
      const content = randomBytes(100_000);
      const digests = await Promise.all(Array.from({ length: 20 }, () => commit(store, content)));
      expect(new Set(digests).size).toBe(1);
      expect(await collect(store.list())).toHaveLength(1);
      expect((await buffer(await store.read(digestFor(content)))).equals(content)).toBe(true);
    });

    it('commits again after a commit that nobody heard the end of', async () => {
      const store = await create();
      const content = randomBytes(17 * MiB);
      const id = randomUUID();
      const staging = store.stage(id);
      await staging.append(chunked(content), async () => {});
      let saved = json(await staging.save());
      await staging.commit(digestFor(content), async (present) => {
        saved = json(present);
      });
      // Whoever sends the last request again may send no bytes with it, too.
      const again = store.stage(id, saved);
      await again.append(chunked(Buffer.alloc(0)), async () => {});
      await again.commit(digestFor(content), async () => {});
      expect(await store.stat(digestFor(content))).toEqual({ size: content.length });
    });

    it('reads a blob out of parts of others', async () => {
      const store = await create();
      const [one, other] = [randomBytes(3 * MiB), randomBytes(MiB)];
      const parts = [
        { digest: await commit(store, one), offset: 100, length: 2 * MiB },
        { digest: await commit(store, other), offset: 0, length: MiB },
        { digest: digestFor(one), offset: 0, length: 100 },
      ];
      const content = Buffer.concat([
        one.subarray(100, 2 * MiB + 100),
        other,
        one.subarray(0, 100),
      ]);
      const digest = await commit(store, content);
      expect(await store.layout(digest)).toEqual({ size: content.length });
      await store.compose(digest, parts);
      await store.compose(digest, parts);
      expect(await store.layout(digest)).toEqual({ parts });
      expect(await store.stat(digest)).toEqual({ size: content.length });
      expect((await buffer(await store.read(digest))).equals(content)).toBe(true);
      for (const [offset, length] of [
        [0, 1],
        [2 * MiB - 10, 20],
        [3 * MiB + 1, 99],
        [5, 3 * MiB + 90],
        [17, 0],
      ] as const) {
        const part = await buffer(await store.read(digest, { offset, length }));
        expect(part.equals(content.subarray(offset, offset + length))).toBe(true);
      }
      const beyond = async () => buffer(await store.read(digest, { offset: 3 * MiB, length: 200 }));
      await expect(beyond()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      const listed = await collect(store.list());
      expect(listed.find((blob) => blob.digest === digest)?.size).toBeLessThan(1000);
      // Once more as it is, and then with bytes of its own.
      await commit(store, content);
      expect((await store.layout(digest)).size).toBeUndefined();
      const again = store.stage(randomUUID());
      await again.append(chunked(content), async () => {});
      await again.commit(digest, async () => {}, { replace: true });
      expect(await store.layout(digest)).toEqual({ size: content.length, parts });
      await store.forgetParts(digest);
      expect((await buffer(await store.read(digest))).equals(content)).toBe(true);
      await store.compose(digest, parts);
      await store.delete(digestFor(other));
      await expect(store.read(digest)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await store.delete(digest);
      expect(await store.stat(digest)).toBeUndefined();
      expect(await collect(store.list())).toHaveLength(1);
    });

    it('deletes one blob and no other', async () => {
      const store = await create();
      const [one, other] = [
        await commit(store, randomBytes(10)),
        await commit(store, randomBytes(11)),
      ];
      await store.delete(one);
      expect(await store.stat(one)).toBeUndefined();
      expect(await store.stat(other)).toEqual({ size: 11 });
    });

    it('refuses keys that are not digests or ids', async () => {
      const store = await create();
      await expect(store.read('sha256:../../etc/passwd')).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      expect(() => store.stage('../outside')).toThrow('not the id of an upload');
    });
  });
}

const MiB = 1024 * 1024;
const nobody: Digest = `sha256:${'0'.repeat(64)}`;

/** In pieces as a socket gives them. */
export async function* chunked(content: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536);
}

export function digestFor(content: Buffer): Digest {
  return digestOf(createHash('sha256').update(content));
}

export async function commit(store: ArtifactStore, content: Buffer): Promise<Digest> {
  const staging = store.stage(randomUUID());
  await staging.append(Readable.from(chunked(content)), async () => {});
  await staging.commit(digestFor(content), async () => {});
  await staging.discard();
  return digestFor(content);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** As it comes back from a row. */
function json(saved: SavedStaging): SavedStaging {
  return JSON.parse(JSON.stringify(saved)) as SavedStaging;
}
