import { DenseSums, denseSums } from '../dense.js';
import { floatsOf, onlyInput, rowsOf, tableShape, type Kernel } from './kernel.js';

/** Products of a request from which on the dense kernel is worth the way of the rows into its memory. */
const DENSE_WORK = 256;

/** Sums and products. Sums run in the order of the columns, each rounded to the dtype of the input. */
export const linear: Record<string, Kernel> = {
  /**
   * `x · coefficients + intercept`: coefficients `[columns, outputs]`, intercept `[outputs]`; answers `[rows]` for one
   * output, else `[rows, outputs]`. The sum starts with the intercept. Attribute `missing` = `skip` leaves out NaN.
   */
  affine: (given) => {
    const coefficients = given.floats('coefficients', 2);
    const intercept = given.floats('intercept', 1).data;
    const skip = given.has('missing') && given.oneOf('missing', ['skip']) === 'skip';
    const [width = 0, outputs = 0] = coefficients.shape;
    if (intercept.length !== outputs) given.fail('intercept and coefficients differ in outputs');
    const dense = new DenseSums({
      kind: 'affine',
      width,
      outputs,
      at: (column, output) => coefficients.data[column * outputs + output] ?? NaN,
      start: intercept,
    });
    const isDense = !skip && outputs > 0 && width > 0 && dense.fits;
    return (inputs) => {
      const { input, source, rows } = rowsOf(given, inputs, width);
      const narrow = source instanceof Float32Array;
      const shape = outputs === 1 ? [rows] : [rows, outputs];
      if (isDense && !narrow && rows * width * outputs >= DENSE_WORK) {
        return [{ dtype: 'FP64', shape, data: denseSums(dense, outputs, source, rows) }];
      }
      const data = narrow ? new Float32Array(rows * outputs) : new Float64Array(rows * outputs);
      const add = narrow || skip ? addProducts : addWideProducts;
      for (let row = 0; row < rows; row++) {
        for (let output = 0; output < outputs; output++) {
          data[row * outputs + output] = intercept[output] ?? 0;
        }
        add(source, row * width, width, coefficients.data, data, row * outputs, outputs, skip);
      }
      return [{ dtype: input.dtype, shape, data }];
    };
  },

  /** Adds a vector to each row: weight `addend` `[columns]`. */
  add: (given) => {
    const addend = given.floats('addend', 1).data;
    const { length: columns } = addend;
    return (inputs) => {
      const { input, source } = rowsOf(given, inputs, columns);
      const data = source.slice();
      for (let i = 0; i < data.length; i++) data[i] = (source[i] ?? 0) + (addend[i % columns] ?? 0);
      return [{ dtype: input.dtype, shape: input.shape, data }];
    };
  },

  /**
   * Appends weighted sums of columns to a matrix FP32, as YDF computes them for oblique tests: products and sums rounded one
   * by one. A missing value is replaced, or makes the sum missing where its replacement is NaN. Weights: `starts` INT32
   * `[sums + 1]` where the terms of each begin; `features` INT32, `coefficients` and `replacements` FP32 a term.
   */
  'oblique-columns': (given) => {
    const int32 = (name: string) => {
      const { data } = given.weight(name, ['INT32'], 1);
      return data instanceof Int32Array ? data : given.fail(`weight ${name} must be INT32`);
    };
    const starts = int32('starts');
    const features = int32('features');
    const coefficients = given.floats('coefficients', 1).data;
    const replacements = given.floats('replacements', 1).data;
    const { length: terms } = features;
    if (coefficients.length !== terms || replacements.length !== terms) given.fail('terms differ');
    if (starts[0] !== 0 || starts.at(-1) !== terms) given.fail('starts');
    if (starts.some((start, i) => start < (starts[i - 1] ?? 0))) given.fail('starts');
    const sums = starts.length - 1;
    return (inputs) => {
      const { rows, columns } = tableShape(onlyInput(inputs));
      const { data: source } = onlyInput(inputs);
      if (!(source instanceof Float32Array)) return given.fail('takes FP32');
      const width = columns + sums;
      const data = new Float32Array(rows * width);
      for (let row = 0; row < rows; row++) {
        data.set(source.subarray(row * columns, (row + 1) * columns), row * width);
        for (let i = 0; i < sums; i++) {
          let sum = 0;
          for (let term = starts[i] ?? 0; term < (starts[i + 1] ?? 0); term++) {
            const feature = features[term] ?? -1;
            if (feature < 0 || feature >= columns) given.fail(`there is no column ${feature}`);
            const x = source[row * columns + feature] ?? NaN;
            const value = Number.isNaN(x) ? (replacements[term] ?? NaN) : x;
            sum = Math.fround(sum + Math.fround(value * (coefficients[term] ?? NaN)));
          }
          data[row * width + columns + i] = sum;
        }
      }
      return [{ dtype: 'FP32', shape: [rows, width], data }];
    };
  },

  /** Divides each element by the attribute `divisor`. */
  divide: (given) => {
    const divisor = given.number('divisor');
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = floatsOf(input.data, 'input of divide').slice();
      for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) / divisor;
      return [{ dtype: input.dtype, shape: input.shape, data }];
    };
  },
};

type Floats = Float32Array | Float64Array;

/** Adds a row's products to its sums, column by column, each rounded to the dtype of the sums; `skip` leaves out NaN. */
function addProducts(
  source: Floats,
  from: number,
  width: number,
  coefficients: Floats,
  sums: Floats,
  to: number,
  outputs: number,
  skip: boolean,
): void {
  const narrow = sums instanceof Float32Array;
  for (let column = 0; column < width; column++) {
    const x = source[from + column] ?? 0;
    if (skip && Number.isNaN(x)) continue;
    for (let output = 0; output < outputs; output++) {
      const product = x * (coefficients[column * outputs + output] ?? 0);
      sums[to + output] = (sums[to + output] ?? 0) + (narrow ? Math.fround(product) : product);
    }
  }
}

/** The same in float64, without a question in the loop. */
function addWideProducts(
  source: Floats,
  from: number,
  width: number,
  coefficients: Floats,
  sums: Floats,
  to: number,
  outputs: number,
): void {
  if (outputs === 1) {
    let sum = sums[to] ?? 0;
    for (let column = 0; column < width; column++) {
      sum += (source[from + column] ?? 0) * (coefficients[column] ?? 0);
    }
    sums[to] = sum;
    return;
  }
  for (let column = 0; column < width; column++) {
    const x = source[from + column] ?? 0;
    const start = column * outputs;
    for (let output = 0; output < outputs; output++) {
      sums[to + output] = (sums[to + output] ?? 0) + x * (coefficients[start + output] ?? 0);
    }
  }
}
