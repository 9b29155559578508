import { rowsOf, type Kernel } from './kernel.js';

/** Log likelihoods of classes, FP64 `[rows, columns]` → `[rows, classes]`. */
export const likelihoods: Record<string, Kernel> = {
  /**
   * Normal distributions, one a class and column (sklearn/naive_bayes.py, GaussianNB): weights `means` and `variances` FP64
   * `[classes, columns]`, `constants` FP64 `[classes]`; constant − ½ Σ (x − mean)² / variance.
   */
  'normal-likelihoods': (given) => {
    const { data: means, shape } = given.floats('means', 2);
    const variances = given.floats('variances', 2).data;
    const constants = given.floats('constants', 1).data;
    const [classes = 0, width = 0] = shape;
    if (variances.length !== means.length || constants.length !== classes) given.fail('weights');
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows * classes);
      for (let row = 0; row < rows; row++) {
        for (let k = 0; k < classes; k++) {
          let sum = 0;
          for (let i = 0; i < width; i++) {
            const difference = (source[row * width + i] ?? NaN) - (means[k * width + i] ?? NaN);
            sum += (difference * difference) / (variances[k * width + i] ?? NaN);
          }
          data[row * classes + k] = (constants[k] ?? NaN) - 0.5 * sum;
        }
      }
      return [{ dtype: 'FP64', shape: [rows, classes], data }];
    };
  },

  /**
   * Quadratic discriminants (sklearn/discriminant_analysis.py): −½ (|(x − mean) R|² + constant) + prior, with weights `means`
   * FP64 `[classes, columns]`, `rotations` FP64 all R one after the other, each `[columns, ranks]` where `ranks` INT32
   * `[classes]`; `constants` and `priors` FP64 `[classes]`.
   */
  'quadratic-discriminants': (given) => {
    const { data: means, shape } = given.floats('means', 2);
    const rotations = given.floats('rotations', 1).data;
    const ranks = given.int32('ranks');
    const constants = given.floats('constants', 1).data;
    const priors = given.floats('priors', 1).data;
    const [classes = 0, width = 0] = shape;
    const size = ranks.reduce((sum, rank) => sum + rank * width, 0);
    if (size !== rotations.length || ranks.length !== classes) given.fail('rotations');
    if (constants.length !== classes || priors.length !== classes) given.fail('constants');
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const data = new Float64Array(rows * classes);
      for (let row = 0; row < rows; row++) {
        let start = 0;
        for (let k = 0; k < classes; k++) {
          const rank = ranks[k] ?? 0;
          let norm = 0;
          for (let r = 0; r < rank; r++) {
            let sum = 0;
            for (let i = 0; i < width; i++) {
              const difference = (source[row * width + i] ?? NaN) - (means[k * width + i] ?? NaN);
              sum += difference * (rotations[start + i * rank + r] ?? NaN);
            }
            norm += sum * sum;
          }
          start += rank * width;
          data[row * classes + k] = -0.5 * (norm + (constants[k] ?? NaN)) + (priors[k] ?? NaN);
        }
      }
      return [{ dtype: 'FP64', shape: [rows, classes], data }];
    };
  },
};
