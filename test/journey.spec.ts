import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway, type InferRequest, type InferTensor, type SlipwayEvent } from '#sdk';
import { constantModel } from './support/models.js';
import { addModel, loopModel } from './support/onnx-writer.js';
import { overloaded, until } from './support/processes.js';
import { Product } from './support/product.js';
import { type Answered, Connection, Traffic, visits } from './support/traffic.js';

/** The main job, with the real processes: what a version is, where it answers, and what happens on the way there. */

const PREDICT_TIMEOUT = 3000;

let product: Product;
let slipway: Slipway;

beforeAll(async () => {
  product = await Product.start({
    env: { SERVING_PROCESSES: '2', PREDICT_TIMEOUT: `${PREDICT_TIMEOUT}ms` },
  });
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
}, 90_000);

afterAll(() => product.remove());

const inferUrl = (model: string, word?: string) =>
  `${product.servingUrl}/v2/models/${model}${word === undefined ? '' : `/versions/${word}`}/infer`;

async function ask(model: string, body: object, word?: string): Promise<Answered> {
  const connection = new Connection(inferUrl(model, word), JSON.stringify(body));
  const answer = await connection.ask();
  connection.close();
  if (!answer) throw connection.errors[0] ?? new Error('no answer');
  return answer;
}

/** Logs a version, and waits until it is known to be servable. */
async function log(
  name: string,
  path: string,
  data: Uint8Array,
  inputExample?: { inputs: InferTensor[] },
): Promise<number> {
  const files = [{ path, data }];
  const { version } = await slipway.logModel({
    name,
    files,
    ...(inputExample && { inputExample }),
  });
  const { serving } = await slipway.checked(name, version);
  expect([serving.state, serving.reason]).toEqual(['servable', undefined]);
  return version;
}

/** Values of the output `name`. */
function valuesOf(body: string, name: string): number[] {
  const { outputs } = JSON.parse(body) as { outputs: InferTensor[] };
  return (outputs.find((output) => output.name === name)?.data ?? []).map(Number);
}

/** A model of three versions that answer differently. */
interface Journey {
  format: string;
  log(name: string): Promise<number>;
  request: InferRequest;
  output: string;
  /** By version, as the library answered. */
  expected(version: number): number[];
}

const one: InferTensor = { name: 'x', datatype: 'FP32', shape: [1], data: [1] };
const onnx: Journey = {
  format: 'onnx',
  log: (() => {
    let logged = 0;
    return (name: string) => log(name, 'model.onnx', addModel(++logged));
  })(),
  request: { inputs: [one] },
  output: 'y',
  expected: (version) => [1 + version],
};

interface Example {
  inputs: InferTensor[];
  expected: InferTensor[];
}
const examples = await Promise.all(
  [1, 2].map(async (version) => {
    const folder = join('examples', 'tumour', String(version));
    const text = await readFile(join(folder, 'example.json'), 'utf8');
    const { inputExample } = JSON.parse(text) as { inputExample: Example };
    return { example: inputExample, model: await readFile(join(folder, 'model.json')) };
  }),
);
const [first, second] = examples;
if (!first || !second) throw new Error('The examples are not there');
/** Version 3 has the bytes of version 1 again. */
const tumourOf = (version: number) => (version === 2 ? second : first);
const xgboost: Journey = {
  format: 'xgboost',
  log: (() => {
    let logged = 0;
    return (name: string) => {
      const { model, example } = tumourOf(++logged);
      return log(name, 'model.json', model, example);
    };
  })(),
  request: { inputs: first.example.inputs },
  output: first.example.expected[0]?.name ?? '',
  expected: (version) => (tumourOf(version).example.expected[0]?.data ?? []).map(Number),
};

