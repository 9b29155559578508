import { exponentials } from '../dense.js';
import { tanh } from '../math/hyperbolic.js';
import { SquaredDistances } from './distances.js';
import { exp64 } from './exp64.js';
import { rowsOf, type Kernel, type KernelArguments, type Value } from './kernel.js';
import { dots, squares, type Measure } from './measures.js';

type Floats = Float32Array | Float64Array;

/** Support vector machines (libsvm as scikit-learn has it: sklearn/svm/src/libsvm/svm.cpp, 0.22 to 1.8). */
export const supportVectors: Record<string, Kernel> = {
  /**
   * Scores of libsvm: weights `support` FP64 `[vectors, columns]`, `dual` FP64 `[classes − 1, vectors]`, `intercept` FP64
   * `[pairs]`, `counts` INT32 `[classes]` vectors of each class; answers a score a pair, `[rows, pairs]`, above 0 for the
   * first of the pair. One class (regression, OneClassSVM): one score, `[rows]`. Attributes: `kernel` (linear, poly, rbf,
   * sigmoid), `gamma`, `coef0`, `degree`.
   */
  'support-vectors': (given) => {
    const { data: support, shape } = given.floats('support', 2);
    const { data: dual, shape: dualShape } = given.floats('dual', 2);
    const intercept = given.floats('intercept', 1).data;
    const counts = given.int32('counts');
    const [vectors = 0, width = 0] = shape;
    const classes = counts.length;
    const pairs = classes === 1 ? 1 : (classes * (classes - 1)) / 2;
    const total = counts.reduce((sum, count) => sum + count, 0);
    const dualRows = Math.max(1, classes - 1);
    if (total !== vectors || counts.some((count) => count < 0)) given.fail('counts');
    if (dualShape[0] !== dualRows || dualShape[1] !== vectors) given.fail('dual');
    if (intercept.length !== pairs) given.fail('intercept');
    const evaluate = kernelOf(given);
    const starts = [0];
    for (const count of counts) starts.push((starts.at(-1) ?? 0) + count);
    const sum = (values: Floats, at: number, row: number, k: number): number => {
      let result = 0;
      const end = starts[k + 1] ?? 0;
      for (let v = starts[k] ?? 0; v < end; v++) {
        result += (dual[row * vectors + v] ?? NaN) * (values[at + v] ?? NaN);
      }
      return result;
    };
    const score = (data: Float64Array, to: number, values: Floats, at: number): void => {
      if (classes === 1) data[to] = sum(values, at, 0, 0) + (intercept[0] ?? NaN);
      for (let i = 0, pair = 0; i < classes; i++) {
        for (let j = i + 1; j < classes; j++, pair++) {
          data[to + pair] =
            sum(values, at, j - 1, i) + sum(values, at, i, j) + (intercept[pair] ?? NaN);
        }
      }
    };
    const isRbf = given.text('kernel') === 'rbf' && given.number('gamma') >= 0 && width > 0;
    const points = { data: support, count: vectors, width };
    const known = isRbf && vectors > 0 ? new SquaredDistances(points) : undefined;
    const distances = known?.areDense ? known : undefined;
    const values = new Float64Array(vectors);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows * pairs);
      distances?.each(
        source,
        rows,
        (row, powers, at) => score(data, row * pairs, powers, at),
        (powers, block) => exponentials(powers, block, -given.number('gamma')),
      );
      for (let row = 0; row < rows && !distances; row++) {
        for (let v = 0; v < vectors; v++)
          values[v] = evaluate(source, row * width, support, v * width, width);
        score(data, row * pairs, values, 0);
      }
      return [{ dtype: 'FP64', shape: pairs === 1 ? [rows] : [rows, pairs], data }];
    };
  },

  /** The class with the most pairs won, the first of equals: `[rows, pairs]` → INT32 `[rows]`. Attribute `classes`. */
  'pair-winner': (given) => {
    const classes = given.integer('classes', 2, 10_000);
    return (inputs) => {
      const { source, rows } = pairsOf(given, inputs, classes);
      const data = new Int32Array(rows);
      const votes = new Int32Array(classes);
      for (let row = 0, at = 0; row < rows; row++) {
        votes.fill(0);
        for (let i = 0; i < classes; i++) {
          for (let j = i + 1; j < classes; j++) {
            const winner = (source[at++] ?? NaN) > 0 ? i : j;
            votes[winner] = (votes[winner] ?? 0) + 1;
          }
        }
        let best = 0;
        for (let k = 1; k < classes; k++) if ((votes[k] ?? 0) > (votes[best] ?? 0)) best = k;
        data[row] = best;
      }
      return [{ dtype: 'INT32', shape: [rows], data }];
    };
  },

  /**
   * Probabilities from scores of pairs by Platt's sigmoids (weights `a` and `b` FP64 `[pairs]`) and pairwise coupling (Wu, Lin
   * and Weng, 2004, method 2), with libsvm's steps and its stop: `[rows, classes]`. Attribute `classes`.
   */
  'pair-probabilities': (given) => {
    const classes = given.integer('classes', 2, 1000);
    const a = given.floats('a', 1).data;
    const b = given.floats('b', 1).data;
    const pairs = (classes * (classes - 1)) / 2;
    if (a.length !== pairs || b.length !== pairs) given.fail('a sigmoid a pair');
    const coupling = new Coupling(classes);
    return (inputs) => {
      const { source, rows } = pairsOf(given, inputs, classes);
      const data = new Float64Array(rows * classes);
      for (let row = 0, at = 0; row < rows; row++) {
        for (let i = 0, pair = 0; i < classes; i++) {
          for (let j = i + 1; j < classes; j++, pair++) {
            coupling.set(i, j, platt((source[at++] ?? NaN) * (a[pair] ?? NaN) + (b[pair] ?? NaN)));
          }
        }
        data.set(coupling.solve(), row * classes);
      }
      return [{ dtype: 'FP64', shape: [rows, classes], data }];
    };
  },
};

