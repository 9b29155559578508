import type { CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import { exactExp, exactLog } from './exact-log.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { pairwiseSum } from '../sums.js';
import type { Table } from '../table.js';
import { NdArray } from '../../pickle/records.js';
import { packTrees } from './pack-trees.js';
import { readTree, type SklearnTree } from './tree-arrays.js';

/** Gradient boosting (sklearn/ensemble/_gb.py, 0.22 to 1.8). */
export const gradientBoosting: Record<string, CompileEstimator> = {
  GradientBoostingClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const { common, raw, columns } = read(fitted, graph, classes.values.length);
    const exponential = fitted.textOr('loss', 'log_loss') === 'exponential';
    // Until 1.3 the classes of the log loss were those of the higher probability: the first, where both are one half.
    const orEqual = exponential || fitted.since(1, 4);
    const predictIndex = (input: Table) =>
      columns === 1 ? graph.above(raw(input), 0, orEqual) : graph.largest(raw(input));
    return {
      ...common,
      ...labelled(graph, classes, predictIndex),
      predictProba: (input) => {
        if (columns > 1) return graph.kernel('softmax', [raw(input)]);
        const attributes = { scale: exponential ? 2 : 1 };
        return graph.kernel('both-classes', [
          graph.kernel('sigmoid', [raw(input)], { attributes }),
        ]);
      },
      decisionFunction: (input) => numbersAnswer(raw(input), columns),
    };
  },

  GradientBoostingRegressor: (fitted, graph) => {
    const { common, raw } = read(fitted, graph, 0);
    return { ...common, predict: (input) => numbersAnswer(raw(input)) };
  },
};

/** Boosted trees as the graph has them. */
export interface Boosting {
  common: Pick<Estimator, 'features' | 'names'>;
  columns: number;
  /** The raw predictions of a table. */
  raw: (input: Table) => string;
}

function read(fitted: Fitted, graph: SklearnGraph, classes: number): Boosting {
  const { trees, columns } = readStages(fitted);
  const expected = classes > 2 ? classes : 1;
  if (columns !== expected) fitted.damaged(`has ${columns} trees a stage and not ${expected}`);
  const features = trees[0]?.features ?? 0;
  const rate = fitted.number('learning_rate');
  const base = baseOf(fitted, columns);
  const leaf = (tree: number, node: number): number => rate * (trees[tree]?.values[node] ?? NaN);
  const forest = packTrees(trees, graph.weights, {
    name: fitted.path,
    features,
    columns,
    treeColumns: trees.map((_, i) => i % columns),
    inputDtype: 'FP32',
    ...(base && { base }),
    leaf: (tree, node, target, at) => {
      target[at] = leaf(tree, node);
    },
  });
  const rules = { owner: fitted, features, narrow: true };
  const rowsOf = (input: Table) => graph.kernel('narrow', [graph.matrix(input, rules)]);
  const common = { features, ...namesOf(fitted) };
  if (base) return { common, columns, raw: (input) => graph.forest(rowsOf(input), forest).scores };
  const first = rawOfInit(fitted, graph, columns);
  return {
    common,
    columns,
    raw: (input) => {
      const rows = rowsOf(input);
      const wide = graph.kernel('cast', [rows], { attributes: { dtype: 'FP64' } });
      const reached = graph.forest(rows, forest).leaf;
      return graph.kernel('add-leaves', [first(graph.table(wide, features)), reached], {
        weights: leavesOf(graph, trees, columns, leaf),
      });
    },
  };
}

/** The numbers of all nodes, for sums that begin with another number for each row. */
function leavesOf(
  graph: SklearnGraph,
  trees: SklearnTree[],
  columns: number,
  leaf: (tree: number, node: number) => number,
) {
  const starts = [0];
  for (const { nodes } of trees) starts.push((starts.at(-1) ?? 0) + nodes);
  const values = new Float64Array(starts.at(-1) ?? 0);
  for (const [tree, { nodes }] of trees.entries()) {
    for (let node = 0; node < nodes; node++) values[(starts[tree] ?? 0) + node] = leaf(tree, node);
  }
  return {
    starts: graph.int32(starts),
    values: graph.fp64(values),
    columns: graph.int32(trees.map((_, i) => i % columns)),
  };
}

