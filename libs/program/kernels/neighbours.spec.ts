import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { loadDense } from '../dense.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments } from './kernel.js';
import { kernels } from './kernels.js';

const WIDTH = 11;
const cell = fc.oneof(
  fc.integer({ min: -20, max: 20 }).map((x) => x / 4),
  fc.double({ min: -5, max: 5, noNaN: true }),
);
const row = fc.array(cell, { minLength: WIDTH, maxLength: WIDTH });

/** Distances as a plain loop sums them. */
const METRICS = {
  euclidean: (x: number[], y: number[]) => Math.sqrt(sum(x, y, (d) => d * d)),
  manhattan: (x: number[], y: number[]) => sum(x, y, Math.abs),
  chebyshev: (x: number[], y: number[]) =>
    x.reduce((most, value, i) => Math.max(most, Math.abs(value - (y[i] ?? NaN))), 0),
};
type MetricName = keyof typeof METRICS;
const METRIC_NAMES = ['euclidean', 'manhattan', 'chebyshev'] as const;
const TREES = ['none', 'merged', 'kd', 'ball'] as const;

function sum(x: number[], y: number[], of: (difference: number) => number): number {
  return x.reduce((all, value, i) => all + of(value - (y[i] ?? NaN)), 0);
}

beforeAll(loadDense);

describe('nearest neighbours', () => {
  it('have the mean that a naive version finds, to the last bit, with each metric and tree', () => {
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 6 }),
        fc.array(row, { minLength: 2, maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(...METRIC_NAMES),
        fc.constantFrom(...TREES),
        (rows, points, asked, metric, tree) => {
          const neighbours = Math.min(asked, points.length);
          for (const [r, own] of rows.entries()) {
            // With each point's distance as its target, it does not matter which of equally far points are chosen.
            const targets = points.map((point) => METRICS[metric](own, point));
            const near = targets.toSorted((a, b) => a - b).slice(0, neighbours);
            const mean = near.reduce((all, distance) => all + distance, 0) / neighbours;
            expect(answer({ rows, points, targets, neighbours, metric, tree })[r]).toBe(mean);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('stay in their order where numbers are too large for squares, or none', () => {
    const points = [
      Array.from({ length: WIDTH }, () => 1e200),
      Array.from({ length: WIDTH }, () => 0),
    ];
    const rows = [Array.from({ length: WIDTH }, () => NaN), Array.from({ length: WIDTH }, () => 1)];
    const targets = [5, 7];
    for (const tree of TREES) {
      const given = { rows, points, targets, neighbours: 1, metric: 'euclidean' as const, tree };
      expect(answer(given)[1]).toBe(7);
    }
  });
});

interface Given {
  rows: number[][];
  points: number[][];
  targets: number[];
  neighbours: number;
  metric: MetricName;
  tree: (typeof TREES)[number];
}

function answer({ rows, points, targets, neighbours, metric, tree }: Given): number[] {
  const writer = new WeightsWriter();
  const weights = {
    points: writer.add('FP64', Float64Array.from(points.flat()), [points.length, WIDTH]),
    targets: writer.add('FP64', Float64Array.from(targets), [points.length, 1]),
    ...(tree === 'kd' || tree === 'ball' ? treeOf(writer, points, tree, metric) : {}),
  };
  const node = {
    kind: 'kernel' as const,
    kernel: 'tree-neighbours',
    inputs: [],
    outputs: [],
    attributes: { neighbours, weights: 'uniform', metric, tree },
    weights,
  };
  const given = new KernelArguments(node, new WeightsReader(writer.toBytes()), '');
  const data = Float64Array.from(rows.flat());
  const [value] =
    kernels.get('tree-neighbours')?.(given)([
      { dtype: 'FP64', shape: [rows.length, WIDTH], data },
    ]) ?? [];
  return [...(value?.data ?? [])].map(Number);
}

/** A root and two leaves, each with half of the points by their first column. */
function treeOf(
  writer: WeightsWriter,
  points: number[][],
  kind: 'kd' | 'ball',
  metric: MetricName,
) {
  const order = [...points.keys()].toSorted(
    (a, b) => (points[a]?.[0] ?? 0) - (points[b]?.[0] ?? 0),
  );
  const half = points.length >> 1;
  const ranges = [
    [0, points.length],
    [0, half],
    [half, points.length],
  ];
  const members = ranges.map(([from, to]) => order.slice(from, to).map((p) => points[p] ?? []));
  const columns = Array.from({ length: WIDTH }, (_, column) => column);
  const extreme = (of: (...values: number[]) => number) =>
    members.flatMap((own) => columns.map((c) => of(...own.map((point) => point[c] ?? NaN))));
  const integers = (numbers: number[]) => writer.add('INT32', Int32Array.from(numbers));
  const floats = (numbers: number[]) => writer.add('FP64', Float64Array.from(numbers));
  const centres = members.map(([first = []]) => first);
  const radii = members.map((own, node) =>
    Math.max(...own.map((point) => METRICS[metric](centres[node] ?? [], point))),
  );
  return {
    order: integers(order),
    starts: integers(ranges.map(([from = 0]) => from)),
    ends: integers(ranges.map(([, to = 0]) => to)),
    leaves: integers([0, 1, 1]),
    ...(kind === 'kd'
      ? { bounds: floats([...extreme(Math.min), ...extreme(Math.max)]) }
      : // A little more than the radius, as rounding may make a distance from a centre too long.
        { bounds: floats(centres.flat()), radii: floats(radii.map((x) => x * (1 + 1e-12))) }),
  };
}
