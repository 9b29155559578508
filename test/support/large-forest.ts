import { array, called, dict, object, records, writePickle } from './pickle-writer.js';
import type { Seeded } from './seeded.js';

interface Size {
  trees: number;
  /** Every leaf is as deep. */
  depth: number;
  classes: number;
  chance: Seeded;
}

interface Tree {
  feature: number[];
  threshold: number[];
  /** `[nodes, classes]` */
  values: Float64Array;
}

const FEATURES = 4;

/** A random forest of full binary trees, as scikit-learn 1.6 keeps it, and what it answers. */
export function largeForest({ trees: count, depth, classes, chance }: Size) {
  const trees = Array.from({ length: count }, () => fullTree(depth, classes, chance));
  const made = object('sklearn.ensemble._forest.RandomForestClassifier', {
    estimators_: trees.map((tree) => treeObject(tree, classes)),
    classes_: array(BigInt64Array.from({ length: classes }, (_, i) => BigInt(i))),
    n_classes_: classes,
    n_features_in_: FEATURES,
    n_outputs_: 1,
    _sklearn_version: '1.6.1',
  });
  return {
    write: (protocol: 2 | 4) => writePickle(made, protocol),
    probabilities: (row: Float64Array): number[] => {
      const sums = new Float64Array(classes);
      for (const tree of trees) {
        let node = 0;
        while (2 * node + 2 < tree.feature.length) {
          const goesLeft =
            Math.fround(row[tree.feature[node] ?? 0] ?? NaN) <= (tree.threshold[node] ?? NaN);
          node = 2 * node + (goesLeft ? 1 : 2);
        }
        for (let i = 0; i < classes; i++)
          sums[i] = (sums[i] ?? 0) + (tree.values[node * classes + i] ?? 0);
      }
      return [...sums].map((sum) => sum / count);
    },
  };
}

/** Node i has the children 2 i + 1 and 2 i + 2. */
function fullTree(depth: number, classes: number, chance: Seeded): Tree {
  const nodes = 2 ** (depth + 1) - 1;
  const values = Float64Array.from({ length: nodes * classes }, () => chance.next());
  for (let node = 0; node < nodes; node++) {
    const its = values.subarray(node * classes, (node + 1) * classes);
    const sum = its.reduce((a, b) => a + b, 0);
    its.forEach((value, i) => (its[i] = value / sum));
  }
  return {
    feature: Array.from({ length: nodes }, () => chance.int(0, FEATURES)),
    threshold: Array.from({ length: nodes }, () => chance.next()),
    values,
  };
}

function treeObject({ feature, threshold, values }: Tree, classes: number) {
  const nodes = feature.length;
  const child = (side: number) =>
    BigInt64Array.from(feature, (_, i) => BigInt(2 * i + 2 < nodes ? 2 * i + side : -1));
  const none = new Float64Array(nodes);
  const state = dict({
    max_depth: 10,
    node_count: nodes,
    nodes: records({
      left_child: child(1),
      right_child: child(2),
      feature: BigInt64Array.from(feature, BigInt),
      threshold: Float64Array.from(threshold),
      impurity: none,
      n_node_samples: new BigInt64Array(nodes),
      weighted_n_node_samples: none,
      missing_go_to_left: new BigInt64Array(nodes),
    }),
    values: array(values, [nodes, 1, classes]),
  });
  const sizes = array(BigInt64Array.of(BigInt(classes)));
  return object('sklearn.tree._classes.DecisionTreeClassifier', {
    criterion: 'gini',
    splitter: 'best',
    tree_: called('sklearn.tree._tree.Tree', [FEATURES, sizes, 1]).withState(state),
    _sklearn_version: '1.6.1',
  });
}
