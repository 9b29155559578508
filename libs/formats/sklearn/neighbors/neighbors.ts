import type { CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numberIn } from '../python-values.js';
import type { Table } from '../table.js';
import { NdArray, PyDict } from '../../pickle/records.js';

/** Nearest neighbours, by looking at every point (sklearn/neighbors, 0.22 to 1.8). */
export const neighbors: Record<string, CompileEstimator> = {
  KNeighborsClassifier: (fitted, graph) => {
    if (fitted.flagOr('outputs_2d_', false)) fitted.unsupported('has several outputs');
    const classes = fitted.labels('classes_');
    const targets = fitted.vector('_y');
    const { features, search } = searchOf(fitted, graph, targets.length);
    const predictProba = (input: Table) =>
      search(input, { classes: classes.values.length }, graph.int32(targets));
    const predictIndex = (input: Table) => graph.largest(predictProba(input));
    return {
      features,
      ...namesOf(fitted),
      classes,
      predictProba,
      predictIndex,
      predict: (input) => graph.predictLabels(classes, predictIndex(input)),
    };
  },

  KNeighborsRegressor: (fitted, graph) => {
    const y = fitted.attribute('_y');
    const isMatrix = y instanceof NdArray && y.shape.length === 2;
    const targets = fitted.vector('_y');
    const outputs = isMatrix ? (y.shape[1] ?? 1) : 1;
    const { features, search } = searchOf(fitted, graph, targets.length / outputs);
    return {
      features,
      ...namesOf(fitted),
      predict: (input) => {
        const shape = [targets.length / outputs, outputs];
        const value = search(input, {}, graph.fp64(targets, shape));
        if (!isMatrix) return { value, dtype: 'FP64', shape: [-1] };
        return { value: graph.kernel('as-matrix', [value]), dtype: 'FP64', shape: [-1, outputs] };
      },
    };
  },

  NearestCentroid: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const metric = fitted.attribute('metric');
    if (metric !== 'euclidean') return fitted.unsupported('has a metric that is not supported');
    // Since 1.6 priors move the borders.
    if (fitted.since(1, 6) && fitted.textOr('priors', 'uniform') !== 'uniform') {
      fitted.unsupported('has priors, which are not supported');
    }
    const centers = fitted.matrix('centroids_', classes.values.length);
    const { rows, columns } = centers;
    const predictIndex = (input: Table) =>
      graph.kernel('nearest-point', [graph.matrix(input, { owner: fitted, features: columns })], {
        weights: { points: graph.fp64(centers.data, [rows, columns]) },
      });
    return {
      features: columns,
      ...namesOf(fitted),
      classes,
      predictIndex,
      predict: (input) => graph.predictLabels(classes, predictIndex(input)),
    };
  },
};

type Targets = ReturnType<SklearnGraph['fp64']>;

function searchOf(fitted: Fitted, graph: SklearnGraph, count: number) {
  const points = fitted.matrix('_fit_X', count);
  const { rows, columns } = points;
  const weights = fitted.oneOf('weights', ['uniform', 'distance']);
  const metric = metricOf(fitted);
  const neighbours = fitted.integer('n_neighbors', 1, rows);
  return {
    features: columns,
    search: (input: Table, attributes: { classes?: number }, targets: Targets) =>
      graph.kernel(
        'nearest-neighbours',
        [graph.matrix(input, { owner: fitted, features: columns })],
        {
          attributes: { neighbours, weights, ...metric, ...attributes },
          weights: { points: graph.fp64(points.data, [rows, columns]), targets },
        },
      ),
  };
}

function metricOf(fitted: Fitted): { metric: string; p?: number } {
  const metric = fitted.attribute('effective_metric_');
  switch (metric) {
    case 'euclidean':
    case 'l2':
      return { metric: 'euclidean' };
    case 'manhattan':
    case 'cityblock':
    case 'l1':
      return { metric: 'manhattan' };
    case 'chebyshev':
      return { metric };
    case 'minkowski': {
      const given = fitted.attribute('effective_metric_params_');
      const p = given instanceof PyDict ? numberIn(given.get('p')) : undefined;
      if (given instanceof PyDict && (given.get('w') ?? null) !== null) {
        fitted.unsupported('weighs columns in its metric');
      }
      if (p === 2) return { metric: 'euclidean' };
      return { metric, p: p ?? fitted.number('p') };
    }
    default:
      return fitted.unsupported(
        typeof metric === 'string'
          ? `has the metric "${metric.slice(0, 100)}", which is not supported`
          : 'has a metric that is a function',
      );
  }
}
