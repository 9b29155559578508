import { Covariance } from './covariance.js';
import { erf } from './erf.js';
import { rowsOf, type Kernel } from './kernel.js';

/** Kernels of machines that know points and how alike a row is to each of them ({@link Covariance}). */
export const covariances: Record<string, Kernel> = {
  /**
   * Sums of covariances: k(row, points) · coefficients, with the weight `coefficients` FP64 `[points, outputs]`; answers
   * `[rows, outputs]`. With the weight `centre` FP64 `[points]` and the attribute `centreAll` covariances are centred first
   * (KernelCenterer of sklearn/preprocessing/_data.py): − centre, − the row's mean, + centreAll.
   */
  'covariance-sums': (given) => {
    const covariance = new Covariance(given);
    const { count, width } = covariance.points;
    const { data: coefficients, shape } = given.floats('coefficients', 2);
    const [terms, outputs = 0] = shape;
    if (terms !== count || outputs < 1) given.fail('coefficients');
    const centre = given.has('centre') ? given.floats('centre', 1).data : undefined;
    const centreAll = centre ? given.number('centreAll') : 0;
    if (centre && centre.length !== count) given.fail('centre');
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows * outputs);
      for (let row = 0; row < rows; row++) {
        const alike = covariance.of(source, row * width);
        if (centre) centred(alike, centre, centreAll);
        const at = row * outputs;
        for (let p = 0; p < count; p++) {
          const value = alike[p] ?? NaN;
          for (let k = 0; k < outputs; k++) {
            data[at + k] = (data[at + k] ?? 0) + value * (coefficients[p * outputs + k] ?? NaN);
          }
        }
      }
      return [{ dtype: 'FP64', shape: [rows, outputs], data }];
    };
  },

  /**
   * The probability of the second class by Laplace's approximation (_BinaryGaussianProcessClassifierLaplace of sklearn/
   * gaussian_process/_gpc.py): weights `residuals` and `roots` (W_sr_) FP64 `[points]`, `lower` FP64 `[points, points]` (L_).
   * Answers `[rows]`.
   */
  'laplace-probability': (given) => {
    const covariance = new Covariance(given);
    const { count, width } = covariance.points;
    const residuals = given.floats('residuals', 1).data;
    const roots = given.floats('roots', 1).data;
    const lower = given.floats('lower', 2).data;
    if (residuals.length !== count || roots.length !== count) given.fail('points differ');
    if (lower.length !== count * count) given.fail('lower');
    const solved = new Float64Array(count);
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows);
      for (let row = 0; row < rows; row++) {
        const alike = covariance.of(source, row * width);
        let mean = 0;
        let explained = 0;
        for (let p = 0; p < count; p++) {
          mean += (alike[p] ?? NaN) * (residuals[p] ?? NaN);
          let rest = (roots[p] ?? NaN) * (alike[p] ?? NaN);
          for (let q = 0; q < p; q++) rest -= (lower[p * count + q] ?? NaN) * (solved[q] ?? NaN);
          solved[p] = rest / (lower[p * count + p] ?? NaN);
          explained += (solved[p] ?? NaN) ** 2;
        }
        data[row] = averagedSigmoid(mean, covariance.diagonal(source, row * width) - explained);
      }
      return [{ dtype: 'FP64', shape: [rows], data }];
    };
  },
};

function centred(alike: Float64Array, centre: ArrayLike<number>, all: number): void {
  let sum = 0;
  for (const value of alike) sum += value;
  const mean = sum / alike.length;
  for (let p = 0; p < alike.length; p++) {
    alike[p] = (alike[p] ?? NaN) - (centre[p] ?? NaN) - mean + all;
  }
}

/** The sigmoid as a sum of five error functions (Williams and Barber, 1998, appendix A). */
const SLOPES = [0.41, 0.4, 0.37, 0.44, 0.39];
const SHARES = [-1854.8214151, 3516.89893646, 221.29346712, 128.12323805, -2010.49422654];
const HALF = 0.5 * SHARES.reduce((sum, share) => sum + share, 0);

/** The mean of the sigmoid of a normal variable. */
function averagedSigmoid(mean: number, variance: number): number {
  const alpha = 1 / (2 * variance);
  let sum = 0;
  for (const [i, slope] of SLOPES.entries()) {
    const integral =
      (Math.sqrt(Math.PI / alpha) *
        erf(slope * mean * Math.sqrt(alpha / (alpha + slope * slope)))) /
      (2 * Math.sqrt(variance * 2 * Math.PI));
    sum += (SHARES[i] ?? NaN) * integral;
  }
  return sum + HALF;
}
