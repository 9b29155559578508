import { fused } from '../math/fused.js';
import { log64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { floatsOf, onlyInput, rowsOf, tableShape, type Kernel } from './kernel.js';

const LOG_TWO_PI = log64(2 * Math.PI);

/** Densities, FP64 `[rows, columns]` → a number a component, or one a row. */
export const mixtures: Record<string, Kernel> = {
  /**
   * Log densities of normal distributions (sklearn/mixture/_gaussian_mixture.py, _estimate_log_gaussian_prob) with a constant
   * added: weights `means` FP64 `[components, columns]`, `constants` FP64 `[components]` and `cholesky` FP64, the factors of
   * the precisions: by the attribute `covariance` (full, tied, diag, spherical) `[components, columns, columns]`,
   * `[columns, columns]`, `[components, columns]`, `[components]`. Answers `[rows, components]`.
   */
  'mixture-likelihoods': (given) => {
    const kind = given.oneOf('covariance', ['full', 'tied', 'diag', 'spherical']);
    const { data: means, shape } = given.floats('means', 2);
    const [count = 0, width = 0] = shape;
    const cholesky = given.floats('cholesky').data;
    const constants = given.floats('constants', 1).data;
    const expected = { full: count * width * width, tied: width * width, diag: count * width };
    const size = kind === 'spherical' ? count : expected[kind];
    if (cholesky.length !== size || constants.length !== count) given.fail('cholesky');
    const components = { means, cholesky, count, width };
    const fill =
      kind === 'full' || kind === 'tied'
        ? whole(components)
        : separate(components, kind === 'spherical');
    const buffer = new Float64Array(count);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows * count);
      for (let row = 0; row < rows; row++) {
        fill(source, row * width, buffer);
        for (let k = 0; k < count; k++) {
          data[row * count + k] =
            -0.5 * (width * LOG_TWO_PI + (buffer[k] ?? NaN)) + (constants[k] ?? NaN);
        }
      }
      return [{ dtype: 'FP64', shape: [rows, count], data }];
    };
  },

  /** The logarithm of each row's sum of exponentials: `[rows, columns]` → `[rows]` (scipy.special.logsumexp). */
  'log-sum-exp': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const source = floatsOf(input.data, 'input of log-sum-exp');
    const data = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const start = row * columns;
      let most = -Infinity;
      for (let i = start; i < start + columns; i++) most = Math.max(most, source[i] ?? NaN);
      const from = Number.isFinite(most) ? most : 0;
      let sum = 0;
      for (let i = start; i < start + columns; i++) sum += exp64((source[i] ?? NaN) - from);
      data[row] = log64(sum) + from;
    }
    return [{ dtype: 'FP64', shape: [rows], data }];
  },

  /** (x − centre)ᵀ M (x − centre): weights `centre` FP64 `[columns]`, `matrix` FP64 `[columns, columns]`; answers `[rows]`. */
  'quadratic-forms': (given) => {
    const centre = given.floats('centre', 1).data;
    const matrix = given.floats('matrix', 2).data;
    const { length: width } = centre;
    if (matrix.length !== width * width) given.fail('matrix');
    const centred = new Float64Array(width);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows);
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < width; i++) {
          centred[i] = (source[row * width + i] ?? NaN) - (centre[i] ?? NaN);
        }
        let sum = 0;
        for (let j = 0; j < width; j++) {
          let product = 0;
          for (let i = 0; i < width; i++) {
            product += (centred[i] ?? NaN) * (matrix[i * width + j] ?? NaN);
          }
          sum += (centred[j] ?? NaN) * product;
        }
        data[row] = sum;
      }
      return [{ dtype: 'FP64', shape: [rows], data }];
    };
  },

  /**
   * The leaf of a tree of centres (BisectingKMeans of sklearn/cluster/_bisect_k_means.py), INT32 `[rows]`: weights `left` and
   * `right` INT32 `[nodes]` (−1 in a leaf), `labels` INT32 `[nodes]`, `centres` FP64 `[nodes, columns]`. A row goes to the
   * nearer of two children, of equals to the left one.
   */
  'nearest-child': (given) => {
    const { data: centres, shape } = given.floats('centres', 2);
    const [nodes = 0, width = 0] = shape;
    const left = given.int32('left');
    const right = given.int32('right');
    const labels = given.int32('labels');
    const isChild = (child: number, node: number) => child > node && child < nodes;
    for (let node = 0; node < nodes; node++) {
      const [l = -1, r = -1] = [left[node], right[node]];
      if (!(l === -1 && r === -1) && !(isChild(l, node) && isChild(r, node))) given.fail('tree');
    }
    if (nodes < 1 || left.length !== nodes || right.length !== nodes) given.fail('tree');
    const distance = (source: ArrayLike<number>, from: number, node: number): number => {
      let sum = 0;
      for (let i = 0; i < width; i++) {
        const difference = (source[from + i] ?? NaN) - (centres[node * width + i] ?? NaN);
        sum += difference * difference;
      }
      return sum;
    };
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Int32Array(rows);
      for (let row = 0; row < rows; row++) {
        let node = 0;
        while ((left[node] ?? -1) >= 0) {
          const [l = 0, r = 0] = [left[node], right[node]];
          const from = row * width;
          node = distance(source, from, r) < distance(source, from, l) ? r : l;
        }
        data[row] = labels[node] ?? 0;
      }
      return [{ dtype: 'INT32', shape: [rows], data }];
    };
  },
};

