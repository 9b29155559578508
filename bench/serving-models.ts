import { type Program, WeightsWriter } from '#program';
import { matMulModel } from './onnx-writer.js';

/** Models that the benches of serving ask, made here: the same at every run. */

/** Numbers from 0 to 1. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** Balanced trees with random tests of numbers from 0 to 8: a sum in float64 of the leaf of each. */
export function forestModel({ trees = 100, depth = 6, features = 4 } = {}): {
  program: Program;
  weights: Uint8Array;
} {
  const next = random(trees);
  const inner = 2 ** depth - 1;
  const size = 2 * inner + 1;
  const nodes = trees * size;
  const arrays = {
    features: new Int32Array(nodes).fill(-1),
    thresholds: new Float64Array(nodes),
    left: new Int32Array(nodes),
    right: new Int32Array(nodes),
  };
  const values = new Float64Array(trees * (inner + 1));
  for (let tree = 0, leaf = 0; tree < trees; tree++) {
    for (let node = 0; node < size; node++) {
      const at = tree * size + node;
      if (node >= inner) {
        arrays.left[at] = leaf;
        arrays.right[at] = node;
        values[leaf++] = next() - 0.5;
        continue;
      }
      arrays.features[at] = Math.floor(next() * features);
      arrays.thresholds[at] = Math.fround(next() * 8);
      arrays.left[at] = 2 * node + 1;
      arrays.right[at] = 2 * node + 2;
    }
  }
  const writer = new WeightsWriter();
  const starts = Int32Array.from({ length: trees + 1 }, (_, i) => i * size);
  const forest = {
    features,
    trees,
    columns: 1,
    comparison: '<' as const,
    inputDtype: 'FP32' as const,
    sumDtype: 'FP64' as const,
    weights: {
      starts: writer.add('INT32', starts),
      features: writer.add('INT32', arrays.features),
      thresholds: writer.add('FP64', arrays.thresholds),
      left: writer.add('INT32', arrays.left),
      right: writer.add('INT32', arrays.right),
      flags: writer.add('UINT8', new Uint8Array(nodes)),
      values: writer.add('FP64', values, [values.length, 1]),
    },
  };
  const weights = writer.toBytes();
  const program: Program = {
    schemaVersion: 1,
    importer: 'bench@1',
    format: 'xgboost',
    signature: {
      inputs: [{ name: 'X', dtype: 'FP32', shape: [-1, features] }],
      outputs: [{ name: 'predict', dtype: 'FP64', shape: [-1] }],
    },
    binding: { kind: 'table', matrix: { dtype: 'FP32', columns: features } },
    rowwise: true,
    nodes: [{ kind: 'forest', inputs: ['X'], outputs: ['predict', ''], forest }],
    weights: { size: weights.length },
    files: [],
  };
  return { program, weights };
}

/** Dense layers with Relu between them, as an ONNX model: input `x` `[N, sizes[0]]`, output `y` `[N, last]`. */
export function denseModel(sizes: number[]): Uint8Array {
  const next = random(sizes.length);
  return matMulModel(sizes, () => (next() - 0.5) / 4);
}

/** Rows of one decimal from 0 to 8, as the bodies of V2 requests. */
export function requestBodies(input: string, features: number, count = 64): string[] {
  const next = random(count);
  return Array.from({ length: count }, () => {
    const data = Array.from({ length: features }, () => Math.round(next() * 80) / 10);
    const tensor = { name: input, shape: [1, features], datatype: 'FP32', data };
    return JSON.stringify({ inputs: [tensor] });
  });
}