/** What does not round between float32 and its answer: trees, and linear models with float64 coefficients. */
const FOLLOWED =
  /^((DecisionTree|ExtraTree|RandomForest|ExtraTrees|GradientBoosting|HistGradientBoosting|Dummy)(Classifier|Regressor)|LogisticRegression|LinearRegression|Ridge|Lasso|ElasticNet)$/;

/** The raw prediction of an `init_` that looks at the rows, which it sees rounded to float32. */
function rawOfInit(fitted: Fitted, graph: SklearnGraph, columns: number): (rows: Table) => string {
  const init = fitted.fitted('init_');
  if (!FOLLOWED.test(init.class)) {
    fitted.unsupported(`has init=${init.class}, which would compute in float32 there`);
  }
  const coefficients = init.has('coef_') ? init.attribute('coef_') : undefined;
  if (coefficients instanceof NdArray && coefficients.dtype.itemSize === 4) {
    init.unsupported('begins a boosting in float32, in which it cannot be followed exactly');
  }
  const inner = graph.compile(init);
  if (fitted.class === 'GradientBoostingRegressor') {
    return (rows) => inner.predict?.(rows).value ?? init.unsupported('does not predict');
  }
  const exponential = fitted.textOr('loss', 'log_loss') === 'exponential';
  const single = exponential ? 'half-logit' : 'logit';
  const link = columns === 1 ? single : fitted.since(1, 4) ? 'centred-log' : 'log';
  return (rows) => {
    const shares = inner.predictProba?.(rows) ?? init.unsupported('has no probabilities');
    return graph.kernel('raw-shares', [shares], {
      attributes: { link, epsilon: epsilonOf(fitted) },
    });
  };
}

/** `estimators_` is an array of trees `[stages, columns]`. */
function readStages(fitted: Fitted): { trees: SklearnTree[]; columns: number } {
  const stages = fitted.attribute('estimators_');
  if (!(stages instanceof NdArray)) return fitted.damaged('has no array of trees');
  const [count = 0, columns = 1] = stages.shape;
  if (count < 1 || columns < 1) fitted.damaged('has no trees');
  const trees = fitted.fittedList('estimators_').map((owner) => {
    owner.budget.countEstimator();
    const tree = readTree(owner.fitted('tree_'));
    return tree.stride === 1 ? tree : owner.damaged('has several numbers a leaf');
  });
  return { trees, columns };
}

/** By what probabilities stay away from 0 and 1: float32's epsilon, since 1.8 float64's. */
function epsilonOf(fitted: Fitted): number {
  return fitted.since(1, 8) ? Number.EPSILON : 2 ** -23;
}

/** What the sums begin with: the raw prediction of `init_`; undefined: it is another one for each row. */
function baseOf(fitted: Fitted, columns: number): number[] | undefined {
  if (fitted.attribute('init_') === 'zero') return Array.from({ length: columns }, () => 0);
  const init = fitted.fitted('init_');
  if (init.class === 'DummyRegressor') {
    return [...init.vector(init.oneNamed('constant_', 'constant'), 1)];
  }
  if (init.class !== 'DummyClassifier' || init.text('strategy') !== 'prior') return undefined;
  const priors = init.vector('class_prior_', Math.max(2, columns));
  const epsilon = epsilonOf(fitted);
  const clipped = Array.from(priors, (p) => Math.min(Math.max(p, epsilon), 1 - epsilon));
  if (columns === 1) {
    const positive = clipped[1] ?? 0.5;
    const logit = exactLog(positive / (1 - positive));
    return [fitted.textOr('loss', 'log_loss') === 'exponential' ? 0.5 * logit : logit];
  }
  const logs = clipped.map(exactLog);
  if (!fitted.since(1, 4)) return logs;
  // MultinomialLogit of sklearn/_loss/link.py: log(p / the geometric mean of p).
  const mean = exactExp(pairwiseSum(logs, 0, columns) / columns);
  return clipped.map((p) => exactLog(p / mean));
}
