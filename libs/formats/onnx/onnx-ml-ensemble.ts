import { below32, below64, NodeFlag } from '#program';
import { ForestBuilder, type TreeNode } from '../forest-builder.js';
import {
  bytesOf,
  floatsOf,
  hasAttribute,
  integersOf,
  tensorOf,
  textsOf,
} from './onnx-attributes.js';
import type { MlGraph } from './onnx-ml-graph.js';
import type { OnnxNode } from './onnx-model.js';

/** The trees of a node, whichever version of the operators: nodes by number, children as numbers of nodes, leaves last. */
export interface Ensemble {
  roots: number[];
  features: number[];
  thresholds: ArrayLike<number>;
  modes: Mode[];
  /** Children: a node, or the bitwise complement of a leaf. */
  yes: number[];
  no: number[];
  missingYes: (node: number) => boolean;
  leaves: LeafValue[][];
}

export interface LeafValue {
  column: number;
  value: number;
}

/** The tests that a forest can do: each as `<` or `<=`, where need be with the children exchanged. */
type Mode = 'LEQ' | 'LT' | 'GTE' | 'GT';

const MODES: readonly Mode[] = ['LEQ', 'LT', 'GTE', 'GT'];

/** The trees of TreeEnsembleRegressor and TreeEnsembleClassifier (1 to 4); `prefix` is that of the attributes of the leaves. */
export function readNamedNodes(
  node: OnnxNode,
  prefix: 'target' | 'class',
  graph: MlGraph,
): Ensemble {
  const list = (name: string) => integersOf(node, name) ?? [];
  const trees = list('nodes_treeids');
  const ids = list('nodes_nodeids');
  const names = textsOf(node, 'nodes_modes') ?? [];
  const yesIds = list('nodes_truenodeids');
  const noIds = list('nodes_falsenodeids');
  const tracks = list('nodes_missing_value_tracks_true');
  const features = list('nodes_featureids');
  const thresholds = numbersOf(node, 'nodes_values', graph);
  const count = trees.length;
  const lists = [ids, names, yesIds, noIds, features, thresholds];
  if (lists.some(({ length }) => length !== count) || ![0, count].includes(tracks.length)) {
    graph.leave();
  }
  const { roots, starts } = rootsOf(trees);
  const places = new Map<number, number>();
  const key = (tree: number, id: number) => (starts.get(tree) ?? graph.leave()) * 2 ** 31 + id;
  ids.forEach((id, i) => {
    if (id < 0 || id >= 2 ** 31) graph.leave();
    places.set(key(trees[i] ?? 0, id), i);
  });
  if (places.size !== count || starts.size !== roots.length) graph.leave();
  const isLeaf = (i: number) => names[i] === 'LEAF';
  const child = (i: number, id: number) => {
    const found = places.get(key(trees[i] ?? 0, id)) ?? graph.leave();
    return isLeaf(found) ? ~found : found;
  };
  const at = (i: number, given: number[]) => (isLeaf(i) ? -1 : child(i, given[i] ?? -1));
  return {
    roots: roots.map((root) => (isLeaf(root) ? ~root : root)),
    features,
    thresholds,
    modes: names.map((name, i) => (isLeaf(i) ? 'LEQ' : modeOf(name.replace('BRANCH_', ''), graph))),
    yes: ids.map((_, i) => at(i, yesIds)),
    no: ids.map((_, i) => at(i, noIds)),
    missingYes: (i) => tracks[i] === 1,
    leaves: leavesOf(node, prefix, graph, count, (tree, id) => places.get(key(tree, id))),
  };
}

function leavesOf(
  node: OnnxNode,
  prefix: string,
  graph: MlGraph,
  count: number,
  find: (tree: number, id: number) => number | undefined,
): LeafValue[][] {
  const trees = integersOf(node, `${prefix}_treeids`) ?? [];
  const ids = integersOf(node, `${prefix}_nodeids`) ?? [];
  const columns = integersOf(node, `${prefix}_ids`) ?? [];
  const values = numbersOf(node, `${prefix}_weights`, graph);
  if ([ids, columns, values].some(({ length }) => length !== trees.length)) graph.leave();
  const leaves: LeafValue[][] = Array.from({ length: count }, () => []);
  trees.forEach((tree, i) => {
    const leaf = leaves[find(tree, ids[i] ?? -1) ?? graph.leave()];
    leaf?.push({ column: columns[i] ?? -1, value: values[i] ?? NaN });
  });
  return leaves;
}

