import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { constantModel } from './support/models.js';
import { divisionModel } from './support/onnx-writer.js';
import { exitOf, until } from './support/processes.js';
import { Product } from './support/product.js';

interface Line {
  level: string;
  name: string;
  pid: number;
  time: string;
  msg: string;
  trace?: string;
  traceId?: string;
  spanId?: string;
  [field: string]: unknown;
}

const LEAST = (-(2n ** 63n)).toString();
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

let product: Product;
let slipway: Slipway;

beforeAll(async () => {
  product = await Product.start({ env: { LOG_LEVEL: 'debug', SLIPWAY_TOKEN: 'a-token-for-logs' } });
  slipway = new Slipway({ url: product.url, token: 'a-token-for-logs', trace: traceparent });
  const log = async (name: string, data: Uint8Array, file: string, inputExample?: object) => {
    const { version } = await slipway.logModel({
      name,
      files: [{ path: file, data }],
      ...(inputExample && { inputExample: inputExample as never }),
    });
    await slipway.checked(name, version);
    return version;
  };
  await log('churn', constantModel(1), 'model.json');
  await log('division', divisionModel(), 'model.onnx');
  await log('division', divisionModel(), 'model.onnx', { inputs: divide(LEAST, '-1') });
  await slipway.promote('churn', 1, { wait: 20 });
  await slipway.promote('division', 1, { wait: 20 });
}, 90_000);
afterAll(() => product.remove());

/** JSON, because the least INT64 is no number of JavaScript. */
function divide(
  a: string,
  b: string,
): { name: string; datatype: string; shape: number[]; data: bigint[] }[] {
  return [
    { name: 'a', datatype: 'INT64', shape: [1], data: [BigInt(a)] },
    { name: 'b', datatype: 'INT64', shape: [1], data: [BigInt(b)] },
  ];
}

function lines(): Line[] {
  return product.log
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** The lines about one request, once there are as many as `count`. */
async function linesOf(trace: string, count: number): Promise<Line[]> {
  const found = () => lines().filter((line) => line.trace === trace);
  await until(() => found().length >= count);
  return found();
}

function post(url: string, body: string, headers: Record<string, string>): Promise<Response> {
  const authorization = 'Bearer a-token-for-logs';
  const all = { 'content-type': 'application/json', authorization, ...headers };
  return fetch(url, { method: 'POST', body, headers: all });
}

const row = JSON.stringify({ inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 1], data: [1] }] });

describe('logs', () => {
  it('are JSON lines that name their process', () => {
    const names = new Map<string, Set<number>>();
    for (const line of lines()) {
      expect(line).toMatchObject({ level: expect.any(String), pid: expect.any(Number) });
      expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      names.set(line.name, (names.get(line.name) ?? new Set()).add(line.pid));
    }
    const { registry, serving, workers } = product.processes;
    expect(names.get('registry')).toEqual(new Set([registry]));
    expect(names.get('serving')).toEqual(new Set([serving]));
    expect(names.get('serving-worker')).toEqual(new Set(workers));
  });

  it('have one request id in both processes for a prediction that is passed on', async () => {
    const url = `${product.url}/api/v1/models/churn/versions/1/infer?secret=abcdef&limit=3`;
    const answer = await post(url, row, { 'x-request-id': 'passed-on', traceparent });
    expect([answer.status, answer.headers.get('x-request-id')]).toEqual([200, 'passed-on']);
    const found = await linesOf('passed-on', 2);
    expect(found).toHaveLength(2);
    const registry = found.find(({ name }) => name === 'registry');
    const serving = found.find(({ name }) => name === 'serving-worker');
    const common = { trace: 'passed-on', traceId, status: 200, method: 'POST', model: 'churn' };
    expect(registry).toMatchObject({
      ...common,
      level: 'info',
      url: '/api/v1/models/churn/versions/1/infer?secret=***&limit=3',
      route: '/api/v1/models/:model/versions/:version/infer',
      version: '1',
      ms: expect.any(Number),
    });
    expect(serving).toMatchObject({
      ...common,
      level: 'debug',
      url: '/v2/models/churn/versions/1/infer',
      route: '/v2/models/:model/versions/:version/infer',
      version: 1,
      ms: expect.any(Number),
    });
    expect(registry?.spanId).toMatch(/^[\da-f]{16}$/);
    expect(serving?.spanId).toMatch(/^[\da-f]{16}$/);
    expect(new Set([registry?.spanId, serving?.spanId, '00f067aa0ba902b7']).size).toBe(3);
  });

  it.each([
    ['nothing', undefined],
    ['another version', traceparent.replace('00-', '01-')],
    ['capitals', traceparent.toUpperCase()],
    ['zeros', traceparent.replace(traceId, '0'.repeat(32))],
    ['more than the version has', `${traceparent}-01`],
  ])('begin a new trace at the registry where traceparent is %s', async (what, header) => {
    const id = `begins-${what.replaceAll(' ', '-')}`;
    const headers = { 'x-request-id': id, ...(header !== undefined && { traceparent: header }) };
    await post(`${product.url}/api/v1/models/churn/infer`, row, headers);
    const [one, other] = await linesOf(id, 2);
    expect(one?.traceId).toMatch(/^[\da-f]{32}$/);
    expect(one?.traceId).not.toBe(traceId);
    expect(one?.traceId).not.toBe('0'.repeat(32));
    expect(other?.traceId).toBe(one?.traceId);
  });

  it('have no trace of a prediction that came without one', async () => {
    const url = `${product.servingUrl}/v2/models/churn/infer`;
    await post(url, row, { 'x-request-id': 'bare' });
    const [line] = await linesOf('bare', 1);
    expect(line).toMatchObject({ status: 200, model: 'churn', version: 1 });
    expect(line).not.toHaveProperty('traceId');
    expect(line).not.toHaveProperty('spanId');
  });

  it('say which request ended a compartment', async () => {
    const body = `{"inputs": [
      {"name": "a", "datatype": "INT64", "shape": [1], "data": [${LEAST}]},
      {"name": "b", "datatype": "INT64", "shape": [1], "data": [-1]}]}`;
    const url = `${product.url}/api/v1/models/division/infer`;
    const answer = await post(url, body, { 'x-request-id': 'ends-it', traceparent });
    expect(answer.status).toBe(503);
    // The serving process says what failed, and that it answered; the registry says both in one line.
    const found = await linesOf('ends-it', 3);
    expect(found).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        name: 'serving-worker',
        model: 'division',
        version: 1,
        status: 503,
        traceId,
        msg: expect.stringMatching(/killed by SIGFPE/),
      }),
    );
    expect(found).toContainEqual(
      expect.objectContaining({ level: 'warn', name: 'registry', status: 503, traceId }),
    );
    const end = lines().find((line) => line.child === 'compartment');
    expect(end).toMatchObject({ level: 'warn', kind: 'crashed', childPid: expect.any(Number) });
  }, 30_000);

  it('say which request a compile process ended for', () => {
    const created = lines().filter(
      (line) => line.route === '/api/v1/models/:model/versions' && line.method === 'POST',
    );
    const lost = lines().find((line) => line.child === 'compile');
    expect(lost).toMatchObject({
      level: 'warn',
      model: 'division',
      version: 2,
      state: 'failed',
      childPid: expect.any(Number),
      reason: expect.stringMatching(/killed by SIGFPE/),
    });
    expect(created.at(-1)?.trace).toBe(lost?.trace);
    const compiled = lines().filter((line) => line.msg === 'compiled a version');
    expect(compiled.map(({ trace }) => trace)).toEqual(
      created.slice(0, 2).map(({ trace }) => trace),
    );
  });

  it('have the trace of every request of a program that names one', () => {
    const own = lines().filter((line) => line.name === 'registry' && line.traceId === traceId);
    expect(own.length).toBeGreaterThan(10);
  });

  it('tell at a worker of its end, and of what replaces it', async () => {
    const [worker = 0] = product.processes.workers;
    process.kill(worker, 'SIGKILL');
    const told = () => lines().find((line) => line.childPid === worker && line.level === 'error');
    await until(() => told() !== undefined);
    expect(told()).toMatchObject({ name: 'serving', child: 'serving-worker', process: 0 });
    await until(() => fetch(`${product.servingUrl}/readyz`).then((r) => r.ok));
  });
});

