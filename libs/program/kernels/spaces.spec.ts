import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TypedArray } from '../dtype.js';
import type { Attribute, WeightRef } from '../program.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { erf } from './erf.js';
import { KernelArguments, type Value } from './kernel.js';
import { kernels } from './kernels.js';
import { NeighbourHeap } from './neighbour-heap.js';

type Weights = Record<string, { dtype: WeightRef['dtype']; data: TypedArray; shape?: number[] }>;

/** Runs one kernel as a program would. */
function run(
  kernel: string,
  rows: number[][],
  attributes: Record<string, Attribute>,
  given: Weights,
): Value {
  const writer = new WeightsWriter();
  const weights = Object.fromEntries(
    Object.entries(given).map(([name, { dtype, data, shape }]) => [
      name,
      writer.add(dtype, data, shape),
    ]),
  );
  const reader = new WeightsReader(writer.toBytes());
  const node = { kind: 'kernel' as const, kernel, inputs: [], outputs: [], attributes, weights };
  const [answer] =
    kernels.get(kernel)?.(new KernelArguments(node, reader, ''))([fp64Value(rows)]) ?? [];
  if (!answer) throw new Error(`there is no kernel ${kernel}`);
  return answer;
}

function fp64Value(rows: number[][]): Value {
  const data = Float64Array.from(rows.flat());
  return { dtype: 'FP64', shape: [rows.length, rows[0]?.length ?? 0], data };
}

function fp64(data: number[], ...shape: number[]) {
  return {
    dtype: 'FP64' as const,
    data: Float64Array.from(data),
    ...(shape.length > 0 && { shape }),
  };
}

const width = 3;
const cell = fc.integer({ min: -12, max: 12 }).map((x) => x / 4);
const matrix = fc.array(fc.array(cell, { minLength: width, maxLength: width }), {
  minLength: 1,
  maxLength: 12,
});

/** How exact a value has to be beside a naive sum. */
const DIGITS = 9;

describe('covariances', () => {
  const square = (a: number[], b: number[]) =>
    a.reduce((sum, x, i) => sum + (x - (b[i] ?? NaN)) ** 2, 0);
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? NaN), 0);

  it('add, multiply and raise as formulas do', () => {
    fc.assert(
      fc.property(matrix, matrix, (rows, points) => {
        const covariance = ['rbf', 'constant', 'sum', 'power', 'pair-poly', 'product'];
        const parameters = [1, 2, 0.5, 2, 0.3, 1, 3];
        const got = run(
          'covariance-sums',
          rows,
          { covariance },
          {
            points: fp64(points.flat(), points.length, width),
            parameters: fp64(parameters),
            coefficients: fp64(
              points.map((_, i) => i + 1),
              points.length,
              1,
            ),
          },
        );
        for (const [r, row] of rows.entries()) {
          const want = points.reduce((sum, point, i) => {
            const first = (Math.exp(-0.5 * (square(row, point) / 4)) + 0.5) ** 2;
            return sum + (i + 1) * first * (0.3 * dot(row, point) + 1) ** 3;
          }, 0);
          expect(Number(got.data[r]) / (Math.abs(want) + 1)).toBeCloseTo(
            want / (Math.abs(want) + 1),
            DIGITS,
          );
        }
      }),
    );
  });

  it('refuse programs that leave nothing or too much', () => {
    const weights = (parameters: number[]) => ({
      points: fp64([1, 2, 3], 1, width),
      parameters: fp64(parameters),
      coefficients: fp64([1], 1, 1),
    });
    const attempts: [string[], number[]][] = [
      [['sum'], []],
      [['constant'], []],
      [
        ['constant', 'constant'],
        [1, 2],
      ],
      [['constant'], [1, 2]],
      [['rbf'], [2, 1, 1]],
      [['nonsense'], []],
      [[], []],
    ];
    for (const [covariance, parameters] of attempts) {
      expect(() =>
        run('covariance-sums', [[1, 2, 3]], { covariance }, weights(parameters)),
      ).toThrow(/covariance-sums/);
    }
  });
});

