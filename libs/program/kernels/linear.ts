import { floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

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
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (columns !== width) given.fail(`${columns} columns where ${width} are expected`);
      const source = floatsOf(input.data, 'input of affine');
      const narrow = source instanceof Float32Array;
      const data = narrow ? new Float32Array(rows * outputs) : new Float64Array(rows * outputs);
      const add = narrow || skip ? addProducts : addWideProducts;
      for (let row = 0; row < rows; row++) {
        for (let output = 0; output < outputs; output++) {
          data[row * outputs + output] = intercept[output] ?? 0;
        }
        add(source, row * width, width, coefficients.data, data, row * outputs, outputs, skip);
      }
      return [{ dtype: input.dtype, shape: outputs === 1 ? [rows] : [rows, outputs], data }];
    };
  },

  /** Adds a vector to each row: weight `addend` `[columns]`. */
  add: (given) => {
    const addend = given.floats('addend', 1).data;
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (columns !== addend.length)
        given.fail(`${columns} columns where ${addend.length} are expected`);
      const source = floatsOf(input.data, 'input of add');
      const data = source.slice();
      for (let i = 0; i < data.length; i++) data[i] = (source[i] ?? 0) + (addend[i % columns] ?? 0);
      return [{ dtype: input.dtype, shape: input.shape, data }];
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
