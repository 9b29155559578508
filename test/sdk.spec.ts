import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway, SlipwayError } from '#sdk';
import { FaultyProxy } from './support/faulty-proxy.js';
import { Product } from './support/product.js';

const identity = join('test', 'fixtures', 'identity-int64.onnx');

let server: Product;
let proxy: FaultyProxy;
let folder: string;
let slipway: Slipway;

beforeAll(async () => {
  server = await Product.start();
  proxy = await new FaultyProxy(Number(new URL(server.url).port)).start();
  folder = await mkdtemp(join(tmpdir(), 'slipway-sdk-'));
  slipway = new Slipway({ url: proxy.url });
}, 60_000);
afterEach(() => {
  proxy.cuts.length = 0;
});
afterAll(async () => {
  await proxy.stop();
  await server.remove();
  await rm(folder, { recursive: true });
});

describe('logModel', () => {
  it('stores a folder, and sends nothing that is there', async () => {
    const path = join(folder, 'model');
    await mkdir(join(path, 'weights'), { recursive: true });
    const big = randomBytes(20 << 20);
    await writeFile(join(path, 'weights', 'a.bin'), big);
    await writeFile(join(path, 'weights', 'b.bin'), big);
    await writeFile(join(path, 'empty'), '');
    let last = { sent: 0, skipped: 0, total: 0 };
    const onProgress = (progress: typeof last) => void (last = progress);
    const one = await slipway.logModel({ name: 'folder', path, onProgress });
    expect(one.files?.map((file) => file.path)).toEqual([
      'empty',
      'weights/a.bin',
      'weights/b.bin',
    ]);
    expect(last).toMatchObject({ sent: big.length, skipped: big.length, total: 2 * big.length });
    const two = await slipway.logModel({ name: 'folder', path, onProgress });
    expect(two.version).toBe(one.version + 1);
    expect(last).toMatchObject({ sent: 0, skipped: 2 * big.length });
  });

  it('goes on after cuts', async () => {
    const path = join(folder, 'cut.bin');
    const bytes = randomBytes(30 << 20);
    await writeFile(path, bytes);
    proxy.cuts.push({ up: 3 << 20 }, { up: 11 << 20 }, { up: 1 << 20 }, { up: 500 });
    const before = proxy.cut;
    const { files } = await slipway.logModel({ name: 'cut', path });
    expect(proxy.cut).toBe(before + 4);
    expect(files?.[0]?.size).toBe(bytes.length);
  });

  it('goes on after the server was killed', async () => {
    const path = join(folder, 'killed.bin');
    const bytes = randomBytes(48 << 20);
    await writeFile(path, bytes);
    let restarted: Promise<void> | undefined;
    const offsets: number[] = [];
    const { files } = await slipway.logModel({
      name: 'killed',
      path,
      onProgress: ({ sent }) => {
        offsets.push(sent);
        if (sent >= 16 << 20) restarted ??= server.stop('SIGKILL').then(() => server.start());
      },
    });
    await restarted;
    expect(files?.[0]?.size).toBe(bytes.length);
    const back = offsets.findIndex((offset, i) => offset < (offsets[i - 1] ?? 0));
    // What the server had acknowledged it still has.
    expect(back < 0 || (offsets[back] ?? 0) >= 16 << 20).toBe(true);
  }, 90_000);

  it('makes one version although the answer was lost', async () => {
    proxy.cuts.push({ down: 700 }, { down: 300 }, { down: 200 });
    const files = [{ path: 'a.txt', data: 'some text' }];
    const patient = new Slipway({ url: proxy.url, retry: { attempts: 8, minDelay: 20 } });
    const { version } = await patient.logModel({ name: 'once', files });
    expect(version).toBe(1);
    expect((await slipway.versions('once').take(10)).length).toBe(1);
    const again = { name: 'once', files, idempotencyKey: 'mine' };
    const [first, second] = [await slipway.logModel(again), await slipway.logModel(again)];
    expect([first.version, second.version]).toEqual([2, 2]);
  });

  it('takes streams, long and short', async () => {
    const long = randomBytes(19 << 20);
    const stream = (bytes: Uint8Array) =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 777_777)
            controller.enqueue(bytes.subarray(at, at + 777_777));
          controller.close();
        },
      });
    proxy.cuts.push({ up: 5 << 20 }, { up: 9 << 20 });
    const { files, version } = await slipway.logModel({
      name: 'streams',
      files: [
        { path: 'long', data: stream(long) },
        { path: 'short', data: stream(long.subarray(0, 1000)) },
        { path: 'none', data: stream(long.subarray(0, 0)) },
        { path: 'blob', data: new Blob([long.subarray(0, 5000)]) },
      ],
    });
    expect(files?.map((file) => file.size)).toEqual([5000, long.length, 0, 1000]);
    const download = await slipway.download('streams', version, 'long');
    expect(Buffer.from(await new Response(download.stream).arrayBuffer()).equals(long)).toBe(true);
  });

  it('goes on with an upload that an earlier run began', async () => {
    const path = join(folder, 'resumed.bin');
    await writeFile(path, randomBytes(40 << 20));
    const notes = new Map<string, string>();
    const uploadMemory = {
      get: async (digest: string) => notes.get(digest),
      set: async (digest: string, location: string) => void notes.set(digest, location),
      delete: async (digest: string) => void notes.delete(digest),
    };
    const run = new Slipway({ url: proxy.url, uploadMemory });
    const stop = new AbortController();
    const cut = run.logModel({
      name: 'resumed',
      path,
      signal: stop.signal,
      onProgress: ({ sent }) => sent > 15 << 20 && stop.abort(new Error('enough')),
    });
    await expect(cut).rejects.toThrow('enough');
    expect(notes.size).toBe(1);
    let first = -1;
    await run.logModel({
      name: 'resumed',
      path,
      onProgress: ({ sent }) => {
        if (first < 0 && sent > 0) first = sent;
      },
    });
    expect(first).toBeGreaterThan(15 << 20);
    expect(notes.size).toBe(0);
  });
});