/** Where each tree begins: ONNX Runtime takes the first node of each run of one tree's nodes for its root. */
function rootsOf(trees: number[]): { roots: number[]; starts: Map<number, number> } {
  const roots: number[] = [];
  const starts = new Map<number, number>();
  trees.forEach((tree, i) => {
    if (i > 0 && trees[i - 1] === tree) return;
    starts.set(tree, roots.length);
    roots.push(i);
  });
  return { roots, starts };
}

/** The trees of TreeEnsemble (5). */
export function readNumberedNodes(node: OnnxNode, graph: MlGraph): Ensemble {
  const list = (name: string) => integersOf(node, name) ?? [];
  const features = list('nodes_featureids');
  const thresholds = numbersOf(node, 'nodes_splits', graph);
  const modes = bytesOf(node, 'nodes_modes') ?? graph.leave();
  const columns = list('leaf_targetids');
  const values = numbersOf(node, 'leaf_weights', graph);
  const tracks = list('nodes_missing_value_tracks_true');
  const { length: count } = features;
  const children = (ids: number[], leaf: number[]) =>
    ids.map((id, i) => {
      const isLeaf = leaf[i] === 1;
      if (!(id >= 0 && id < (isLeaf ? columns.length : count))) graph.leave();
      return isLeaf ? ~id : id;
    });
  const yes = children(list('nodes_truenodeids'), list('nodes_trueleafs'));
  const no = children(list('nodes_falsenodeids'), list('nodes_falseleafs'));
  const lists = [thresholds, modes, yes, no];
  if (lists.some(({ length }) => length !== count) || ![0, count].includes(tracks.length)) {
    graph.leave();
  }
  if (values.length !== columns.length || hasAttribute(node, 'membership_values')) graph.leave();
  return {
    roots: list('tree_roots').map((root) => (root >= 0 && root < count ? root : graph.leave())),
    features,
    thresholds,
    modes: Array.from(modes, (mode) => MODES[mode] ?? graph.leave()),
    yes,
    no,
    missingYes: (i) => tracks[i] === 1,
    leaves: columns.map((column, i) => [{ column, value: values[i] ?? NaN }]),
  };
}

function modeOf(name: string, graph: MlGraph): Mode {
  return MODES.find((mode) => mode === name) ?? graph.leave();
}

/** A list of floats, or the tensor that takes its place; which must be of one type with the rows, as ONNX asks. */
function numbersOf(node: OnnxNode, name: string, graph: MlGraph): ArrayLike<number> {
  const { dtype } = graph.rowsOf(node);
  const tensor = tensorOf(node, name) ?? tensorOf(node, `${name}_as_tensor`);
  if (tensor && tensor.dtype !== dtype) graph.leave();
  return tensor?.data ?? floatsOf(node, name) ?? [];
}

/** What the leaves of an ensemble add to. */
export interface Packing {
  columns: number;
  /** Every row gets a number for this column from some tree. */
  always: boolean[];
}

