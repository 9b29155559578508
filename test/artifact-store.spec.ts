import { randomUUID } from 'node:crypto';
import { mkdtemp, rename, rm, truncate } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Digest, FolderArtifactStore, openArtifactStore } from '#artifacts';
import { readConfig } from '#platform';
import { artifactStoreContract, chunked, commit } from './artifact-store.contract.js';
import { ownBucket, s3At, s3IsThere } from './support/s3.js';

const folders: string[] = [];
const noted = async (): Promise<void> => undefined;

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'artifacts-'));
  folders.push(folder);
  return folder;
}

afterAll(async () => {
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

artifactStoreContract(
  'FolderArtifactStore',
  async () => new FolderArtifactStore(await ownFolder()),
);

if (s3IsThere('the contract of the S3 driver')) {
  artifactStoreContract('S3ArtifactStore', async () =>
    openArtifactStore(readConfig(await ownBucket())),
  );
} else {
  it.skip('S3ArtifactStore keeps the ArtifactStore contract (TEST_S3_ENDPOINT is not set)', () => {});
}

describe('FolderArtifactStore', () => {
  it('notices a file that was cut short while it is read', async () => {
    const folder = await ownFolder();
    const store = new FolderArtifactStore(folder);
    const digest = await commit(store, Buffer.alloc(100_000, 7));
    const hex = digest.slice('sha256:'.length);
    await truncate(join(folder, 'blobs', 'sha256', hex.slice(0, 2), hex), 60_000);
    const reading = async () => buffer(await store.read(digest, { length: 100_000 }));
    await expect(reading()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('takes a folder that is gone for an outage, not for an empty store', async () => {
    const folder = await ownFolder();
    const store = new FolderArtifactStore(folder);
    const digest = await commit(store, Buffer.from('here before'));
    const begun = store.stage(randomUUID());
    await begun.append(chunked(Buffer.from('half')), async () => {});
    const saved = await begun.save();
    const id = randomUUID();
    await rename(folder, `${folder}-away`);
    const outage = { code: 'UNAVAILABLE' };
    await expect(store.check()).rejects.toMatchObject(outage);
    await expect(store.read(digest)).rejects.toMatchObject(outage);
    await expect(store.stat(digest)).rejects.toMatchObject(outage);
    await expect(commit(store, Buffer.from('lost'))).rejects.toMatchObject(outage);
    const append = async () => store.stage(id, saved).append(chunked(Buffer.from('!')), noted);
    await expect(append()).rejects.toMatchObject(outage);
    await rename(`${folder}-away`, folder);
    await store.check();
    expect(await buffer(await store.read(digest))).toEqual(Buffer.from('here before'));
  });

  it('cuts off bytes that were written but never acknowledged', async () => {
    const store = new FolderArtifactStore(await ownFolder());
    const id = randomUUID();
    const first = store.stage(id);
    await first.append(chunked(Buffer.from('acknowledged')), async () => {});
    const saved = await first.save();
    await first.append(chunked(Buffer.from(' and lost')), async () => {});
    const second = store.stage(id, saved);
    await second.append(chunked(Buffer.from('!')), async () => {});
    await second.save();
    expect((await buffer(await second.read())).toString()).toBe('acknowledged!');
  });
});

describe('S3ArtifactStore without a store', () => {
  it('is UNAVAILABLE at once where nothing listens', async () => {
    const store = s3At('http://127.0.0.1:1');
    await expect(store.check()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store.read(`sha256:${'1'.repeat(64)}`)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  it('is UNAVAILABLE within 10 seconds where nobody answers', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await new Promise((listening) => silent.once('listening', listening));
    const store = s3At(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    const begun = Date.now();
    const answers = await Promise.allSettled([
      store.check(),
      store.stat(`sha256:${'1'.repeat(64)}`),
      commit(store, Buffer.from('small')),
      commit(store, Buffer.alloc(20 * 1024 * 1024)),
    ]);
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    }
    expect(Date.now() - begun).toBeLessThan(10_000);
    for (const socket of sockets) socket.destroy();
    silent.close();
  }, 15_000);
});

describe('S3ArtifactStore with a store that lies', () => {
  const digest: Digest = `sha256:${'1'.repeat(64)}`;
  let lie: (response: ServerResponse) => void;
  const liar = createHttpServer((_request, response) => lie(response));

  beforeAll(async () => {
    await once(liar.listen(0, '127.0.0.1'), 'listening');
  });

  afterAll(() => {
    liar.closeAllConnections();
    liar.close();
  });

  it.each<[string, typeof lie, number | undefined]>([
    [
      'sends less than it should, as if it were all',
      (response) => response.writeHead(206, { 'content-length': 600 }).end(Buffer.alloc(600)),
      1000,
    ],
    [
      'sends more',
      (response) => response.writeHead(206, { 'content-length': 1001 }).end(Buffer.alloc(1001)),
      1000,
    ],
    [
      'breaks off',
      (response) => {
        response.writeHead(200, { 'content-length': 1000 }).write(Buffer.alloc(600));
        setTimeout(() => response.destroy(), 20);
      },
      undefined,
    ],
    ['knows no ranges', (response) => response.writeHead(200).end(Buffer.alloc(2000)), 1000],
    [
      'stops sending',
      (response) => response.writeHead(206, { 'content-length': 1000 }).write(Buffer.alloc(600)),
      1000,
    ],
  ])(
    'fails where it %s',
    async (_what, answer, length) => {
      lie = answer;
      const store = s3At(`http://127.0.0.1:${(liar.address() as AddressInfo).port}`);
      const begun = Date.now();
      const reading = async () => buffer(await store.read(digest, length ? { length } : undefined));
      await expect(reading()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(Date.now() - begun).toBeLessThan(10_000);
    },
    15_000,
  );

  it('fails a reader who comes late as well', async () => {
    lie = (response) => {
      response.writeHead(206, { 'content-length': 1000 }).flushHeaders();
      setTimeout(() => response.destroy(), 10);
    };
    const store = s3At(`http://127.0.0.1:${(liar.address() as AddressInfo).port}`);
    const stream = await store.read(digest, { length: 1000 });
    await once(stream, 'close').catch(() => undefined);
    await expect(buffer(stream)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
