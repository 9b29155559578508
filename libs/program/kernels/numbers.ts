import { positives, tangents } from '../dense.js';
import { cbrt } from '../math/cbrt.js';
import { acos, asin, atan, cos, sin, tan } from '../math/circular.js';
import { acosh, asinh, atanh, cosh, expm1, sinh } from '../math/hyperbolic.js';
import { log10, log1p64, log2, log64, pow64 } from '../math/logarithms.js';
import { erf, erfc } from './erf.js';
import { floatsOf, onlyInput, tableShape, type Kernel, type KernelArguments } from './kernel.js';

/** Functions of single numbers FP64, by the names of numpy's. */
const FUNCTIONS: Record<string, (x: number) => number> = {
  log: log64,
  log1p: log1p64,
  log2,
  log10,
  exp2: (x) => pow64(2, x),
  expm1,
  sqrt: Math.sqrt,
  cbrt,
  square: (x) => x * x,
  abs: Math.abs,
  negate: (x) => -x,
  reciprocal: (x) => 1 / x,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  erf,
  erfc,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  'round-even': roundEven,
  sign: Math.sign,
  'is-finite': (x) => Number(Number.isFinite(x)),
  'is-infinite': (x) => Number(x === Infinity || x === -Infinity),
  'to-radians': (x) => x * (Math.PI / 180),
  'to-degrees': (x) => x * (180 / Math.PI),
};