describe('neighbours', () => {
  it('are the nearest, whatever the order in which they come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 40 }),
        (distances, size) => {
          const heap = new NeighbourHeap(Math.min(size, distances.length));
          heap.clear();
          for (const [point, distance] of distances.entries()) heap.push(distance, point);
          heap.sort();
          const sorted = distances.toSorted((a, b) => a - b);
          expect([...heap.distances]).toEqual(sorted.slice(0, heap.size));
          expect([...heap.points].map((point) => distances[point])).toEqual([...heap.distances]);
          expect(new Set(heap.points).size).toBe(heap.size);
        },
      ),
    );
  });

  it('are the same with a tree as without', () => {
    fc.assert(
      fc.property(matrix, matrix, (rows, points) => {
        const attributes = { metric: 'euclidean', connects: false, neighbours: 1 };
        const common = { points: fp64(points.flat(), points.length, width) };
        const column = (i: number) => points.map((point) => point[i] ?? NaN);
        const bounds = [Math.min, Math.max].flatMap((end) =>
          [0, 1, 2].map((i) => end(...column(i))),
        );
        const ints = (numbers: number[]) => ({
          dtype: 'INT32' as const,
          data: Int32Array.from(numbers),
        });
        const tree = {
          order: ints([...points.keys()].reverse()),
          starts: ints([0]),
          ends: ints([points.length]),
          leaves: ints([1]),
          bounds: fp64(bounds, 2, 1, width),
        };
        const least = (value: Value, row: number) => {
          const own = Array.from(
            value.data.slice(row * points.length, (row + 1) * points.length),
            Number,
          );
          return Math.max(...own);
        };
        const without = run('neighbour-graph', rows, { ...attributes, tree: 'none' }, common);
        const given = run(
          'neighbour-graph',
          rows,
          { ...attributes, tree: 'kd' },
          { ...common, ...tree },
        );
        for (const row of rows.keys()) expect(least(given, row)).toBe(least(without, row));
      }),
    );
  });

  it('refuse trees whose nodes lie outside', () => {
    const ints = (...numbers: number[]) => ({
      dtype: 'INT32' as const,
      data: Int32Array.from(numbers),
    });
    const tree =
      (starts: number, ends: number, leaf: number, order = 0) =>
      () =>
        run(
          'neighbour-graph',
          [[1, 2, 3]],
          { metric: 'euclidean', tree: 'kd', connects: true, neighbours: 1 },
          {
            points: fp64([1, 2, 3], 1, width),
            order: ints(order),
            starts: ints(starts),
            ends: ints(ends),
            leaves: ints(leaf),
            bounds: fp64([0, 0, 0, 1, 1, 1], 2, 1, width),
          },
        );
    expect(tree(0, 1, 1)).not.toThrow();
    for (const wrong of [tree(0, 2, 1), tree(-1, 1, 1), tree(0, 1, 0), tree(0, 1, 1, 7)]) {
      expect(wrong).toThrow(/neighbour-graph/);
    }
  });
});

describe('splines', () => {
  it('add up to one between the knots', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 4, noNaN: true }),
        fc.integer({ min: 0, max: 4 }),
        (x, degree) => {
          const knots = Array.from({ length: 5 + 2 * degree }, (_, i) => i - degree);
          const bases = knots.length - degree - 1;
          const identity = Array.from({ length: bases * bases }, (_, i) =>
            Number(i % (bases + 1) === 0),
          );
          const got = run(
            'splines',
            [[x]],
            { degree, extrapolation: 'error', bias: true },
            { knots: fp64(knots, 1, knots.length), coefficients: fp64(identity, 1, bases, bases) },
          );
          expect(Array.from(got.data, Number).reduce((sum, y) => sum + y, 0)).toBeCloseTo(1, 12);
        },
      ),
    );
  });
});

describe('numbers', () => {
  it('have the error function of the tables (Abramowitz and Stegun, 7.1)', () => {
    const table: [number, number][] = [
      [0, 0],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [-1.5, -0.9661051464753108],
      [6, 1],
    ];
    for (const [x, y] of table) expect(erf(x)).toBeCloseTo(y, 15);
  });
});
