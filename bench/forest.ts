// How fast forests answer: beside ONNX Runtime on one thread, in this process, and beside XGBoost's and LightGBM's own
// predictors, in a Python of their own; all turn by turn, by processor time. Run: node dist/bench/forest.js [rounds]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Runtime, Tensor } from '#program';
import { depthOf, growForest, lightgbmText, normals, xgboostJson } from './grown-trees.js';
import { compileForest, onnxOf, ortSession, type CompiledForest } from './forest-models.js';
import { benchPython, PythonProcess } from './python.js';
import { printResult, spread } from './result.js';

const SHAPES = [
  { trees: 100, depth: 6, rows: 4000, leafRows: 20 },
  { trees: 500, depth: 8, rows: 4000, leafRows: 5 },
  { trees: 100, depth: 64, rows: 1500, leafRows: 2 },
];
const LIBRARIES = ['xgboost', 'lightgbm'] as const;
const BATCHES = [1, 100, 10_000];
const ONNX_GOALS: Record<number, number> = { 1: 3.5, 100: 1.5, 10_000: 2 };
const ROWS = 20_000;
const FEATURES = 20;
/** Milliseconds of one turn. */
const SLICE = 50;

/** One way to answer: gives the processor time (µs) of a call, averaged over a turn; null where it cannot. */
type Way = (batch: number) => Promise<number | null>;

