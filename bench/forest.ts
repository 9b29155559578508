// How fast forests answer beside ONNX Runtime on one thread, both in this process and turn by turn.
// Run: node dist/bench/forest.js [rounds]
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { importers, type UploadedFile } from '#formats';
import {
  loadProgram,
  type Forest,
  type Program,
  type Runtime,
  type Tensor,
  type WeightRef,
} from '#program';
import { treeEnsembleModel, type ForestNodes } from './onnx-writer.js';

const MODELS = [
  'xgb_binary_100x6.json.gz',
  'xgb_binary_500x8.json.gz',
  'lgb_binary_100x6.txt.gz',
  'lgb_binary_500x8.txt.gz',
];
const BATCHES = [1, 8, 64];
/** Milliseconds of one turn. */
const SLICE = 60;

/** One way to answer: rows in, one margin a row out. */
type Answer = (rows: Tensor) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** Measures every model and prints a table; figures are medians over the rounds. */
export async function benchForest(rounds = 15): Promise<void> {
  const folder = speedFolder();
  if (!folder) {
    process.stderr.write(
      'No shared fixtures (SLIPWAY_FIXTURES): there are no models to measure.\n',
    );
    return;
  }
  console.log(
    '| model | rows | forest CPU µs | ORT session.run µs | ratio | ORT native call µs | ratio | max difference |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const name of MODELS) await benchModel(join(folder, name), name, rounds);
}

function speedFolder(): string | undefined {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return join(named, 'trees', 'speed');
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', 'trees', 'speed');
    if (existsSync(candidate)) return candidate;
  }
  return undefined;
}

