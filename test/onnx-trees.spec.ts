import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { bindInputs, loadProgram, type Tensor } from '#program';
import { bridgeGraph } from '../libs/formats/onnx/onnx-bridging.js';
import { compileMlGraph } from '../libs/formats/onnx/onnx-ml-graph.js';
import { readOnnxModel } from '../libs/formats/onnx/onnx-model.js';
import { numberOf, treeFolder, ulpsBetween } from './support/tree-fixtures.js';

/** What a library and ONNX Runtime said of a model; that of the repository's own in one thread, so that sums have one order. */
interface Expected {
  X: unknown[][];
  onnxruntime?: Record<string, unknown[]>;
}

interface Fixture {
  file: string;
  own: boolean;
}

const own = join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'trees');

/** Graphs that are left to ONNX Runtime. */
const LEFT = [
  'decision_tree.onnx', // the path as a text
  'five_most.onnx',
  'hand_equal.onnx', // tests for one number
  'hand_least.onnx',
  'hand_one_weight_mixed.onnx', // the second class in a form that exporters do not write
  'hand_one_weight_positive_logistic.onnx',
  'hand_sparse_classes.onnx', // classes that no tree may have a number for
  'isolation_forest.onnx',
  'rf_regressor_double.onnx', // declares doubles where ONNX has floats: ONNX Runtime refuses it
  'sk_sgd_log.onnx',
];

/** Where ONNX Runtime 1.30 is wrong: it answers the label 1, or leaves `post_transform` out. */
const OTHERWISE: Record<string, string[]> = {
  'hand_logistic_target.onnx': ['Y'],
  'hand_two_classes.onnx': ['label'],
  'hand_two_classes_mixed.onnx': ['label'],
  'hand_two_classes_softmax.onnx': ['label'],
};

/** ONNX leaves the order of these sums, and the last bit of Exp, to the runtime. */
const ROUNDED = /linear|ridge|logistic_(?:binary|classes|texts)|poisson|gamma/;

function fixturesOf(folder: string, isOwn: boolean): Fixture[] {
  return readdirSync(join(folder, 'onnx')).flatMap((version) =>
    readdirSync(join(folder, 'onnx', version))
      .filter((name) => name.endsWith('.onnx'))
      .map((name) => ({ file: join(folder, 'onnx', version, name), own: isOwn })),
  );
}

function allFixtures(): [string, Fixture][] {
  const { folder, shared } = treeFolder();
  const found = [...fixturesOf(own, true), ...(shared ? fixturesOf(folder, false) : [])];
  return found.map((fixture) => [fixture.file.split('/').slice(-2).join('/'), fixture]);
}

function compiled(file: string) {
  const { graph, ...model } = readOnnxModel(readFileSync(file));
  if (!graph) throw new Error(`${file} has no graph`);
  const whole = { ...model, graph };
  return compileMlGraph(whole, bridgeGraph(whole, []), 'onnx@test');
}

describe('trees and linear models inside ONNX', () => {
  it.each(allFixtures())('%s', async (_, { file, own: isOwn }) => {
    const name = file.split('/').at(-1) ?? '';
    const result = compiled(file);
    if (LEFT.includes(name)) {
      expect(result).toBeUndefined();
      return;
    }
    if (!result) throw new Error('it was left to ONNX Runtime');
    const runtime = await loadProgram(JSON.parse(JSON.stringify(result.program)), result.weights);
    const { X, onnxruntime } = JSON.parse(
      readFileSync(file.replace(/onnx$/, 'expected.json'), 'utf8'),
    ) as Expected;
    const outputs = runtime.signature.outputs.map((output) => output.name);
    const ask = (rows: unknown[][]) =>
      runtime.run(bindInputs(runtime, tensorsOf(rows, runtime), { maxRows: 10_000 }), outputs);
    const got = await ask(X);
    for (const tensor of got) {
      const want = onnxruntime?.[tensor.name]?.flat(2);
      if (!want || OTHERWISE[name]?.includes(tensor.name)) continue;
      compare(tensor, want, isOwn && !ROUNDED.test(name));
    }
    const [first] = await ask(X.slice(0, 1));
    expect(String(first?.data[0])).toBe(String(got[0]?.data[0]));
    checkLabels(name, got);
  });
});

/** The label is that of the largest number also where ONNX Runtime says otherwise. */
function checkLabels(name: string, [label, probabilities]: Tensor[]): void {
  if (!OTHERWISE[name]?.includes('label')) return;
  const scores = [...(probabilities?.data ?? [])].map(Number);
  const right = [...(label?.data ?? [])].every(
    (got, row) => Number(got) === 10 + Number((scores[2 * row + 1] ?? 0) > (scores[2 * row] ?? 0)),
  );
  expect(right).toBe(true);
  expect(new Set([...(label?.data ?? [])].map(Number))).toEqual(new Set([10, 11]));
}

function compare(got: Tensor, want: unknown[], exact: boolean): void {
  expect(got.data).toHaveLength(want.length);
  for (const [i, expected] of want.entries()) {
    const mine = got.data[i];
    if (got.dtype === 'BYTES' || got.dtype === 'INT64') {
      expect(String(mine)).toBe(String(expected));
      continue;
    }
    const [x, y] = [Number(mine), numberOf(expected)];
    if (exact ? ulpsBetween(x, y, got.dtype) > 0 : Math.abs(x - y) > 1e-5 * (1 + Math.abs(y))) {
      throw new Error(`${got.name}[${i}] is ${x} where ONNX Runtime said ${y}`);
    }
  }
}

function tensorsOf(
  rows: unknown[][],
  { signature }: { signature: { inputs: { name: string; dtype: string; shape: number[] }[] } },
): Tensor[] {
  const { inputs } = signature;
  return inputs.map(({ name, dtype }, column): Tensor => {
    const cells = inputs.length === 1 ? rows.flat() : rows.map((row) => row[column]);
    const numbers = cells.map(numberOf);
    const shape = [rows.length, numbers.length / rows.length];
    return dtype === 'FP64'
      ? { name, dtype, shape, data: Float64Array.from(numbers) }
      : { name, dtype: 'FP32', shape, data: Float32Array.from(numbers) };
  });
}
