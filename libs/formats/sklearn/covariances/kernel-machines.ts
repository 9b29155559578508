import { NdArray } from '../../pickle/records.js';
import { numbersAnswer, type CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import { transposed } from '../linear/linear.js';
import { pairwiseCovariance } from './covariance.js';

/** Machines of pairwise kernels (sklearn/kernel_ridge.py, kernel_approximation.py, decomposition/_kernel_pca.py, 0.22 to 1.8). */
export const kernelMachines: Record<string, CompileEstimator> = {
  KernelRidge: (fitted, graph) => {
    const points = fitted.matrix('X_fit_');
    const { rows: count, columns: features } = points;
    const dual = fitted.attribute('dual_coef_');
    const isMatrix = dual instanceof NdArray && dual.shape.length === 2;
    const coefficients = fitted.vector('dual_coef_');
    const outputs = coefficients.length / count;
    if (!Number.isInteger(outputs)) fitted.damaged('has dual_coef_ of another length');
    return {
      features,
      ...namesOf(fitted),
      predict: (input) => {
        const given = pairwiseCovariance(fitted, points, graph);
        const value = graph.kernel(
          'covariance-sums',
          [graph.matrix(input, { owner: fitted, features })],
          {
            ...given,
            weights: { ...given.weights, coefficients: graph.fp64(coefficients, [count, outputs]) },
          },
        );
        if (isMatrix) return { value, dtype: 'FP64', shape: [-1, outputs] };
        return numbersAnswer(graph.kernel('as-vector', [value]));
      },
    };
  },

  Nystroem: (fitted, graph) => {
    const points = fitted.matrix('components_');
    const { rows: count, columns: features } = points;
    const normalisation = fitted.matrix('normalization_', count, count);
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const given = pairwiseCovariance(fitted, points, graph);
        const coefficients = graph.fp64(transposed(normalisation), [count, count]);
        const rows = graph.matrix(input, { owner: fitted, features });
        const weights = { ...given.weights, coefficients };
        return graph.table(graph.kernel('covariance-sums', [rows], { ...given, weights }), count);
      },
    };
  },

  KernelPCA: (fitted, graph) => {
    const points = fitted.matrix('X_fit_');
    const { rows: count, columns: features } = points;
    const values = fitted.vector(fitted.oneNamed('eigenvalues_', 'lambdas_'));
    const { length: width } = values;
    const vectors = fitted.matrix(fitted.oneNamed('eigenvectors_', 'alphas_'), count, width);
    const scaled = vectors.data.map((x, i) => {
      const value = values[i % width] ?? NaN;
      return value === 0 ? 0 : x / Math.sqrt(value);
    });
    const centerer = fitted.fitted('_centerer');
    const centre = centerer.vector('K_fit_rows_', count);
    const centreAll = centerer.number('K_fit_all_');
    const gamma = fitted.named('gamma_', 'gamma');
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const given = pairwiseCovariance(
          fitted,
          points,
          graph,
          gamma === undefined ? {} : { gamma },
        );
        const value = graph.kernel(
          'covariance-sums',
          [graph.matrix(input, { owner: fitted, features })],
          {
            attributes: { ...given.attributes, centreAll },
            weights: {
              ...given.weights,
              coefficients: graph.fp64(scaled, [count, width]),
              centre: graph.fp64(centre),
            },
          },
        );
        return graph.table(value, width);
      },
    };
  },
};