async function benchModel(file: string, name: string, rounds: number): Promise<void> {
  const { runtime, onnx, dtype } = await loadBoth(file, name);
  const session = await InferenceSession.create(onnx, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const native = nativeSession(onnx);
  const ortTensor = (rows: Tensor) =>
    dtype === 'FP32'
      ? new OrtTensor('float32', rows.data as Float32Array, rows.shape)
      : new OrtTensor('float64', rows.data as Float64Array, rows.shape);
  const ways: Record<string, Answer> = {
    // Forests answer at once; only ONNX Runtime's public door is a promise.
    forest: (rows) => numbersOf(answerOf(runtime, rows)),
    session: async (rows) => (await session.run({ X: ortTensor(rows) }))['Y']?.data as Float32Array,
    native: (rows) => native.run({ X: ortTensor(rows) }, { Y: null }, {})['Y']?.data ?? [],
  };
  for (const batch of BATCHES) {
    const inputs = Array.from({ length: 64 }, (_, i) => randomRows(i + 1, batch, dtype));
    const difference = await largestDifference(ways, inputs);
    const times = await measure(ways, inputs, rounds);
    const forest = times['forest'] ?? NaN;
    const ratio = (way: string) => `${((times[way] ?? NaN) / forest).toFixed(1)}×`;
    const cells = [
      name.replace(/\..*/, ''),
      batch,
      forest.toFixed(2),
      times['session']?.toFixed(2),
      ratio('session'),
      times['native']?.toFixed(2),
      ratio('native'),
      difference.toExponential(1),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  await session.release();
}

/** The program of a model, and an ONNX graph made of the same trees. */
async function loadBoth(file: string, name: string) {
  const bytes = gunzipSync(readFileSync(file));
  const upload: UploadedFile[] = [
    {
      path: name,
      size: bytes.length,
      read: async (offset = 0, length = bytes.length) => bytes.subarray(offset, offset + length),
    },
  ];
  const importer = importers.find(
    ({ format }) => (name.startsWith('xgb') ? 'xgboost' : 'lightgbm') === format,
  );
  const verdict = await importer?.compile(upload, {});
  if (verdict?.state !== 'servable') throw new Error(`${name} is not servable`);
  const runtime: Runtime = await loadProgram(verdict.program, verdict.weights);
  const forest = forestOf(verdict.program);
  const onnx = treeEnsembleModel(forest, nodesOf(forest, verdict.weights));
  return { runtime, onnx, dtype: forest.inputDtype };
}

function forestOf(program: Program): Forest {
  const node = program.nodes.find((candidate) => candidate.kind === 'forest');
  if (node?.kind !== 'forest') throw new Error('the program has no forest');
  return node.forest;
}

function nodesOf({ weights }: Forest, bytes: Uint8Array): ForestNodes {
  const { buffer, byteOffset } = bytes;
  const int32 = ({ offset, shape }: WeightRef) =>
    new Int32Array(buffer, byteOffset + offset, shape[0]);
  const floats = ({ dtype, offset, shape }: WeightRef) =>
    dtype === 'FP32'
      ? new Float32Array(buffer, byteOffset + offset, shape[0])
      : new Float64Array(buffer, byteOffset + offset, shape[0]);
  return {
    starts: int32(weights.starts),
    features: int32(weights.features),
    thresholds: floats(weights.thresholds),
    left: int32(weights.left),
    right: int32(weights.right),
    flags: new Uint8Array(buffer, byteOffset + weights.flags.offset, weights.flags.shape[0]),
    values: floats(weights.values),
    base: weights.base ? (floats(weights.base)[0] ?? 0) : 0,
  };
}

interface NativeSession {
  loadModel(model: ArrayBufferLike, offset: number, length: number, options: object): void;
  run(feeds: object, fetches: object, options: object): Record<string, { data: Float32Array }>;
}

/** What is below `InferenceSession.run`: the call itself, without a promise and a turn of the event loop. */
function nativeSession(onnx: Uint8Array): NativeSession {
  const load = createRequire(import.meta.url);
  const native = load(join(dirname(load.resolve('onnxruntime-node')), 'binding.js')) as {
    binding: { InferenceSession: new () => NativeSession };
    initOrt(): void;
  };
  native.initOrt();
  const session = new native.binding.InferenceSession();
  session.loadModel(onnx.buffer, onnx.byteOffset, onnx.byteLength, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  return session;
}

function answerOf(runtime: Runtime, rows: Tensor): Tensor[] {
  const answer = runtime.run([rows], ['margin']);
  if (answer instanceof Promise) throw new Error('a forest answers at once');
  return answer;
}

function numbersOf(tensors: Tensor[]): ArrayLike<number> {
  const data = tensors[0]?.data;
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  throw new Error('the answer is not of numbers');
}

/** Rows like those that the models were trained on: normal, three decimals. */
function randomRows(seed: number, rows: number, dtype: 'FP32' | 'FP64'): Tensor {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const numbers = Array.from({ length: rows * 20 }, () => Math.round(normal() * 1000) / 1000);
  const data = dtype === 'FP32' ? Float32Array.from(numbers) : Float64Array.from(numbers);
  return { name: 'X', dtype, shape: [rows, 20], data };
}

async function largestDifference(ways: Record<string, Answer>, inputs: Tensor[]): Promise<number> {
  let largest = 0;
  for (const rows of inputs) {
    const own = (await ways['forest']?.(rows)) ?? [];
    const other = (await ways['native']?.(rows)) ?? [];
    for (let i = 0; i < own.length; i++) {
      largest = Math.max(largest, Math.abs((own[i] ?? NaN) - (other[i] ?? NaN)));
    }
  }
  return largest;
}

/** Median µs of processor time a call of each way, measured turn by turn so that noise falls on all alike. */
async function measure(
  ways: Record<string, Answer>,
  inputs: Tensor[],
  rounds: number,
): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, answer] of Object.entries(ways)) {
      const begun = performance.now();
      const used = process.cpuUsage();
      let calls = 0;
      while (performance.now() - begun < SLICE) {
        for (const rows of inputs) {
          const given = answer(rows);
          if (given instanceof Promise) await given;
        }
        calls += inputs.length;
      }
      // The first round warms up.
      const { user, system } = process.cpuUsage(used);
      if (round > 0) (times[name] ??= []).push((user + system) / calls);
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, list]) => [
      name,
      list.toSorted((a, b) => a - b)[list.length >> 1] ?? NaN,
    ]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await benchForest(Number(process.argv[2] ?? 15));