function pairsOf(given: KernelArguments, inputs: Value[], classes: number) {
  return rowsOf(given, inputs, (classes * (classes - 1)) / 2);
}

function kernelOf(given: KernelArguments): Measure {
  const name = given.oneOf('kernel', ['linear', 'poly', 'rbf', 'sigmoid']);
  if (name === 'linear') return dots;
  const gamma = given.number('gamma');
  if (name === 'rbf') {
    return (x, from, y, at, width) => exp64(-gamma * squares(x, from, y, at, width));
  }
  const coef0 = given.number('coef0');
  if (name === 'sigmoid') {
    return (x, from, y, at, width) => tanh(gamma * dots(x, from, y, at, width) + coef0);
  }
  const degree = given.integer('degree', 0, 1000);
  return (x, from, y, at, width) => power(gamma * dots(x, from, y, at, width) + coef0, degree);
}

/** libsvm's `powi`. */
function power(base: number, times: number): number {
  let factor = base;
  let result = 1;
  for (let t = times; t > 0; t = t >> 1) {
    if (t % 2 === 1) result *= factor;
    factor *= factor;
  }
  return result;
}

const LEAST_PROBABILITY = 1e-7;

function platt(x: number): number {
  const p = x >= 0 ? exp64(-x) / (1 + exp64(-x)) : 1 / (1 + exp64(x));
  return Math.min(Math.max(p, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY);
}

/** `multiclass_probability` of libsvm. */
class Coupling {
  private readonly pairwise: Float64Array;
  private readonly q: Float64Array;
  private readonly qp: Float64Array;
  private readonly p: Float64Array;

  constructor(private readonly classes: number) {
    this.pairwise = new Float64Array(classes * classes);
    this.q = new Float64Array(classes * classes);
    this.qp = new Float64Array(classes);
    this.p = new Float64Array(classes);
  }

  set(i: number, j: number, probability: number): void {
    this.pairwise[i * this.classes + j] = probability;
    this.pairwise[j * this.classes + i] = 1 - probability;
  }

  solve(): Float64Array {
    const { classes: k, p } = this;
    p.fill(1 / k);
    this.fillMatrix();
    const most = Math.max(100, k);
    for (let step = 0; step < most && this.error() >= 0.005 / k; step++) {
      for (let t = 0; t < k; t++) this.improve(t);
    }
    return p;
  }

  private pqp = 0;

  private fillMatrix(): void {
    const { classes: k, pairwise: r, q } = this;
    for (let t = 0; t < k; t++) {
      let diagonal = 0;
      for (let j = 0; j < k; j++) {
        if (j === t) continue;
        const other = r[j * k + t] ?? NaN;
        diagonal += other * other;
        q[t * k + j] = j < t ? (q[j * k + t] ?? NaN) : -other * (r[t * k + j] ?? NaN);
      }
      q[t * k + t] = diagonal;
    }
  }

  private error(): number {
    const { classes: k, q, qp, p } = this;
    this.pqp = 0;
    for (let t = 0; t < k; t++) {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += (q[t * k + j] ?? NaN) * (p[j] ?? NaN);
      qp[t] = sum;
      this.pqp += (p[t] ?? NaN) * sum;
    }
    let most = 0;
    for (let t = 0; t < k; t++) most = Math.max(most, Math.abs((qp[t] ?? NaN) - this.pqp));
    return most;
  }

  private improve(t: number): void {
    const { classes: k, q, qp, p } = this;
    const diagonal = q[t * k + t] ?? NaN;
    const change = (-(qp[t] ?? NaN) + this.pqp) / diagonal;
    p[t] = (p[t] ?? NaN) + change;
    this.pqp =
      (this.pqp + change * (change * diagonal + 2 * (qp[t] ?? NaN))) / (1 + change) / (1 + change);
    for (let j = 0; j < k; j++) {
      qp[j] = ((qp[j] ?? NaN) + change * (q[t * k + j] ?? NaN)) / (1 + change);
      p[j] = (p[j] ?? NaN) / (1 + change);
    }
  }
}