const rounds = Number(process.argv[2] ?? 9);
const data = normals(11, ROWS);
const folder = mkdtempSync(join(tmpdir(), 'slipway-forest-'));
const rowsFile = join(folder, 'rows');
writeFileSync(rowsFile, data);
const found = benchPython();
if ('reason' in found) {
  console.log(
    `XGBoost's and LightGBM's predictors are left out: no Python with them (${found.reason})`,
  );
}
try {
  for (const shape of SHAPES) {
    const forest = growForest(shape);
    const name = `${shape.trees} trees of depth ${depthOf(forest)}`;
    for (const library of LIBRARIES) {
      const bytes = library === 'xgboost' ? xgboostJson(forest) : lightgbmText(forest);
      await benchModel(name, library, bytes);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function benchModel(
  name: string,
  library: (typeof LIBRARIES)[number],
  bytes: Uint8Array,
): Promise<void> {
  const compiled = await compileForest(library, bytes);
  const own = ownWay(compiled);
  // Forests of ONNX are of float32, as XGBoost's are.
  if (library === 'xgboost') {
    const session = await ortSession(onnxOf(compiled));
    checkClose(await session.margins(tensorOf(compiled, 0, 100)), margins(compiled, 100));
    const ways = Object.entries(session.ways).map(
      ([way, call]) => [way, wayOf(compiled, call)] as const,
    );
    for (const batch of BATCHES) {
      const goal = ONNX_GOALS[batch];
      await compare(
        `forest to onnxruntime-node, ${name}`,
        batch,
        own,
        ways.slice(0, 1),
        goal,
        ways.slice(1),
      );
    }
    await session.release();
  }
  if ('reason' in found) return;
  const python = new PythonProcess(found.python, 'tree_predictors.py');
  const file = join(folder, library === 'xgboost' ? 'model.json' : 'model.txt');
  writeFileSync(file, bytes);
  const { ways } = await python.ask<{ ways: string[] }>({
    load: file,
    library,
    rows: rowsFile,
    features: FEATURES,
  });
  const told = await python.ask<{ margins: string }>({ predict: 1000 });
  checkEqual(Buffer.from(told.margins, 'base64'), margins(compiled, 1000), library);
  const theirs = ways.map((way): [string, Way] => [
    `${library} ${way}`,
    async (batch) =>
      (await python.ask<{ microseconds: number | null }>({ way, rows: batch, milliseconds: SLICE }))
        .microseconds,
  ]);
  for (const batch of BATCHES)
    await compare(`forest to ${library}, ${name}`, batch, own, theirs, 1);
  python.close();
}

/** Prints our speed as a share of the fastest of the other ways; `others` are shown beside it. */
async function compare(
  what: string,
  batch: number,
  own: Way,
  theirs: (readonly [string, Way])[],
  goal: number | undefined,
  others: (readonly [string, Way])[] = [],
): Promise<void> {
  const all: (readonly [string, Way])[] = [['forest', own], ...theirs, ...others];
  const times = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const [name, way] of all) {
      const time = await way(batch);
      // The first round warms up.
      if (round > 0 && time !== null) times.set(name, [...(times.get(name) ?? []), time]);
    }
  }
  const middle = (name: string) => spread(times.get(name) ?? []).ratio;
  const [fastest = ''] = theirs
    .map(([name]) => name)
    .filter((name) => times.has(name))
    .toSorted((a, b) => middle(a) - middle(b));
  const ours = times.get('forest') ?? [];
  const ratios = (times.get(fastest) ?? []).map((time, i) => time / (ours[i] ?? NaN));
  const parts = all
    .filter(([name]) => times.has(name))
    .map(([name]) => [`${name} µs`, middle(name)]);
  printResult({
    what: `${what}, ${batch} ${batch === 1 ? 'row' : 'rows'}`,
    ...spread(ratios),
    parts: Object.fromEntries(parts) as Record<string, number>,
    ...(goal !== undefined && { goal: `>= ${goal}` }),
    better: 'higher',
  });
}

function ownWay(compiled: CompiledForest): Way {
  return wayOf(compiled, (rows) => answerOf(compiled.runtime, rows));
}

/** Calls with different rows in turn, so that the processor cannot learn one by heart. */
function wayOf(compiled: CompiledForest, call: (rows: Tensor) => unknown): Way {
  const made = new Map<number, Tensor[]>();
  return async (batch) => {
    const count = Math.min(32, Math.floor(ROWS / batch));
    const tensors =
      made.get(batch) ??
      Array.from({ length: count }, (_, i) => tensorOf(compiled, i * batch, batch));
    made.set(batch, tensors);
    const end = performance.now() + SLICE;
    const used = process.cpuUsage();
    let calls = 0;
    do {
      for (const rows of tensors) {
        const given = call(rows);
        if (given instanceof Promise) await given;
      }
      calls += tensors.length;
    } while (performance.now() < end);
    const { user, system } = process.cpuUsage(used);
    return (user + system) / calls;
  };
}

function tensorOf({ dtype }: CompiledForest, from: number, count: number): Tensor {
  const values = data.slice(from * FEATURES, (from + count) * FEATURES);
  return {
    name: 'X',
    dtype,
    shape: [count, FEATURES],
    data: dtype === 'FP32' ? values : Float64Array.from(values),
  };
}

function answerOf(runtime: Runtime, rows: Tensor): Tensor[] {
  const answer = runtime.run([rows], ['margin']);
  if (answer instanceof Promise) throw new Error('a forest answers at once');
  return answer;
}

function margins(compiled: CompiledForest, count: number): Float32Array | Float64Array {
  const [margin] = answerOf(compiled.runtime, tensorOf(compiled, 0, count));
  if (margin?.data instanceof Float32Array || margin?.data instanceof Float64Array)
    return margin.data;
  throw new Error('the margin is not of numbers');
}

/** Speed counts only where the numbers are right, to the last bit. */
function checkEqual(theirs: Buffer, ours: Float32Array | Float64Array, library: string): void {
  const own = Buffer.from(ours.buffer, ours.byteOffset, ours.byteLength);
  if (own.length === 0 || !own.equals(theirs))
    throw new Error(`the margins are not those of ${library}`);
}

/** ONNX Runtime adds the trees in an order of its own. */
function checkClose(theirs: ArrayLike<number>, ours: ArrayLike<number>): void {
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs((theirs[i] ?? NaN) - (ours[i] ?? NaN));
    if (!(difference < 1e-5)) throw new Error(`row ${i} is ${difference} away from ONNX Runtime`);
  }
}
