import { exp32 } from './exp32.js';
import { floatsOf, onlyInput, rowsOf, tableShape, type Kernel, type Value } from './kernel.js';

const { fround } = Math;

/**
 * What the operators of ai.onnx.ml do around trees and sums, in float32 with the steps of ONNX Runtime 1.30
 * (core/providers/cpu/ml): each step rounded, sums from the first column to the last.
 */
export const onnxMl: Record<string, Kernel> = {
  /** `post_transform` LOGISTIC of FP32 (ComputeLogistic): attribute `both` makes of `[rows]` the columns of −x and x. */
  'onnx-logistic': (given) => {
    const both = given.has('both') && given.flag('both');
    return (inputs) => {
      const { shape, data } = onlyInput(inputs);
      const source = narrow(data, 'onnx-logistic');
      if (!both) return [{ dtype: 'FP32', shape, data: Float32Array.from(source, logistic) }];
      const answer = new Float32Array(2 * source.length);
      for (let i = 0; i < source.length; i++) {
        answer[2 * i] = logistic(-(source[i] ?? NaN));
        answer[2 * i + 1] = logistic(source[i] ?? NaN);
      }
      return [{ dtype: 'FP32', shape: [source.length, 2], data: answer }];
    };
  },

  /** `post_transform` SOFTMAX of each row of FP32 (ComputeSoftmax). */
  'onnx-softmax': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = narrow(input.data, 'onnx-softmax');
    const data = new Float32Array(source.length);
    for (let start = 0; start < rows * columns; start += columns) {
      let largest = source[start] ?? NaN;
      for (let i = start + 1; i < start + columns; i++) {
        if ((source[i] ?? NaN) > largest) largest = source[i] ?? NaN;
      }
      let sum = 0;
      for (let i = start; i < start + columns; i++) {
        data[i] = exp32(fround((source[i] ?? NaN) - largest));
        sum = fround(sum + (data[i] ?? NaN));
      }
      for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? NaN) / sum;
    }
    return [{ dtype: 'FP32', shape: input.shape, data }];
  },

  /**
   * Add, Sub, Mul and Div of FP32 and constants: attribute `how`, weight `operand` FP32 of one number, or of one for each
   * column.
   */
  'onnx-arithmetic': (given) => {
    const how = given.oneOf('how', ['Add', 'Sub', 'Mul', 'Div']);
    const operand = given.floats('operand', 1).data;
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      const { length } = operand;
      if (length !== 1 && length !== columns) given.fail('columns differ');
      const data = narrow(input.data, 'onnx-arithmetic').slice();
      for (let i = 0, at = 0; i < data.length; i++) {
        const [x, y] = [data[i] ?? NaN, operand[at] ?? NaN];
        data[i] = how === 'Add' ? x + y : how === 'Sub' ? x - y : how === 'Mul' ? x * y : x / y;
        at = at + 1 === length ? 0 : at + 1;
      }
      return [{ dtype: 'FP32', shape: input.shape, data }];
    };
  },

  /** Scaler: (x − offset) · scale of FP32 to FP32; weights `offset` and `scale` FP32 `[columns]`. */
  'onnx-scale': (given) => {
    const offset = given.floats('offset', 1).data;
    const scale = given.floats('scale', 1).data;
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (offset.length !== columns || scale.length !== columns) given.fail('columns differ');
      const source = narrow(input.data, 'onnx-scale');
      const data = new Float32Array(source.length);
      for (let i = 0, column = 0; i < data.length; i++) {
        data[i] = fround((source[i] ?? NaN) - (offset[column] ?? NaN)) * (scale[column] ?? NaN);
        column = column + 1 === columns ? 0 : column + 1;
      }
      return [{ dtype: 'FP32', shape: input.shape, data }];
    };
  },

  /** Imputer: NaN (where attribute `nan`), or what equals the attribute `missing`, becomes weight `fill` FP32 `[columns]`. */
  'onnx-impute': (given) => {
    const fill = given.floats('fill', 1).data;
    const missing = given.flag('nan') ? NaN : given.number('missing');
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (fill.length !== columns) given.fail('columns differ');
      const data = narrow(input.data, 'onnx-impute').slice();
      for (let i = 0; i < data.length; i++) {
        const x = data[i] ?? NaN;
        if (missing !== missing ? x !== x : x === missing) data[i] = fill[i % columns] ?? NaN;
      }
      return [{ dtype: 'FP32', shape: input.shape, data }];
    };
  },

  /** Normalizer with norm L1: each row of FP32 divided by the sum of its absolute values, where that is not 0. */
  'onnx-normalise': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const data = narrow(input.data, 'onnx-normalise').slice();
    for (let start = 0; start < rows * columns; start += columns) {
      let sum = 0;
      for (let i = start; i < start + columns; i++) sum = fround(sum + Math.abs(data[i] ?? NaN));
      if (sum === 0) continue;
      for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? NaN) / sum;
    }
    return [{ dtype: 'FP32', shape: input.shape, data }];
  },

  /**
   * LinearRegressor and LinearClassifier: rows FP32 times weight `coefficients` FP32 `[columns, outputs]` plus `intercept`
   * FP32 `[outputs]`: FP32 `[rows, outputs]`. ONNX leaves open how it is summed: here in float64, rounded once.
   */
  'onnx-linear': (given) => {
    const { shape, data: coefficients } = given.floats('coefficients', 2);
    const intercept = given.floats('intercept', 1).data;
    const [width = 0, outputs = 0] = shape;
    if (intercept.length !== outputs) given.fail('outputs differ');
    return (inputs) => {
      const { input, rows } = rowsOf(given, inputs, width);
      const source = narrow(input.data, 'onnx-linear');
      const data = new Float32Array(rows * outputs);
      for (let row = 0; row < rows; row++) {
        for (let output = 0; output < outputs; output++) {
          let sum = intercept[output] ?? NaN;
          for (let column = 0; column < width; column++) {
            sum +=
              (source[row * width + column] ?? NaN) *
              (coefficients[column * outputs + output] ?? NaN);
          }
          data[row * outputs + output] = sum;
        }
      }
      return [{ dtype: 'FP32', shape: [rows, outputs], data }];
    };
  },

  /** Concat of matrices FP32 along their columns. */
  'onnx-join': (given) => (inputs) => {
    const shapes = inputs.map(tableShape);
    const rows = shapes[0]?.rows ?? 0;
    const width = shapes.reduce((sum, { columns }) => sum + columns, 0);
    const data = new Float32Array(rows * width);
    let at = 0;
    for (const [i, input] of inputs.entries()) {
      const columns = shapes[i]?.columns ?? 0;
      if (shapes[i]?.rows !== rows) given.fail('the rows differ in number');
      const source = narrow(input.data, 'onnx-join');
      for (let row = 0; row < rows; row++) {
        data.set(source.subarray(row * columns, (row + 1) * columns), row * width + at);
      }
      at += columns;
    }
    return [{ dtype: 'FP32', shape: [rows, width], data }];
  },

  /** ZipMap: the same numbers, with what the columns are called (attribute `labels`) as a parameter of the tensor. */
  'onnx-named-columns': (given) => {
    const labels = given.labels('labels');
    return (inputs) => {
      const input = onlyInput(inputs);
      if (tableShape(input).columns !== labels.length) given.fail('labels and columns differ');
      return [{ ...input, parameters: { labels } }];
    };
  },
};

function narrow(data: Value['data'], kernel: string): Float32Array {
  const floats = floatsOf(data, `input of ${kernel}`);
  return floats instanceof Float32Array ? floats : Float32Array.from(floats);
}

function logistic(x: number): number {
  const positive = fround(1 / fround(1 + exp32(-Math.abs(x))));
  return x < 0 ? 1 - positive : positive;
}
