import type { NdArray } from '../../pickle/records.js';
import type { Fitted } from '../fitted.js';

/** The arrays of one tree, as its library stores them; children count from its root, −1 (or itself) in a leaf. */
export interface TreeArrays {
  nodes: number;
  left: Int32Array;
  right: Int32Array;
  feature: Int32Array;
  threshold: Float64Array;
  isLeaf: (node: number) => boolean;
  /** 1 where a missing value goes left. */
  missingLeft?: Uint8Array;
  /** Sets of categories that go left, 8 words each, and the set of each node, −1 where it compares. */
  sets?: { words: Uint32Array; ofNode: Int32Array };
}

/** A tree of `sklearn.tree`: `value` is `[nodes, outputs, most classes]`. */
export interface SklearnTree extends TreeArrays {
  features: number;
  values: Float64Array;
  /** Numbers a node in `values`. */
  stride: number;
}

/** Reads `sklearn.tree._tree.Tree` (0.18 to 1.8: 56 bytes a node, 64 with `missing_go_to_left` since 1.3). */
export function readTree(tree: Fitted): SklearnTree {
  if (!tree.budget.isFirst(tree.record)) tree.damaged('is the tree of two estimators');
  const nodes = tree.array('nodes');
  const count = nodes.size;
  const values = tree.array('values');
  if (values.shape[0] !== count || count < 1) tree.damaged('has not a value for each node');
  const left = integers(nodes, 'left_child');
  const [features] = tree.record.args.items;
  const read: SklearnTree = {
    nodes: count,
    left,
    right: integers(nodes, 'right_child'),
    feature: integers(nodes, 'feature'),
    threshold: nodes.field('threshold').numbers(),
    isLeaf: (node) => left[node] === -1,
    values: values.numbers(),
    stride: values.size / count,
    features: typeof features === 'number' ? features : tree.damaged('has no number of features'),
  };
  if (nodes.hasField('missing_go_to_left')) {
    read.missingLeft = bytes(nodes.field('missing_go_to_left'));
  }
  return read;
}

/** Reads `TreePredictor` of `sklearn.ensemble._hist_gradient_boosting` (0.22 to 1.8). */
export function readPredictor(predictor: Fitted): TreeArrays & { values: Float64Array } {
  if (!predictor.budget.isFirst(predictor.record)) predictor.damaged('comes twice in the model');
  const nodes = predictor.array('nodes');
  const leaf = bytes(nodes.field('is_leaf'));
  const read: TreeArrays & { values: Float64Array } = {
    nodes: nodes.size,
    left: integers(nodes, 'left'),
    right: integers(nodes, 'right'),
    feature: integers(nodes, 'feature_idx'),
    threshold: nodes
      .field(nodes.hasField('num_threshold') ? 'num_threshold' : 'threshold')
      .numbers(),
    isLeaf: (node) => leaf[node] === 1,
    missingLeft: bytes(nodes.field('missing_go_to_left')),
    values: nodes.field('value').numbers(),
  };
  if (nodes.hasField('is_categorical')) {
    const categorical = bytes(nodes.field('is_categorical'));
    if (categorical.includes(1)) {
      const index = integers(nodes, 'bitset_idx');
      const words = predictor.array('raw_left_cat_bitsets').typed();
      if (!(words instanceof Uint32Array)) return predictor.damaged('has sets that are not UINT32');
      const ofNode = index.map((set, node) => (categorical[node] === 1 ? set : -1));
      read.sets = { words, ofNode };
    }
  }
  return read;
}

/** A field of integers of any size; trees have fewer nodes than 2^31. */
function integers(nodes: NdArray, name: string): Int32Array {
  const data = nodes.field(name).typed();
  if (!(data instanceof BigInt64Array)) return Int32Array.from(data, Number);
  const words = new Int32Array(data.buffer, data.byteOffset, data.length * 2);
  const low = new Int32Array(data.length);
  for (let i = 0; i < low.length; i++) {
    const word = words[2 * i] ?? 0;
    // A number that needs more than 32 bits is no node and no feature.
    low[i] = words[2 * i + 1] === word >> 31 ? word : -2;
  }
  return low;
}

function bytes(column: NdArray): Uint8Array {
  const data = column.typed();
  return data instanceof Uint8Array ? data : Uint8Array.from(data, Number);
}
