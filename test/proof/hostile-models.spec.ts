import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { KnownModel } from '../support/known-models.js';
import { KnownTraffic, percentile } from '../support/known-traffic.js';
import { TRAP } from '../support/onnx-writer.js';
import { overloaded, until } from '../support/processes.js';
import { Product } from '../support/product.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { type Answered, Connection } from '../support/traffic.js';
import { HARMS, TrapModel } from '../support/trap-model.js';

/**
 * Models that are harmless until one number comes: then they never end, crash, or take memory without end. Only who asked
 * for that gets no answer; the compartment is replaced, the version quarantined, and other models notice nothing.
 */

const PREDICT_TIMEOUT = 2000;
/** A version that has killed three compartments in a minute gets no other: so several do the harm in turn. */
const GANG = amount(2, 6);

const forest = new KnownModel('forest', 'forest', 1000);
const graph = new KnownModel('graph', 'graph', 2000);
const beside = [forest, graph];

const single = HARMS.map((harm) => new TrapModel(harm, 0));
const gang = Array.from({ length: GANG }, (_, i) =>
  HARMS.map((harm) => new TrapModel(harm, i + 1)),
);

let product: Product;
let slipway: Slipway;
let traffic: KnownTraffic | undefined;

beforeAll(async () => {
  product = await Product.start({ env: { PREDICT_TIMEOUT: `${PREDICT_TIMEOUT}ms` } });
  slipway = new Slipway({ url: product.url });
  const models = [...beside, ...single, ...gang.flat()];
  await Promise.all(models.map((model) => model.log(slipway, 1)));
  for (const { name } of models)
    expect(await slipway.promote(name, 1, { wait: 45 })).toMatchObject({ serving: 'ready' });
}, 170_000);

afterAll(() => product.remove());

// Whatever failed: traffic that goes on would never let the process end.
afterEach(() => traffic?.stop());

async function ask({ name }: KnownModel, request: object): Promise<Answered> {
  const url = `${product.servingUrl}/v2/models/${name}/infer`;
  const connection = new Connection(url, JSON.stringify(request));
  const answer = await connection.ask();
  connection.close();
  if (!answer) throw connection.errors[0] ?? new Error('no answer');
  return answer;
}

const spring = (model: KnownModel) => ask(model, model.request([TRAP]));

describe.each(single.map((model) => [model.harm, model] as const))('%s', (harm, model) => {
  it('is answered with an error, replaced, and quarantined, while all others are answered', async () => {
    traffic = new KnownTraffic(product.servingUrl, beside, { connections: 8, pause: 10 });
    const right = await ask(model, model.request([1, 2]));
    expect([right.status, model.wrong(right, [1, 2])]).toEqual([200, undefined]);
    const before = product.processes.compartments;
    const sprung = await spring(model);
    const ms = sprung.answeredAt - sprung.sentAt;
    if (harm === 'freeze') expect(sprung.status).toBe(504);
    if (harm === 'crash') expect(sprung.status).toBe(503);
    // Where the allocation fails, the request asked for too much; where the process is ended, it is 503; or it is too slow.
    if (harm === 'eat') expect([400, 503, 504]).toContain(sprung.status);
    expect(ms).toBeLessThan(PREDICT_TIMEOUT + (overloaded() ? 3000 : 1000));
    await until(async () => {
      const answer = await ask(model, model.request([3]));
      return answer.status === 200 && model.wrong(answer, [3]) === undefined;
    });
    const back = performance.now() - sprung.answeredAt;
    expect(back).toBeLessThan(overloaded() ? 6000 : 2000);
    const lost = before.filter((pid) => !product.processes.compartments.includes(pid));
    expect(lost.length).toBeLessThanOrEqual(1);
    if (lost.length || harm !== 'eat') await expectQuarantine(model);
    await traffic.stop();
    expect(traffic.failed).toEqual([]);
    report(`hostile: ${harm}`, {
      status: sprung.status,
      'ms until refused': Math.round(ms),
      'ms until answered again': Math.round(back),
      'compartments lost': lost.length,
      'requests beside it': traffic.answers,
    });
  }, 60_000);
});

async function expectQuarantine({ name }: KnownModel): Promise<void> {
  await until(async () =>
    (await slipway.serving(name)).every(({ state }) => state === 'quarantined'),
  );
  for (const state of await slipway.serving(name))
    expect(state).toMatchObject({ answering: 1, reason: expect.stringMatching(/^It /) });
  expect((await slipway.model(name)).serving.state).toBe('quarantined');
  await until(async () => (await slipway.stats(name)).some(({ errors }) => errors > 0));
}

it(
  'several at once keep no request to the other models from its answer',
  async () => {
    traffic = new KnownTraffic(product.servingUrl, beside, { connections: 8, pause: 10 });
    await sleep(500);
    const statuses = new Map<string, number>();
    const latencies: Record<'quiet' | 'hostile', number[]> = { quiet: [], hostile: [] };
    for (const harmful of gang) {
      // In turn, so that what else the machine does weighs on both alike.
      const start = performance.now();
      await sleep(PREDICT_TIMEOUT);
      const middle = performance.now();
      const harmed = harmful.map(async (model) => {
        const { status } = await spring(model);
        const said = `${model.harm} ${status}`;
        statuses.set(said, (statuses.get(said) ?? 0) + 1);
      });
      await Promise.all([...harmed, sleep(PREDICT_TIMEOUT + 1000)]);
      latencies.quiet.push(...traffic.latencies(start, middle));
      latencies.hostile.push(...traffic.latencies(middle, performance.now()));
    }
    await traffic.stop();
    expect(traffic.failed).toEqual([]);
    expect(traffic.answers).toBeGreaterThan(100);
    report('hostile: other models, three at once', {
      requests: traffic.answers,
      'p99 quiet ms': percentile(latencies.quiet, 99).toFixed(1),
      'p99 hostile ms': percentile(latencies.hostile, 99).toFixed(1),
      'slowest ms': Math.max(...latencies.hostile).toFixed(0),
      'answered with': [...statuses].map(([said, count]) => `${count}x ${said}`).join(' '),
    });
  },
  proofTimeout,
);

it('the kernel takes compartments first where the machine runs out of memory', () => {
  const { compartments, workers, serving } = product.processes;
  const score = (pid: number) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
  for (const pid of compartments) expect(score(pid)).toBe(1000);
  for (const pid of [...workers, serving]) expect(score(pid)).toBeLessThan(1000);
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
