import {
  type Forest,
  type ForestArrays,
  NodeFlag,
  type ObliviousForest,
  readForestArrays,
  type WeightsReader,
} from '#program';
import { tensorMessage } from '../onnx-file/onnx-messages.js';
import type { GraphWriter, Table } from './graph-writer.js';

/** Modes of a node of TreeEnsemble (ai.onnx.ml 5). */
const Mode = { lessOrEqual: 0, less: 1 } as const;

/** What a TreeEnsemble adds up: for each leaf (a node of the forest) a number and the column that it is added to. */
interface Leaves {
  columns: number;
  numberOf: (leaf: number, tree: number) => number;
  columnOf: (tree: number) => number;
}

/** Trees as TreeEnsemble takes them. */
interface Trees extends Pick<
  ForestArrays,
  'starts' | 'features' | 'thresholds' | 'left' | 'right'
> {
  /** Whether NaN goes left, a node. */
  missingLeft: (node: number) => boolean;
  mode: number;
}

/** The forest, or why ONNX has no words for it. */
export function readForest(
  forest: Forest,
  reader: WeightsReader,
  pointer: string,
): ForestArrays | string {
  const arrays = readForestArrays(forest, reader, pointer);
  if (arrays.flags.some((flags) => flags & NodeFlag.categorical))
    return 'tests membership in sets of categories';
  if (arrays.flags.some((flags) => flags & NodeFlag.zeroMissing))
    return 'takes zero for a missing value';
  return arrays;
}

/**
 * Writes trees as TreeEnsemble of ai.onnx.ml 5: TreeEnsembleRegressor answers float32 whatever it reads, TreeEnsemble the
 * dtype of its rows. Values are compared and added in float64 where the Program does either, else in float32.
 */
export class ForestGraph {
  private readonly rows: Table;
  private readonly trees: Trees;

  constructor(
    private readonly graph: GraphWriter,
    rows: Table,
    private readonly forest: Pick<Forest, 'inputDtype' | 'sumDtype' | 'columns' | 'comparison'>,
    private readonly arrays: ForestArrays,
  ) {
    const wide =
      forest.inputDtype === 'FP64' ||
      forest.sumDtype === 'FP64' ||
      arrays.thresholds instanceof Float64Array;
    this.rows = graph.as(rows, wide ? 'FP64' : 'FP32');
    this.trees = {
      ...arrays,
      missingLeft: (node) => ((arrays.flags[node] ?? 0) & NodeFlag.missingLeft) !== 0,
      mode: forest.comparison === '<' ? Mode.less : Mode.lessOrEqual,
    };
  }

  /** The sums of all trees and the base, in the forest's `sumDtype`. */
  scores(): Table {
    const { graph, arrays } = this;
    const { columns, sumDtype } = this.forest;
    const sums =
      arrays.width === 1
        ? this.ensemble({
            columns,
            numberOf: (leaf) => arrays.values[arrays.left[leaf] ?? 0] ?? NaN,
            columnOf: (tree) => arrays.treeColumns[tree] ?? 0,
          })
        : this.sumsOfRows();
    const { dtype } = sums;
    if (arrays.base.every((number) => number === 0)) return graph.as(sums, sumDtype);
    const base = graph.constant(dtype, [1, columns], arrays.base);
    return graph.as({ ...sums, name: graph.op('Add', [sums.name, base]) }, sumDtype);
  }

  /** The library's number of the leaf that was reached: INT32, a column a tree. */
  leaves(): Table {
    const { right, starts } = this.arrays;
    const reached = this.ensemble({
      columns: starts.length - 1,
      numberOf: (leaf) => right[leaf] ?? -1,
      columnOf: (tree) => tree,
    });
    return this.graph.as(reached, 'INT32');
  }

  /** A leaf of TreeEnsemble has one number: leaves of several are looked up by their rows of `values`. */
  private sumsOfRows(): Table {
    const { graph, arrays } = this;
    const { columns } = this.forest;
    const reached = this.ensemble({
      columns: arrays.starts.length - 1,
      numberOf: (leaf) => arrays.left[leaf] ?? 0,
      columnOf: (tree) => tree,
    });
    const dtype = this.rows.dtype;
    const values = graph.constant(dtype, [arrays.leaves, arrays.width], arrays.values);
    const found = graph.op('Gather', [values, graph.cast(reached.name, 'INT64')], { axis: 0 });
    const axes = graph.constant('INT64', [1], [1]);
    return { name: graph.op('ReduceSum', [found, axes], { keepdims: 0 }), dtype, columns };
  }

  private ensemble(leaves: Leaves): Table {
    if (this.arrays.starts.length < 2) return this.nothing(leaves.columns);
    const { dtype, name } = this.rows;
    const attributes = ensembleAttributes(this.trees, leaves, dtype === 'FP64' ? 'FP64' : 'FP32');
    const sums = this.graph.learned('TreeEnsemble', [name], attributes);
    return { name: sums, dtype, columns: leaves.columns };
  }

  /** What no trees answer: zeros. */
  private nothing(columns: number): Table {
    const { graph, rows } = this;
    const count = graph.op('Shape', [rows.name], { start: 0, end: 1 });
    const shape = graph.op('Concat', [count, graph.constant('INT64', [1], [columns])], { axis: 0 });
    const name = graph.op('Expand', [graph.constant(rows.dtype, [1, 1], [0]), shape]);
    return { name, dtype: rows.dtype, columns };
  }
}