describe.each([onnx, xgboost])('while predictions of $format flow', (journey) => {
  const name = `journey-${journey.format}`;

  /** Does what changes the version, and measures until the first answer of the new one. */
  async function change(
    traffic: Traffic,
    version: number,
    how: () => Promise<{ serving: string }>,
  ) {
    const begun = performance.now();
    const { serving } = await how();
    const told = performance.now();
    expect(serving).toBe('ready');
    await traffic.seen(version);
    // What was told to be ready answers from then on, on every connection.
    const late = traffic.answers.filter(
      (answer) => answer.sentAt > told && answer.version !== version,
    );
    expect(late).toEqual([]);
    const firstAnswer = traffic.answers
      .filter((answer) => answer.answeredAt >= begun && answer.version === version)
      .map(({ answeredAt }) => answeredAt)
      .reduce((a, b) => Math.min(a, b), Infinity);
    return { ms: firstAnswer - begun, told: told - begun };
  }

  it('promotes and rolls back without a failed request', async () => {
    expect(await journey.log(name)).toBe(1);
    expect(await slipway.promote(name, 1)).toMatchObject({ serving: 'ready' });
    const traffic = new Traffic(inferUrl(name), JSON.stringify(journey.request), {
      connections: 10,
    });
    await traffic.seen(1);
    await journey.log(name);
    await journey.log(name);
    const times = [
      await change(traffic, 2, () => slipway.promote(name, 2, { reason: 'better' })),
      await change(traffic, 3, () => slipway.promote(name, 3, { ifCurrent: 2 })),
      await change(traffic, 2, () => slipway.rollback(name, { reason: 'worse' })),
      await change(traffic, 1, () => slipway.rollback(name)),
      await change(traffic, 3, () => slipway.promote(name, 3)),
    ];
    await traffic.stop();
    expect(traffic.failed).toEqual([]);
    for (const connection of traffic.connections) {
      expect(visits(connection)).toEqual([1, 2, 3, 2, 1, 3]);
      expect(connection.sockets).toBe(1);
    }
    for (const { version, body } of traffic.answers) {
      expect(JSON.parse(body)).toMatchObject({ model_name: name, model_version: String(version) });
      const expected = journey.expected(version);
      const got = valuesOf(body, journey.output);
      expect(got).toHaveLength(expected.length);
      got.forEach((value, i) => expect(value).toBeCloseTo(expected[i] ?? NaN, 4));
    }
    const shown = times.map(({ ms, told }) => `${Math.round(ms)} (told ${Math.round(told)})`);
    const slowest = Math.max(
      ...traffic.answers.map(({ sentAt, answeredAt }) => answeredAt - sentAt),
    );
    process.stdout.write(
      `${journey.format}: change to first answer ${shown.join(', ')} ms; ` +
        `${traffic.answers.length} requests, 0 failed, slowest ${Math.round(slowest)} ms\n`,
    );
    for (const { ms } of times) expect(ms).toBeLessThan(overloaded() ? 5000 : 1000);
    const kinds: string[] = [];
    for await (const { kind, version } of slipway.transitions(name))
      kinds.push(`${kind} ${version}`);
    expect(kinds).toEqual(['stage 3', 'rollback 1', 'rollback 2', 'stage 3', 'stage 2', 'stage 1']);
  }, 60_000);
});

const constantRequest = { inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 1], data: [0] }] };

it('a version that cannot be loaded leaves the old one answering, and says why everywhere', async () => {
  const name = 'damaged';
  await log(name, 'model.json', constantModel(101));
  await slipway.promote(name, 1);
  await log(name, 'model.json', constantModel(102));
  // Of this version alone: the same Program is one blob, whoever needs it.
  const mend = await damage(await programOf(name, 2));
  const traffic = new Traffic(inferUrl(name), JSON.stringify(constantRequest));
  const promotion = await slipway.promote(name, 2);
  expect(promotion).toMatchObject({ transition: { version: 2 }, serving: 'failed' });
  const states = await slipway.serving(name);
  expect(states).toHaveLength(2);
  for (const state of states) {
    expect(state).toMatchObject({ wanted: 2, answering: 1, state: 'failed' });
    expect(state.reason).toMatch(/with other bytes/);
  }
  expect((await slipway.model(name)).serving).toMatchObject({
    wanted: 2,
    answering: 1,
    state: 'failed',
    reason: expect.stringMatching(/with other bytes/),
  });
  const event = await eventOf(name, (data) => JSON.stringify(data).includes('with other bytes'));
  expect(event.data).toMatchObject({ wanted: 2, answering: 1, state: 'failed' });
  const metrics = await (await fetch(`${product.servingUrl}/metrics`)).text();
  expect(metrics).toMatch(/^slipway_serving_load_failures_total\{.*model="damaged".*\} [1-9]/m);
  expect(product.log).toMatch(/"model":"damaged","version":2,.*with other bytes/);
  expect((await fetch(`${product.servingUrl}/readyz`)).status).toBe(200);
  await traffic.stop();
  expect(traffic.failed).toEqual([]);
  expect(new Set(traffic.answers.map(({ version }) => version))).toEqual(new Set([1]));
  // Mended, it is taken without being asked for again.
  await mend();
  await until(async () => (await ask(name, constantRequest)).version === 2, 20_000);
}, 60_000);

