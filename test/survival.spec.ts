import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Slipway, type InferTensor } from '#sdk';
import { constantModel } from './support/models.js';
import { addModel, loopModel } from './support/onnx-writer.js';
import { until } from './support/processes.js';
import { lives, Product } from './support/product.js';
import { Connection, Traffic } from './support/traffic.js';

/**
 * What the product survives, with the real processes and a PostgreSQL of its own: the death of each of them, its own, and a
 * stop while requests run.
 */

let product: Product;
let slipway: Slipway;
/** Iterations of the loop model in a second, on this machine at this time. */
let speed: number;

const tree = JSON.stringify({
  inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 1], data: [0] }],
});
const x: InferTensor = { name: 'x', datatype: 'FP32', shape: [1], data: [1] };
const graph = JSON.stringify({ inputs: [x] });
const times = (count: number): { inputs: InferTensor[] } => ({
  inputs: [x, { name: 'times', datatype: 'INT64', shape: [], data: [Math.round(count)] }],
});
const inferUrl = (model: string) => `${product.servingUrl}/v2/models/${model}/infer`;

beforeAll(async () => {
  product = await Product.start({ embedded: true, env: { SERVING_PROCESSES: '2' } });
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
  for (const value of [1, 2]) await log('tree', 'model.json', constantModel(value));
  await slipway.promote('tree', 1);
  await slipway.promote('tree', 2);
  await log('graph', 'model.onnx', addModel(1));
  await slipway.promote('graph', 1);
  await log('loop', 'model.onnx', loopModel(), times(1));
  await slipway.promote('loop', 1);
  speed = await measureSpeed();
}, 120_000);

afterAll(() => product.remove());

async function log(
  name: string,
  path: string,
  data: Uint8Array,
  inputExample?: { inputs: InferTensor[] },
): Promise<number> {
  const files = [{ path, data }];
  const example = inputExample && { inputExample };
  const { version } = await slipway.logModel({ name, files, ...example });
  const { serving } = await slipway.checked(name, version);
  expect([serving.state, serving.reason]).toEqual(['servable', undefined]);
  return version;
}

async function measureSpeed(): Promise<number> {
  const connection = new Connection(inferUrl('loop'), JSON.stringify(times(100_000)));
  await connection.ask();
  const answer = await connection.ask();
  connection.close();
  if (answer?.status !== 200) throw new Error(`The loop does not run: ${answer?.body}`);
  return 100_000 / ((answer.answeredAt - answer.sentAt) / 1000);
}

/** Everything that was registered is there and answers as before. */
async function isWhole(): Promise<void> {
  expect(await slipway.model('tree')).toMatchObject({ production: 2, versionCount: 2 });
  const transitions = await slipway.transitions('tree').take(10);
  expect(transitions.map(({ version }) => version)).toEqual([2, 1]);
  for (const [model, body, version] of [
    ['tree', tree, 2],
    ['graph', graph, 1],
  ] as const) {
    const connection = new Connection(inferUrl(model), body);
    const answer = await connection.ask();
    connection.close();
    expect(answer).toMatchObject({ status: 200, version });
    expect(JSON.parse(answer?.body ?? '{}')).toMatchObject({ outputs: [{ data: [2] }] });
  }
  // Serving answers first and reports then.
  for (const name of ['tree', 'graph'])
    await until(async () => (await slipway.model(name)).serving.state === 'ready');
}

function kill(...pids: number[]): number {
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return performance.now();
}

function tell(what: string, begun: number, more = ''): number {
  const ms = performance.now() - begun;
  process.stdout.write(`${what} after ${Math.round(ms)} ms${more}\n`);
  return ms;
}

