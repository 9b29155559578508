import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Slipway, type InferTensor } from '#sdk';
import { KnownModel } from '../support/known-models.js';
import { KnownTraffic, percentile } from '../support/known-traffic.js';
import { harmfulModel, loopModel } from '../support/onnx-writer.js';
import { Product } from '../support/product.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { StoredPrograms } from '../support/stored-programs.js';
import { VersionHistory } from '../support/version-history.js';

/**
 * Promotions and rollbacks of several models at a time, good ones and such that cannot be loaded, under constant load: no
 * request fails, every number is of the version that the answer names, and no connection sees anything but what the
 * transitions say.
 */

/** With each number of serving processes: 200 in all. */
const CHANGES = amount(100, 2500);
const CONNECTIONS = 32;
const GOOD = 5;
/** Long enough for a first run on a loaded machine, short for one that freezes. */
const PREDICT_TIMEOUT = 2500;

const forests = [
  new KnownModel('forest-a', 'forest', 1000),
  new KnownModel('forest-b', 'forest', 2000),
] as const;
const graphs = [
  new KnownModel('graph-a', 'graph', 3000),
  new KnownModel('graph-b', 'graph', 4000),
] as const;
const models: readonly KnownModel[] = [...forests, ...graphs];
/** A rollback and a forest take milliseconds, a graph needs a process. */
const shares = new Map(models.map((model) => [model, model.kind === 'forest' ? 0.32 : 0.18]));

let product: Product;
let slipway: Slipway;
let stored: StoredPrograms;
let traffic: KnownTraffic | undefined;
const histories = new Map(
  models.map((model) => [model, new VersionHistory({ refused: [], unloadable: [] })]),
);
const historyOf = (model: KnownModel) => histories.get(model) ?? new VersionHistory();
const brokenOf = (model: KnownModel) => Object.values(historyOf(model).broken).flat();

beforeAll(async () => {
  product = await Product.start({
    env: { PREDICT_TIMEOUT: `${PREDICT_TIMEOUT}ms`, SERVING_MEMORY: '600MiB' },
  });
  slipway = new Slipway({ url: product.url });
  stored = new StoredPrograms(product);
  await Promise.all(models.map((model) => model.log(slipway, GOOD)));
  await logBroken();
}, 170_000);

afterAll(() => product.remove());

// Whatever failed: traffic that goes on would never let the process end.
afterEach(() => traffic?.stop());

/** Logs a version that cannot be loaded: servable but for what `spoil` does to it afterwards. */
async function logSpoilt(model: KnownModel, spoil: (version: number) => Promise<unknown>) {
  const next = GOOD + 1 + brokenOf(model).length;
  await slipway.logModel({ name: model.name, files: [model.file(next)] });
  const { serving } = await slipway.checked(model.name, next);
  expect(serving).toMatchObject({ state: 'servable' });
  await spoil(next);
  historyOf(model).broken.unloadable.push(next);
}

/** Logs a version that its importer refuses. */
async function logRefused(
  model: KnownModel,
  state: string,
  files: { path: string; data: Uint8Array }[],
  inputExample?: { inputs: InferTensor[]; expected: InferTensor[] },
) {
  const example = inputExample && { inputExample };
  const { version } = await slipway.logModel({ name: model.name, files, ...example });
  const { serving } = await slipway.checked(model.name, version);
  expect(serving.state).toBe(state);
  historyOf(model).broken.refused.push(version);
}

async function logBroken(): Promise<void> {
  const [forest, other] = forests;
  const [graph, second] = graphs;
  const blob = async (model: KnownModel, version: number, which: 'weights' | 'file') => {
    const { program } = await stored.read(model.name, version);
    return (which === 'weights' ? program.weights.digest : program.files[0]?.digest) ?? '';
  };
  // Unsupported bytes, and golden rows that it does not reproduce: such come into Production as a record only.
  await logRefused(forest, 'unsupported', [{ path: 'notes.txt', data: Buffer.from('notes') }]);
  await logRefused(forest, 'failed', [forest.file(90)], {
    inputs: forest.request([1]).inputs,
    expected: [{ name: 'predict', datatype: 'FP32', shape: [1], data: [-1] }],
  });
  await logSpoilt(forest, async (version) =>
    stored.damage((await stored.read(forest.name, version)).digest),
  );
  await logSpoilt(other, async (version) =>
    stored.damage(await blob(other, version, 'weights'), 'remove'),
  );
  await logSpoilt(other, (version) =>
    stored.replace(other.name, version, { change: ({ weights }) => (weights.size = 2 ** 40) }),
  );
  await logSpoilt(other, (version) =>
    stored.replace(other.name, version, {
      change: (program) =>
        program.nodes.push({ kind: 'kernel', kernel: 'unheard-of', inputs: [], outputs: [] }),
    }),
  );
  await logSpoilt(graph, async (version) => stored.damage(await blob(graph, version, 'file')));
  for (const harm of ['crash', 'eat'] as const)
    await logSpoilt(graph, (version) =>
      stored.replace(graph.name, version, { bytes: harmfulModel(harm) }),
    );
  await logSpoilt(second, (version) =>
    stored.replace(second.name, version, { bytes: harmfulModel('freeze') }),
  );
  // Its example ends within the minute that a compile step may take, and not within PREDICT_TIMEOUT.
  const times = { name: 'times', datatype: 'INT64' as const, shape: [], data: [0] };
  const one: InferTensor = { name: 'x', datatype: 'FP32', shape: [1], data: [1] };
  times.data = [await turnsIn(2 * PREDICT_TIMEOUT)];
  await slipway.logModel({
    name: second.name,
    files: [{ path: 'model.onnx', data: loopModel() }],
    inputExample: { inputs: [one, times] },
  });
  const slow = GOOD + 2;
  expect((await slipway.checked(second.name, slow)).serving).toMatchObject({ state: 'servable' });
  historyOf(second).broken.unloadable.push(slow);
}