it('an alias that is followed answers', async () => {
  const name = 'aliased';
  for (const value of [1, 2]) await log(name, 'model.json', constantModel(value));
  await slipway.promote(name, 1);
  await slipway.updateModel(name, { follow: '@champion' });
  await until(async () => (await ask(name, constantRequest)).status === 404);
  expect(await slipway.setAlias(name, 'champion', 2)).toMatchObject({ serving: 'ready' });
  expect(await ask(name, constantRequest)).toMatchObject({ status: 200, version: 2 });
  // A promotion is of no consequence for what serving follows now.
  await slipway.setAlias(name, 'champion', 1);
  await slipway.promote(name, 2);
  expect(await ask(name, constantRequest)).toMatchObject({ status: 200, version: 1 });
  await slipway.updateModel(name, { follow: 'production' });
  await until(async () => (await ask(name, constantRequest)).version === 2);
  // Serving answers first and reports then.
  await until(async () => (await slipway.model(name)).serving.state === 'ready');
  expect(await slipway.model(name)).toMatchObject({
    follow: 'production',
    serving: { wanted: 2, answering: 2, state: 'ready' },
  });
}, 60_000);

it('any servable version answers on demand, at both ports', async () => {
  const name = 'on-demand';
  for (const value of [1, 2, 3]) await log(name, 'model.json', constantModel(value));
  await slipway.promote(name, 2);
  await slipway.setAlias(name, 'new', 3);
  for (const [word, version] of [
    ['1', 1],
    ['2', 2],
    ['@new', 3],
    ['latest', 3],
    ['production', 2],
  ] as const) {
    const answer = await ask(name, constantRequest, word);
    expect(answer).toMatchObject({ status: 200, version });
    expect(valuesOf(answer.body, 'predict')).toEqual([version]);
    const passedOn = await fetch(`${product.url}/api/v1/models/${name}/versions/${word}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(constantRequest),
    });
    expect(await passedOn.json()).toMatchObject({ model_version: String(version) });
  }
  expect(await ask(name, constantRequest, '9')).toMatchObject({ status: 404 });
  expect(await ask(name, constantRequest)).toMatchObject({ version: 2 });
}, 60_000);

it('a version that freezes is quarantined, while others go on answering', async () => {
  const times = (count: number): { inputs: InferTensor[] } => ({
    inputs: [one, { name: 'times', datatype: 'INT64', shape: [], data: [count] }],
  });
  const name = 'frozen';
  await log(name, 'model.onnx', loopModel(), times(1));
  await slipway.promote(name, 1);
  await log('beside', 'model.onnx', addModel(5));
  await slipway.promote('beside', 1);
  const traffic = new Traffic(inferUrl('beside'), JSON.stringify({ inputs: [one] }));
  await traffic.seen(1);
  const begun = performance.now();
  const frozen = await ask(name, times(2 ** 40));
  expect(frozen.status).toBe(504);
  expect(performance.now() - begun).toBeLessThan(PREDICT_TIMEOUT + 2000);
  const since = performance.now();
  await until(async () => (await ask(name, times(2))).status === 200);
  const back = performance.now() - since;
  process.stdout.write(`ONNX: frozen to answering again in ${Math.round(back)} ms\n`);
  await until(async () =>
    (await slipway.serving(name)).every(({ state }) => state === 'quarantined'),
  );
  for (const { reason } of await slipway.serving(name)) {
    expect(reason).toMatch(/did not answer within 3 s/);
  }
  expect((await slipway.model(name)).serving).toMatchObject({
    state: 'quarantined',
    reason: expect.stringMatching(/did not answer/),
  });
  await eventOf(name, (data) => JSON.stringify(data).includes('"quarantined"'));
  expect(product.log).toMatch(/a version is quarantined: it did not answer/);
  await traffic.stop();
  expect(traffic.failed).toEqual([]);
  const slowest = Math.max(...traffic.answers.map((a) => a.answeredAt - a.sentAt));
  process.stdout.write(
    `ONNX: ${traffic.answers.length} requests beside it, slowest ${Math.round(slowest)} ms\n`,
  );
}, 60_000);

/** The first event that says such a thing about serving a model; the stream tells them from the first on. */
async function eventOf(model: string, says: (data: object) => boolean): Promise<SlipwayEvent> {
  const signal = AbortSignal.timeout(10_000);
  for await (const event of slipway.events({ lastEventId: '0-0', signal })) {
    if (event.kind === 'serving' && event.model === model && says(event.data ?? {})) return event;
  }
  throw new Error('The stream of events has ended');
}

/** Digest of the compiled Program, in hexadecimal. */
async function programOf(name: string, version: number): Promise<string> {
  const url = `${product.url}/api/v1/models/${name}/versions/${version}/program`;
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  return createHash('sha256').update(bytes).digest('hex');
}

/** Changes a byte of a blob in the folder store; gives what puts it right again. */
async function damage(hex: string): Promise<() => Promise<void>> {
  const file = join(product.folder, 'artifacts', 'blobs', 'sha256', hex.slice(0, 2), hex);
  const whole = await readFile(file);
  const damaged = Buffer.from(whole);
  damaged[damaged.length >> 1] = 0x7e;
  await writeFile(file, damaged);
  return () => writeFile(file, whole);
}
