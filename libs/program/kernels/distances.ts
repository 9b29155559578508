import { DenseSums, type SumsBlock } from '../dense.js';
import { rowsOf, type Kernel, type KernelArguments } from './kernel.js';
import { squares } from './measures.js';

type Floats = Float32Array | Float64Array;

/** Kernels that measure how far rows FP64 `[rows, columns]` are from known points, weight `points` FP64 `[points, columns]`. */
export const distances: Record<string, Kernel> = {
  /** The Euclidean distance to each point: `[rows, points]`. */
  'point-distances': (given) => {
    const points = pointsOf(given);
    const distances = new SquaredDistances(points);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, points.width);
      const data = new Float64Array(rows * points.count);
      distances.each(source, rows, (row, sums, at) => {
        const to = row * points.count;
        for (let i = 0; i < points.count; i++) data[to + i] = Math.sqrt(sums[at + i] ?? NaN);
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
      distances.each(source, rows, (row, sums, at) => {
        let least = Infinity;
        for (let point = 0; point < points.count; point++) {
          const distance = sums[at + point] ?? NaN;
          if (distance < least) {
            least = distance;
            data[row] = point;
          }
        }
      });
      return [{ dtype: 'INT32', shape: [rows], data }];
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
    take: (row: number, sums: Float64Array, at: number) => void,
    prepare?: (sums: Float64Array, block: SumsBlock) => void,
  ): void {
    if (this.areDense) {
      this.sums.run(source, rows, (sums, block) => {
        prepare?.(sums, block);
        const { first, count, stride } = block;
        for (let row = 0; row < count; row++) take(first + row, sums, row * stride);
      });
      return;
    }
    const { data, count, width } = this.points;
    const sums = new Float64Array(count);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < count; i++) {
        sums[i] = squares(source, row * width, data, i * width, width);
      }
      take(row, sums, 0);
    }
  }
}
