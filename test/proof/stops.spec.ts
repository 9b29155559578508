import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { KnownModel } from '../support/known-models.js';
import { percentile } from '../support/known-traffic.js';
import { until } from '../support/processes.js';
import { lives, Product } from '../support/product.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { Connection } from '../support/traffic.js';

/** SIGTERM while predictions and calls of the registry run: what has begun is answered, then the processes are gone. */

const STOPS = amount(20, 100);
/** A start takes seconds on a busy machine: in the short form fewer stops must do then. */
const ENOUGH = amount(45_000, Infinity);
const CONNECTIONS = 16;
const EXIT_LIMIT = 30_000;

const models = [
  new KnownModel('forest', 'forest', 1000),
  new KnownModel('graph', 'graph', 2000),
] as const;

let product: Product;
let slipway: Slipway;
let load: StopLoad;

beforeAll(async () => {
  product = await Product.start({ env: { SERVING_PROCESSES: '2' } });
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
  for (const model of models) {
    await model.log(slipway, 1);
    expect(await slipway.promote(model.name, 1, { wait: 45 })).toMatchObject({ serving: 'ready' });
  }
}, 90_000);

afterAll(() => product.remove());

// Whatever failed: what goes on would never let the process end.
afterEach(() => load?.stop());

/** Predictions and reads of the registry, one after the other on each connection, also while nothing listens. */
class StopLoad {
  readonly failed: string[] = [];
  answers = 0;
  refused = 0;
  #going = true;
  readonly #loops: Promise<void>[];

  constructor() {
    this.#loops = Array.from({ length: CONNECTIONS }, (_, i) => {
      const connection = new Connection('', '');
      const once = i % 4 === 3 ? () => this.#read() : () => this.#predict(connection, i);
      return this.#run(once).finally(() => connection.close());
    });
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#loops);
  }

  async #run(once: () => Promise<boolean>): Promise<void> {
    while (this.#going) {
      const answered = await once();
      if (answered) this.answers++;
      await new Promise((resolve) => setTimeout(resolve, answered ? 5 : 50));
    }
  }

  async #predict(connection: Connection, i: number): Promise<boolean> {
    const model = models[i % models.length] ?? models[0];
    const rows = [i, i + 1];
    const url = `${product.servingUrl}/v2/models/${model.name}/infer`;
    const answer = await connection.ask(url, JSON.stringify(model.request(rows)));
    connection.answers.length = 0;
    if (!answer) return this.#lost(connection.errors.pop());
    const wrong = answer.status === 200 ? model.wrong(answer, rows) : `${answer.status}`;
    // A process that has just started says 503 with Retry-After until its models are there.
    const starting = answer.status === 503 && answer.body.includes('loading');
    if (wrong !== undefined && !starting) this.failed.push(`${wrong} ${answer.body}`);
    return wrong === undefined;
  }

  async #read(): Promise<boolean> {
    try {
      const response = await fetch(`${product.url}/api/v1/models/forest`);
      await response.json();
      if (response.status !== 200) this.failed.push(`registry: ${response.status}`);
      return response.ok;
    } catch (error) {
      return this.#lost((error as Error & { cause?: Error }).cause ?? (error as Error));
    }
  }

  /** A port that is closed refuses: nothing of such a request has begun. */
  #lost(error: Error | undefined): false {
    if (error?.message.includes('ECONNREFUSED')) this.refused++;
    else this.failed.push(String(error));
    return false;
  }
}

it(
  'end every request that has begun, and exit in time',
  async () => {
    load = new StopLoad();
    const times: number[] = [];
    const start = performance.now();
    for (let stop = 0; stop < STOPS && performance.now() - start < ENOUGH; stop++) {
      await new Promise((resolve) => setTimeout(resolve, 100 + 400 * Math.random()));
      const { all } = product.processes;
      const begun = performance.now();
      expect(await product.stop('SIGTERM')).toBe(0);
      times.push(performance.now() - begun);
      await until(() => !all.some(lives), 5000);
      await product.start();
    }
    await load.stop();
    expect(load.failed).toEqual([]);
    expect(Math.max(...times)).toBeLessThan(EXIT_LIMIT);
    report('stops under load', {
      stops: times.length,
      'requests answered': load.answers,
      failed: load.failed.length,
      'refused while nothing listened': load.refused,
      'exit p50 ms': Math.round(percentile(times, 50)),
      'exit slowest ms': Math.round(percentile(times, 100)),
    });
  },
  proofTimeout,
);
