// How fast models of every library answer beside the library itself, numpy, and ONNX Runtime, each on one thread; turn by turn,
// by processor time, different rows in each call. Run: node dist/bench/formats.js [rounds] [part of the models' names]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OrtModel, OwnModel, SLICE, type Goals, type Trained } from './format-models.js';
import { benchPython, PythonProcess } from './python.js';
import { printResult, spread } from './result.js';

const BATCHES = [1, 100, 10_000];
const ORT_GOALS: Goals = { 1: 5, 10_000: 2 };
/** Answers are those of the library to so much, relative to the largest: the tests look closer. */
const TOLERANCE = 1e-9;

/** One way to answer: gives the processor time (µs) of a call, averaged over a turn; null where it cannot. */
interface Way {
  goals: Goals;
  measure: (batch: number) => Promise<number | null>;
}

const rounds = Number(process.argv[2] ?? 7);
const part = process.argv[3] ?? '';
const folder = mkdtempSync(join(tmpdir(), 'slipway-formats-'));
const found = benchPython('formats');
try {
  if ('reason' in found) {
    console.log(`The bench is left out: no Python with the libraries (${found.reason})`);
  } else {
    const python = new PythonProcess(found.python, 'format_predictors.py');
    const { models } = await python.ask<{ models: string[] }>({ list: true });
    for (const name of models.filter((model) => model.includes(part))) {
      await benchModel(python, name).catch((error: unknown) => leaveOut(name, error));
    }
    python.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function leaveOut(name: string, error: unknown): void {
  console.log(`${name} is left out: ${error instanceof Error ? error.message : String(error)}`);
}

async function benchModel(python: PythonProcess, name: string): Promise<void> {
  const trained = await python.ask<Trained | { error: string }>({ train: name, folder });
  if ('error' in trained) throw new Error(trained.error);
  const model = await OwnModel.load(trained);
  const { answer } = await python.ask<{ answer: string }>({ predict: 1000 });
  checkClose(doublesOf(answer), model.answer(1000));
  const theirs = Object.entries(trained.ways).map(([way, goals]): [string, Way] => [
    way,
    { goals, measure: (batch) => askPython(python, way, batch) },
  ]);
  const ort = trained.onnx === null ? undefined : await OrtModel.load(trained.onnx, model);
  if (ort) theirs.push(['onnxruntime-node', { goals: ORT_GOALS, measure: (n) => ort.measure(n) }]);
  model.warmUp();
  for (const batch of BATCHES) await compare(name, batch, model, theirs);
  await ort?.session.release();
}

async function askPython(python: PythonProcess, way: string, rows: number): Promise<number | null> {
  const request = { way, rows, milliseconds: SLICE };
  const { microseconds } = await python.ask<{ microseconds: number | null }>(request);
  return microseconds;
}

/** Prints our speed as a multiple of that of each other way. */
async function compare(
  name: string,
  batch: number,
  model: OwnModel,
  theirs: [string, Way][],
): Promise<void> {
  const ours: number[] = [];
  const times = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    const own = await model.measure(batch);
    // The first round warms up.
    if (round > 0) ours.push(own);
    for (const [way, { measure }] of theirs) {
      const time = await measure(batch);
      if (round > 0 && time !== null) times.set(way, [...(times.get(way) ?? []), time]);
    }
  }
  for (const [way, { goals }] of theirs) {
    const took = times.get(way);
    if (!took) continue;
    const goal = goals[batch];
    printResult({
      what: `${name}, to ${way}, ${batch} ${batch === 1 ? 'row' : 'rows'}`,
      ...spread(took.map((time, i) => time / (ours[i] ?? NaN))),
      parts: { 'program µs': spread(ours).ratio, 'theirs µs': spread(took).ratio },
      ...(goal !== undefined && { goal: `>= ${goal}` }),
      better: 'higher',
    });
  }
}

function doublesOf(base64: string): Float64Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float64Array(bytes.buffer);
}

/** Speed counts only where the numbers are right. */
function checkClose(theirs: Float64Array, ours: ArrayLike<number>): void {
  if (ours.length !== theirs.length)
    throw new Error(`there are ${ours.length} numbers where the library says ${theirs.length}`);
  const largest = theirs.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  for (const [i, x] of theirs.entries()) {
    if (!(Math.abs(x - (ours[i] ?? NaN)) <= largest * TOLERANCE))
      throw new Error(`number ${i} is ${ours[i]} where the library says ${x}`);
  }
}
