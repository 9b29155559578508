import { cos, sin } from '../math/circular.js';
import { cosh } from '../math/hyperbolic.js';
import { log64 } from '../math/logarithms.js';
import { ProgramError } from '../program-error.js';
import { floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

/** Explicit maps of features: rows FP64 `[rows, columns]` to rows of another width. */
export const featureMaps: Record<string, Kernel> = {
  /**
   * Hands the numbers on, or throws INVALID_INPUT where one is below the attribute `least`, or equal to it where `open`.
   * `owner` is the class that refuses, for the message.
   */
  'check-least': (given) => {
    const least = given.number('least');
    const open = given.flag('open');
    const owner = given.text('owner');
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = floatsOf(input.data, 'input of check-least');
      for (let i = 0; i < data.length; i++) {
        const x = data[i] ?? NaN;
        if (!(x < least) && !(open && x === least)) continue;
        const { columns } = tableShape(input);
        throw ProgramError.input(
          '/inputs',
          `There is ${x} in row ${Math.floor(i / columns)}, column ${i % columns} of what ${owner} reads, and scikit-learn's ${owner} refuses numbers ${open ? 'that are not above' : 'below'} ${least}.`,
        );
      }
      return [input];
    };
  },

  /**
   * The χ² map (AdditiveChi2Sampler of sklearn/kernel_approximation.py): attributes `steps` and `interval`; answers
   * `[rows, columns (2 steps − 1)]`, zero where a number is zero.
   */
  'additive-chi2': (given) => {
    const steps = given.integer('steps', 1, 10_000);
    const interval = given.number('interval');
    const factors = Array.from({ length: steps }, (_, j) => cosh(Math.PI * j * interval));
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      const source = floatsOf(input.data, 'input of additive-chi2');
      const width = columns * (2 * steps - 1);
      const data = new Float64Array(rows * width);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const x = source[row * columns + column] ?? NaN;
          if (x === 0) continue;
          const at = row * width + column;
          data[at] = Math.sqrt(x * interval);
          const angle = interval * log64(x);
          for (let j = 1; j < steps; j++) {
            const factor = Math.sqrt((2 * x * interval) / (factors[j] ?? NaN));
            data[at + (2 * j - 1) * columns] = factor * cos(j * angle);
            data[at + 2 * j * columns] = factor * sin(j * angle);
          }
        }
      }
      return [{ dtype: 'FP64', shape: [rows, width], data }];
    };
  },

  /**
   * Products of count sketches (PolynomialCountSketch of sklearn/kernel_approximation.py): weights `places` and `signs` INT32
   * `[degree, columns]` with places below the attribute `width`; circular convolutions of the sketches, as scikit-learn
   * computes by Fourier transforms. Answers `[rows, width]`.
   */
  'polynomial-sketch': (given) => {
    const width = given.integer('width', 1, 1_000_000);
    const { data: places, shape } = given.weight('places', ['INT32'], 2);
    const { data: signs } = given.weight('signs', ['INT32'], 2);
    const [degree = 0, columns = 0] = shape;
    if (signs.length !== places.length || degree < 1) given.fail('signs');
    if (!(places instanceof Int32Array) || places.some((p) => p < 0 || p >= width)) {
      return given.fail('places');
    }
    const sketch = new Float64Array(width);
    const product = new Float64Array(width);
    const next = new Float64Array(width);
    return (inputs) => {
      const input = onlyInput(inputs);
      const shape = tableShape(input);
      if (shape.columns !== columns) given.fail(`${shape.columns} columns`);
      const source = floatsOf(input.data, 'input of polynomial-sketch');
      const data = new Float64Array(shape.rows * width);
      for (let row = 0; row < shape.rows; row++) {
        for (let d = 0; d < degree; d++) {
          sketch.fill(0);
          for (let i = 0; i < columns; i++) {
            const place = places[d * columns + i] ?? 0;
            const sign = Number(signs[d * columns + i]);
            sketch[place] = (sketch[place] ?? 0) + sign * (source[row * columns + i] ?? NaN);
          }
          if (d === 0) product.set(sketch);
          else {
            convolve(product, sketch, next);
            product.set(next);
          }
        }
        data.set(product, row * width);
      }
      return [{ dtype: 'FP64', shape: [shape.rows, width], data }];
    };
  },

  /**
   * Groups of columns made one each (FeatureAgglomeration of sklearn/cluster/_feature_agglomeration.py): weight `groups`
   * INT32 `[columns]`, attribute `how` = mean, sum, max, min or median, attribute `width` = how many groups there are.
   */
  'pool-columns': (given) => {
    const groups = given.int32('groups');
    const width = given.integer('width', 1, groups.length);
    const how = given.oneOf('how', ['mean', 'sum', 'max', 'min', 'median']);
    const members = Array.from({ length: width }, (_, group) =>
      [...groups.keys()].filter((column) => groups[column] === group),
    );
    if (members.some(({ length }) => length === 0)) given.fail('groups');
    const pool = POOLS[how];
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (columns !== groups.length) given.fail(`${columns} columns`);
      const source = floatsOf(input.data, 'input of pool-columns');
      const data = new Float64Array(rows * width);
      for (let row = 0; row < rows; row++) {
        for (const [group, own] of members.entries()) {
          const numbers = own.map((column) => source[row * columns + column] ?? NaN);
          data[row * width + group] = pool(numbers);
        }
      }
      return [{ dtype: 'FP64', shape: [rows, width], data }];
    };
  },
};

const POOLS: Record<'mean' | 'sum' | 'max' | 'min' | 'median', (numbers: number[]) => number> = {
  mean: (numbers) => sumOf(numbers) / numbers.length,
  sum: sumOf,
  max: (numbers) => numbers.reduce((most, x) => Math.max(most, x), -Infinity),
  min: (numbers) => numbers.reduce((least, x) => Math.min(least, x), Infinity),
  median: (numbers) => {
    const sorted = numbers.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    const upper = sorted[middle] ?? NaN;
    return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
  },
};

function sumOf(numbers: number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0);
}

/** The circular convolution; the shorter work where one has many zeros. */
function convolve(a: Float64Array, b: Float64Array, to: Float64Array): void {
  const { length } = to;
  to.fill(0);
  for (let i = 0; i < length; i++) {
    const x = b[i] ?? 0;
    if (x === 0) continue;
    for (let j = 0; j < length; j++) {
      const at = i + j < length ? i + j : i + j - length;
      to[at] = (to[at] ?? 0) + x * (a[j] ?? NaN);
    }
  }
}
