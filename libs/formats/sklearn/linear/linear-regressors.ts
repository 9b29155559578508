import type { CompileEstimator, Estimator } from '../estimator.js';
import { numbersAnswer } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { linearModel } from './linear.js';

/** Classes that answer `X · coef_ᵀ + intercept_` as it is. */
const PLAIN = [
  'LinearRegression',
  'Ridge',
  'RidgeCV',
  'Lasso',
  'LassoCV',
  'ElasticNet',
  'ElasticNetCV',
  'MultiTaskLasso',
  'MultiTaskLassoCV',
  'MultiTaskElasticNet',
  'MultiTaskElasticNetCV',
  'Lars',
  'LarsCV',
  'LassoLars',
  'LassoLarsCV',
  'LassoLarsIC',
  'OrthogonalMatchingPursuit',
  'OrthogonalMatchingPursuitCV',
  'BayesianRidge',
  'ARDRegression',
  'SGDRegressor',
  'PassiveAggressiveRegressor',
  'HuberRegressor',
  'TheilSenRegressor',
  'QuantileRegressor',
  'LinearSVR',
];

/** Linear regressors (sklearn/linear_model and sklearn/svm, 0.22 to 1.8). */
export const linearRegressors: Record<string, CompileEstimator> = {
  ...Object.fromEntries(PLAIN.map((name): [string, CompileEstimator] => [name, plain])),
  PoissonRegressor: (fitted, graph) => linked(fitted, graph, true),
  GammaRegressor: (fitted, graph) => linked(fitted, graph, true),
  TweedieRegressor: (fitted, graph) => {
    const link = fitted.oneOf('link', ['auto', 'identity', 'log']);
    return linked(fitted, graph, link === 'log' || (link === 'auto' && fitted.number('power') > 0));
  },
  RANSACRegressor: (fitted, graph) => graph.compile(fitted.fitted('estimator_')),
};

function plain(fitted: Fitted, graph: SklearnGraph): Estimator {
  return linked(fitted, graph, false);
}

function linked(fitted: Fitted, graph: SklearnGraph, logarithmic: boolean): Estimator {
  const model = linearModel(fitted, graph);
  return {
    ...model.common,
    predict: (input) => {
      const scores = model.scores(input);
      const value = logarithmic ? graph.kernel('exp', [scores]) : scores;
      if (!model.isMatrix || model.outputs > 1) return numbersAnswer(value, model.outputs);
      return { value: graph.kernel('as-matrix', [value]), dtype: 'FP64', shape: [-1, 1] };
    },
  };
}