/** How many turns of the loop model take at least so many milliseconds on this machine. */
async function turnsIn(ms: number): Promise<number> {
  const files = [{ path: 'model.onnx', data: loopModel() }];
  const request = (count: number): { inputs: InferTensor[] } => ({
    inputs: [
      { name: 'x', datatype: 'FP32', shape: [1], data: [1] },
      { name: 'times', datatype: 'INT64', shape: [], data: [count] },
    ],
  });
  await slipway.logModel({ name: 'loop', files, inputExample: request(1) });
  await slipway.promote('loop', 1, { wait: 30 });
  const turns = 100_000;
  await slipway.infer('loop', request(turns));
  const begun = performance.now();
  await slipway.infer('loop', request(turns));
  const took = performance.now() - begun;
  await slipway.promote('loop', 1, { stage: 'Archived' });
  // On another day the machine may be twice as quick.
  return Math.ceil((2 * turns * ms) / took);
}

/** Promotes and rolls back one model, with those that cannot be loaded in between. */
async function drive(model: KnownModel, history: VersionHistory, changes: number): Promise<void> {
  const { name } = model;
  const bad = brokenOf(model);
  const every = Math.floor(changes / (bad.length + 1));
  for (let i = 1; i <= changes; i++) {
    if (i % every === 0 && bad.length > 0) {
      const version = bad.shift() ?? 0;
      const { serving } = await history.make(() =>
        slipway.promote(name, version, { unserved: true, wait: 3 }),
      );
      expect([version, serving]).not.toEqual([version, 'ready']);
    } else if (Math.random() < 0.3 && i > 3 && i < changes) {
      await history.make(() => slipway.rollback(name, { wait: 5 }));
    } else {
      const version = another(history.current);
      // One in five is overtaken by the next before anybody has looked whether it answers.
      const wait = Math.random() < 0.2 ? 0 : 45;
      const { serving } = await history.make(() => slipway.promote(name, version, { wait }));
      if (wait) expect([name, version, serving]).toEqual([name, version, 'ready']);
    }
  }
}

/** Any version that can be loaded, but for one. */
function another(version: number | undefined): number {
  const found = 1 + Math.floor(Math.random() * GOOD);
  return found === version ? 1 + (found % GOOD) : found;
}

it.each([1, 2])(
  'swaps without a failed request, as the transitions say (SERVING_PROCESSES=%d)',
  async (processes) => {
    await product.stop();
    await product.start([], { SERVING_PROCESSES: String(processes) });
    for (const model of models) {
      const history = historyOf(model);
      history.restart();
      const first = () => slipway.promote(model.name, another(history.current), { wait: 45 });
      expect(await history.make(first)).toMatchObject({ serving: 'ready' });
    }
    const load = new KnownTraffic(product.servingUrl, models, {
      connections: CONNECTIONS,
      pause: 60,
    });
    traffic = load;
    const begun = performance.now();
    await Promise.all(
      models.map((model) =>
        drive(model, historyOf(model), Math.ceil(CHANGES * (shares.get(model) ?? 0))),
      ),
    );
    const seconds = (performance.now() - begun) / 1000;
    const latencies = load.latencies();
    await load.stop();
    expect(load.failed).toEqual([]);
    expect(load.sockets).toBe(CONNECTIONS);
    const impossible = models.flatMap((model) =>
      load
        .seen(model)
        .flatMap((seen) => historyOf(model).impossible(seen))
        .map((what) => `${model.name}: ${what}`),
    );
    expect(impossible).toEqual([]);
    await expectTransitions();
    const all = [...histories.values()];
    const waits = all.flatMap((history) => history.waits);
    report(`swaps, SERVING_PROCESSES=${processes}`, {
      transitions: all.flatMap(({ asked }) => asked).length,
      'that cannot be loaded': models.flatMap(brokenOf).length,
      requests: load.answers,
      failed: load.failed.length,
      'per second': Math.round(load.answers / seconds),
      'p50 ms': percentile(latencies, 50).toFixed(1),
      'p99 ms': percentile(latencies, 99).toFixed(1),
      'told ready, p50 ms': Math.round(percentile(waits, 50)),
      'told ready, p99 ms': Math.round(percentile(waits, 99)),
      'told ready, slowest ms': Math.round(percentile(waits, 100)),
    });
  },
  proofTimeout,
);

/** The registry's own history is the one that was asked for. */
async function expectTransitions(): Promise<void> {
  for (const [{ name }, { asked }] of histories) {
    const kept = await slipway.transitions(name).take(asked.length);
    expect(kept.map(({ version }) => version).toReversed()).toEqual(asked);
  }
}
