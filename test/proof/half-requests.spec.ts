import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { KnownModel } from '../support/known-models.js';
import { KnownTraffic } from '../support/known-traffic.js';
import { type Usage, usageOf } from '../support/process-usage.js';
import { until } from '../support/processes.js';
import { Product } from '../support/product.js';
import { amount, long, proofTimeout, report } from '../support/proof.js';

/** Clients that go away in the middle of a request, at any byte, and such that hardly send any: nothing is left of them. */

const ABORTS = amount(1000, 20_000);
/** Before anything is measured: pools fill, code is compiled, heaps find their size. */
const WARM_UP = amount(300, 1000);
const AT_A_TIME = 20;
const LORIS = 200;
/** The time for headers is a minute; the short form does not wait for it. */
const LORIS_TIME = amount(6, 100) * 1000;
const MOST_GROWTH = 50 * 2 ** 20;
const UPLOAD = 4 * 2 ** 20;

const models = [
  new KnownModel('forest', 'forest', 1000),
  new KnownModel('graph', 'graph', 2000),
] as const;

let product: Product;
let slipway: Slipway;
let traffic: KnownTraffic;
let ports: { registry: number; serving: number };
const chunk = Buffer.alloc(UPLOAD, 'x');

beforeAll(async () => {
  product = await Product.start();
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
  ports = { registry: portOf(product.url), serving: portOf(product.servingUrl) };
  await Promise.all(models.map((model) => model.log(slipway, 1)));
  for (const { name } of models)
    expect(await slipway.promote(name, 1, { wait: 45 })).toMatchObject({ serving: 'ready' });
  traffic = new KnownTraffic(product.servingUrl, models, { connections: 4, pause: 40 });
}, 90_000);

afterEach(async () => {
  expect(traffic.failed).toEqual([]);
  expect((await fetch(`${product.url}/livez`)).status).toBe(200);
});

afterAll(async () => {
  await traffic.stop();
  await product.remove();
});

function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** What the processes that a client reaches hold. */
function usage(): Map<string, Usage> {
  const { registry, serving, workers, compartments } = product.processes;
  const known: [string, number][] = [
    ['registry', registry],
    ['supervisor', serving],
    ...workers.map((pid): [string, number] => ['worker', pid]),
    ...compartments.map((pid, i): [string, number] => [`compartment ${i}`, pid]),
  ];
  return new Map(known.map(([name, pid]) => [name, usageOf(pid)]));
}

/** Waits until no process holds more descriptors than before; then the memory must not have grown either. */
async function expectNothingLeft(before: Map<string, Usage>): Promise<Record<string, string>> {
  // Pools of connections to PostgreSQL may have filled meanwhile.
  const spare = 8;
  const held = (name: string, now: Usage) =>
    now.descriptors <= (before.get(name)?.descriptors ?? 0) + spare;
  await until(() => [...usage()].every(([name, now]) => held(name, now)), 20_000);
  const grown = (name: string, now: Usage) => now.bytes - (before.get(name)?.bytes ?? 0);
  // What is garbage goes when it is collected.
  await until(() => [...usage()].every(([name, now]) => grown(name, now) < MOST_GROWTH), 20_000);
  const now = [...usage()];
  return {
    'descriptors before → after': now
      .map(([name, { descriptors }]) => `${name} ${before.get(name)?.descriptors}→${descriptors}`)
      .join(', '),
    'RSS growth MB': now
      .map(([name, found]) => `${name} ${(grown(name, found) / 2 ** 20).toFixed(1)}`)
      .join(', '),
  };
}

/** Sends the beginning of a request, and goes away: at once, or when there was time to begin an answer. */
function sendPart(port: number, head: string, body: Buffer): Promise<void> {
  const bytes = Buffer.concat([Buffer.from(head), body]);
  // Half of the cuts within the first kilobytes, where headers end and small bodies are.
  const most = Math.random() < 0.5 ? Math.min(bytes.length, head.length + 1000) : bytes.length;
  const part = bytes.subarray(0, 1 + Math.floor(Math.random() * (most - 1)));
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).on('close', () => resolve());
    socket.resume();
    socket.write(part, () => {
      setTimeout(
        () => (Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy()),
        20 * Math.random(),
      );
    });
  });
}

