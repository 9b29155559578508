import { log1pOfC } from '../math/log1p-of-c.js';
import { exp2Narrow, exp2Wide } from './exp2.js';
import { exp32 } from './exp32.js';
import { exp64 } from './exp64.js';
import { fmathExp } from './fmath-exp.js';
import { floatsOf, onlyInput, tableShape, type Kernel, type Value } from './kernel.js';

/**
 * Functions from margins to answers. Values in FP32 are computed with XGBoost's steps and roundings and the exponential of
 * the C library ({@link exp32}); values in FP64 with LightGBM's steps and {@link exp64}.
 */
export const links: Record<string, Kernel> = {
  /**
   * 1 / (1 + e^−sx): attribute `scale` = s, by default 1; attribute `limit` = the largest exponent, as XGBoost has one since
   * 1.6 so that nothing overflows.
   */
  sigmoid: (given) => {
    const scale = given.has('scale') ? given.number('scale') : 1;
    const limit = given.has('limit') ? Math.fround(given.number('limit')) : Infinity;
    return each(
      (x) => 1 / (1 + exp64(Math.min(-scale * x, limit))),
      (x) => 1 / Math.fround(1 + exp32(Math.min(-Math.fround(scale * x), limit))),
    );
  },

  exp: () => each(exp64, exp32),

  /** e^sx of FP64 as CatBoost computes it ({@link fmathExp}): attribute `scale` = s, by default 1. */
  'fmath-exp': (given) => {
    const scale = given.has('scale') ? given.number('scale') : 1;
    return (inputs) => {
      const { shape, data } = onlyInput(inputs);
      const source = floatsOf(data, 'input of fmath-exp');
      return [
        { dtype: 'FP64', shape, data: Float64Array.from(source, (x) => fmathExp(scale * x)) },
      ];
    };
  },

  /** x · scale + bias of FP64: attribute `scale`, weight `bias` a column. */
  'scale-and-bias': (given) => {
    const scale = given.number('scale');
    const bias = given.floats('bias', 1).data;
    return (inputs) => {
      const { shape, data } = onlyInput(inputs);
      const source = floatsOf(data, 'input of scale-and-bias');
      const { columns } = tableShape({ dtype: 'FP64', shape, data });
      if (columns !== bias.length) given.fail('weight bias must have a number for each column');
      const answer = Float64Array.from(source, (x, i) => x * scale + (bias[i % columns] ?? 0));
      return [{ dtype: 'FP64', shape, data: answer }];
    };
  },

  /** 2^(−x / d), attribute `divisor` = d: the score of isolation forests. Where d is 0, so is the answer. */
  'negative-exp2': (given) => {
    const divisor = given.number('divisor');
    return each(
      (x) => (divisor === 0 ? 0 : exp2Wide(-x / divisor)),
      (x) => (divisor === 0 ? 0 : exp2Narrow(Math.fround(-x / divisor))),
    );
  },

  /** log(1 + e^x), as LightGBM's cross_entropy_lambda has it. */
  'log1p-exp': () =>
    each(
      (x) => log1pOfC(exp64(x)),
      (x) => log1pOfC(exp32(x)),
    ),

  /** x², with the sign of x: undoes a signed square root. */
  'sign-square': () =>
    each(
      (x) => Math.sign(x) * x * x,
      (x) => Math.sign(x) * x * x,
    ),

  /** 1 where x is greater than `than`, else 0, in the dtype of x. */
  greater: (given) => {
    const than = given.number('than');
    return each(
      (x) => (x > than ? 1 : 0),
      (x) => (x > than ? 1 : 0),
    );
  },

  /** Numbers below the attribute `least` become it, those above `most` that; NaN stays. */
  clip: (given) => {
    const least = given.number('least');
    const most = given.number('most');
    const clip = (x: number) => (x < least ? least : x > most ? most : x);
    return each(clip, clip);
  },

  /** Softmax of each row; the largest value is taken off first, sums run from the first column to the last. */
  softmax: () => (inputs) => softmax(inputs, softmaxRow32, softmaxRow64(exp64)),

  /** Softmax of FP64 as CatBoost computes it, with {@link fmathExp}. */
  'fmath-softmax': () => (inputs) => softmax(inputs, softmaxRow32, softmaxRow64(fmathExp)),

  /**
   * Softmax of each row of FP64 as GTIL of Treelite computes it: the largest value, the exponentials and their sum are rounded
   * to float32, the quotients are not.
   */
  'softmax-narrow': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of softmax-narrow');
    const data = new Float64Array(source.length);
    for (let start = 0; start < rows * columns; start += columns) {
      let largest = Math.fround(source[start] ?? 0);
      for (let i = start + 1; i < start + columns; i++) {
        if ((source[i] ?? 0) > largest) largest = Math.fround(source[i] ?? 0);
      }
      let sum = 0;
      for (let i = start; i < start + columns; i++) {
        data[i] = Math.fround(exp64((source[i] ?? 0) - largest));
        sum += data[i] ?? 0;
      }
      const divisor = Math.fround(sum);
      for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? 0) / divisor;
    }
    return [{ dtype: 'FP64', shape: input.shape, data }];
  },

  /**
   * Shares of the exponentials in each row of FP32, as YDF computes them: without taking off the largest, the sum from the
   * first column to the last, then times its reciprocal.
   */
  'exp-shares': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of exp-shares');
    const data = new Float32Array(source.length);
    for (let start = 0; start < rows * columns; start += columns) {
      let sum = 0;
      for (let i = start; i < start + columns; i++) {
        data[i] = exp32(source[i] ?? 0);
        sum = Math.fround(sum + (data[i] ?? 0));
      }
      const factor = Math.fround(1 / sum);
      for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? 0) * factor;
    }
    return [{ dtype: 'FP32', shape: input.shape, data }];
  },
};

