import { Slipway } from '#sdk';
import { KnownModel } from '../test/support/known-models.js';
import { KnownTraffic, percentile } from '../test/support/known-traffic.js';
import { TRAP } from '../test/support/onnx-writer.js';
import { Product } from '../test/support/product.js';
import { Connection } from '../test/support/traffic.js';
import { HARMS, TrapModel } from '../test/support/trap-model.js';
import { printResult, spread } from './result.js';

// What requests to other models notice of one that freezes, crashes, or eats memory until it is ended: quiet rounds and
// rounds that begin with such a request, in turns. A version that did the harm is quarantined, so each round has one of its
// own. Run: node dist/bench/hostile.js [rounds]

const ROUNDS = Number(process.argv[2] ?? 6);
const PREDICT_TIMEOUT = 2000;
/** As long as the harm and the mending last. */
const WINDOW = PREDICT_TIMEOUT + 1000;

const beside = [new KnownModel('forest', 'forest', 1000), new KnownModel('graph', 'graph', 2000)];
const product = await Product.start({
  embedded: true,
  env: { PREDICT_TIMEOUT: `${PREDICT_TIMEOUT}ms`, LOG_LEVEL: 'fatal' },
});
try {
  const slipway = new Slipway({ url: product.url });
  const serve = async (model: KnownModel) => {
    await model.log(slipway, 1);
    await slipway.promote(model.name, 1, { wait: 45 });
  };
  for (const model of beside) await serve(model);
  for (const harm of HARMS) {
    const harmful = Array.from({ length: ROUNDS }, (_, i) => new TrapModel(harm, i));
    for (const model of harmful) await serve(model);
    await bench(harm, harmful);
    for (const { name } of harmful) await slipway.promote(name, 1, { stage: 'None' });
  }
} finally {
  await product.remove();
}

async function bench(harm: string, harmful: TrapModel[]): Promise<void> {
  const traffic = new KnownTraffic(product.servingUrl, beside, { connections: 8, pause: 10 });
  await sleep(1000);
  const quiet: number[] = [];
  const during: number[] = [];
  const ends: number[] = [];
  for (const model of harmful) {
    const start = performance.now();
    await sleep(WINDOW);
    const middle = performance.now();
    const [took] = await Promise.all([spring(model), sleep(WINDOW)]);
    ends.push(took);
    quiet.push(percentile(traffic.latencies(start, middle), 99));
    during.push(percentile(traffic.latencies(middle, performance.now()), 99));
  }
  await traffic.stop();
  if (traffic.failed.length > 0) throw new Error(traffic.failed.slice(0, 3).join('\n'));
  printResult({
    what: `p99 of other models while one would ${harm}, to p99 in quiet`,
    ...spread(during.map((ms, i) => ms / (quiet[i] ?? NaN))),
    parts: {
      'quiet p99 ms': spread(quiet).ratio,
      'hostile p99 ms': spread(during).ratio,
      'ended after ms': spread(ends).ratio,
      requests: traffic.answers,
    },
    goal: '<= 2',
    better: 'lower',
  });
}

/** @returns milliseconds until the request was refused */
async function spring(model: TrapModel): Promise<number> {
  const url = `${product.servingUrl}/v2/models/${model.name}/infer`;
  const connection = new Connection(url, JSON.stringify(model.request([TRAP])));
  const answer = await connection.ask();
  connection.close();
  if (!answer || answer.status < 400) throw new Error(`${model.name} did no harm`);
  return answer.answeredAt - answer.sentAt;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
