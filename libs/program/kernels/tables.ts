import { newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import { columnText, floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

/** The largest float32 as a float64, and the limit beyond which rounding to float32 gives infinity. */
const INFINITE32 = 2 ** 128 - 2 ** 103;

/** Kernels for tables FP64 `[rows, columns]` (`[rows]` is one column). */
export const tables: Record<string, Kernel> = {
  /** Columns of a matrix: weight `columns` INT32 `[n]`; answers `[rows, n]`. */
  'take-columns': (given) => {
    const taken = given.int32('columns');
    const largest = taken.reduce((most, column) => Math.max(most, column), -1);
    if (taken.some((column) => column < 0)) given.fail('columns');
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (largest >= columns) given.fail(`there is no column ${largest}`);
      const source = floatsOf(input.data, 'input of take-columns');
      const { length: width } = taken;
      const data =
        source instanceof Float32Array
          ? new Float32Array(rows * width)
          : new Float64Array(rows * width);
      for (let row = 0; row < rows; row++) {
        const from = row * columns;
        const to = row * width;
        for (let i = 0; i < width; i++) data[to + i] = source[from + (taken[i] ?? 0)] ?? NaN;
      }
      return [{ dtype: input.dtype, shape: [rows, width], data }];
    };
  },

  /** Tables of one float dtype side by side: `[rows, the sum of their columns]` in it. */
  'join-tables': (given) => (inputs) => {
    const shapes = inputs.map(tableShape);
    const rows = shapes[0]?.rows ?? given.fail('takes one table at least');
    const width = shapes.reduce((sum, { columns }) => sum + columns, 0);
    const dtype = inputs[0]?.dtype === 'FP32' ? 'FP32' : 'FP64';
    const data = new (dtype === 'FP32' ? Float32Array : Float64Array)(rows * width);
    let start = 0;
    for (const [i, input] of inputs.entries()) {
      const columns = shapes[i]?.columns ?? 0;
      if (shapes[i]?.rows !== rows || input.dtype !== dtype) given.fail('the tables differ');
      const source = floatsOf(input.data, 'a table');
      for (let row = 0; row < rows; row++) {
        const from = row * columns;
        const to = row * width + start;
        for (let column = 0; column < columns; column++) {
          data[to + column] = source[from + column] ?? NaN;
        }
      }
      start += columns;
    }
    return [{ dtype, shape: [rows, width], data }];
  },

  /** The same numbers with two dimensions: `[rows]` becomes `[rows, 1]`. */
  'as-matrix': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    return [{ ...input, shape: [rows, columns] }];
  },

  /** The same numbers with one dimension: `[rows, 1]` becomes `[rows]`. */
  'as-vector': (given) => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    if (columns !== 1) given.fail(`${columns} columns where one is expected`);
    return [{ ...input, shape: [rows] }];
  },

  /**
   * Hands the numbers on, or throws INVALID_INPUT as scikit-learn's `assert_all_finite` (sklearn/utils/validation.py, 0.22 to
   * 1.8) does: infinities, numbers too large for the attribute `dtype` (FP32 or FP64), and NaN unless the attribute
   * `missing` = `pass`. `owner` is the class that refuses, for the message.
   */
  'check-finite': (given) => {
    const pass = given.oneOf('missing', ['refuse', 'pass']) === 'pass';
    const limit = given.oneOf('dtype', ['FP32', 'FP64']) === 'FP32' ? INFINITE32 : Infinity;
    const owner = given.text('owner');
    const names = given.has('names') ? given.strings('names') : [];
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = floatsOf(input.data, 'input of check-finite');
      if (limit === Infinity && areFinite(data)) return [input];
      for (let i = 0; i < data.length; i++) {
        const x = data[i] ?? 0;
        if (x < limit && x > -limit) continue;
        if (pass && x !== x) continue;
        const { columns } = tableShape(input);
        const column = columnText(i % columns, names[i % columns]);
        throw notFinite(x, owner, Math.floor(i / columns), column);
      }
      return [input];
    };
  },

  /** FP64 as FP32, each number rounded to the nearest. */
  narrow: () => (inputs) => {
    const { shape, data } = onlyInput(inputs);
    return [{ dtype: 'FP32', shape, data: new Float32Array(floatsOf(data, 'input of narrow')) }];
  },

  /** The column of the largest value of each row, the last of equals (no NaN): INT32 `[rows]`. */
  'last-largest-column': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of last-largest-column');
    const data = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      let best = 0;
      for (let column = 1; column < columns; column++) {
        if ((source[row * columns + column] ?? NaN) >= (source[row * columns + best] ?? NaN)) {
          best = column;
        }
      }
      data[row] = best;
    }
    return [{ dtype: 'INT32', shape: [rows], data }];
  },

  /** The column of the largest value of each row, the first of equals, NaN above all (as numpy.argmax): INT32 `[rows]`. */
  'largest-column': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of largest-column');
    const data = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      const start = row * columns;
      let best = 0;
      let most = source[start] ?? NaN;
      for (let column = 1; column < columns && most === most; column++) {
        const x = source[start + column] ?? NaN;
        if (x > most || x !== x) {
          best = column;
          most = x;
        }
      }
      data[row] = best;
    }
    return [{ dtype: 'INT32', shape: [rows], data }];
  },

  /** 1 where a number is above the attribute `than`, or equal to it where `orEqual`; else 0. INT32 of the same shape. */
  above: (given) => {
    const than = given.number('than');
    const orEqual = given.flag('orEqual');
    return (inputs) => {
      const { shape, data: source } = onlyInput(inputs);
      const numbers = floatsOf(source, 'input of above');
      const data = new Int32Array(numbers.length);
      for (let i = 0; i < data.length; i++) {
        const x = numbers[i] ?? NaN;
        data[i] = x > than || (orEqual && x === than) ? 1 : 0;
      }
      return [{ dtype: 'INT32', shape, data }];
    };
  },

  /**
   * Columns of categories from 0 to 255, as HistGradientBoosting reads them up to 1.3 (sklearn/ensemble/
   * _hist_gradient_boosting/_predictor.pyx): numbers are cut to a byte, and those below 0 or not known become NaN. Weights:
   * `columns` INT32 `[n]`, `sets` UINT32 `[8 n]` whose bits are the known categories. Other columns stay.
   */
  'known-categories': (given) => {
    const chosen = given.int32('columns');
    const { data: sets } = given.weight('sets', ['UINT32'], 1);
    if (sets.length !== chosen.length * 8) given.fail('sets');
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      const data = floatsOf(input.data, 'input of known-categories').slice();
      for (const [i, column] of chosen.entries()) {
        if (column < 0 || column >= columns) given.fail(`there is no column ${column}`);
        for (let row = 0; row < rows; row++) {
          const x = data[row * columns + column] ?? NaN;
          const category = x < 2 ** 31 ? Math.trunc(x) & 255 : 0;
          const word = Number(sets[i * 8 + (category >> 5)]);
          const known = x >= 0 && (word >>> (category & 31)) & 1;
          data[row * columns + column] = known ? category : NaN;
        }
      }
      return [{ ...input, data }];
    };
  },

  /** Labels `[rows]` of one dtype side by side: `[rows, inputs]`. */
  'join-labels': (given) => (inputs) => {
    const [first] = inputs;
    if (!first) return given.fail('takes one column at least');
    const { length: rows } = first.data;
    const { length: width } = inputs;
    const data = newData(first.dtype, rows * width);
    for (const [column, { dtype, data: source }] of inputs.entries()) {
      if (dtype !== first.dtype || source.length !== rows) given.fail('the columns differ');
      for (let row = 0; row < rows; row++) Reflect.set(data, row * width + column, source[row]);
    }
    return [{ dtype: first.dtype, shape: [rows, width], data }];
  },

  /** Texts for indices INT32: attribute `labels`; answers BYTES of the same shape. */
  'text-labels': (given) => {
    const labels = given.strings('labels');
    return (inputs) => {
      const { shape, data: index } = onlyInput(inputs);
      if (!(index instanceof Int32Array)) return given.fail('takes INT32');
      const data = Array.from(index, (i) => labels[i] ?? given.fail(`there is no label ${i}`));
      return [{ dtype: 'BYTES', shape, data }];
    };
  },

  /** Numbers for indices INT32: weight `labels` INT64, BOOL or FP64 `[n]`; answers its dtype in the shape of the indices. */
  'number-labels': (given) => {
    const { dtype, data: labels } = given.weight('labels', ['INT64', 'BOOL', 'FP64'], 1);
    return (inputs) => {
      const { shape, data: index } = onlyInput(inputs);
      if (!(index instanceof Int32Array)) return given.fail('takes INT32');
      if (index.some((i) => i < 0 || i >= labels.length)) given.fail('there is no such label');
      if (labels instanceof BigInt64Array) {
        return [{ dtype, shape, data: BigInt64Array.from(index, (i) => labels[i] ?? 0n) }];
      }
      const numbers =
        labels instanceof Uint8Array
          ? new Uint8Array(index.length)
          : new Float64Array(index.length);
      for (let i = 0; i < index.length; i++) numbers[i] = Number(labels[index[i] ?? 0]);
      return [{ dtype, shape, data: numbers }];
    };
  },
};

/** What an infinite number is not made less by. */
const NOTHING = 0;

/** A quick look: 0 times a number is 0, unless it is infinite or NaN. Four sums do not wait for each other. */
function areFinite(data: Float32Array | Float64Array): boolean {
  const { length } = data;
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    a += (data[i] ?? NaN) * NOTHING;
    b += (data[i + 1] ?? NaN) * NOTHING;
    c += (data[i + 2] ?? NaN) * NOTHING;
    d += (data[i + 3] ?? NaN) * NOTHING;
  }
  for (; i < length; i++) a += (data[i] ?? NaN) * NOTHING;
  return a + b + c + d === 0;
}

function notFinite(x: number, owner: string, row: number, column: string): ProgramError {
  const what = Number.isNaN(x)
    ? 'a missing value (null or NaN)'
    : Number.isFinite(x)
      ? 'a number that is too large for a float32'
      : 'an infinite number';
  return ProgramError.input(
    '/inputs',
    `There is ${what} in row ${row}, column ${column} of what ${owner} reads, and scikit-learn's ${owner} refuses such. Send a finite number.`,
  );
}
