import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAccess, createLogger, readConfig } from '#platform';
import { ModelManager, ProgramLoader, RequestCounts, RunMarker } from '#serving';
import { Front } from '../apps/serving/front.js';
import { stump } from '../test/support/served-models.js';

// The predict path (decode, bind, batch, forest, encode) as a share of a bare node:http echo of the same bodies, both asked
// in turns by one client process over keep-alive connections: `node dist/bench/serving.js [connections] [trees]`.

const [role = 'main', ...rest] = process.argv.slice(2);
const connections = Number(process.env.CONNECTIONS ?? 48);
const trees = Number(process.env.TREES ?? 100);
const ROUNDS = 7;
const WARM_UP = 1500;
const ROUND = 1500;
const FEATURES = 4;

const body = JSON.stringify({
  inputs: [{ name: 'X', shape: [1, FEATURES], datatype: 'FP32', data: [0.25, 1.5, 2.75, 3.5] }],
});

if (role === 'echo') listen(echo);
else if (role === 'front') listen(await front());
else if (role === 'client') client(Number(rest[0]));
else await main();

async function main(): Promise<void> {
  const servers = await Promise.all([start('echo'), start('front')]);
  const clients = await Promise.all(servers.map(({ port }) => start('client', String(port))));
  // Requests a second, and the processor time (µs) that each costs the server: other work on the machine meets the latter less.
  const ask = async (i: number, ms: number): Promise<[rate: number, cost: number]> => {
    const before = await cpuOf(servers[i]?.child);
    const rate = await rateOf(clients[i]?.child, ms);
    return [rate, ((await cpuOf(servers[i]?.child)) - before) / ((rate * ms) / 1000)];
  };
  const rateOf = (child: ChildProcess | undefined, ms: number): Promise<number> => {
    child?.send(ms);
    return new Promise((resolve) =>
      child?.once('message', (count: number) => resolve((count * 1000) / ms)),
    );
  };
  for (const i of [0, 1]) await ask(i, WARM_UP);
  const rates: number[] = [];
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [bare, bareCost] = await ask(0, ROUND);
    const [ours, ourCost] = await ask(1, ROUND);
    rates.push(ours / bare);
    costs.push(bareCost / ourCost);
    console.log(
      `echo ${bare.toFixed(0)}/s ${bareCost.toFixed(1)} µs   predict ${ours.toFixed(0)}/s ${ourCost.toFixed(1)} µs`,
    );
  }
  console.log(
    `${connections} connections, ${trees} trees; echo = 1: requests a second ${spread(rates)}, processor time ${spread(costs)}`,
  );
  for (const { child } of [...servers, ...clients]) child.kill('SIGKILL');
}

function spread(ratios: number[]): string {
  ratios.sort((a, b) => a - b);
  const [low, middle, high] = [0, ROUNDS >> 1, ROUNDS - 1].map((i) => ratios[i]?.toFixed(2));
  return `${middle} (${low} to ${high})`;
}

function cpuOf(child: ChildProcess | undefined): Promise<number> {
  child?.send('cpu');
  return new Promise((resolve) =>
    child?.once('message', (microseconds: number) => resolve(microseconds)),
  );
}

function start(...args: string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(fileURLToPath(import.meta.url), args);
  return new Promise((resolve) =>
    child.once('message', (port: number) => resolve({ child, port })),
  );
}

function listen(handler: RequestListener): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  const server = createServer({ keepAliveTimeout: 75_000, noDelay: true }, handler);
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

/** Reads the same JSON and answers with as much. */
function echo(...[request, response]: Parameters<RequestListener>): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { inputs } = JSON.parse(
      String(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)),
    ) as {
      inputs: { data: number[] }[];
    };
    const text = `{"model_name":"m","model_version":"1","outputs":[{"name":"predict","shape":[1],"datatype":"FP64","data":[${inputs[0]?.data[0]}]}]}`;
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  });
}

async function front(): Promise<RequestListener> {
  const config = readConfig({ ...process.env, LOG_LEVEL: 'error' });
  const log = createLogger(config, 'bench');
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const put = (bytes: Uint8Array): string => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(folder, hex), bytes);
    return `sha256:${hex}`;
  };
  const { program, weights } = stump(1, { trees, features: FEATURES });
  const stored = { ...program, weights: { size: weights.length, digest: put(weights) } };
  const marker = new RunMarker(openSync(join(folder, 'mark'), 'w+'));
  const nobody = async (): Promise<never> => {
    throw new Error('nothing is looked up here');
  };
  const files = {
    hold: async (digest: string) => join(folder, digest.replace('sha256:', '')),
    release: () => undefined,
    discard: async () => undefined,
  };
  const manager = new ModelManager({
    loader: new ProgramLoader({
      files,
      compartments: { load: nobody },
      marker,
      timeout: 30_000,
      log,
    }),
    resolver: { resolve: nobody },
    observer: {
      stateChanged: () => undefined,
      stateGone: () => undefined,
      watchChanged: () => undefined,
      swapped: () => undefined,
      loaded: () => undefined,
      loadFailed: (_, retry) => console.error(retry),
    },
    memory: 2 ** 30,
    log,
  });
  const program_ = put(Buffer.from(JSON.stringify(stored)));
  const target = { versionId: '1', version: 1, program: program_, example: null, quarantine: null };
  manager.update({
    models: [
      {
        modelId: '1',
        workspace: 'default',
        model: 'm',
        generation: 1,
        wanted: 1,
        target,
        words: {},
      },
    ],
    watched: [],
    gone: [],
  });
  (await manager.acquire('m')).release();
  return new Front({
    config,
    manager,
    counts: new RequestCounts(),
    checkAccess: checkAccess(config),
    starting: () => false,
    metrics: async () => '',
    marker,
    version: '0',
    log,
  }).handle;
}

/** Keeps its connections busy while it is asked to, and tells how many answers came. */
function client(port: number): void {
  const request = Buffer.from(
    `POST /v2/models/m/infer HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  let going = false;
  let count = 0;
  const sockets = Array.from({ length: connections }, () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('data', (chunk: Buffer) => {
      // Answers are small and come in one piece; anything but a 200 ends the measurement.
      if (chunk[9] !== 0x32) throw new Error(chunk.toString());
      count++;
      if (going) socket.write(request);
    });
    return socket;
  });
  process.on('message', (ms: number) => {
    going = true;
    count = 0;
    for (const socket of sockets) socket.write(request);
    setTimeout(() => {
      going = false;
      const counted = count;
      setTimeout(() => process.send?.(counted), 100);
    }, ms);
  });
  process.send?.(0);
}