describe('pull', () => {
  it('goes on with what is there, and refuses damaged bytes', async () => {
    const bytes = randomBytes(9 << 20);
    const files = [
      { path: 'a/b.bin', data: bytes },
      { path: 'c.txt', data: 'text' },
    ];
    await slipway.logModel({ name: 'pulled', files });
    const target = join(folder, 'pulled');
    proxy.cuts.push({ down: 4 << 20 }, { down: 3 << 20 });
    await slipway.pull('pulled', 'latest', target);
    expect((await readFile(join(target, 'a', 'b.bin'))).equals(bytes)).toBe(true);
    await truncate(join(target, 'a', 'b.bin'), 5 << 20);
    await writeFile(join(target, 'a', 'b.bin.partial'), bytes.subarray(0, 6 << 20));
    let received = 0;
    const onProgress = (progress: { received: number; skipped: number }) =>
      ({ received } = progress);
    await slipway.pull('pulled', 1, target, { onProgress });
    expect(received).toBe(bytes.length);
    expect((await readFile(join(target, 'a', 'b.bin'))).equals(bytes)).toBe(true);
    await writeFile(join(target, 'c.txt.partial'), 'bad');
    await rm(join(target, 'c.txt'));
    await slipway.pull('pulled', 1, target);
    expect(await readFile(join(target, 'c.txt'), 'utf8')).toBe('text');
  });
});

