import type { Answer, CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import { namesOf } from '../features.js';
import type { MatrixRules, SklearnGraph } from '../graph.js';
import { labelsOf, type Labels } from '../labels.js';
import { pairwiseSum } from '../sums.js';
import type { Table } from '../table.js';
import { packTrees } from './pack-trees.js';
import { readTree, type SklearnTree } from './tree-arrays.js';

/** Decision trees and forests of them (sklearn/tree/_classes.py and sklearn/ensemble/_forest.py, 0.22 to 1.8). */
export const forests: Record<string, CompileEstimator> = {
  DecisionTreeClassifier: (fitted, graph) => classifier(fitted, graph, [fitted]),
  DecisionTreeRegressor: (fitted, graph) => regressor(fitted, graph, [fitted]),
  ExtraTreeClassifier: (fitted, graph) => classifier(fitted, graph, [fitted]),
  ExtraTreeRegressor: (fitted, graph) => regressor(fitted, graph, [fitted]),
  RandomForestClassifier: (fitted, graph) => classifier(fitted, graph, members(fitted)),
  RandomForestRegressor: (fitted, graph) => regressor(fitted, graph, members(fitted)),
  ExtraTreesClassifier: (fitted, graph) => classifier(fitted, graph, members(fitted)),
  ExtraTreesRegressor: (fitted, graph) => regressor(fitted, graph, members(fitted)),
};

function members(fitted: Fitted): Fitted[] {
  const trees = fitted.fittedList('estimators_');
  for (const tree of trees) {
    tree.budget.countEstimator();
    if (!/^(Decision|Extra)Tree(Classifier|Regressor)$/.test(tree.class)) {
      tree.damaged('is no tree');
    }
  }
  return trees.length > 0 ? trees : fitted.damaged('has no trees');
}

function readTrees(owners: Fitted[]): SklearnTree[] {
  return owners.map((owner) => readTree(owner.fitted('tree_')));
}

/**
 * Whether missing values are taken: since 1.3 by trees, since 1.4 by forests, since 1.6 with random splits, with the criteria
 * that know them.
 */
function takesMissing(fitted: Fitted, [tree]: Fitted[]): boolean {
  const isForest = fitted !== tree;
  if (!tree || !fitted.since(1, isForest ? 4 : 3)) return false;
  if (!tree.isNone('monotonic_cst')) return false;
  const splitter = tree.textOr('splitter', 'best');
  if (splitter !== 'best' && !(splitter === 'random' && tree.since(1, 6))) return false;
  return ['gini', 'log_loss', 'entropy', 'squared_error', 'friedman_mse', 'poisson'].includes(
    tree.textOr('criterion', ''),
  );
}

interface Members {
  trees: SklearnTree[];
  rules: MatrixRules;
  features: number;
}

function membersOf(fitted: Fitted, owners: Fitted[]): Members {
  const trees = readTrees(owners);
  const features = trees[0]?.features ?? 0;
  const missing = takesMissing(fitted, owners) ? 'pass' : 'refuse';
  return { trees, features, rules: { owner: fitted, features, missing, narrow: true } };
}

function regressor(fitted: Fitted, graph: SklearnGraph, owners: Fitted[]): Estimator {
  const { trees, rules, features } = membersOf(fitted, owners);
  const outputs = trees[0]?.stride ?? 1;
  if (trees.some((tree) => tree.stride !== outputs)) fitted.damaged('has trees of several widths');
  const forest = packTrees(trees, graph.weights, {
    name: fitted.path,
    features,
    columns: outputs,
    inputDtype: 'FP32',
    leaf: (tree, node, target, at) => {
      const values = trees[tree]?.values;
      for (let i = 0; i < outputs; i++) target[at + i] = values?.[node * outputs + i] ?? NaN;
    },
  });
  return {
    features,
    ...namesOf(fitted),
    predict: (input) => {
      const rows = graph.kernel('narrow', [graph.matrix(input, rules)]);
      const { scores } = graph.forest(rows, forest);
      return numbersAnswer(mean(graph, scores, owners, fitted), outputs);
    },
  };
}

/** The sums of a forest divided by the number of its trees; a tree alone is not divided. */
function mean(graph: SklearnGraph, scores: string, owners: Fitted[], fitted: Fitted): string {
  if (owners[0] === fitted) return scores;
  return graph.kernel('divide', [scores], { attributes: { divisor: owners.length } });
}

/** The classes of each output. */
function classesOf(fitted: Fitted, outputs: number): Labels[] {
  if (outputs === 1) {
    return [fitted.labels('classes_')];
  }
  return fitted.list('classes_').map((item, i) => labelsOf(item, fitted, `classes_[${i}]`));
}

function classifier(fitted: Fitted, graph: SklearnGraph, owners: Fitted[]): Estimator {
  const { trees, rules, features } = membersOf(fitted, owners);
  const outputs = fitted.has('n_outputs_') ? fitted.integer('n_outputs_', 1, 10_000) : 1;
  const classes = classesOf(fitted, outputs);
  const counts = classes.map(({ values }) => values.length);
  const most = Math.max(...counts);
  const columns = counts.reduce((sum, count) => sum + count, 0);
  if (classes.length !== outputs || counts.includes(0)) fitted.damaged('has no classes');
  if (trees.some((tree) => tree.stride !== outputs * most)) {
    fitted.damaged('has trees of other classes than its own');
  }
  // Until 1.3 trees held counts, which predict_proba divided by their sum.
  const normalises = owners.map((owner) => !owner.since(1, 4));
  const forest = packTrees(trees, graph.weights, {
    name: fitted.path,
    features,
    columns,
    inputDtype: 'FP32',
    leaf: (tree, node, target, at) => {
      const values = trees[tree]?.values ?? new Float64Array(0);
      let to = at;
      for (let output = 0; output < outputs; output++) {
        const from = (node * outputs + output) * most;
        const count = counts[output] ?? 0;
        const sum = normalises[tree] ? pairwiseSum(values, from, count) : 1;
        for (let i = 0; i < count; i++) target[to + i] = (values[from + i] ?? NaN) / (sum || 1);
        to += count;
      }
    },
  });
  const probabilities = (input: Table): string => {
    const rows = graph.kernel('narrow', [graph.matrix(input, rules)]);
    const scores = mean(graph, graph.forest(rows, forest).scores, owners, fitted);
    return columns === 1 ? graph.kernel('as-matrix', [scores]) : scores;
  };
  const [only] = classes;
  const common = { features, ...namesOf(fitted) };
  if (outputs === 1 && only) return singleOutput(graph, only, probabilities, common);
  return { ...common, ...multiOutput(graph, classes, probabilities, fitted) };
}

function singleOutput(
  graph: SklearnGraph,
  classes: Labels,
  predictProba: (input: Table) => string,
  common: Pick<Estimator, 'features' | 'names'>,
): Estimator {
  const predictIndex = (input: Table) => graph.largest(predictProba(input));
  return {
    ...common,
    ...labelled(graph, classes, predictIndex),
    predictProba,
  };
}

function multiOutput(
  graph: SklearnGraph,
  classes: Labels[],
  probabilities: (input: Table) => string,
  fitted: Fitted,
): Estimator {
  const dtype = classes[0]?.dtype ?? 'INT64';
  if (classes.some((labels) => labels.dtype !== dtype)) {
    fitted.unsupported('has outputs with labels of several types');
  }
  const parts = (input: Table): string[] => {
    const all = probabilities(input);
    let start = 0;
    return classes.map(({ values: { length } }) => {
      const columns = Int32Array.from({ length }, (_, i) => start + i);
      start += length;
      return graph.kernel('take-columns', [all], { weights: { columns: graph.int32(columns) } });
    });
  };
  return {
    predict: (input) => {
      const labels = parts(input).map((part, i): Answer => {
        const own = classes[i] ?? { dtype, values: [] };
        return graph.predictLabels(own, graph.largest(part));
      });
      const value = graph.kernel(
        'join-labels',
        labels.map((answer) => answer.value),
      );
      return { value, dtype, shape: [-1, labels.length] };
    },
    predictProbas: (input) =>
      parts(input).map((value, i) => ({
        value,
        dtype: 'FP64',
        shape: [-1, classes[i]?.values.length ?? 0],
      })),
  };
}