type Floats = Float32Array | Float64Array;

interface Components {
  means: Floats;
  cholesky: Floats;
  count: number;
  width: number;
}

/** Writes what stands for a row's squared distance to each component. */
type Fill = (source: Floats, from: number, to: Float64Array) => void;

/** Factors that are matrices, one a component or one for all: |x · P − mean · P|². */
function whole({ means, cholesky, count, width }: Components): Fill {
  const own = cholesky.length === width * width ? 0 : width * width;
  const moved = new Float64Array(count * width);
  const times = (x: Floats, from: number, k: number, j: number): number => {
    let sum = 0;
    for (let i = 0; i < width; i++) {
      sum += (x[from + i] ?? NaN) * (cholesky[k * own + i * width + j] ?? NaN);
    }
    return sum;
  };
  for (let k = 0; k < count; k++) {
    for (let j = 0; j < width; j++) moved[k * width + j] = times(means, k * width, k, j);
  }
  return (source, from, to) => {
    for (let k = 0; k < count; k++) {
      let sum = 0;
      for (let j = 0; j < width; j++) {
        const y = times(source, from, k, j) - (moved[k * width + j] ?? NaN);
        sum += y * y;
      }
      to[k] = sum;
    }
  };
}

/**
 * Factors a column or a component: Σ mean² p − 2 Σ x mean p + Σ x² p. Much cancels out where a column hardly varies, so that
 * the sums are those of the library: products of matrices, which BLAS adds up with {@link fused} steps.
 */
function separate({ means, cholesky, count, width }: Components, isSpherical: boolean): Fill {
  const precision = (k: number, i: number) =>
    squared(cholesky[isSpherical ? k : k * width + i] ?? NaN);
  const own = new Float64Array(count);
  const mixed = new Float64Array(count * width);
  const plain = new Float64Array(count * width);
  for (let k = 0; k < count; k++) {
    for (let i = 0; i < width; i++) {
      const mean = means[k * width + i] ?? NaN;
      own[k] = (own[k] ?? 0) + mean * mean * (isSpherical ? 1 : precision(k, i));
      mixed[k * width + i] = mean * precision(k, i);
      plain[k * width + i] = precision(k, i);
    }
    if (isSpherical) own[k] = (own[k] ?? NaN) * precision(k, 0);
  }
  return (source, from, to) => {
    let norm = 0;
    for (let i = 0; i < width; i++) norm += squared(source[from + i] ?? NaN);
    for (let k = 0; k < count; k++) {
      let product = 0;
      let squares = 0;
      for (let i = 0; i < width; i++) {
        const x = source[from + i] ?? NaN;
        product = fused(x, mixed[k * width + i] ?? NaN, product);
        squares = isSpherical ? 0 : fused(x * x, plain[k * width + i] ?? NaN, squares);
      }
      if (isSpherical) squares = norm * precision(k, 0);
      to[k] = (own[k] ?? NaN) - 2 * product + squares;
    }
  };
}

function squared(x: number): number {
  return x * x;
}
