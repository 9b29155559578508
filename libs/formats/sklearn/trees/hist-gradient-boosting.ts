import type { PyValue } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numberIn } from '../python-values.js';
import type { Table } from '../table.js';
import type { Boosting } from './gradient-boosting.js';
import { packTrees } from './pack-trees.js';
import { readPredictor } from './tree-arrays.js';

/** Histogram gradient boosting (sklearn/ensemble/_hist_gradient_boosting/gradient_boosting.py, 0.22 to 1.8). */
export const histGradientBoosting: Record<string, CompileEstimator> = {
  HistGradientBoostingClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const { common, raw, columns } = readHistogram(fitted, graph);
    const probabilities = (input: Table) => {
      const scores = raw(input);
      if (columns > 1) return graph.kernel('softmax', [scores]);
      return graph.kernel('both-classes', [graph.kernel('sigmoid', [scores])]);
    };
    const predictIndex = (input: Table) => {
      if (columns > 1 && fitted.since(1, 4)) return graph.largest(raw(input));
      if (fitted.since(1, 4)) return graph.above(raw(input));
      return graph.largest(probabilities(input));
    };
    return {
      ...common,
      ...labelled(graph, classes, predictIndex),
      predictProba: probabilities,
      decisionFunction: (input) => numbersAnswer(raw(input), columns),
    };
  },

  HistGradientBoostingRegressor: (fitted, graph) => {
    const { common, raw } = readHistogram(fitted, graph);
    const exponential = ['poisson', 'gamma'].includes(fitted.textOr('loss', 'squared_error'));
    return {
      ...common,
      predict: (input) =>
        numbersAnswer(exponential ? graph.kernel('exp', [raw(input)]) : raw(input)),
    };
  },
};

function readHistogram(fitted: Fitted, graph: SklearnGraph): Boosting {
  const stages = fitted.list('_predictors');
  const [first] = stages;
  const columns = Array.isArray(first) ? first.length : 0;
  if (columns < 1) fitted.damaged('has no trees');
  const trees = stages.flatMap((stage, i) => {
    if (!Array.isArray(stage) || stage.length !== columns) {
      return fitted.damaged(`has a stage ${i} of other trees`);
    }
    return stage.map((tree, k) => {
      fitted.budget.countEstimator();
      return readPredictorOf(fitted, tree, `_predictors[${i}][${k}]`);
    });
  });
  const baseline = fitted.attribute('_baseline_prediction');
  const single = numberIn(baseline);
  const base =
    single === undefined
      ? fitted.vector('_baseline_prediction', columns)
      : Float64Array.from({ length: columns }, () => single);
  const features = featureCount(fitted);
  const forest = packTrees(trees, graph.weights, {
    name: fitted.path,
    features,
    columns,
    treeColumns: trees.map((_, i) => i % columns),
    inputDtype: 'FP64',
    base,
    leaf: (tree, node, target, at) => {
      target[at] = trees[tree]?.values[node] ?? NaN;
    },
  });
  const prepare = preparation(fitted, graph, features);
  const known = new Map<Table, string>();
  return {
    common: { features, ...namesOf(fitted) },
    columns,
    raw: (input) => {
      const rows = known.get(input) ?? prepare(input);
      known.set(input, rows);
      return graph.forest(rows, forest).scores;
    },
  };
}

function readPredictorOf(fitted: Fitted, tree: PyValue, name: string) {
  return readPredictor(fitted.inner(tree, name));
}

function featureCount(fitted: Fitted): number {
  return fitted.integer(
    fitted.oneNamed('n_features_in_', '_n_features', 'n_features_'),
    1,
    2 ** 31,
  );
}

/**
 * How the columns come to the trees: since 1.4 through `_preprocessor`, which puts the categories first and numbers them;
 * before that categories are numbers already, and those that the model was not trained on count as missing.
 */
function preparation(
  fitted: Fitted,
  graph: SklearnGraph,
  features: number,
): (input: Table) => string {
  const owner = fitted;
  if (!fitted.isNone('_preprocessor')) {
    const inner = graph.compile(fitted.fitted('_preprocessor'));
    return (input) => {
      const table = inner.transform?.(input) ?? fitted.damaged('has a _preprocessor that is none');
      return graph.matrix(table, { owner, features, missing: 'pass' });
    };
  }
  const known = knownCategories(fitted, features);
  return (input) => {
    const rows = graph.matrix(input, { owner, features, missing: 'pass' });
    if (!known) return rows;
    const weights = {
      columns: graph.int32(known.columns),
      sets: graph.weights.add('UINT32', known.words),
    };
    return graph.kernel('known-categories', [rows], { weights });
  };
}

function knownCategories(
  fitted: Fitted,
  features: number,
): { columns: number[]; words: Uint32Array } | undefined {
  const name = fitted.named('_bin_mapper', 'bin_mapper_');
  const mapper = name === undefined ? undefined : fitted.fitted(name);
  if (!mapper || mapper.isNone('is_categorical_')) return undefined;
  const categorical = mapper.vector('is_categorical_', features);
  if (!categorical.includes(1)) return undefined;
  const thresholds = mapper.vectors('bin_thresholds_');
  const columns = [...categorical.keys()].filter((column) => categorical[column] === 1);
  const words = new Uint32Array(columns.length * 8);
  for (const [i, column] of columns.entries()) {
    for (const category of thresholds[column] ?? []) {
      if (!(category >= 0 && category < 256)) mapper.damaged(`has a category ${category}`);
      const word = i * 8 + (category >> 5);
      words[word] = (words[word] ?? 0) | (1 << (category & 31));
    }
  }
  return { columns, words };
}