function headOf(method: string, path: string, length: number, more: string[] = []): string {
  const headers = ['host: 127.0.0.1', `content-length: ${length}`, ...more];
  return `${method} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`;
}

async function newUpload(): Promise<string> {
  const response = await fetch(`${product.url}/api/v1/blobs/uploads`, { method: 'POST' });
  expect(response.status).toBe(202);
  return new URL(response.headers.get('location') ?? '', product.url).pathname;
}

const uploads: string[] = [];

async function abortOne(i: number): Promise<void> {
  const kind = i % 4;
  if (kind === 0) {
    const path = uploads[Math.floor(Math.random() * uploads.length)] ?? '';
    const range = [`content-range: 0-${UPLOAD - 1}`, 'content-type: application/octet-stream'];
    return sendPart(ports.registry, headOf('PATCH', path, UPLOAD, range), chunk);
  }
  if (kind === 1) {
    const body = Buffer.from(
      JSON.stringify({ name: `never-${i}`, tags: { pad: 'x'.repeat(2000) } }),
    );
    const json = ['content-type: application/json'];
    return sendPart(ports.registry, headOf('POST', '/api/v1/models', body.length + 1, json), body);
  }
  const { name, request } = { name: models[kind - 2]?.name, request: models[kind - 2] };
  const rows = Array.from({ length: 10_000 }, (_, row) => row);
  const body = Buffer.from(JSON.stringify(request?.request(rows)));
  const json = ['content-type: application/json'];
  return sendPart(
    ports.serving,
    headOf('POST', `/v2/models/${name}/infer`, body.length, json),
    body,
  );
}

async function abort(count: number): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await abortOne(next++);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
}

it(
  'aborted uploads and predictions leave nothing behind',
  async () => {
    for (let i = 0; i < 10; i++) uploads.push(await newUpload());
    await abort(WARM_UP);
    await sleep(1500);
    const before = usage();
    await abort(ABORTS);
    const left = await expectNothingLeft(before);
    // An upload that was cut often can be given up, or gone on with.
    for (const path of uploads.splice(0)) {
      const found = await fetch(`${product.url}${path}`);
      expect(found.status).toBe(204);
      expect((await fetch(`${product.url}${path}`, { method: 'DELETE' })).status).toBe(204);
    }
    const staged = join(product.folder, 'artifacts', 'uploads');
    await until(() => readdirSync(staged).length === 0);
    report('aborted requests', { aborted: ABORTS, ...left });
  },
  proofTimeout,
);

it(
  'slow clients hold nobody up',
  async () => {
    const before = usage();
    const sockets: Socket[] = [];
    let closed = 0;
    const targets = [ports.registry, ports.serving];
    for (let i = 0; i < LORIS; i++) {
      const socket = connect(targets[i % targets.length] ?? 0, '127.0.0.1');
      socket.on('error', () => undefined).on('close', () => closed++);
      socket.resume();
      // Half of them never end their headers, half of them their body.
      if (i % 4 < 2) socket.write('POST /v2/models/forest/infer HTTP/1.1\r\nhost: 127.0.0.1\r\n');
      else
        socket.write(headOf('POST', '/api/v1/models', 100_000, ['content-type: application/json']));
      sockets.push(socket);
    }
    const end = performance.now() + LORIS_TIME;
    const begun = traffic.answers;
    while (performance.now() < end) {
      for (const [i, socket] of sockets.entries())
        if (!socket.destroyed) socket.write(i % 4 < 2 ? 'x-a: b\r\n' : ' ');
      await sleep(500);
    }
    const answered = traffic.answers - begun;
    const byServer = closed;
    for (const socket of sockets) socket.destroy();
    const left = await expectNothingLeft(before);
    expect(answered).toBeGreaterThan(LORIS_TIME / 1000);
    // Headers have a minute.
    if (long) expect(byServer).toBeGreaterThanOrEqual(LORIS / 2);
    report('slow clients', {
      connections: LORIS,
      seconds: LORIS_TIME / 1000,
      'closed by the server': byServer,
      'predictions meanwhile': answered,
      ...left,
    });
  },
  proofTimeout,
);

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
