import { numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';
import { digamma } from './digamma.js';

/** Mixtures of normal distributions (sklearn/mixture, 0.22 to 1.8) and the envelope of one (sklearn/covariance). */
export const mixtures: Record<string, CompileEstimator> = {
  GaussianMixture: (fitted, graph) => {
    const weights = fitted.vector('weights_');
    return mixture(fitted, graph, weights.map(Math.log));
  },

  BayesianGaussianMixture: (fitted, graph) => {
    const { rows: count, columns: width } = fitted.matrix('means_');
    const freedoms = fitted.vector('degrees_of_freedom_');
    const precisions = fitted.vector('mean_precision_', count);
    const constants = bayesianWeights(fitted, count).map((weight, k) => {
      const freedom = freedoms[freedoms.length === 1 ? 0 : k] ?? NaN;
      let lambda = 0;
      for (let i = 0; i < width; i++) lambda += digamma(0.5 * (freedom - i));
      const log = width * Math.log(2) + lambda;
      const scale = -0.5 * width * Math.log(freedom);
      return weight + scale + 0.5 * (log - width / (precisions[k] ?? NaN));
    });
    return mixture(fitted, graph, constants);
  },

  EllipticEnvelope: (fitted, graph) => {
    const centre = fitted.vector('location_');
    const { length: features } = centre;
    if (fitted.isNone('precision_')) fitted.unsupported('was fitted with store_precision=False');
    const precision = fitted.matrix('precision_', features, features);
    const offset = fitted.number('offset_');
    const scores = (input: Table) =>
      graph.kernel('negate', [
        graph.kernel('quadratic-forms', [graph.matrix(input, { owner: fitted, features })], {
          weights: {
            centre: graph.fp64(centre),
            matrix: graph.fp64(precision.data, [features, features]),
          },
        }),
      ]);
    const decision = (input: Table) =>
      graph.kernel('scale-columns', [scores(input)], {
        weights: { subtract: graph.fp64([offset]) },
      });
    const labels = { dtype: 'INT64' as const, values: [-1, 1] };
    const predictIndex = (input: Table) => graph.above(decision(input), 0, true);
    return {
      features,
      ...namesOf(fitted),
      predict: (input) => graph.predictLabels(labels, predictIndex(input)),
      predictIndex,
      decisionFunction: (input) => numbersAnswer(decision(input)),
      scoreSamples: (input) => numbersAnswer(scores(input)),
    };
  },
};

/** `_estimate_log_weights` of sklearn/mixture/_bayesian_mixture.py. */
function bayesianWeights(fitted: Fitted, count: number): Float64Array {
  const kind = fitted.oneOf('weight_concentration_prior_type', [
    'dirichlet_process',
    'dirichlet_distribution',
  ]);
  if (kind === 'dirichlet_distribution') {
    const weights = fitted.vector('weight_concentration_', count);
    const all = digamma(weights.reduce((sum, x) => sum + x, 0));
    return weights.map((x) => digamma(x) - all);
  }
  const [a, b] = fitted.vectors('weight_concentration_');
  if (a?.length !== count || b?.length !== count) return fitted.damaged('weight_concentration_');
  let before = 0;
  return a.map((x, k) => {
    const y = b[k] ?? NaN;
    const all = digamma(x + y);
    const weight = digamma(x) - all + before;
    before += digamma(y) - all;
    return weight;
  });
}

function mixture(fitted: Fitted, graph: SklearnGraph, weights: Float64Array): Estimator {
  const means = fitted.matrix('means_', weights.length);
  const { rows: count, columns: features } = means;
  const covariance = fitted.oneOf('covariance_type', ['full', 'tied', 'diag', 'spherical']);
  const cholesky = fitted.vector('precisions_cholesky_');
  const determinants = logDeterminants(cholesky, { covariance, count, width: features });
  const known = new Map<Table, string>();
  const likelihoods = (input: Table): string => {
    const value =
      known.get(input) ??
      graph.kernel('mixture-likelihoods', [graph.matrix(input, { owner: fitted, features })], {
        attributes: { covariance },
        weights: {
          means: graph.fp64(means.data, [count, features]),
          cholesky: graph.fp64(cholesky),
          constants: graph.fp64(weights.map((weight, k) => weight + (determinants[k] ?? NaN))),
        },
      });
    known.set(input, value);
    return value;
  };
  const predictIndex = (input: Table) => graph.largest(likelihoods(input));
  return {
    features,
    ...namesOf(fitted),
    predictIndex,
    predict: (input) => {
      const attributes = { dtype: 'INT64' };
      const value = graph.kernel('cast', [predictIndex(input)], { attributes });
      return { value, dtype: 'INT64', shape: [-1] };
    },
    predictProba: (input) =>
      graph.kernel('exp', [graph.kernel('subtract-log-sum', [likelihoods(input)])]),
    scoreSamples: (input) => numbersAnswer(graph.kernel('log-sum-exp', [likelihoods(input)])),
  };
}

/** Of each component: the logarithm of the determinant of its factor. */
function logDeterminants(
  cholesky: Float64Array,
  { covariance, count, width }: { covariance: string; count: number; width: number },
): Float64Array {
  return Float64Array.from({ length: count }, (_, k) => {
    if (covariance === 'spherical') return width * Math.log(cholesky[k] ?? NaN);
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const diagonal = i * width + i;
      const at = { full: k * width * width + diagonal, tied: diagonal, diag: k * width + i };
      sum += Math.log(cholesky[at[covariance as keyof typeof at]] ?? NaN);
    }
    return sum;
  });
}
