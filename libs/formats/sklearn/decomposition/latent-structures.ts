import { numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { affine, transposed } from '../linear/linear.js';
import { centred, projection } from './projections.js';

/** Partial least squares (sklearn/cross_decomposition/_pls.py, 0.22 to 1.8). */
export const latentStructures: Record<string, CompileEstimator> = {
  PLSRegression: leastSquares,
  PLSCanonical: leastSquares,
  CCA: leastSquares,
  PLSSVD: (fitted, graph) => {
    const weights = turned(fitted.matrix('x_weights_'));
    return projection(fitted, graph, weights, stepsOf(fitted, weights.columns));
  },
};

function leastSquares(fitted: Fitted, graph: SklearnGraph): Estimator {
  const rotations = turned(fitted.matrix('x_rotations_'));
  const { columns: features } = rotations;
  const steps = stepsOf(fitted, features);
  // Until 1.4 coefficients are those of scaled columns, and until 1.0 they lie the other way.
  const scaled = !fitted.since(1, 5);
  const given = fitted.matrix(fitted.oneNamed('_coef_', 'coef_'));
  const coefficients = fitted.since(1, 1) ? given : turned(given);
  const { rows: outputs } = coefficients;
  const intercept = fitted.vector(fitted.oneNamed('intercept_', '_y_mean', 'y_mean_'), outputs);
  const isVector = fitted.flagOr('_predict_1d', false);
  return {
    ...projection(fitted, graph, rotations, steps),
    ...namesOf(fitted),
    predict: (input) => {
      const own = scaled ? steps : { subtract: steps.subtract };
      const rows = centred(graph, input, { owner: fitted, features, steps: own });
      const value = affine(graph, rows, coefficients, new Float64Array(outputs));
      const weights = { add: graph.fp64(intercept) };
      const sum = graph.kernel('scale-columns', [value], { weights });
      if (isVector || outputs > 1) return numbersAnswer(sum, outputs);
      return { value: graph.kernel('as-matrix', [sum]), dtype: 'FP64', shape: [-1, 1] };
    },
  };
}

function stepsOf(fitted: Fitted, features: number) {
  return {
    subtract: fitted.vector(fitted.oneNamed('_x_mean', 'x_mean_'), features),
    divide: fitted.vector(fitted.oneNamed('_x_std', 'x_std_'), features),
  };
}

function turned(matrix: Matrix): Matrix {
  return { rows: matrix.columns, columns: matrix.rows, data: transposed(matrix) };
}