describe('a process by itself', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-logs-'));
    const platform = pathToFileURL(join(process.cwd(), 'dist/libs/platform/index.js')).href;
    await writeFile(
      join(folder, 'main.mjs'),
      `import { createLogger, logCrashes, readConfig } from '${platform}';
       const logger = createLogger(readConfig(), 'alone');
       logCrashes(logger);
       logger.info({ model: 'iris', password: process.env.S3_SECRET_KEY }, 'one line');
       logger.error({ err: Object.assign(new Error('a broken thing', { cause: new Error('its cause') }), { parameters: ['hidden'] }) }, 'failed');
       setImmediate(() => { throw new TypeError('nobody expected this'); });`,
    );
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function run(env: NodeJS.ProcessEnv, terminal = false) {
    const main = join(folder, 'main.mjs');
    const [command = '', ...args] = terminal
      ? ['script', '-qec', `${process.execPath} ${main}`, '/dev/null']
      : [process.execPath, main];
    const child = spawn(command, args, { env: { PATH: process.env.PATH, ...env } });
    const [out, errors, code] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      exitOf(child),
    ]);
    return { text: terminal ? out : errors, code };
  }

  it('logs a crash once, with its stack, and ends with 1', async () => {
    const { text: log, code } = await run({ S3_SECRET_KEY: 'very"secret\\key' });
    expect(code).toBe(1);
    const [info, error, crash, ...more] = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(more).toEqual([]);
    expect(info).toMatchObject({ level: 'info', model: 'iris', password: '***', msg: 'one line' });
    expect(error?.err).toEqual({
      type: 'Error',
      message: 'a broken thing',
      stack: expect.stringContaining('main.mjs'),
      cause: { type: 'Error', message: 'its cause', stack: expect.any(String) },
    });
    expect(crash).toMatchObject({ level: 'fatal', name: 'alone' });
    expect(crash?.err).toMatchObject({ type: 'TypeError', message: 'nobody expected this' });
    expect(log.split('nobody expected this').length - 1).toBe(2);
  });

  it('writes text where LOG_FORMAT says so, without secrets', async () => {
    const env = { LOG_FORMAT: 'text', S3_SECRET_KEY: 'very-secret-key' };
    const { text: log } = await run(env);
    expect(log).toMatch(/^\[[\d:.]+\] INFO \(alone\/\d+\): one line \{.*"model":"iris".*\}$/m);
    expect(log).not.toContain('very-secret-key');
    // No colours for a file.
    expect(log).not.toContain('\x1b[');
  });

  it('writes text on a terminal, and JSON there where LOG_FORMAT says so', async () => {
    const { text: readable } = await run({}, true);
    expect(readable).toMatch(/INFO.* \(alone\/\d+\).*one line/);
    expect((await run({ LOG_FORMAT: 'json' }, true)).text).toMatch(/^\{"level":"info"/m);
  });
});