type Floats = Float32Array | Float64Array;
type SoftmaxRow = (
  source: Floats,
  target: Floats,
  start: number,
  exponentials: Float64Array,
) => void;

function softmax(inputs: Value[], narrow: SoftmaxRow, wide: SoftmaxRow): Value[] {
  const input = onlyInput(inputs);
  const { rows, columns } = tableShape(input);
  const source = floatsOf(input.data, 'input of softmax');
  const data = like(source);
  const exponentials = new Float64Array(columns);
  const softmaxRow = source instanceof Float32Array ? narrow : wide;
  for (let row = 0; row < rows; row++) softmaxRow(source, data, row * columns, exponentials);
  return [{ dtype: input.dtype, shape: input.shape, data }];
}

/** XGBoost's: exponentials in float32, their sum in float64, then rounded. */
function softmaxRow32(
  source: Floats,
  target: Floats,
  start: number,
  exponentials: Float64Array,
): void {
  const { length } = exponentials;
  const largest = largestOf(source, start, length);
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const exponential = exp32(Math.fround((source[start + i] ?? 0) - largest));
    exponentials[i] = exponential;
    sum += exponential;
  }
  const divisor = Math.fround(sum);
  for (let i = 0; i < length; i++) target[start + i] = (exponentials[i] ?? 0) / divisor;
}

function softmaxRow64(exp: (x: number) => number): SoftmaxRow {
  return (source, target, start, exponentials) => {
    const { length } = exponentials;
    const largest = largestOf(source, start, length);
    let sum = 0;
    for (let i = 0; i < length; i++) {
      const exponential = exp((source[start + i] ?? 0) - largest);
      exponentials[i] = exponential;
      sum += exponential;
    }
    for (let i = 0; i < length; i++) target[start + i] = (exponentials[i] ?? 0) / sum;
  };
}

function largestOf(source: Floats, start: number, length: number): number {
  let largest = source[start] ?? 0;
  for (let i = 1; i < length; i++) largest = Math.max(largest, source[start + i] ?? 0);
  return largest;
}

function like(data: Floats): Floats {
  return data instanceof Float32Array
    ? new Float32Array(data.length)
    : new Float64Array(data.length);
}

/** A kernel that treats each element alike; `narrow` is the rule for FP32, its result is rounded to float32. */
function each(wide: (x: number) => number, narrow: (x: number) => number) {
  return (inputs: Value[]): Value[] => {
    const { dtype, shape, data } = onlyInput(inputs);
    const source = floatsOf(data, 'input');
    const apply = source instanceof Float32Array ? narrow : wide;
    const target = like(source);
    for (let i = 0; i < source.length; i++) target[i] = apply(source[i] ?? 0);
    return [{ dtype, shape, data: target }];
  };
}
