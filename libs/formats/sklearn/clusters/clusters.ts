import { PyObject } from '../../pickle/records.js';
import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf, namesOf } from '../features.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Labels } from '../labels.js';
import type { Table } from '../table.js';

/** Clusters by their centres (sklearn/cluster, 0.22 to 1.8). */
export const clusters: Record<string, CompileEstimator> = {
  KMeans: (fitted, graph) => byCentres(fitted, graph, fitted.matrix('cluster_centers_'), true),
  MiniBatchKMeans: (fitted, graph) =>
    byCentres(fitted, graph, fitted.matrix('cluster_centers_'), true),
  MeanShift: (fitted, graph) => byCentres(fitted, graph, fitted.matrix('cluster_centers_'), false),

  AffinityPropagation: (fitted, graph) => {
    if (fitted.isNone('cluster_centers_')) fitted.unsupported('was fitted on affinities');
    const centres = fitted.matrix('cluster_centers_');
    if (centres.rows > 0) return byCentres(fitted, graph, centres, false);
    return fitted.unsupported('has found no clusters');
  },

  Birch: (fitted, graph) => {
    const centres = fitted.matrix('subcluster_centers_');
    const labels = fitted.labels('subcluster_labels_');
    if (labels.values.length !== centres.rows) fitted.damaged('has labels of other clusters');
    return byCentres(fitted, graph, centres, true, labels);
  },

  BisectingKMeans: (fitted, graph) => {
    const centres = fitted.matrix('cluster_centers_');
    const { columns: features } = centres;
    const tree = treeOf(fitted, features);
    return {
      ...byCentres(fitted, graph, centres, true),
      predict: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const index = graph.kernel('nearest-child', [rows], {
          weights: {
            left: graph.int32(tree.left),
            right: graph.int32(tree.right),
            labels: graph.int32(tree.labels),
            centres: graph.fp64(tree.centres, [tree.labels.length, features]),
          },
        });
        return numbered(graph, index);
      },
    };
  },
};

function byCentres(
  fitted: Fitted,
  graph: SklearnGraph,
  { rows, columns, data }: Matrix,
  transforms: boolean,
  labels?: Labels,
): Estimator {
  const measure = (kernel: string, input: Table) =>
    graph.kernel(kernel, [graph.matrix(input, { owner: fitted, features: columns })], {
      weights: { points: graph.fp64(data, [rows, columns]) },
    });
  return {
    features: columns,
    ...featuresOf(fitted),
    ...namesOf(fitted),
    predict: (input) => {
      const index = measure('nearest-point', input);
      return labels ? graph.predictLabels(labels, index) : numbered(graph, index);
    },
    ...(transforms && {
      transform: (input: Table) => graph.table(measure('point-distances', input), rows),
    }),
  };
}

/** Indices as the integers that scikit-learn answers. */
function numbered(graph: SklearnGraph, index: string) {
  const value = graph.kernel('cast', [index], { attributes: { dtype: 'INT64' } });
  return { value, dtype: 'INT64' as const, shape: [-1] };
}

interface CentreTree {
  left: number[];
  right: number[];
  labels: number[];
  centres: number[];
}

const MOST_NODES = 1_000_000;

/** The nodes of `_bisecting_tree`, children behind their parents. */
function treeOf(fitted: Fitted, features: number): CentreTree {
  const mean = fitted.isNone('_X_mean') ? undefined : fitted.vector('_X_mean', features);
  const tree: CentreTree = { left: [], right: [], labels: [], centres: [] };
  const waiting = [{ record: fitted.attribute('_bisecting_tree'), parent: -1, isLeft: false }];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { record, parent, isLeft } = next;
    if (!(record instanceof PyObject)) return fitted.damaged('has a tree that ends in nothing');
    const node = fitted.inner(record, '_bisecting_tree');
    const index = tree.labels.length;
    if (index >= MOST_NODES) fitted.unsupported(`has more than ${MOST_NODES} clusters`);
    if (parent >= 0) tree[isLeft ? 'left' : 'right'][parent] = index;
    const isLeaf = node.isNone('left');
    tree.left.push(-1);
    tree.right.push(-1);
    tree.labels.push(isLeaf ? node.integer('label', 0, MOST_NODES) : -1);
    const centre = node.vector('center', features);
    tree.centres.push(...centre.map((x, i) => x + (mean?.[i] ?? 0)));
    if (isLeaf) continue;
    waiting.push({ record: node.attribute('right'), parent: index, isLeft: false });
    waiting.push({ record: node.attribute('left'), parent: index, isLeft: true });
  }
  return tree;
}