describe('the rest', () => {
  it('pages through models', async () => {
    for (let i = 0; i < 25; i++)
      await slipway.createModel({ name: `page-${String(i).padStart(2, '0')}` });
    const names: string[] = [];
    for await (const { name } of slipway.models({ limit: 4 }))
      if (name.startsWith('page-')) names.push(name);
    expect(names).toEqual(
      Array.from({ length: 25 }, (_, i) => `page-${String(i).padStart(2, '0')}`),
    );
  });

  it('promotes, predicts exactly, rolls back', async () => {
    await slipway.logModel({ name: 'identity', path: identity, promote: true });
    await slipway.logModel({ name: 'identity', path: identity, promote: { reason: 'better' } });
    const big = 2n ** 62n + 1n;
    const { outputs, version } = await slipway.predict('identity', { x: [[1, big]] });
    expect(outputs).toEqual({ y: [[1, big]] });
    expect(version).toBe(2);
    const through = new Slipway({ url: proxy.url, predictThrough: 'registry' });
    expect((await through.predict('identity', [[-1n, 2]], { version: 1 })).outputs).toEqual({
      y: [[-1, 2]],
    });
    const { transition, serving } = await slipway.rollback('identity', { reason: 'worse' });
    expect([transition?.version, serving]).toEqual([1, 'ready']);
    expect((await slipway.predict('identity', { x: [[1, 2]] })).version).toBe(1);
    const nothing = { status: 409, code: 'FAILED_PRECONDITION' };
    await expect(slipway.rollback('identity')).rejects.toMatchObject(nothing);
    const race = slipway.promote('identity', 2, { ifCurrent: 2 });
    await expect(race).rejects.toMatchObject({ status: 409, code: 'CONFLICT' });
    const wrong = slipway.predict('identity', { x: [[1, 2, 3]] });
    await expect(wrong).rejects.toMatchObject({ status: 400 });
    const history = await slipway.transitions('identity', { limit: 1 }).take(10);
    expect(history.map(({ kind }) => kind)).toEqual(['rollback', 'stage', 'stage']);
    expect((await slipway.serving('identity'))[0]).toMatchObject({ answering: 1, state: 'ready' });
    expect(Array.isArray(await slipway.stats('identity'))).toBe(true);
  });

  it('keeps what describes a version', async () => {
    const parent = await slipway.logModel({ name: 'base', path: identity });
    const big = 2n ** 60n + 7n;
    const { version } = await slipway.logModel({
      name: 'derived',
      path: identity,
      description: 'A child',
      metrics: { auc: 0.75 },
      params: { trees: 100, fast: true },
      tags: { team: 'risk' },
      metadata: { seen: big, nested: { list: [1, 2] } },
      inputExample: {
        inputs: [{ name: 'x', datatype: 'INT64', shape: [1, 2], data: [1, big] }],
        expected: [{ name: 'y', datatype: 'INT64', shape: [1, 2], data: [1, big] }],
      },
      lineage: {
        run: 'r1',
        datasets: [{ name: 'd', source: 's3://d' }],
        parents: [{ model: 'base', version: parent.version }],
      },
    });
    const found = await slipway.checked('derived', version);
    expect(found).toMatchObject({
      serving: { state: 'servable' },
      description: 'A child',
      metrics: { auc: 0.75 },
      params: { trees: '100', fast: 'true' },
      tags: { team: 'risk' },
      metadata: { seen: big, nested: { list: [1, 2] } },
      inputExample: { expected: [{ data: [1, big] }] },
    });
    const { nodes, edges } = await slipway.lineage('derived', version, { direction: 'up' });
    expect(nodes.map(({ name }) => name)).toEqual(expect.arrayContaining(['r1', 'd', 'base/1']));
    expect(edges).toHaveLength(3);
    const matching = await slipway.versions('derived', { filter: 'metrics.auc > 0.7' }).take(5);
    expect(matching).toHaveLength(1);
    const changed = await slipway.updateVersion(
      'derived',
      version,
      { tags: { team: null } },
      { ifMatch: found.etag },
    );
    expect(changed.tags).toEqual({});
    const stale = slipway.updateVersion(
      'derived',
      version,
      { description: '' },
      { ifMatch: found.etag },
    );
    await expect(stale).rejects.toMatchObject({ status: 412 });
    await slipway.setAlias('derived', 'champion', version);
    expect((await slipway.version('derived', '@champion')).version).toBe(version);
    await slipway.deleteAlias('derived', 'champion');
    await slipway.deleteVersion('derived', version);
    await slipway.deleteModel('derived');
    await expect(slipway.model('derived')).rejects.toMatchObject({ status: 404 });
  });

  it('follows events over cuts, losing and repeating none', async () => {
    const seen: string[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const { kind, model } of slipway.events({ signal: stop.signal }))
        if (kind === 'version.created' && model === 'told' && seen.push(kind) === 6) break;
    })();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const direct = new Slipway({ url: server.url });
    for (let i = 0; i < 6; i++) {
      await direct.logModel({ name: 'told', files: [{ path: 'a', data: String(i) }] });
      // Before the first event came there is nothing to go on after.
      while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      if (i % 2 === 0) proxy.cutAll();
    }
    await following;
    stop.abort();
    expect(seen).toHaveLength(6);
  });

  it('tells what went wrong', async () => {
    await expect(slipway.model('nobody')).rejects.toMatchObject({ status: 404, code: 'NOT_FOUND' });
    const nowhere = new Slipway({ url: 'http://127.0.0.1:9', retry: { attempts: 1 } });
    const error = await nowhere.server().catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(SlipwayError);
    expect(error).toMatchObject({ status: 0, code: 'UNREACHABLE' });
  });
});
