import { DenseSums, type SumsBlock } from '../dense.js';
import { pow64 } from '../math/logarithms.js';
import { floatsOf, onlyInput, tableShape, type Kernel, type KernelArguments } from './kernel.js';

type Floats = Float32Array | Float64Array;
type Distance = (x: Floats, from: number, y: Floats, at: number, width: number) => number;

/** Kernels that measure how far rows FP64 `[rows, columns]` are from known points, weight `points` FP64 `[points, columns]`. */
export const distances: Record<string, Kernel> = {
  /** The Euclidean distance to each point: `[rows, points]`. */
  'point-distances': (given) => {
    const points = pointsOf(given);
    const distances = new SquaredDistances(points);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, points.width);
      const data = new Float64Array(rows * points.count);
      distances.each(source, rows, (row, squares, at) => {
        const to = row * points.count;
        for (let i = 0; i < points.count; i++) data[to + i] = Math.sqrt(squares[at + i] ?? NaN);
      });
      return [{ dtype: 'FP64', shape: [rows, points.count], data }];
    };
  },

  /** The nearest point by Euclidean distance, the first of equals: INT32 `[rows]`. */
  'nearest-point': (given) => {
    const points = pointsOf(given);
    const distances = new SquaredDistances(points);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, points.width);
      const data = new Int32Array(rows);
      distances.each(source, rows, (row, squares, at) => {
        let least = Infinity;
        for (let point = 0; point < points.count; point++) {
          const distance = squares[at + point] ?? NaN;
          if (distance < least) {
            least = distance;
            data[row] = point;
          }
        }
      });
      return [{ dtype: 'INT32', shape: [rows], data }];
    };
  },

  /**
   * Of the attribute `neighbours` nearest points, weighted as the attribute `weights` says (`uniform`, or `distance`: by its
   * inverse, points at distance 0 alone): the mean of their `targets` FP64 `[points, outputs]`, or with the attribute
   * `classes` the share of each class INT32 `targets` `[points]` (sklearn/neighbors, 0.22 to 1.8). Attribute `metric`:
   * euclidean, manhattan, chebyshev, or minkowski with the attribute `p`.
   */
  'nearest-neighbours': (given) => {
    const points = pointsOf(given);
    const count = given.integer('neighbours', 1, points.count);
    const byDistance = given.oneOf('weights', ['uniform', 'distance']) === 'distance';
    const metric = metricOf(given);
    const sum = given.has('classes') ? sharesOf(given, points.count) : meansOf(given, points.count);
    const near = new Nearest(count);
    const weights = new Float64Array(count);
    const distances = metric.reduced === squared ? new SquaredDistances(points) : undefined;
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, points.width);
      const data = new Float64Array(rows * sum.outputs);
      distances?.each(source, rows, (row, squares, at) => {
        near.clear();
        near.offerAll(squares, at, points.count);
        weigh(near, weights, byDistance ? metric.whole : undefined);
        sum.write(near.points, weights, data, row * sum.outputs);
      });
      for (let row = 0; row < rows && !distances; row++) {
        near.clear();
        for (let point = 0; point < points.count; point++) {
          near.offer(
            metric.reduced(
              source,
              row * points.width,
              points.data,
              point * points.width,
              points.width,
            ),
            point,
          );
        }
        weigh(near, weights, byDistance ? metric.whole : undefined);
        sum.write(near.points, weights, data, row * sum.outputs);
      }
      return [
        {
          dtype: 'FP64',
          shape: sum.outputs === 1 && !given.has('classes') ? [rows] : [rows, sum.outputs],
          data,
        },
      ];
    };
  },
};

export interface Points {
  data: Floats;
  count: number;
  width: number;
}

function pointsOf(given: KernelArguments): Points {
  const { data, shape } = given.floats('points', 2);
  const [count = 0, width = 0] = shape;
  if (count < 1) given.fail('points');
  return { data, count, width };
}

function rowsOf(given: KernelArguments, inputs: Parameters<typeof onlyInput>[0], width: number) {
  const input = onlyInput(inputs);
  const { rows, columns } = tableShape(input);
  if (columns !== width) given.fail(`${columns} columns where ${width} are expected`);
  return { source: floatsOf(input.data, 'rows'), rows };
}

/** Squared Euclidean distances, each summed from the first column to the last: in the dense kernel where the points fit it. */
export class SquaredDistances {
  private readonly sums: DenseSums;

  constructor(private readonly points: Points) {
    const { data, count, width } = points;
    this.sums = new DenseSums({
      kind: 'squares',
      width,
      outputs: count,
      at: (column, point) => data[point * width + column] ?? NaN,
    });
  }

  /** Whether the dense kernel computes them; only then `prepare` is called. */
  get areDense(): boolean {
    return this.sums.fits;
  }

