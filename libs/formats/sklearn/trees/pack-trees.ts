import { NodeFlag, type Forest, type WeightsWriter } from '#program';
import { DamagedModel, UnsupportedModel } from '../../importer.js';
import type { TreeArrays } from './tree-arrays.js';

export interface TreesGiven {
  /** For messages. */
  name: string;
  features: number;
  /** Columns of the sums. */
  columns: number;
  /** The column of each tree, where each leaf has one number; absent: each leaf has one for each column. */
  treeColumns?: ArrayLike<number>;
  inputDtype: 'FP32' | 'FP64';
  base?: ArrayLike<number>;
  /** Writes the numbers of a leaf to `target` from `at` on. */
  leaf: (tree: number, node: number, target: Float64Array, at: number) => void;
}

const MOST_NODES = 2 ** 26;

/**
 * Trees as a Forest: their arrays one after the other, copied once. `sklearn.tree` compares float32 values with float64
 * thresholds, HistGradientBoosting float64 values; both go left where value <= threshold.
 */
export function packTrees(
  trees: readonly TreeArrays[],
  writer: WeightsWriter,
  given: TreesGiven,
): Forest {
  const total = trees.reduce((sum, tree) => sum + tree.nodes, 0);
  if (total > MOST_NODES) {
    throw new UnsupportedModel(
      `The model has ${total} tree nodes; ${MOST_NODES} at most are supported.`,
    );
  }
  const width = given.treeColumns ? 1 : given.columns;
  const arrays = {
    starts: new Int32Array(trees.length + 1),
    features: new Int32Array(total),
    thresholds: new Float64Array(total),
    left: new Int32Array(total),
    right: new Int32Array(total),
    flags: new Uint8Array(total),
    values: new Float64Array(countLeaves(trees) * width),
    sets: [] as Uint32Array[],
    setCount: 0,
  };
  let leaves = 0;
  for (const [number, tree] of trees.entries()) {
    const first = arrays.starts[number] ?? 0;
    leaves = packTree(tree, number, { first, leaves, width }, arrays, given);
    arrays.starts[number + 1] = first + tree.nodes;
  }
  const words = joined(arrays.sets);
  return {
    features: given.features,
    trees: trees.length,
    columns: given.columns,
    comparison: '<=',
    inputDtype: given.inputDtype,
    sumDtype: 'FP64',
    ...(words.length > 0 && { category: 'non-negative' as const }),
    weights: {
      starts: writer.add('INT32', arrays.starts),
      features: writer.add('INT32', arrays.features),
      thresholds: writer.add('FP64', arrays.thresholds),
      left: writer.add('INT32', arrays.left),
      right: writer.add('INT32', arrays.right),
      flags: writer.add('UINT8', arrays.flags),
      values: writer.add('FP64', arrays.values, [leaves, width]),
      ...(given.treeColumns && {
        columns: writer.add('INT32', Int32Array.from(given.treeColumns)),
      }),
      ...(given.base && { base: writer.add('FP64', Float64Array.from(given.base)) }),
      ...(words.length > 0 && {
        setStarts: writer.add(
          'UINT32',
          Uint32Array.from({ length: arrays.setCount + 1 }, (_, i) => i * SET_WORDS),
        ),
        setWords: writer.add('UINT32', words),
      }),
    },
  };
}

/** HistGradientBoosting has up to 256 categories a feature. */
const SET_WORDS = 8;

interface Arrays {
  features: Int32Array;
  thresholds: Float64Array;
  left: Int32Array;
  right: Int32Array;
  flags: Uint8Array;
  values: Float64Array;
  sets: Uint32Array[];
  setCount: number;
}

/** Answers how many leaves there are then. */
function packTree(
  tree: TreeArrays,
  number: number,
  at: { first: number; leaves: number; width: number },
  arrays: Arrays,
  { name, features, leaf }: TreesGiven,
): number {
  let { leaves } = at;
  const { nodes, left, right, feature, missingLeft, sets } = tree;
  arrays.thresholds.set(tree.threshold, at.first);
  for (let node = 0; node < nodes; node++) {
    const to = at.first + node;
    if (tree.isLeaf(node)) {
      arrays.features[to] = -1;
      arrays.left[to] = leaves;
      arrays.right[to] = node;
      leaf(number, node, arrays.values, leaves * at.width);
      leaves += 1;
      continue;
    }
    const [l = -1, r = -1, f = -1] = [left[node], right[node], feature[node]];
    // All releases number children after their parents.
    if (l <= node || r <= node || l >= nodes || r >= nodes || f < 0 || f >= features) {
      throw new DamagedModel(`${name}: node ${node} of tree ${number} points nowhere`);
    }
    arrays.features[to] = f;
    arrays.left[to] = l;
    arrays.right[to] = r;
    if (missingLeft?.[node]) arrays.flags[to] = NodeFlag.missingLeft;
    const set = sets?.ofNode[node] ?? -1;
    if (sets && set >= 0) {
      if ((set + 1) * SET_WORDS > sets.words.length) {
        throw new DamagedModel(`${name}: node ${node} of tree ${number} has no set ${set}`);
      }
      arrays.flags[to] = (arrays.flags[to] ?? 0) | NodeFlag.categorical;
      arrays.thresholds[to] = arrays.setCount + set;
    }
  }
  if (sets) {
    arrays.sets.push(sets.words);
    arrays.setCount += sets.words.length / SET_WORDS;
  }
  return leaves;
}

function countLeaves(trees: readonly TreeArrays[]): number {
  let leaves = 0;
  for (const tree of trees) {
    for (let node = 0; node < tree.nodes; node++) if (tree.isLeaf(node)) leaves += 1;
  }
  return leaves;
}

function joined(parts: Uint32Array[]): Uint32Array {
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
