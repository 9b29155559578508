import { floatsOf, onlyInput, tableShape, type Kernel, type Value } from './kernel.js';

/**
 * Functions from margins to answers. Values in FP32 are computed in float64 and rounded where the libraries' float32 code
 * rounds, so that an answer is at most one unit in the last place from theirs; values in FP64 are computed in float64.
 */
export const links: Record<string, Kernel> = {
  /** 1 / (1 + e^−sx); attribute `scale` = s, by default 1. */
  sigmoid: (given) => {
    const scale = given.has('scale') ? given.number('scale') : 1;
    return each(
      (x) => 1 / (1 + Math.exp(-scale * x)),
      (x) => {
        const e = Math.fround(Math.exp(-Math.fround(scale * x)));
        return 1 / Math.fround(1 + e);
      },
    );
  },

  exp: () => each(Math.exp, Math.exp),

  /** log(1 + e^x), as LightGBM's cross_entropy_lambda has it. */
  'log1p-exp': () =>
    each(
      (x) => Math.log1p(Math.exp(x)),
      (x) => Math.log1p(Math.exp(x)),
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

  /** Softmax of each row; the largest value is taken off first, sums run from the first column to the last. */
  softmax: () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of softmax');
    const round = source instanceof Float32Array ? Math.fround : same;
    const data = like(source);
    const exponentials = new Float64Array(columns);
    for (let row = 0; row < rows; row++) {
      softmaxRow(source, data, row * columns, exponentials, round);
    }
    return [{ dtype: input.dtype, shape: input.shape, data }];
  },
};

type Floats = Float32Array | Float64Array;

function softmaxRow(
  source: Floats,
  target: Floats,
  start: number,
  exponentials: Float64Array,
  round: (x: number) => number,
): void {
  const { length } = exponentials;
  let largest = source[start] ?? 0;
  for (let i = 1; i < length; i++) largest = Math.max(largest, source[start + i] ?? 0);
  // The sum is kept in float64 by XGBoost and LightGBM alike, the exponentials in the dtype of the values.
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const exponential = round(Math.exp(round((source[start + i] ?? 0) - largest)));
    exponentials[i] = exponential;
    sum += exponential;
  }
  const divisor = round(sum);
  for (let i = 0; i < length; i++) target[start + i] = (exponentials[i] ?? 0) / divisor;
}

function same(x: number): number {
  return x;
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
