import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { KnownModel } from '../support/known-models.js';
import { KnownTraffic, percentile } from '../support/known-traffic.js';
import { usageOf } from '../support/process-usage.js';
import { Product } from '../support/product.js';
import { long, report } from '../support/proof.js';

/**
 * Hours of what a server does all day: predictions, promotions and rollbacks, new versions, uploads, lists. Its memory and
 * its descriptors stay as they are, nothing fails. PROOF_MINUTES says how long, an hour by default.
 */

const MINUTES = Number(process.env.PROOF_MINUTES ?? 60);
const SAMPLE_EVERY = 5000;
/** Heaps find their size, pools fill, code is compiled. */
const WARM_UP = Math.max(1, MINUTES / 5) * 60_000;
/** A slope over less time is mostly the garbage that is not collected yet. */
const SLOPE_MINUTES = 20;
const VERSIONS = 3;

const models = [
  new KnownModel('forest-a', 'forest', 1000),
  new KnownModel('forest-b', 'forest', 2000),
  new KnownModel('graph-a', 'graph', 3000),
  new KnownModel('graph-b', 'graph', 4000),
] as const;
const logged = new KnownModel('logged', 'forest', 100_000);

if (!long) process.stdout.write('LEFT OUT: the soak (it takes an hour: npm run proof)\n');
const onlyLong = long ? it : it.skip;

let product: Product;
let slipway: Slipway;
let going = true;

beforeAll(async () => {
  if (!long) return;
  product = await Product.start({ env: { SERVING_PROCESSES: '2' } });
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
  await Promise.all(models.map((model) => model.log(slipway, VERSIONS)));
  for (const { name } of models)
    expect(await slipway.promote(name, 1, { wait: 45 })).toMatchObject({ serving: 'ready' });
}, 120_000);

afterAll(async () => {
  going = false;
  if (long) await product.remove();
});

interface Sample {
  /** Minutes from the start. */
  at: number;
  bytes: number;
  descriptors: number;
}

/** Does something again and again, until the end; what it throws is told. */
async function again(pause: number, what: () => Promise<unknown>): Promise<string[]> {
  const failed: string[] = [];
  while (going) {
    await what().catch((error: unknown) => failed.push(String(error)));
    await sleep(pause);
  }
  return failed;
}

/** Slope of the line through the samples by least squares, in MB a minute. */
function slopeOf(samples: Sample[]): number {
  const mean = (numbers: number[]) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
  const [x, y] = [mean(samples.map(({ at }) => at)), mean(samples.map(({ bytes }) => bytes))];
  let above = 0;
  let below = 0;
  for (const { at, bytes } of samples) {
    above += (at - x) * (bytes - y);
    below += (at - x) ** 2;
  }
  return above / below / 2 ** 20;
}

/** Megabytes, at eleven moments as far from each other. */
function course(samples: Sample[]): number[] {
  return Array.from({ length: 11 }, (_, i) => {
    const found = samples[Math.round((i / 10) * (samples.length - 1))];
    return Math.round((found?.bytes ?? 0) / 2 ** 20);
  });
}

/** The processes by what they are; workers and compartments each taken together, since they are replaced. */
function sample(at: number): Map<string, Sample> {
  const { server, registry, serving, workers, compartments } = product.processes;
  const of = (pids: number[]): Sample => {
    const used = pids.flatMap((pid) => {
      try {
        return [usageOf(pid)];
      } catch {
        return [];
      }
    });
    return {
      at,
      bytes: used.reduce((sum, { bytes }) => sum + bytes, 0),
      descriptors: used.reduce((sum, { descriptors }) => sum + descriptors, 0),
    };
  };
  return new Map([
    ['server', of([server])],
    ['registry', of([registry])],
    ['supervisor', of([serving])],
    ['workers', of(workers)],
    ['compartments', of(compartments)],
  ]);
}

let version = 0;
async function logOne(): Promise<void> {
  const number = ++version;
  await slipway.logModel({ name: logged.name, files: [logged.file(number)] });
  const { serving } = await slipway.checked(logged.name, number, { timeout: 120 });
  if (serving.state !== 'servable') throw new Error(serving.reason ?? serving.state);
  if (number > 20) await slipway.deleteVersion(logged.name, number - 20);
}

async function change(): Promise<void> {
  const model = models[Math.floor(Math.random() * models.length)] ?? models[0];
  const { production } = await slipway.model(model.name);
  const next = 1 + ((production ?? 0) % VERSIONS);
  await slipway.promote(model.name, next, { wait: 30 });
}

async function browse(): Promise<void> {
  await slipway.models({ limit: 10 }).take(10);
  await slipway.transitions('forest-a').take(50);
  await slipway.stats('forest-a');
  await slipway.serving('graph-a');
}

onlyLong(
  'keeps its memory and its descriptors, and fails nothing',
  async () => {
    const traffic = new KnownTraffic(product.servingUrl, models, { connections: 16, pause: 30 });
    const loops = [again(800, change), again(3000, logOne), again(200, browse)];
    const start = performance.now();
    const minutes = () => (performance.now() - start) / 60_000;
    const samples = new Map<string, Sample[]>();
    const latencies: number[] = [];
    while (minutes() < MINUTES) {
      await sleep(SAMPLE_EVERY);
      latencies.push(percentile(traffic.latencies(), 99));
      traffic.forget();
      if (minutes() * 60_000 < WARM_UP) continue;
      for (const [name, found] of sample(minutes()))
        samples.set(name, [...(samples.get(name) ?? []), found]);
    }
    going = false;
    const failed = (await Promise.all(loops)).flat();
    await traffic.stop();
    const slopes = [...samples].map(([name, found]) => ({ name, slope: slopeOf(found) }));
    const descriptors = [...samples].map(([name, found]) => ({
      name,
      first: found[0]?.descriptors ?? 0,
      last: found.at(-1)?.descriptors ?? 0,
    }));
    report(`soak of ${MINUTES} min`, {
      predictions: traffic.answers,
      'versions logged': version,
      'p99 ms, median of 5 s': percentile(latencies, 50).toFixed(1),
      'RSS slope MB/min': slopes.map(({ name, slope }) => `${name} ${slope.toFixed(2)}`).join(', '),
      'RSS MB, eleven times from the warm-up to the end': [...samples]
        .map(([name, found]) => `${name} ${course(found).join(' ')}`)
        .join(', '),
      descriptors: descriptors
        .map(({ name, first, last }) => `${name} ${first}→${last}`)
        .join(', '),
      failed: traffic.failed.length + failed.length,
    });
    expect(traffic.failed).toEqual([]);
    expect(failed).toEqual([]);
    expect(product.log).not.toMatch(/unhandled|uncaught/i);
    expect(product.log.match(/"status":5\d\d/g) ?? []).toEqual([]);
    for (const { name, first, last } of descriptors)
      expect([name, last - first]).toEqual([name, Math.min(last - first, 10)]);
    for (const { name, slope } of MINUTES < SLOPE_MINUTES ? [] : slopes)
      expect([name, slope]).toEqual([name, Math.min(slope, 1)]);
  },
  (MINUTES + 5) * 60_000,
);

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
