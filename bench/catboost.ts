// How fast oblivious trees answer beside CatBoost's own predictor on one thread, in a Python of its own; turn by turn, by
// processor time. Run: node dist/bench/catboost.js [rounds]
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importers } from '#formats';
import { loadProgram, type Runtime, type Tensor } from '#program';
import { normals } from './grown-trees.js';
import { benchPython, PythonProcess } from './python.js';
import { printResult, spread } from './result.js';

const SHAPES = [
  { trees: 100, depth: 6 },
  { trees: 500, depth: 8 },
];
const GOALS: Record<number, number> = { 1: 1, 100: 0.5, 10_000: 0.5 };
const ROWS = 20_000;
const FEATURES = 20;
/** Milliseconds of one turn. */
const SLICE = 50;

const rounds = Number(process.argv[2] ?? 7);
const data = normals(11, ROWS);
const folder = mkdtempSync(join(tmpdir(), 'slipway-catboost-'));
const rowsFile = join(folder, 'rows');
writeFileSync(rowsFile, data);
const found = benchPython('catboost');
try {
  if ('reason' in found) {
    console.log(`The bench is left out: no Python with CatBoost (${found.reason})`);
  } else {
    for (const shape of SHAPES) await benchModel(found.python, shape);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function benchModel(path: string, shape: (typeof SHAPES)[number]): Promise<void> {
  const python = new PythonProcess(path, 'catboost_predictor.py');
  const file = join(folder, 'model.cbm');
  await python.ask({ train: file, ...shape, rows: rowsFile, features: FEATURES });
  const runtime = await load(readFileSync(file));
  const told = await python.ask<{ margins: string }>({ predict: 1000 });
  checkEqual(Buffer.from(told.margins, 'base64'), margins(runtime, tensorOf(0, 1000)));
  for (const [batch, goal] of Object.entries(GOALS)) {
    const rows = Number(batch);
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round <= rounds; round++) {
      const own = measure(runtime, rows);
      const { microseconds } = await python.ask<{ microseconds: number }>({
        rows,
        milliseconds: SLICE,
      });
      // The first round warms up.
      if (round === 0) continue;
      ours.push(own);
      theirs.push(microseconds);
    }
    printResult({
      what: `oblivious trees to catboost, ${shape.trees} trees of depth ${shape.depth}, ${rows} ${rows === 1 ? 'row' : 'rows'}`,
      ...spread(theirs.map((time, i) => time / (ours[i] ?? NaN))),
      parts: { 'oblivious µs': spread(ours).ratio, 'catboost µs': spread(theirs).ratio },
      goal: `>= ${goal}`,
      better: 'higher',
    });
  }
  python.close();
}

async function load(bytes: Uint8Array): Promise<Runtime> {
  const importer = importers.find(({ format }) => format === 'catboost');
  const file = {
    path: 'model.cbm',
    size: bytes.length,
    read: async (offset = 0, length = bytes.length) => bytes.subarray(offset, offset + length),
  };
  const verdict = await importer?.compile([file], {});
  if (verdict?.state !== 'servable') throw new Error('the model is not servable');
  return loadProgram(verdict.program, verdict.weights);
}

/** Processor time of one call, in µs; different rows in turn, so that the processor cannot learn one by heart. */
function measure(runtime: Runtime, batch: number): number {
  const count = Math.min(32, Math.floor(ROWS / batch));
  const tensors = Array.from({ length: count }, (_, i) => tensorOf(i * batch, batch));
  const end = performance.now() + SLICE;
  const used = process.cpuUsage();
  let calls = 0;
  do {
    for (const rows of tensors) void runtime.run([rows], ['margin']);
    calls += count;
  } while (performance.now() < end);
  const { user, system } = process.cpuUsage(used);
  return (user + system) / calls;
}

function tensorOf(from: number, count: number): Tensor {
  const values = data.slice(from * FEATURES, (from + count) * FEATURES);
  return { name: 'X', dtype: 'FP32', shape: [count, FEATURES], data: values };
}

function margins(runtime: Runtime, rows: Tensor): Float64Array {
  const answer = runtime.run([rows], ['margin']);
  if (answer instanceof Promise) throw new Error('trees answer at once');
  const [margin] = answer;
  if (margin?.data instanceof Float64Array) return margin.data;
  throw new Error('the margin is not FP64');
}

/** Speed counts only where the numbers are right, to the last bit. */
function checkEqual(theirs: Buffer, ours: Float64Array): void {
  const own = Buffer.from(ours.buffer, ours.byteOffset, ours.byteLength);
  if (own.length === 0 || !own.equals(theirs)) throw new Error('the scores are not CatBoost’s');
}
