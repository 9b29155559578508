import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { KnownModel } from '../support/known-models.js';
import { KnownTraffic, percentile } from '../support/known-traffic.js';
import { onnxFixtures, uploadOf } from '../support/onnx-fixtures.js';
import { type Harm, harmfulModel } from '../support/onnx-writer.js';
import { Product } from '../support/product.js';
import { amount, long, proofTimeout, report } from '../support/proof.js';
import { readFileSync } from 'node:fs';

/**
 * Uploads that freeze, crash or bloat the compile step, while others log models and predictions flow: nobody waits for a
 * hostile one, the registry goes on answering at once, and no prediction fails.
 */

const GOOD = amount(6, 30);
const HARMS: Harm[] = ['freeze', 'crash', 'freeze', 'eat'];
const served = [
  new KnownModel('forest', 'forest', 1000),
  new KnownModel('graph', 'graph', 2000),
] as const;
const logged = new KnownModel('logged', 'forest', 5000);

let product: Product;
let slipway: Slipway;
let traffic: KnownTraffic;
let pings: Pings;

beforeAll(async () => {
  product = await Product.start();
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
  await Promise.all(served.map((model) => model.log(slipway, 1)));
  for (const { name } of served)
    expect(await slipway.promote(name, 1, { wait: 45 })).toMatchObject({ serving: 'ready' });
}, 90_000);

afterAll(() => product.remove());

// Whatever failed: what goes on would never let the process end.
afterEach(async () => {
  await Promise.all([traffic.stop(), pings.stop()]);
});

/** Asks a URL that costs nothing again and again: how long that takes is how long the event loop is held up. */
class Pings {
  readonly times: { at: number; ms: number }[] = [];
  #going = true;
  readonly #loop: Promise<void>;

  constructor(url: string) {
    this.#loop = this.#run(url);
  }

  p99(from: number, to = Infinity): number {
    const within = this.times.filter(({ at }) => at >= from && at < to);
    return percentile(
      within.map(({ ms }) => ms),
      99,
    );
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#loop;
  }

  async #run(url: string): Promise<void> {
    while (this.#going) {
      const at = performance.now();
      const { status } = await fetch(url);
      if (status !== 200) throw new Error(`${url} answered ${status}`);
      this.times.push({ at, ms: performance.now() - at });
      await sleep(15);
    }
  }
}

let version = 0;
/** Logs versions one after the other; milliseconds from the upload until each was known to be servable. */
async function logGood(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    const number = ++version;
    await slipway.logModel({ name: logged.name, files: [logged.file(number)] });
    const { serving } = await slipway.checked(logged.name, number, { timeout: 90 });
    expect(serving.state).toBe('servable');
    times.push(performance.now() - begun);
  }
  return times;
}

/** Uploads what does harm when it is tried, and every hostile fixture; resolves when all are logged. */
async function logHostile(): Promise<{ name: string; must: string }[]> {
  const hostile = HARMS.map((harm, i) => ({
    name: `${harm}-${i}`,
    must: harm as string,
    files: [{ path: 'model.onnx', data: harmfulModel(harm) }],
  }));
  const files = (fixture: Parameters<typeof uploadOf>[0]) =>
    uploadOf(fixture)
      .filter(({ path }) => path !== 'expected.json')
      .map(({ path, file }) => ({ path, data: readFileSync(file) }));
  // Those that freeze are here by themselves.
  const fixtures = onnxFixtures('hostile').filter(
    ({ name }) =>
      long || ['hundred-thousand-nodes', 'allocate-8-gib', 'deep-protobuf'].includes(name),
  );
  for (const fixture of fixtures)
    hostile.push({ name: fixture.name, must: fixture.must ?? '', files: files(fixture) });
  for (const { name, files: upload } of hostile) await slipway.logModel({ name, files: upload });
  return hostile;
}

it(
  'hold up neither other uploads nor the registry nor predictions',
  async () => {
    traffic = new KnownTraffic(product.servingUrl, served, { connections: 8, pause: 25 });
    pings = new Pings(`${product.url}/livez`);
    const start = performance.now();
    const quiet = await logGood(GOOD);
    const middle = performance.now();
    const hostile = await logHostile();
    const beside = await logGood(GOOD);
    const end = performance.now();
    const verdicts = new Map<string, number>();
    for (const { name, must } of hostile) {
      // What freezes has its verdict after a minute.
      const timeout = long ? 600 : 60;
      const endless = must.includes('deadline') || must === 'freeze';
      if (endless && !long) continue;
      const { serving } = await slipway.checked(name, 1, { timeout });
      verdicts.set(serving.state, (verdicts.get(serving.state) ?? 0) + 1);
      if (HARMS.includes(must as Harm) || must === 'refused at load')
        expect([name, serving.state]).not.toEqual([name, 'servable']);
    }
    await Promise.all([traffic.stop(), pings.stop()]);
    expect(traffic.failed).toEqual([]);
    const lag = { quiet: pings.p99(start, middle), hostile: pings.p99(middle, end) };
    report('hostile uploads', {
      hostile: hostile.length,
      verdicts: [...verdicts].map(([state, count]) => `${count} ${state}`).join(' '),
      'quiet compile, p50 ms': Math.round(percentile(quiet, 50)),
      'beside, p50 ms': Math.round(percentile(beside, 50)),
      'beside, each ms': beside.map(Math.round).join(' '),
      'livez p99 quiet ms': lag.quiet.toFixed(1),
      'livez p99 hostile ms': lag.hostile.toFixed(1),
      predictions: traffic.answers,
    });
    // Nobody waits for the minute that one of them may take: on a busy machine all take longer, then by as much as quiet ones.
    expect(Math.max(...beside)).toBeLessThan(30_000);
    expect(percentile(beside, 50)).toBeLessThan(Math.max(5000, 5 * percentile(quiet, 50)));
    expect(lag.hostile).toBeLessThan(Math.max(100, 2 * lag.quiet));
  },
  proofTimeout,
);

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
