import { expm1 } from '../math/hyperbolic.js';
import { log1p64, log64, pow64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { interpolate } from './interpolate.js';
import { floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

/** Within this of its ends a normal distribution is at them (BOUNDS_THRESHOLD of scikit-learn), and its quantile there. */
const MARGIN = 1e-7;
const [LEAST, MOST] = [-5.199337582605575, 5.19933758270342];

/** Columns to other distributions (sklearn/preprocessing/_data.py and _discretization.py, 0.22 to 1.8); NaN stays. */
export const distributions: Record<string, Kernel> = {
  /** Yeo and Johnson's power, weight `lambdas` FP64 `[columns]`; attribute `method` = yeo-johnson, or box-cox. */
  power: (given) => {
    const lambdas = given.floats('lambdas', 1).data;
    const apply =
      given.oneOf('method', ['yeo-johnson', 'box-cox']) === 'box-cox' ? boxCox : yeoJohnson;
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (columns !== lambdas.length) given.fail(`takes ${lambdas.length} columns`);
      const data = new Float64Array(floatsOf(input.data, 'input of power'));
      for (let i = 0; i < data.length; i++) {
        data[i] = apply(data[i] ?? NaN, lambdas[i % columns] ?? NaN);
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /**
   * The interval of each number: how many of the `edges` FP64 of its column, from `starts`[c] to `starts`[c + 1], it
   * reaches. Attributes `relative` and `absolute`: what is added to a number before (releases before 1.1).
   */
  intervals: (given) => {
    const starts = given.int32('starts');
    const edges = given.floats('edges', 1).data;
    const relative = given.number('relative');
    const absolute = given.number('absolute');
    if (starts.at(-1) !== edges.length) given.fail('edges');
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (columns !== starts.length - 1) given.fail(`takes ${starts.length - 1} columns`);
      const data = new Float64Array(floatsOf(input.data, 'input of intervals'));
      for (let i = 0; i < data.length; i++) {
        const given = data[i] ?? NaN;
        const x = given + absolute + relative * Math.abs(given);
        const first = starts[i % columns] ?? 0;
        let count = 0;
        for (let e = first; e < (starts[(i % columns) + 1] ?? 0); e++) {
          if (x >= (edges[e] ?? NaN)) count = e - first + 1;
        }
        data[i] = count;
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /**
   * The share of each number in its column's `quantiles` FP64 `[columns, references]`, between the `references` FP64; the
   * mean of both directions, so that equal quantiles give their middle. Attribute `normal`: then the normal quantile of it.
   */
  quantile: (given) => {
    const { data: quantiles, shape } = given.floats('quantiles', 2);
    const references = given.floats('references', 1).data;
    const normal = given.flag('normal');
    const [width = 0, count = 0] = shape;
    if (references.length !== count || count < 1) given.fail('references');
    const backwards = quantiles.slice();
    for (let c = 0; c < width; c++) backwards.subarray(c * count, (c + 1) * count).reverse();
    for (let i = 0; i < backwards.length; i++) backwards[i] = -(backwards[i] ?? NaN);
    const minus = references.map((reference) => -reference).reverse();
    const share = (x: number, start: number): number => {
      const low = quantiles[start] ?? NaN;
      const high = quantiles[start + count - 1] ?? NaN;
      if (normal ? x - MARGIN < low : x === low) return 0;
      if (normal ? x + MARGIN > high : x === high) return 1;
      const up = interpolate(quantiles, references, { from: start, count }, x);
      return 0.5 * (up - interpolate(backwards, minus, { from: start, count }, -x));
    };
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (columns !== width) given.fail(`takes ${width} columns`);
      const data = new Float64Array(floatsOf(input.data, 'input of quantile'));
      for (let i = 0; i < data.length; i++) {
        const x = share(data[i] ?? NaN, (i % columns) * count);
        data[i] = normal ? Math.min(Math.max(normalQuantile(x), LEAST), MOST) : x;
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },
};

function yeoJohnson(x: number, lambda: number): number {
  if (x >= 0) {
    return Math.abs(lambda) < Number.EPSILON ? log1p64(x) : (pow64(x + 1, lambda) - 1) / lambda;
  }
  if (Math.abs(lambda - 2) <= Number.EPSILON) return -log1p64(-x);
  return -(pow64(1 - x, 2 - lambda) - 1) / (2 - lambda);
}

function boxCox(x: number, lambda: number): number {
  return lambda === 0 ? log64(x) : expm1(lambda * log64(x)) / lambda;
}

/** Of Cephes' `ndtri` (Moshier), for probabilities from e^−32 to 1 − e^−32; highest power first. */
const CENTRE = {
  over: [
    -59.96335010141079, 98.00107541859997, -56.67628574690703, 13.931260938727968,
    -1.2391658386738125,
  ],
  under: [
    1, 1.9544885833814176, 4.676279128988815, 86.36024213908905, -225.46268785411937,
    200.26021238006066, -82.03722561683334, 15.90562251262117, -1.1833162112133,
  ],
};
const TAIL = {
  over: [
    4.0554489230596245, 31.525109459989388, 57.16281922464213, 44.08050738932008,
    14.684956192885803, 2.1866330685079025, -0.1402560791713545, -0.03504246268278482,
    -0.0008574567851546854,
  ],
  under: [
    1, 15.779988325646675, 45.39076351288792, 41.3172038254672, 15.04253856929075,
    2.504649462083094, -0.14218292285478779, -0.03808064076915783, -0.0009332594808954574,
  ],
};
const EDGE = exp64(-2);

/** The number that a standard normal one is below with probability `p`. */
function normalQuantile(p: number): number {
  if (p <= 0) return -Infinity;
  if (p >= 1) return Infinity;
  const upper = p > 1 - EDGE;
  const y = upper ? 1 - p : p;
  if (y > EDGE) {
    const centred = y - 0.5;
    const square = centred * centred;
    const ratio = polynomial(square, CENTRE.over) / polynomial(square, CENTRE.under);
    return (centred + centred * (square * ratio)) * Math.sqrt(2 * Math.PI);
  }
  const x = Math.sqrt(-2 * log64(y));
  const z = 1 / x;
  const tail = x - log64(x) / x - (z * polynomial(z, TAIL.over)) / polynomial(z, TAIL.under);
  return upper ? tail : -tail;
}

function polynomial(x: number, coefficients: readonly number[]): number {
  let sum = 0;
  for (const coefficient of coefficients) sum = sum * x + coefficient;
  return sum;
}