/** Nodes and leaves are numbered apart in a TreeEnsemble; a tree that is a leaf gets a node whose children are both that leaf. */
function ensembleAttributes(trees: Trees, leaves: Leaves, dtype: 'FP32' | 'FP64') {
  const { starts, features, thresholds, left, right } = trees;
  const inner: number[] = [];
  const ends: number[] = [];
  const place = new Int32Array(features.length);
  const roots: number[] = [];
  const targets: number[] = [];
  const numbers: number[] = [];
  for (let tree = 0; tree + 1 < starts.length; tree++) {
    const first = starts[tree] ?? 0;
    roots.push(inner.length);
    const single = (features[first] ?? -1) < 0;
    if (single) inner.push(first);
    for (let node = first; node < (starts[tree + 1] ?? 0); node++) {
      if ((features[node] ?? -1) >= 0) {
        place[node] = inner.push(node) - 1;
        continue;
      }
      place[node] = ends.push(node) - 1;
      targets.push(leaves.columnOf(tree));
      numbers.push(leaves.numberOf(node, tree));
    }
  }
  const treeOf = startsOf(starts, features.length);
  const child = (side: Int32Array) => (node: number) =>
    (features[node] ?? -1) < 0 ? node : (treeOf[node] ?? 0) + (side[node] ?? 0);
  const [yes, no] = [inner.map(child(left)), inner.map(child(right))];
  const isLeaf = (node: number) => Number((features[node] ?? -1) < 0);
  const placeOf = (node: number) => place[node] ?? 0;
  return {
    n_targets: leaves.columns,
    aggregate_function: 1,
    post_transform: 0,
    tree_roots: roots,
    nodes_featureids: inner.map((node) => Math.max(features[node] ?? 0, 0)),
    nodes_splits: {
      tensor: tensorMessage(
        dtype,
        [inner.length],
        inner.map((node) => (isLeaf(node) ? 0 : (thresholds[node] ?? 0))),
      ),
    },
    nodes_modes: {
      tensor: tensorMessage(
        'UINT8',
        [inner.length],
        inner.map(() => trees.mode),
      ),
    },
    nodes_truenodeids: yes.map(placeOf),
    nodes_trueleafs: yes.map(isLeaf),
    nodes_falsenodeids: no.map(placeOf),
    nodes_falseleafs: no.map(isLeaf),
    nodes_missing_value_tracks_true: inner.map((node) => Number(trees.missingLeft(node))),
    leaf_targetids: targets,
    leaf_weights: { tensor: tensorMessage(dtype, [numbers.length], numbers) },
  };
}

/** For each node where its tree begins. */
function startsOf(starts: Int32Array, nodes: number): Int32Array {
  const of = new Int32Array(nodes);
  for (let tree = 0; tree + 1 < starts.length; tree++)
    of.fill(starts[tree] ?? 0, starts[tree], starts[tree + 1]);
  return of;
}

/** Levels that are still written out as a tree: 2 to their number are its leaves. */
const MOST_LEVELS = 12;

/** Symmetric trees as ordinary ones, or why not. A test `value > border` goes right here. */
export function spreadOblivious(
  { features: width, trees, columns, weights }: ObliviousForest,
  reader: WeightsReader,
  pointer: string,
): ForestArrays | string {
  const at = (name: string) => `${pointer}/forest/weights/${name}`;
  const splits = reader.int32(weights.starts, at('starts'));
  const tested = reader.int32(weights.features, at('features'));
  const borders = reader.floats(weights.borders, at('borders'));
  const greatest = reader.uint8(weights.missingGreatest, at('missingGreatest'));
  const values = reader.floats(weights.values, at('values'));
  const starts = [0];
  const [features, thresholds, left, right, flags]: number[][] = [[], [], [], [], []];
  if (!features || !thresholds || !left || !right || !flags) return 'has no trees';
  let firstLeaf = 0;
  for (let tree = 0; tree < trees; tree++) {
    const first = splits[tree] ?? 0;
    const levels = (splits[tree + 1] ?? 0) - first;
    if (levels > MOST_LEVELS) return `has symmetric trees of ${levels} levels`;
    // In the order of a heap: the node at place i has its children at 2i + 1 and 2i + 2; the last level are the leaves.
    for (let level = 0; level < levels; level++) {
      const feature = tested[first + level] ?? -1;
      if (feature < 0 || feature >= width) return `tests a column ${feature} that is not there`;
      for (let i = 2 ** level - 1; i < 2 ** (level + 1) - 1; i++) {
        features.push(feature);
        thresholds.push(borders[first + level] ?? NaN);
        left.push(2 * i + 1);
        right.push(2 * i + 2);
        flags.push(greatest[feature] ? 0 : NodeFlag.missingLeft);
      }
    }
    for (let path = 0; path < 2 ** levels; path++) {
      // The answer of the first split is the highest bit of the path, and the lowest of the leaf's number.
      let number = 0;
      for (let level = 0; level < levels; level++)
        number |= ((path >> (levels - 1 - level)) & 1) << level;
      features.push(-1);
      thresholds.push(0);
      left.push(firstLeaf + number);
      right.push(number);
      flags.push(0);
    }
    firstLeaf += 2 ** levels;
    starts.push(features.length);
  }
  return {
    starts: Int32Array.from(starts),
    features: Int32Array.from(features),
    thresholds: Float64Array.from(thresholds),
    left: Int32Array.from(left),
    right: Int32Array.from(right),
    flags: Uint8Array.from(flags),
    values,
    width: columns,
    leaves: firstLeaf,
    treeColumns: new Int32Array(trees),
    base: new Float64Array(columns),
    setStarts: new Uint32Array(1),
    setWords: new Uint32Array(0),
  };
}
