import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Attribute, KernelNode, WeightRef } from '../program.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments, type Value } from './kernel.js';
import { onnxMl } from './onnx-ml.js';

const { fround } = Math;

interface Given {
  attributes?: Record<string, Attribute>;
  weights?: Record<string, { data: number[]; shape?: number[] }>;
}

/** Runs a kernel on matrices FP32. */
function run(kernel: string, matrices: number[][][], given: Given = {}): Value {
  const writer = new WeightsWriter();
  const weights: Record<string, WeightRef> = {};
  for (const [name, { data, shape }] of Object.entries(given.weights ?? {})) {
    weights[name] = writer.add('FP32', Float32Array.from(data), shape);
  }
  const { attributes = {} } = given;
  const node: KernelNode = { kind: 'kernel', kernel, inputs: [], outputs: [], attributes, weights };
  const make = onnxMl[kernel];
  if (!make) throw new Error(`there is no kernel ${kernel}`);
  const prepared = make(new KernelArguments(node, new WeightsReader(writer.toBytes()), '/nodes/0'));
  const inputs = matrices.map((rows): Value => ({
    dtype: 'FP32',
    shape: [rows.length, rows[0]?.length ?? 0],
    data: Float32Array.from(rows.flat()),
  }));
  const [answer] = prepared(inputs);
  if (!answer) throw new Error('there is no answer');
  return answer;
}

const numbers = (least: number, most: number) =>
  fc.float({ min: fround(least), max: fround(most), noNaN: true });
const matrix = (columns: number, least = -30, most = 30) =>
  fc.array(fc.array(numbers(least, most), { minLength: columns, maxLength: columns }), {
    minLength: 1,
    maxLength: 6,
  });

const row3 = fc.array(numbers(-30, 30), { minLength: 3, maxLength: 3 });

function close(got: ArrayLike<unknown>, want: number[], tolerance = 1e-6): void {
  expect(got).toHaveLength(want.length);
  want.forEach((x, i) =>
    expect(Math.abs(Number(got[i]) - x)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(x))),
  );
}

describe('kernels of ai.onnx.ml', () => {
  it('onnx-logistic is the logistic function, alone or with that of the opposite', () => {
    fc.assert(
      fc.property(matrix(1), (rows) => {
        const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
        close(run('onnx-logistic', [rows]).data, rows.flat().map(sigmoid));
        const both = run('onnx-logistic', [rows], { attributes: { both: true } });
        expect(both.shape).toEqual([rows.length, 2]);
        close(
          both.data,
          rows.flat().flatMap((x) => [sigmoid(-x), sigmoid(x)]),
        );
      }),
    );
  });

  it('onnx-softmax is the softmax of each row', () => {
    fc.assert(
      fc.property(matrix(4), (rows) => {
        const want = rows.flatMap((row) => {
          const largest = Math.max(...row);
          const sum = row.reduce((total, x) => total + Math.exp(x - largest), 0);
          return row.map((x) => Math.exp(x - largest) / sum);
        });
        close(run('onnx-softmax', [rows]).data, want);
      }),
    );
  });

  it('onnx-scale, onnx-arithmetic and onnx-linear compute column by column', () => {
    fc.assert(
      fc.property(matrix(3), row3, row3, (rows, a, b) => {
        const scaled = run('onnx-scale', [rows], {
          weights: { offset: { data: a }, scale: { data: b } },
        });
        expect([...scaled.data]).toEqual(
          rows.flatMap((row) => row.map((x, i) => fround(fround(x - (a[i] ?? 0)) * (b[i] ?? 0)))),
        );
        const less = run('onnx-arithmetic', [rows], {
          attributes: { how: 'Sub' },
          weights: { operand: { data: a } },
        });
        expect([...less.data]).toEqual(
          rows.flatMap((row) => row.map((x, i) => fround(x - (a[i] ?? 0)))),
        );
        const sums = run('onnx-linear', [rows], {
          weights: { coefficients: { data: b, shape: [3, 1] }, intercept: { data: [1.5] } },
        });
        close(
          sums.data,
          rows.map((row) => row.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 1.5)),
          1e-4,
        );
      }),
    );
  });

  it('onnx-impute fills what is missing', () => {
    const fill = { fill: { data: [7, 8] } };
    const rows = [
      [NaN, 1],
      [-1, NaN],
    ];
    const nan = run('onnx-impute', [rows], { attributes: { nan: true }, weights: fill });
    expect([...nan.data]).toEqual([7, 1, -1, 8]);
    const attributes = { nan: false, missing: -1 };
    const minus = run('onnx-impute', [rows], { attributes, weights: fill });
    expect([...minus.data]).toEqual([NaN, 1, 7, NaN]);
  });

  it('onnx-normalise makes absolute values add up to 1, and leaves zeros', () => {
    fc.assert(
      fc.property(matrix(3, 0.001, 100), (rows) => {
        const { data } = run('onnx-normalise', [rows]);
        rows.forEach((_, row) => {
          const parts = [0, 1, 2].map((i) => Number(data[3 * row + i]));
          close([parts.reduce((sum, x) => sum + x, 0)], [1]);
        });
      }),
    );
    expect([...run('onnx-normalise', [[[0, 0]]]).data]).toEqual([0, 0]);
  });

  it('onnx-join puts columns side by side, onnx-named-columns names them', () => {
    const joined = run('onnx-join', [
      [[1], [2]],
      [
        [3, 4],
        [5, 6],
      ],
    ]);
    expect(joined.shape).toEqual([2, 3]);
    expect([...joined.data]).toEqual([1, 3, 4, 2, 5, 6]);
    const named = run('onnx-named-columns', [[[1, 2]]], { attributes: { labels: ['a', 'b'] } });
    expect(named.parameters).toEqual({ labels: ['a', 'b'] });
    expect(() => run('onnx-named-columns', [[[1]]], { attributes: { labels: [1, 2] } })).toThrow(
      /labels and columns differ/,
    );
  });
});