/** Adds the trees as a forest whose sums are of the dtype of the rows: answers the sums, `[rows]` where there is one column. */
export function addEnsemble(
  ensemble: Ensemble,
  node: OnnxNode,
  graph: MlGraph,
  columns: number,
): { scores: string; packing: Packing } {
  const rows = graph.rowsOf(node);
  const trees = ensemble.roots.map((root) => walk(ensemble, root, graph));
  const targets = trees.map((tree) => onlyColumn(tree, ensemble));
  const single = targets.every((target) => target !== undefined);
  if (trees.length === 0) graph.leave();
  const usesBelow = trees.every((tree) =>
    tree.every((i) => i < 0 || ensemble.modes[i] === 'LT' || ensemble.modes[i] === 'GTE'),
  );
  const forest = new ForestBuilder(
    {
      features: rows.width,
      columns,
      comparison: usesBelow ? '<' : '<=',
      inputDtype: rows.dtype,
      sumDtype: rows.dtype,
    },
    single ? 1 : columns,
  );
  const below = rows.dtype === 'FP32' ? below32 : below64;
  trees.forEach((tree, i) => {
    const read = readerOf(ensemble, tree, graph, {
      width: single ? 1 : columns,
      below: usesBelow ? undefined : below,
    });
    forest.addTree({
      name: `tree ${i}`,
      nodes: tree.length,
      read,
      column: single ? (targets[i] ?? 0) : 0,
    });
  });
  const always = Array.from({ length: columns }, (_, column) =>
    trees.some((tree) =>
      tree.every((i) => i >= 0 || ensemble.leaves[~i]?.some((leaf) => leaf.column === column)),
    ),
  );
  const { scores } = graph.builder.forest(rows.value, forest.build(graph.builder.weights));
  return { scores, packing: { columns, always } };
}

/** The nodes and leaves of a tree from its root on, each before its children, which stand together: see {@link readerOf}. */
function walk(ensemble: Ensemble, root: number, graph: MlGraph): number[] {
  const order = [root];
  for (let at = 0; at < order.length; at++) {
    const node = order[at] ?? -1;
    if (node < 0) continue;
    order.push(ensemble.yes[node] ?? graph.leave(), ensemble.no[node] ?? graph.leave());
    // A node that comes twice has two parents, or is its own child in the end.
    if (order.length > 2 * ensemble.features.length + 1) graph.leave();
  }
  return order;
}

/** The column that all leaves of a tree add one number to, where there is only one. */
function onlyColumn(tree: number[], { leaves }: Ensemble): number | undefined {
  let column: number | undefined;
  for (const i of tree) {
    if (i >= 0) continue;
    const [first, other] = leaves[~i] ?? [];
    if (!first || other || (column !== undefined && column !== first.column)) return undefined;
    column = first.column;
  }
  return column;
}

function readerOf(
  ensemble: Ensemble,
  tree: number[],
  graph: MlGraph,
  { width, below }: { width: number; below: ((x: number) => number) | undefined },
): (at: number) => TreeNode {
  // Children stand in the order of their parents, two a parent, from the second place on.
  const firstChild = new Int32Array(tree.length);
  let next = 1;
  tree.forEach((i, at) => {
    if (i < 0) return;
    firstChild[at] = next;
    next += 2;
  });
  return (at) => {
    const i = tree[at] ?? -1;
    if (i < 0) return { values: valuesOf(ensemble.leaves[~i] ?? [], width, graph), number: 0 };
    const mode = ensemble.modes[i];
    const threshold = ensemble.thresholds[i] ?? NaN;
    const yes = firstChild[at] ?? 0;
    // NaN passes no test; it goes where `false` goes unless the node says otherwise.
    const missing = ensemble.missingYes(i);
    const flag = (left: boolean) => (left ? NodeFlag.missingLeft : 0);
    const feature = ensemble.features[i] ?? -1;
    const swaps = mode === 'GT' || mode === 'GTE';
    const shifted = below && (mode === 'LT' || mode === 'GTE');
    if (Number.isNaN(threshold) || (shifted && threshold === -Infinity)) graph.leave();
    return {
      feature,
      threshold: shifted ? below(threshold) : threshold,
      left: swaps ? yes + 1 : yes,
      right: swaps ? yes : yes + 1,
      flags: flag(swaps ? !missing : missing),
    };
  };
}

/** The numbers of a leaf, 0 for columns that it adds nothing to. */
function valuesOf(leaf: LeafValue[], width: number, graph: MlGraph): number[] {
  if (width === 1) return [leaf[0]?.value ?? graph.leave()];
  const values = Array.from({ length: width }, () => 0);
  const seen = new Set(leaf.map(({ column }) => column));
  if (seen.size !== leaf.length) graph.leave();
  for (const { column, value } of leaf) {
    if (!(column >= 0 && column < width)) graph.leave();
    values[column] = value;
  }
  return values;
}
