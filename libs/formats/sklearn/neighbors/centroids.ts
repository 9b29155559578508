import { labelled, numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { affine } from '../linear/linear.js';
import type { Table } from '../table.js';
import { metricOf, searchIn } from './search.js';

/** The nearest centroid (sklearn/neighbors/_nearest_centroid.py, 0.22 to 1.8). */
export const centroids: Record<string, CompileEstimator> = {
  NearestCentroid: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const { length: count } = classes.values;
    const points = fitted.matrix('centroids_', count);
    const { columns: features } = points;
    const metric = fitted.attribute('metric');
    const given = metricOf(fitted, metric, null, features);
    const discriminants = fitted.isNone('class_prior_') ? undefined : scores(fitted, graph);
    const nearest = (input: Table) => {
      const search = searchIn(fitted, graph, { points, given, tree: undefined, pours: false });
      const targets = graph.int32(Float64Array.from({ length: count }, (_, k) => k));
      const attributes = { weights: 'uniform', neighbours: 1, classes: count };
      return graph.largest(search.kernel('tree-neighbours', input, attributes, { targets }));
    };
    // Since 1.6, and where priors differ, they move the borders.
    const predictIndex = (input: Table) =>
      discriminants && !isUniform(fitted.vector('class_prior_', count))
        ? graph.largest(discriminants(input))
        : nearest(input);
    return {
      features,
      ...namesOf(fitted),
      ...labelled(graph, classes, predictIndex),
      ...(discriminants && metric === 'euclidean' && decisions(graph, discriminants, count)),
    };
  },
};

/** `numpy.isclose` to equal priors. */
function isUniform(priors: Float64Array): boolean {
  const equal = 1 / priors.length;
  return priors.every((prior) => Math.abs(prior - equal) <= 1e-8 + 1e-5 * equal);
}

/** `_decision_function`: minus the squared distances of standardised rows, plus the logarithms of the priors, doubled. */
function scores(fitted: Fitted, graph: SklearnGraph): (input: Table) => string {
  const { rows: count, columns: features, data } = fitted.matrix('centroids_');
  const scales = fitted
    .vector('within_class_std_dev_', features)
    .map((scale) => (scale === 0 ? 1 : scale));
  const priors = fitted.vector('class_prior_', count).map((prior) => 2 * Math.log(prior));
  const points = data.map((x, i) => x / (scales[i % features] ?? NaN));
  const known = new Map<Table, string>();
  return (input) => {
    const before = known.get(input);
    if (before !== undefined) return before;
    const rows = graph.matrix(input, { owner: fitted, features });
    const scaled = graph.kernel('scale-columns', [rows], {
      weights: { divide: graph.fp64(scales) },
    });
    const distances = graph.kernel('point-distances', [scaled], {
      weights: { points: graph.fp64(points, [count, features]) },
    });
    const squares = graph.kernel('negate', [graph.kernel('square', [distances])]);
    const value = graph.kernel('scale-columns', [squares], {
      weights: { add: graph.fp64(priors) },
    });
    known.set(input, value);
    return value;
  };
}

/** DiscriminantAnalysisPredictionMixin of sklearn/discriminant_analysis.py. */
function decisions(
  graph: SklearnGraph,
  discriminants: (input: Table) => string,
  count: number,
): Partial<Estimator> {
  return {
    predictProba: (input) => graph.kernel('softmax', [discriminants(input)]),
    decisionFunction: (input) => {
      const value = discriminants(input);
      if (count !== 2) return numbersAnswer(value, count);
      const difference = { rows: 1, columns: 2, data: Float64Array.of(-1, 1) };
      return numbersAnswer(affine(graph, value, difference, [0]));
    },
  };
}
