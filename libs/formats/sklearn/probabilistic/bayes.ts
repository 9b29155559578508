import type { CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { classifier } from '../linear/linear-classifiers.js';
import { affine, linearModel } from '../linear/linear.js';
import { pairwiseSum } from '../sums.js';
import type { Table } from '../table.js';

/** Naive Bayes and discriminant analysis (sklearn/naive_bayes.py and sklearn/discriminant_analysis.py, 0.22 to 1.8). */
export const bayes: Record<string, CompileEstimator> = {
  GaussianNB: (fitted, graph) => {
    const means = fitted.matrix('theta_');
    const { rows, columns } = means;
    const variances = fitted.matrix(fitted.oneNamed('var_', 'sigma_'), rows, columns);
    const priors = fitted.vector('class_prior_', rows);
    const constants = Float64Array.from({ length: rows }, (_, k) => {
      const own = variances.data.subarray(k * columns, (k + 1) * columns);
      const logs = own.map((variance) => Math.log(2 * Math.PI * variance));
      return Math.log(priors[k] ?? NaN) - 0.5 * pairwiseSum(logs, 0, columns);
    });
    return likelihoods(fitted, graph, columns, (input) =>
      graph.kernel('normal-likelihoods', [input], {
        weights: {
          means: graph.fp64(means.data, [rows, columns]),
          variances: graph.fp64(variances.data, [rows, columns]),
          constants: graph.fp64(constants),
        },
      }),
    );
  },

  MultinomialNB: (fitted, graph) => {
    const weights = fitted.matrix('feature_log_prob_');
    const priors = fitted.vector('class_log_prior_', weights.rows);
    return likelihoods(fitted, graph, weights.columns, (input) =>
      scores(graph, input, weights, priors),
    );
  },

  ComplementNB: (fitted, graph) => {
    const weights = fitted.matrix('feature_log_prob_');
    const { rows } = weights;
    const priors = rows === 1 ? fitted.vector('class_log_prior_', 1) : new Float64Array(rows);
    return likelihoods(fitted, graph, weights.columns, (input) =>
      scores(graph, input, weights, priors),
    );
  },

  BernoulliNB: (fitted, graph) => {
    const { rows, columns, data } = fitted.matrix('feature_log_prob_');
    const negative = data.map((logarithm) => Math.log(1 - Math.exp(logarithm)));
    const difference = { rows, columns, data: data.map((x, i) => x - (negative[i] ?? NaN)) };
    const priors = fitted
      .vector('class_log_prior_', rows)
      .map((prior, k) => prior + pairwiseSum(negative, k * columns, columns));
    return likelihoods(fitted, graph, columns, (input) => {
      if (fitted.isNone('binarize')) return scores(graph, input, difference, priors);
      const attributes = { than: fitted.number('binarize') };
      const bits = graph.kernel('binarise', [input], { attributes });
      return scores(graph, bits, difference, priors);
    });
  },

  CategoricalNB: (fitted, graph) => {
    const parts = fitted.matrices('feature_log_prob_');
    const priors = fitted.vector('class_log_prior_');
    const { length: classes } = priors;
    if (parts.some(({ rows }) => rows !== classes)) fitted.damaged('has other classes');
    // A column of zeros and ones a category, then as the multinomial.
    const width = parts.reduce((sum, { columns }) => sum + columns, 0);
    const data = joinRows(parts, classes, width);
    const starts = [0];
    for (const { columns } of parts) starts.push((starts.at(-1) ?? 0) + columns);
    const weights = () => ({
      starts: graph.int32(starts),
      map: graph.int32(Array.from({ length: width }, (_, i) => i)),
      unseen: graph.int32(parts.map(() => -1)),
    });
    return likelihoods(fitted, graph, parts.length, (input) => {
      const codes = graph.kernel('trunc', [input]);
      const attributes = { width };
      const hot = graph.kernel('one-hot', [codes], { attributes, weights: weights() });
      return scores(graph, hot, { rows: classes, columns: width, data }, priors);
    });
  },

  LinearDiscriminantAnalysis: (fitted, graph) => {
    const model = linearModel(fitted, graph);
    return {
      ...classifier(fitted, graph, model),
      predictProba: (input) =>
        model.outputs === 1
          ? graph.kernel('both-classes', [graph.kernel('sigmoid', [model.scores(input)])])
          : graph.kernel('softmax', [model.scores(input)]),
      ...discriminants(fitted, graph),
    };
  },

  QuadraticDiscriminantAnalysis: (fitted, graph) => {
    const means = fitted.matrix('means_');
    const { rows, columns } = means;
    const priors = fitted.vector('priors_', rows).map(Math.log);
    const scalings = fitted.vectors('scalings_');
    const rotations = fitted.matrices('rotations_').map((rotation, k) => {
      const { columns: rank, data } = rotation;
      if (rotation.rows !== columns || scalings[k]?.length !== rank) fitted.damaged('rotations_');
      return { rank, data: data.map((x, i) => x * (scalings[k]?.[i % rank] ?? NaN) ** -0.5) };
    });
    const constants = scalings.map((own) => pairwiseSum(own.map(Math.log), 0, own.length));
    const weights = () => ({
      means: graph.fp64(means.data, [rows, columns]),
      rotations: graph.fp64(rotations.flatMap(({ data }) => [...data])),
      ranks: graph.int32(rotations.map(({ rank }) => rank)),
      constants: graph.fp64(constants),
      priors: graph.fp64(priors),
    });
    const discriminant = (input: Table) =>
      graph.kernel(
        'quadratic-discriminants',
        [graph.matrix(input, { owner: fitted, features: columns })],
        { weights: weights() },
      );
    const classes = fitted.labels('classes_');
    const predictIndex = (input: Table) => graph.largest(discriminant(input));
    return {
      features: columns,
      ...namesOf(fitted),
      ...labelled(graph, classes, predictIndex),
      predictProba: (input) => graph.kernel('softmax', [discriminant(input)]),
      decisionFunction: (input) => {
        const value = discriminant(input);
        if (rows !== 2) return numbersAnswer(value, rows);
        const difference = { rows: 1, columns: 2, data: Float64Array.of(-1, 1) };
        return numbersAnswer(affine(graph, value, difference, [0]));
      },
    };
  },
};

function joinRows(parts: Matrix[], classes: number, width: number): Float64Array {
  const data = new Float64Array(classes * width);
  let start = 0;
  for (const { columns, data: source } of parts) {
    for (let k = 0; k < classes; k++) {
      data.set(source.subarray(k * columns, (k + 1) * columns), k * width + start);
    }
    start += columns;
  }
  return data;
}

function scores(
  graph: SklearnGraph,
  rows: string,
  weights: Matrix,
  priors: ArrayLike<number>,
): string {
  const value = affine(graph, rows, weights, priors);
  return weights.rows === 1 ? graph.kernel('as-matrix', [value]) : value;
}

/** A classifier by joint log likelihoods. */
function likelihoods(
  fitted: Fitted,
  graph: SklearnGraph,
  features: number,
  joint: (rows: string) => string,
): Estimator {
  const classes = fitted.labels('classes_');
  const known = new Map<Table, string>();
  const likelihood = (input: Table): string => {
    const value = known.get(input) ?? joint(graph.matrix(input, { owner: fitted, features }));
    known.set(input, value);
    return value;
  };
  const predictIndex = (input: Table) => graph.largest(likelihood(input));
  return {
    features,
    ...namesOf(fitted),
    ...labelled(graph, classes, predictIndex),
    predictProba: (input) =>
      graph.kernel('exp', [graph.kernel('subtract-log-sum', [likelihood(input)])]),
  };
}

/** `transform` of linear discriminant analysis; the solver lsqr has none. */
function discriminants(fitted: Fitted, graph: SklearnGraph): Pick<Estimator, 'transform'> {
  const solver = fitted.textOr('solver', 'svd');
  if (solver === 'lsqr' || fitted.isNone('scalings_')) return {};
  const all = fitted.matrix('scalings_');
  const width = Math.min(all.columns, fitted.integer('_max_components', 1, 100_000));
  const data = new Float64Array(width * all.rows);
  for (let row = 0; row < all.rows; row++) {
    for (let k = 0; k < width; k++)
      data[k * all.rows + row] = all.data[row * all.columns + k] ?? NaN;
  }
  const scalings = { rows: width, columns: all.rows, data };
  const center = solver === 'svd' ? fitted.vector('xbar_', all.rows) : undefined;
  return {
    transform: (input) => {
      const rows = graph.matrix(input, { owner: fitted, features: all.rows });
      const centered = center
        ? graph.kernel('scale-columns', [rows], { weights: { subtract: graph.fp64(center) } })
        : rows;
      return graph.table(affine(graph, centered, scalings, new Float64Array(width)), width);
    },
  };
}