/** Kernels that treat each number, or each column, alike. All take and answer FP64 of the same shape. */
export const numbers: Record<string, Kernel> = {
  ...Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, apply]): [string, Kernel] => [
      name,
      () => (inputs) => {
        const { shape, data: source } = onlyInput(inputs);
        const data = new Float64Array(floatsOf(source, `input of ${name}`));
        for (let i = 0; i < data.length; i++) data[i] = apply(data[i] ?? NaN);
        return [{ dtype: 'FP64', shape, data }];
      },
    ]),
  ),

  /** The larger of x and 0; NaN stays. */
  relu: () => (inputs) => {
    const { shape, data: source } = onlyInput(inputs);
    const data = new Float64Array(floatsOf(source, 'input of relu'));
    positives(data);
    return [{ dtype: 'FP64', shape, data }];
  },

  /** The hyperbolic tangent, within three units of the last place. */
  tanh: () => (inputs) => {
    const { shape, data: source } = onlyInput(inputs);
    const data = new Float64Array(floatsOf(source, 'input of tanh'));
    tangents(data);
    return [{ dtype: 'FP64', shape, data }];
  },

  /**
   * `((x − subtract) / divide) · multiply + add`, then at least `low` and at most `high`: each step where its weight FP64
   * `[columns]` is given. NaN stays.
   */
  'scale-columns': (given) => {
    const steps = ['subtract', 'divide', 'multiply', 'add', 'low', 'high'].map((name) =>
      given.has(name) ? given.floats(name, 1).data : undefined,
    );
    const [subtract, divide, multiply, add, low, high] = steps;
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (steps.some((step) => step && step.length !== columns)) {
        given.fail(`weights are not of ${columns} columns`);
      }
      const data = new Float64Array(floatsOf(input.data, 'input of scale-columns'));
      for (let row = 0; row < rows; row++) {
        const at = row * columns;
        // A loop a step: each is short, and asks nothing on the way.
        if (subtract)
          for (let i = 0; i < columns; i++)
            data[at + i] = (data[at + i] ?? NaN) - (subtract[i] ?? NaN);
        if (divide)
          for (let i = 0; i < columns; i++)
            data[at + i] = (data[at + i] ?? NaN) / (divide[i] ?? NaN);
        if (multiply)
          for (let i = 0; i < columns; i++)
            data[at + i] = (data[at + i] ?? NaN) * (multiply[i] ?? NaN);
        if (add)
          for (let i = 0; i < columns; i++) data[at + i] = (data[at + i] ?? NaN) + (add[i] ?? NaN);
        if (low)
          for (let i = 0; i < columns; i++)
            data[at + i] = Math.max(data[at + i] ?? NaN, low[i] ?? NaN);
        if (high)
          for (let i = 0; i < columns; i++)
            data[at + i] = Math.min(data[at + i] ?? NaN, high[i] ?? NaN);
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /** Each row divided by its norm: attribute `norm` = l1, l2 or max; rows of norm 0 stay (sklearn.preprocessing.normalize). */
  'normalise-rows': (given) => {
    const norm = given.oneOf('norm', ['l1', 'l2', 'max']);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      const data = new Float64Array(floatsOf(input.data, 'input of normalise-rows'));
      for (let row = 0; row < rows; row++) {
        const start = row * columns;
        let sum = 0;
        for (let i = start; i < start + columns; i++) {
          const x = Math.abs(data[i] ?? NaN);
          if (norm === 'max') sum = Math.max(sum, x);
          else sum += norm === 'l2' ? x * x : x;
        }
        const divisor = norm === 'l2' ? Math.sqrt(sum) : sum;
        if (divisor === 0) continue;
        for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? NaN) / divisor;
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /** 1 where a number is above the attribute `than`, else 0. */
  binarise: (given) => {
    const than = given.number('than');
    return (inputs) => {
      const { shape, data: source } = onlyInput(inputs);
      const data = new Float64Array(floatsOf(source, 'input of binarise'));
      for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? NaN) > than ? 1 : 0;
      return [{ dtype: 'FP64', shape, data }];
    };
  },

  /**
   * Products of columns (sklearn.preprocessing.PolynomialFeatures): product p is of the `columns` INT32 from `starts`[p] to
   * `starts`[p + 1], from the last to the first, 1 where there are none. Answers `[rows, products]`.
   */
  products: (given) => {
    const { starts, list, count } = listsOf(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (list.some((column) => column < 0 || column >= columns)) given.fail('columns');
      const source = floatsOf(input.data, 'input of products');
      const data = new Float64Array(rows * count);
      for (let row = 0; row < rows; row++) {
        for (let p = 0; p < count; p++) {
          let product = 1;
          const first = starts[p] ?? 0;
          for (let i = (starts[p + 1] ?? 0) - 1; i >= first; i--) {
            product *= source[row * columns + (list[i] ?? 0)] ?? NaN;
          }
          data[row * count + p] = product;
        }
      }
      return [{ dtype: 'FP64', shape: [rows, count], data }];
    };
  },

  /**
   * Missing values replaced: weight `fill` FP64 `[columns]`; attribute `nan` says that NaN is missing, else the attribute
   * `missing` is the number that is.
   */
  'fill-missing': (given) => {
    const fill = given.floats('fill', 1).data;
    const isMissing = missingTest(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (fill.length !== columns) given.fail(`fill is not of ${columns} columns`);
      const data = new Float64Array(floatsOf(input.data, 'input of fill-missing'));
      for (let i = 0; i < data.length; i++) {
        if (isMissing(data[i] ?? NaN)) data[i] = fill[i % columns] ?? NaN;
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /** 1 where a value is missing (see `fill-missing`), else 0. */
  'is-missing': (given) => {
    const isMissing = missingTest(given);
    return (inputs) => {
      const { shape, data: source } = onlyInput(inputs);
      const data = new Float64Array(floatsOf(source, 'input of is-missing'));
      for (let i = 0; i < data.length; i++) data[i] = isMissing(data[i] ?? NaN) ? 1 : 0;
      return [{ dtype: 'FP64', shape, data }];
    };
  },
};

function missingTest(given: KernelArguments): (x: number) => boolean {
  if (given.flag('nan')) return Number.isNaN;
  const missing = given.number('missing');
  return (x) => x === missing;
}

/** Lists of INT32, one after the other: `starts` where each begins. */
export function listsOf(given: KernelArguments): {
  starts: Int32Array;
  list: Int32Array;
  count: number;
} {
  const starts = given.int32('starts');
  const list = given.int32('columns');
  checkStarts(given, starts, list.length);
  return { starts, list, count: starts.length - 1 };
}

export function checkStarts(given: KernelArguments, starts: Int32Array, length: number): void {
  const ascending = starts.every((start, i) => i === 0 || start >= (starts[i - 1] ?? 0));
  if (starts[0] !== 0 || starts.at(-1) !== length || !ascending) given.fail('starts');
}

/** To the nearest integer, halves to the even one. */
function roundEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
