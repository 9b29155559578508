import { bytesIn } from './byte-attributes.js';
import { DTYPES, elementCount, newData } from '../dtype.js';
import { floatsOf, onlyInput, tableShape, type Kernel, type Value } from './kernel.js';

const NUMBERS = DTYPES.filter((dtype) => dtype !== 'BYTES');

/** Kernels that choose, convert and arrange. */
export const shapes: Record<string, Kernel> = {
  identity: () => (inputs) => [onlyInput(inputs)],

  /**
   * Always the same: the weight `value`, or BYTES of the attributes `strings` and `shape`; `bytes` are the places of strings that
   * are bytes in Base64, because they are no UTF-8. Takes nothing.
   */
  constant: (given) => {
    const value: Value = given.has('strings')
      ? { dtype: 'BYTES', shape: given.numbers('shape'), data: bytesIn(given, 'strings', 'bytes') }
      : given.weight('value', NUMBERS);
    if (elementCount(value.shape) !== value.data.length) given.fail('its shape has another size');
    return () => [value];
  },

  /** The column of the largest value of each row, the first of equals, as INT64 `[rows]`. */
  'arg-max': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of arg-max');
    const data = new BigInt64Array(rows);
    for (let row = 0; row < rows; row++) {
      let best = 0;
      for (let column = 1; column < columns; column++) {
        if ((source[row * columns + column] ?? 0) > (source[row * columns + best] ?? 0))
          best = column;
      }
      data[row] = BigInt(best);
    }
    return [{ dtype: 'INT64', shape: [rows], data }];
  },

  /** The values of each row in ascending order. */
  'sort-rows': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const data = floatsOf(input.data, 'input of sort-rows').slice();
    for (let row = 0; row < rows; row++) data.subarray(row * columns, (row + 1) * columns).sort();
    return [{ dtype: input.dtype, shape: input.shape, data }];
  },

  /** Converts numbers to the attribute `dtype` (INT32, INT64, FP32 or FP64); fractions are cut off towards zero. */
  cast: (given) => {
    const dtype = given.oneOf('dtype', ['INT32', 'INT64', 'FP32', 'FP64']);
    return (inputs) => {
      const { shape, data: source } = onlyInput(inputs);
      const data = newData(dtype, source.length);
      for (let i = 0; i < source.length; i++) {
        const number = Number(source[i]);
        if (data instanceof BigInt64Array) data[i] = BigInt(Math.trunc(number));
        else if (!Array.isArray(data) && !(data instanceof BigUint64Array)) data[i] = number;
      }
      return [{ dtype, shape, data }];
    };
  },

  /** The label of each class: numbers of classes `[rows]` choose among the attribute `labels`, as the attribute `dtype`. */
  'class-labels': (given) => {
    const dtype = given.oneOf('dtype', ['BYTES', 'INT64', 'FP64']);
    const texts = dtype === 'BYTES' ? given.strings('labels') : [];
    const numbers = dtype === 'BYTES' ? [] : given.numbers('labels');
    const count = texts.length + numbers.length;
    return (inputs) => {
      const { shape, data: source } = onlyInput(inputs);
      const classes = Array.from(source, (item: unknown) => {
        const number = Number(item);
        return number >= 0 && number < count ? number : given.fail(`there is no class ${number}`);
      });
      if (dtype === 'BYTES') return [{ dtype, shape, data: classes.map((c) => texts[c] ?? '') }];
      const labels = classes.map((c) => numbers[c] ?? 0);
      const data =
        dtype === 'INT64' ? BigInt64Array.from(labels, BigInt) : Float64Array.from(labels);
      return [{ dtype, shape, data }];
    };
  },

  /** Probabilities of both classes from that of the second: `[rows]` → `[rows, 2]`. */
  'both-classes': () => (inputs) => {
    const input = onlyInput(inputs);
    const source = floatsOf(input.data, 'input of both-classes');
    const length = 2 * source.length;
    const data =
      source instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
    for (let i = 0; i < source.length; i++) {
      const second = source[i] ?? 0;
      data[2 * i] = 1 - second;
      data[2 * i + 1] = second;
    }
    return [{ dtype: input.dtype, shape: [source.length, 2], data }];
  },

  /** The weight `values` FP64 `[n]` for each row of whatever value: `[rows, n]`. */
  'constant-rows': (given) => {
    const values = given.floats('values', 1).data;
    return (inputs) => {
      const [rows = 0] = onlyInput(inputs).shape;
      const data = new Float64Array(rows * values.length);
      for (let row = 0; row < rows; row++) data.set(values, row * values.length);
      return [{ dtype: 'FP64', shape: [rows, values.length], data }];
    };
  },
};
