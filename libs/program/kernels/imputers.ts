import { ProgramError } from '../program-error.js';
import { introselect } from './introselect.js';
import {
  floatsOf,
  onlyInput,
  rowsOf,
  tableShape,
  type Kernel,
  type KernelArguments,
} from './kernel.js';

/** Kernels that fill missing values from other columns and rows (sklearn/impute, 0.22 to 1.8). FP64. */
export const imputers: Record<string, Kernel> = {
  /**
   * Missing values from the nearest rows that have one (KNNImputer): weights `rows` FP64 `[n, columns]` with NaN where they
   * miss, attribute `neighbors`, attribute `weights` = uniform or distance. A row without any common column gets the mean of
   * the column. Of equally near rows those count that numpy's argpartition
   * puts first.
   */
  'nearest-fill': (given) => {
    const { data: known, shape } = given.floats('rows', 2);
    const [count = 0, width = 0] = shape;
    const nearest: Nearest = {
      known,
      count,
      width,
      neighbors: given.integer('neighbors', 1, 2 ** 31),
      byDistance: given.oneOf('weights', ['uniform', 'distance']) === 'distance',
    };
    const means = meansOf(nearest);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(source);
      const distances = new Float64Array(count);
      for (let row = 0; row < rows; row++) {
        const own = source.subarray(row * width, (row + 1) * width);
        if (!own.some(Number.isNaN)) continue;
        measure(own, nearest, distances);
        for (let column = 0; column < width; column++) {
          if (!Number.isNaN(own[column])) continue;
          const found = average(column, nearest, distances);
          data[row * width + column] = found ?? means[column] ?? NaN;
        }
      }
      return [{ dtype: 'FP64', shape: [rows, width], data }];
    };
  },

  /**
   * A column `[rows]` with another one in its place where a third one is NaN, kept within the weight `limits` FP64
   * `[lowest, highest]`.
   */
  'fill-where': (given) => {
    const [low = -Infinity, high = Infinity] = given.floats('limits', 1).data;
    return (inputs) => {
      const [column, filling, asked] = inputs.map(({ data }) => floatsOf(data, 'a column'));
      if (!column || !filling || !asked) return given.fail('takes three columns');
      if (filling.length !== column.length || asked.length !== column.length) {
        given.fail('the columns differ');
      }
      const data = new Float64Array(column);
      for (let row = 0; row < data.length; row++) {
        if (!Number.isNaN(asked[row])) continue;
        data[row] = Math.min(Math.max(filling[row] ?? NaN, low), high);
      }
      return [{ dtype: 'FP64', shape: [data.length], data }];
    };
  },

  /**
   * Hands numbers on, or refuses with INVALID_INPUT a missing value (see `fill-missing`) in a column that is not in the weight
   * `columns` INT32; `owner` is for the message (MissingIndicator with error_on_new).
   */
  'refuse-new-missing': (given) => {
    const allowed = new Set(given.int32('columns'));
    const owner = given.text('owner');
    const isMissing = missingTest(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      const data = floatsOf(input.data, 'input of refuse-new-missing');
      for (let i = 0; i < data.length; i++) {
        if (!isMissing(data[i] ?? NaN) || allowed.has(i % columns)) continue;
        throw ProgramError.input(
          '/inputs',
          `There is a missing value in row ${Math.floor(i / columns)}, column ${i % columns} of what ${owner} reads: that column had none in training, and ${owner} refuses such (error_on_new=True).`,
        );
      }
      return [input];
    };
  },
};

function missingTest(given: KernelArguments): (x: number) => boolean {
  if (given.flag('nan')) return Number.isNaN;
  const missing = given.number('missing');
  return (x) => x === missing;
}

interface Nearest {
  known: Float32Array | Float64Array;
  count: number;
  width: number;
  neighbors: number;
  byDistance: boolean;
}

/** The mean of what is there of each column. */
function meansOf({ known, count, width }: Nearest): Float64Array {
  return Float64Array.from({ length: width }, (_, column) => {
    let sum = 0;
    let present = 0;
    for (let row = 0; row < count; row++) {
      const x = known[row * width + column] ?? NaN;
      if (Number.isNaN(x)) continue;
      sum += x;
      present += 1;
    }
    return sum / present;
  });
}

/** nan_euclidean_distances (sklearn/metrics/pairwise.py): over the common columns, scaled up to all; NaN without any. */
function measure(own: ArrayLike<number>, nearest: Nearest, distances: Float64Array): void {
  const { known, count, width } = nearest;
  for (let row = 0; row < count; row++) {
    let product = 0;
    let ownSquares = 0;
    let squares = 0;
    let ownAlone = 0;
    let alone = 0;
    let present = 0;
    for (let column = 0; column < width; column++) {
      const x = own[column] ?? NaN;
      const y = known[row * width + column] ?? NaN;
      if (x === x) {
        ownSquares += x * x;
        if (y !== y) ownAlone += x * x;
      }
      if (y === y) {
        squares += y * y;
        if (x !== x) alone += y * y;
      }
      if (x !== x || y !== y) continue;
      product += x * y;
      present += 1;
    }
    // In the library's order, which is what is left of the distance of rows that are the same.
    const whole = Math.max(0, -2 * product + ownSquares + squares);
    const squared = Math.max(0, whole - ownAlone - alone);
    distances[row] = present === 0 ? NaN : Math.sqrt((squared / present) * width);
  }
}

/** The average of the nearest rows that have the column; undefined where no distance is known. */
function average(column: number, nearest: Nearest, distances: Float64Array): number | undefined {
  const { known, count, width, neighbors, byDistance } = nearest;
  const donors: number[] = [];
  for (let row = 0; row < count; row++) {
    if (!Number.isNaN(known[row * width + column])) donors.push(row);
  }
  const own = Float64Array.from(donors, (row) => distances[row] ?? NaN);
  if (own.every(Number.isNaN)) return undefined;
  const chosen = introselect(own, Math.min(neighbors, own.length) - 1).subarray(0, neighbors);
  // Rows that are the same count alone.
  const same = byDistance && chosen.some((i) => own[i] === 0);
  let sum = 0;
  let weights = 0;
  for (const i of chosen) {
    const distance = own[i] ?? NaN;
    if (Number.isNaN(distance)) continue;
    const weight = !byDistance ? 1 : same ? Number(distance === 0) : 1 / distance;
    sum += (known[(donors[i] ?? 0) * width + column] ?? NaN) * weight;
    weights += weight;
  }
  return sum / weights;
}