/** A request without the patience of the SDK. */
function get(path: string): Promise<{ status: number; retryAfter: string | undefined }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${product.url}${path}`, (response) => {
      const { statusCode: status = 0, headers } = response;
      response.resume().on('end', () => resolve({ status, retryAfter: headers['retry-after'] }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

it('a killed serving process is replaced, and nothing that it served is blamed', async () => {
  const traffic = new Traffic(inferUrl('tree'), tree, { connections: 8 });
  await traffic.seen(2);
  const [killed = 0] = product.processes.workers;
  const begun = kill(killed);
  await until(() => {
    const { workers } = product.processes;
    return workers.length === 2 && !workers.includes(killed);
  });
  await traffic.seen(2);
  const ms = tell('serving process killed: all connections answered again', begun);
  await traffic.stop();
  expect(ms).toBeLessThan(5000);
  // What ran in it is lost, once a connection; nothing that was asked later.
  expect(traffic.answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(traffic.errors.length).toBeLessThanOrEqual(8);
  await until(async () => (await slipway.model('tree')).serving.state !== 'loading');
  await isWhole();
}, 60_000);

it('a killed supervisor of serving is started again, and leaves nothing behind', async () => {
  const before = product.processes;
  const begun = kill(before.serving);
  const connection = new Connection(inferUrl('tree'), tree);
  await until(async () => (await connection.ask())?.status === 200, 20_000);
  connection.close();
  expect(tell('supervisor of serving killed: predictions', begun)).toBeLessThan(15_000);
  await until(() => ![...before.workers, ...before.compartments].some(lives));
  await until(async () => (await slipway.model('graph')).serving.state === 'ready');
  await until(async () => (await slipway.model('tree')).serving.state === 'ready');
  await isWhole();
}, 60_000);

it('predictions go on while a killed registry comes back', async () => {
  const traffic = new Traffic(inferUrl('tree'), tree);
  await traffic.seen(2);
  const { registry } = product.processes;
  const begun = kill(registry);
  await expect(get('/api/v1/models/tree')).rejects.toThrow();
  await until(async () => (await get('/readyz').catch(() => undefined))?.status === 200, 20_000);
  const ms = tell('registry killed: ready', begun, `; ${traffic.answers.length} predictions`);
  expect(ms).toBeLessThan(15_000);
  await traffic.stop();
  expect(traffic.failed).toEqual([]);
  await isWhole();
}, 60_000);

it.each(['postgres', 'guardian'] as const)(
  'predictions go on while PostgreSQL is away (%s killed), and the registry comes back',
  async (which) => {
    const traffic = new Traffic(inferUrl('tree'), tree);
    await traffic.seen(2);
    const pid = product.processes[which] ?? 0;
    const begun = kill(pid);
    const seen: { status: number; retryAfter: string | undefined }[] = [];
    await until(async () => {
      seen.push(await get('/api/v1/models/tree'));
      return seen.some(({ status }) => status === 503) && seen.at(-1)?.status === 200;
    }, 30_000);
    const away = seen.filter(({ status }) => status !== 200);
    const ms = tell(`${which} killed: registry`, begun, `, ${away.length} times 503`);
    expect(ms).toBeLessThan(15_000);
    expect(away).toEqual(away.map(() => ({ status: 503, retryAfter: '1' })));
    await until(() => product.processes.postgres !== undefined);
    // What is written now is followed again.
    await until(async () => (await get('/readyz')).status === 200);
    expect(await slipway.promote('graph', 1, { stage: 'Archived' })).toBeDefined();
    expect(await slipway.promote('graph', 1, { wait: 15 })).toMatchObject({ serving: 'ready' });
    await traffic.stop();
    expect(traffic.failed).toEqual([]);
    await until(async () => (await slipway.model('tree')).serving.state === 'ready');
    await isWhole();
  },
  60_000,
);

it('a stop fails no request that runs', async () => {
  const traffic = new Traffic(inferUrl('tree'), tree, { connections: 8 });
  await traffic.seen(2);
  const slow = new Connection(inferUrl('loop'), JSON.stringify(times(2 * speed)));
  const predicted = slow.ask();
  // The registry has to wait for the compile step, which runs the example.
  const files = [{ path: 'model.onnx', data: loopModel() }];
  const pending = await slipway.logModel({ name: 'slow', files, inputExample: times(speed) });
  expect(pending.serving.state).toBe('pending');
  const promoted = slipway.promote('slow', 1, { wait: 0 });
  // Nobody waits for this one: it is given up, and begun again after the start.
  await slipway.logModel({ name: 'put-off', files, inputExample: times(10 * speed) });
  await sleep(100);
  const begun = performance.now();
  expect(await product.stop()).toBe(0);
  const ms = tell('stopped', begun, `; ${traffic.answers.length} predictions`);
  expect(ms).toBeLessThan(9_000);
  await traffic.stop();
  slow.close();
  expect(await predicted).toMatchObject({ status: 200 });
  expect(await promoted).toMatchObject({ transition: { version: 1 } });
  expect(traffic.answers.filter(({ status }) => status !== 200)).toEqual([]);
  // Once the port is closed, others are not let in any more.
  const cut = traffic.errors.filter((error) => !error.message.includes('ECONNREFUSED'));
  expect(cut).toEqual([]);
  await product.start();
  await isWhole();
  expect(await slipway.checked('put-off', 1)).toMatchObject({ serving: { state: 'servable' } });
}, 60_000);

it('nothing outlives a killed server; a new one has everything and ends what was begun', async () => {
  const frozen = new Connection(inferUrl('loop'), JSON.stringify(times(2 ** 40)));
  const answer = frozen.ask();
  const files = [{ path: 'model.onnx', data: loopModel() }];
  const inputExample = times(3 * speed);
  const { version } = await slipway.logModel({ name: 'interrupted', files, inputExample });
  await until(() => product.processes.compiling.length > 0);
  const { all, compartments, compiling } = product.processes;
  expect(compartments.length).toBeGreaterThan(0);
  expect(all).toEqual(expect.arrayContaining([...compartments, ...compiling]));
  let begun = performance.now();
  await product.stop('SIGKILL');
  await until(() => !all.some(lives), 10_000);
  tell(`server killed: all its ${all.length} processes gone`, begun);
  await answer;
  frozen.close();
  begun = performance.now();
  await product.start();
  tell('started again, ready', begun);
  await isWhole();
  const { serving } = await slipway.checked('interrupted', version, { timeout: 30 });
  expect([serving.state, serving.reason]).toEqual(['servable', undefined]);
  tell('interrupted compile step done', begun);
}, 90_000);

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