  /**
   * `take` is given the distances of each row: those from `at` on. They may be changed, those of a whole block by `prepare`.
   */
  each(
    source: Floats,
    rows: number,
    take: (row: number, squares: Float64Array, at: number) => void,
    prepare?: (squares: Float64Array, block: SumsBlock) => void,
  ): void {
    if (this.areDense) {
      this.sums.run(source, rows, (squares, block) => {
        prepare?.(squares, block);
        const { first, count, stride } = block;
        for (let row = 0; row < count; row++) take(first + row, squares, row * stride);
      });
      return;
    }
    const { data, count, width } = this.points;
    const squares = new Float64Array(count);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < count; i++)
        squares[i] = squared(source, row * width, data, i * width, width);
      take(row, squares, 0);
    }
  }
}

function squared(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) {
    const difference = (x[from + i] ?? NaN) - (y[at + i] ?? NaN);
    sum += difference * difference;
  }
  return sum;
}

/** A metric: what orders distances, and the distance itself. */
function metricOf(given: KernelArguments): {
  reduced: Distance;
  whole: (reduced: number) => number;
} {
  const metric = given.oneOf('metric', ['euclidean', 'manhattan', 'chebyshev', 'minkowski']);
  const p = metric === 'minkowski' ? given.number('p') : 2;
  switch (metric) {
    case 'euclidean':
      return { reduced: squared, whole: Math.sqrt };
    case 'minkowski':
      return { reduced: powers(p), whole: (x) => pow64(x, 1 / p) };
    case 'manhattan':
      return { reduced: powers(1), whole: (x) => x };
    case 'chebyshev':
      return { reduced: largestDifference, whole: (x) => x };
  }
}

function powers(p: number): Distance {
  return (x, from, y, at, width) => {
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const difference = Math.abs((x[from + i] ?? NaN) - (y[at + i] ?? NaN));
      sum += p === 1 ? difference : pow64(difference, p);
    }
    return sum;
  };
}

function largestDifference(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let most = 0;
  for (let i = 0; i < width; i++) {
    most = Math.max(most, Math.abs((x[from + i] ?? NaN) - (y[at + i] ?? NaN)));
  }
  return most;
}

/** The nearest so far, in ascending order; of equals the first offered. */
class Nearest {
  readonly points: Int32Array;
  readonly distances: Float64Array;

  constructor(private readonly count: number) {
    this.points = new Int32Array(count);
    this.distances = new Float64Array(count);
  }

  clear(): void {
    this.distances.fill(Infinity);
  }

  /** Offers points 0, 1, … with the distances from `at` on. */
  offerAll(distances: Float64Array, at: number, count: number): void {
    let farthest = this.distances.at(-1) ?? 0;
    for (let point = 0; point < count; point++) {
      const distance = distances[at + point] ?? NaN;
      if (!(distance < farthest)) continue;
      this.offer(distance, point);
      farthest = this.distances.at(-1) ?? 0;
    }
  }

  offer(distance: number, point: number): void {
    const { count, distances, points } = this;
    if (!(distance < (distances[count - 1] ?? 0))) return;
    let place = count - 1;
    for (; place > 0 && (distances[place - 1] ?? 0) > distance; place--) {
      distances[place] = distances[place - 1] ?? 0;
      points[place] = points[place - 1] ?? 0;
    }
    distances[place] = distance;
    points[place] = point;
  }
}

/** `whole`: weights are inverse distances; absent: all are 1. */
function weigh(near: Nearest, weights: Float64Array, whole?: (reduced: number) => number): void {
  if (!whole) {
    weights.fill(1);
    return;
  }
  const exact = near.distances.includes(0);
  for (let i = 0; i < weights.length; i++) {
    const distance = near.distances[i] ?? NaN;
    weights[i] = exact ? Number(distance === 0) : 1 / whole(distance);
  }
}

interface Sum {
  outputs: number;
  write(points: Int32Array, weights: Float64Array, data: Float64Array, at: number): void;
}

function meansOf(given: KernelArguments, count: number): Sum {
  const { data: targets, shape } = given.floats('targets', 2);
  const [rows, outputs = 1] = shape;
  if (rows !== count) given.fail('targets');
  return {
    outputs,
    write(points, weights, data, at) {
      for (let output = 0; output < outputs; output++) {
        let sum = 0;
        let total = 0;
        for (let i = 0; i < points.length; i++) {
          const weight = weights[i] ?? 0;
          sum += (targets[(points[i] ?? 0) * outputs + output] ?? NaN) * weight;
          total += weight;
        }
        data[at + output] = sum / total;
      }
    },
  };
}

function sharesOf(given: KernelArguments, count: number): Sum {
  const targets = given.int32('targets');
  const outputs = given.integer('classes', 1, 100_000);
  if (targets.length !== count || targets.some((k) => k < 0 || k >= outputs)) given.fail('targets');
  return {
    outputs,
    write(points, weights, data, at) {
      let total = 0;
      for (let i = 0; i < points.length; i++) {
        const to = at + (targets[points[i] ?? 0] ?? 0);
        data[to] = (data[to] ?? 0) + (weights[i] ?? 0);
        total += weights[i] ?? 0;
      }
      for (let k = 0; k < outputs; k++) data[at + k] = (data[at + k] ?? 0) / (total || 1);
    },
  };
}
