import type { CompileEstimator } from '../estimator.js';
import { numbersAnswer } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Table } from '../table.js';
import { packTrees } from './pack-trees.js';
import { readTree, type SklearnTree } from './tree-arrays.js';

const EULER = 0.5772156649015329;

/** Isolation forests (sklearn/ensemble/_iforest.py, 0.22 to 1.8). */
export const isolationForest: Record<string, CompileEstimator> = {
  IsolationForest: (fitted, graph) => {
    const owners = fitted.fittedList('estimators_');
    const chosen = fitted.vectors('estimators_features_');
    const features = fitted.integer(fitted.oneNamed('n_features_in_', 'n_features_'), 1, 2 ** 31);
    const lengths: Float64Array[] = [];
    const trees = owners.map((owner, i): SklearnTree => {
      owner.budget.countEstimator();
      const inner = owner.fitted('tree_');
      const tree = readTree(inner);
      const samples = inner.array('nodes').field('n_node_samples').numbers();
      lengths.push(pathLengths(tree, samples));
      const own = chosen[i] ?? fitted.damaged('has not the columns of each tree');
      return { ...tree, feature: tree.feature.map((feature) => own[feature] ?? -1) };
    });
    const forest = packTrees(trees, graph.weights, {
      name: fitted.path,
      features,
      columns: 1,
      treeColumns: new Int32Array(trees.length),
      inputDtype: 'FP32',
      leaf: (tree, node, target, at) => {
        target[at] = lengths[tree]?.[node] ?? NaN;
      },
    });
    const samples = fitted.number(fitted.oneNamed('_max_samples', 'max_samples_'));
    const divisor = trees.length * averageLength(samples);
    const offset = graph.fp64([fitted.number('offset_')]);
    const scores = (input: Table): string => {
      const rules = { owner: fitted, features, narrow: true };
      const rows = graph.kernel('narrow', [graph.matrix(input, rules)]);
      const attributes = { divisor: -divisor };
      const { scores: depths } = graph.forest(rows, forest);
      return graph.kernel('negate', [
        graph.kernel('exp2', [graph.kernel('divide', [depths], { attributes })]),
      ]);
    };
    const decision = (input: Table) =>
      graph.kernel('scale-columns', [scores(input)], { weights: { subtract: offset } });
    return {
      features,
      ...namesOf(fitted),
      predict: (input) =>
        graph.predictLabels(
          { dtype: 'INT64', values: [-1, 1] },
          graph.above(decision(input), 0, true),
        ),
      decisionFunction: (input) => numbersAnswer(decision(input)),
      scoreSamples: (input) => numbersAnswer(scores(input)),
    };
  },
};

/** For each leaf the nodes on the way to it and what more were to come, less one. */
function pathLengths(tree: SklearnTree, samples: Float64Array): Float64Array {
  const depths = new Float64Array(tree.nodes).fill(1);
  for (let node = 0; node < tree.nodes; node++) {
    if (tree.isLeaf(node)) continue;
    for (const child of [tree.left[node], tree.right[node]]) {
      if (child !== undefined && child > node) depths[child] = (depths[node] ?? 0) + 1;
    }
  }
  return depths.map((depth, node) => depth + averageLength(samples[node] ?? 0) - 1);
}

/** The average length of a search in a binary tree of so many samples. */
function averageLength(samples: number): number {
  if (samples <= 1) return 0;
  if (samples === 2) return 1;
  return 2 * (Math.log(samples - 1) + EULER) - (2 * (samples - 1)) / samples;
}
