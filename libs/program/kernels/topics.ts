import { log64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { rowsOf, type Kernel } from './kernel.js';

/** Topics of documents. */
export const topics: Record<string, Kernel> = {
  /**
   * The shares of topics by variational inference (LatentDirichletAllocation of sklearn/decomposition/_lda.py and
   * _online_lda_fast.pyx): counts FP64 `[rows, words]`, weight `words` FP64 `[topics, words]` (exp_dirichlet_component_);
   * attributes `prior`, `iterations` at most, and `tolerance` of the mean change at which they end. Answers `[rows, topics]`.
   */
  topics: (given) => {
    const { data: words, shape } = given.floats('words', 2);
    const [count = 0, width = 0] = shape;
    const prior = given.number('prior');
    const iterations = given.integer('iterations', 0, 1_000_000);
    const tolerance = given.number('tolerance');
    if (count < 1) given.fail('words');
    const shares = new Float64Array(count);
    const next = new Float64Array(count);
    const weights = new Float64Array(count);
    /** One step; answers the mean change of the shares. */
    const step = (source: ArrayLike<number>, from: number, used: number[]): number => {
      next.fill(0);
      for (const word of used) {
        let norm = 0;
        for (let k = 0; k < count; k++) {
          norm += (weights[k] ?? NaN) * (words[k * width + word] ?? NaN);
        }
        const ratio = (source[from + word] ?? NaN) / (norm + Number.EPSILON);
        for (let k = 0; k < count; k++) {
          next[k] = (next[k] ?? NaN) + ratio * (words[k * width + word] ?? NaN);
        }
      }
      let total = 0;
      for (let k = 0; k < count; k++) {
        next[k] = (weights[k] ?? NaN) * (next[k] ?? NaN) + prior;
        total += next[k] ?? NaN;
      }
      const all = psi(total);
      let change = 0;
      for (let k = 0; k < count; k++) {
        weights[k] = exp64(psi(next[k] ?? NaN) - all);
        change += Math.abs((shares[k] ?? NaN) - (next[k] ?? NaN));
      }
      shares.set(next);
      return change / count;
    };
    const start = exp64(psi(1) - psi(count));
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows * count);
      for (let row = 0; row < rows; row++) {
        const used: number[] = [];
        for (let w = 0; w < width; w++) if (source[row * width + w] !== 0) used.push(w);
        shares.fill(1);
        weights.fill(start);
        for (let i = 0; i < iterations; i++) {
          if (step(source, row * width, used) < tolerance) break;
        }
        let total = 0;
        for (const share of shares) total += share;
        for (let k = 0; k < count; k++) data[row * count + k] = (shares[k] ?? NaN) / total;
      }
      return [{ dtype: 'FP64', shape: [rows, count], data }];
    };
  },
};

const EULER = 0.5772156649015329;

/** ψ of positive numbers, as exact as scikit-learn's and no more (Bernardo, 1976, algorithm AS 103). */
function psi(x: number): number {
  if (x <= 1e-6) return -EULER - 1 / x;
  let z = x;
  let result = 0;
  for (; z < 6; z++) result -= 1 / z;
  let r = 1 / z;
  result += log64(z) - 0.5 * r;
  r *= r;
  return result - r * (1 / 12 - r * (1 / 120 - r * (1 / 252)));
}
