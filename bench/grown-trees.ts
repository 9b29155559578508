/** A node of a grown tree: a test `row[feature] < threshold`, or a leaf. */
export type GrownNode =
  { feature: number; threshold: number; left: number; right: number } | { value: number };

/** A forest for one margin: the nodes of each tree, breadth first. */
export interface GrownForest {
  features: number;
  trees: GrownNode[][];
}

export interface GrowOptions {
  trees: number;
  /** Deepest leaf. */
  depth: number;
  /** Rows to grow each tree on. */
  rows: number;
  /** A node of so few rows is a leaf. */
  leafRows: number;
}

const FEATURES = 20;
const CANDIDATES = 5;

/**
 * Grows extremely randomised trees (Geurts, Ernst, Wehenkel 2006) on rows of {@link normals}: of a few random tests each
 * node takes the one that parts the labels best. They are as lopsided as trained trees are, and need no training library.
 * Thresholds lie between the values that rows can have, so that `<` and `<=` say the same.
 */
export function growForest({ trees, depth, rows, leafRows }: GrowOptions): GrownForest {
  const random = uniforms(trees * 31 + depth);
  const table = normals(7, rows);
  const labels = Float64Array.from({ length: rows }, (_, row) => labelOf(table, row));
  const grown = Array.from({ length: trees }, () => {
    const nodes: GrownNode[] = [];
    const queue = [{ members: Array.from({ length: rows }, (_, i) => i), level: 0 }];
    for (const { members, level } of queue) {
      const test =
        level < depth && members.length > leafRows
          ? bestTest(table, labels, members, random)
          : undefined;
      if (!test) {
        // Small sums of many trees, as boosting makes them, and a text that float32 has exactly.
        nodes.push({ value: Math.round(meanOf(labels, members) * 100 + random() * 10) / 1024 });
        continue;
      }
      const { feature, threshold } = test;
      const goesLeft = (row: number) => (table[row * FEATURES + feature] ?? 0) < threshold;
      const left = queue.length;
      nodes.push({ feature, threshold, left, right: left + 1 });
      queue.push({ members: members.filter((row) => goesLeft(row)), level: level + 1 });
      queue.push({ members: members.filter((row) => !goesLeft(row)), level: level + 1 });
    }
    return nodes;
  });
  return { features: FEATURES, trees: grown };
}

/** Rows of 20 features like those of measurements: normal, three decimals. */
export function normals(seed: number, rows: number): Float32Array {
  const uniform = uniforms(seed);
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float32Array.from({ length: rows * FEATURES }, () => Math.round(normal() * 1000) / 1000);
}

/** Depth of the deepest leaf of any tree. */
export function depthOf({ trees }: GrownForest): number {
  let deepest = 0;
  for (const nodes of trees) {
    const depths = new Uint32Array(nodes.length);
    for (const [i, node] of nodes.entries()) {
      const depth = depths[i] ?? 0;
      deepest = Math.max(deepest, depth);
      if ('value' in node) continue;
      depths[node.left] = depths[node.right] = depth + 1;
    }
  }
  return deepest;
}

/** The forest as XGBoost's JSON model of `binary:logistic`, whose margin starts at 0. */
export function xgboostJson({ features, trees }: GrownForest): Uint8Array {
  const treeJson = (nodes: GrownNode[], id: number) => {
    const parents = nodes.map(() => 2147483647);
    for (const [i, node] of nodes.entries()) {
      if ('left' in node) parents[node.left] = parents[node.right] = i;
    }
    const zeros = nodes.map(() => 0);
    const nothing = zeros.map(floatText);
    return {
      base_weights: nothing,
      categories: [],
      categories_nodes: [],
      categories_segments: [],
      categories_sizes: [],
      default_left: zeros,
      id,
      left_children: nodes.map((node) => ('left' in node ? node.left : -1)),
      loss_changes: nothing,
      parents,
      right_children: nodes.map((node) => ('right' in node ? node.right : -1)),
      split_conditions: nodes.map((node) =>
        floatText('value' in node ? node.value : node.threshold),
      ),
      split_indices: nodes.map((node) => ('feature' in node ? node.feature : 0)),
      split_type: zeros,
      sum_hessian: nothing,
      tree_param: {
        num_deleted: '0',
        num_feature: String(features),
        num_nodes: String(nodes.length),
        size_leaf_vector: '1',
      },
    };
  };
  const model = {
    learner: {
      attributes: {},
      feature_names: [],
      feature_types: [],
      gradient_booster: {
        model: {
          cats: { enc: [], feature_segments: [], sorted_idx: [] },
          gbtree_model_param: { num_parallel_tree: '1', num_trees: String(trees.length) },
          iteration_indptr: Array.from({ length: trees.length + 1 }, (_, i) => i),
          tree_info: trees.map(() => 0),
          trees: trees.map(treeJson),
        },
        name: 'gbtree',
      },
      learner_model_param: {
        base_score: '[5E-1]',
        boost_from_average: '0',
        num_class: '0',
        num_feature: String(features),
        num_target: '1',
      },
      objective: { name: 'binary:logistic', reg_loss_param: { scale_pos_weight: '1' } },
    },
    version: [3, 2, 0],
  };
  return Buffer.from(JSON.stringify(model).replaceAll(/"float (.*?)"/g, '$1'));
}

/** XGBoost takes a number without an exponent for an integer, and refuses it. */
function floatText(value: number): string {
  return `float ${value.toExponential()}`;
}

/** The forest as LightGBM's text model of `binary`. */
export function lightgbmText({ features, trees }: GrownForest): Uint8Array {
  const columns = Array.from({ length: features }, (_, i) => `Column_${i}`);
  const head = [
    'tree',
    'version=v4',
    'num_class=1',
    'num_tree_per_iteration=1',
    'label_index=0',
    `max_feature_idx=${features - 1}`,
    'objective=binary sigmoid:1',
    `feature_names=${columns.join(' ')}`,
    `feature_infos=${columns.map(() => '[-9:9]').join(' ')}`,
  ];
  const blocks = trees.map((nodes, i) => `Tree=${i}\n${lightgbmTree(nodes)}\n\n`);
  const sizes = `tree_sizes=${blocks.map((block) => block.length).join(' ')}`;
  return Buffer.from(`${[...head, sizes, '', blocks.join('')].join('\n')}end of trees\n`);
}

/** Tests and leaves have numbers of their own, from 0 each; a leaf as a child is the complement of its number. */
function lightgbmTree(nodes: GrownNode[]): string {
  let tests = 0;
  let leaves = 0;
  const numbers = nodes.map((node) => ('value' in node ? ~leaves++ : tests++));
  const inner = nodes.flatMap((node) => ('feature' in node ? [node] : []));
  const values = nodes.flatMap((node) => ('value' in node ? [node.value] : []));
  const row = (name: string, numbersOf: number[]) => `${name}=${numbersOf.join(' ')}`;
  const zeros = (list: unknown[]) => list.map(() => 0);
  return [
    `num_leaves=${leaves}`,
    'num_cat=0',
    row(
      'split_feature',
      inner.map((node) => node.feature),
    ),
    row('split_gain', zeros(inner)),
    row(
      'threshold',
      inner.map((node) => node.threshold),
    ),
    row(
      'decision_type',
      inner.map(() => 2),
    ),
    row(
      'left_child',
      inner.map((node) => numbers[node.left] ?? 0),
    ),
    row(
      'right_child',
      inner.map((node) => numbers[node.right] ?? 0),
    ),
    row('leaf_value', values),
    row('leaf_weight', zeros(values)),
    row('leaf_count', zeros(values)),
    row('internal_value', zeros(inner)),
    row('internal_weight', zeros(inner)),
    row('internal_count', zeros(inner)),
    'is_linear=0',
    'shrinkage=1',
  ].join('\n');
}

function labelOf(table: Float32Array, row: number): number {
  const at = (feature: number) => table[row * FEATURES + feature] ?? 0;
  return at(4) + at(9) * at(2) + Math.sin(2 * at(0)) > 0.3 ? 1 : 0;
}

function bestTest(
  table: Float32Array,
  labels: Float64Array,
  members: number[],
  random: () => number,
): { feature: number; threshold: number } | undefined {
  let best: { feature: number; threshold: number; gain: number } | undefined;
  for (let i = 0; i < CANDIDATES; i++) {
    const feature = Math.floor(random() * FEATURES);
    const row = members[Math.floor(random() * members.length)] ?? 0;
    const value = table[row * FEATURES + feature] ?? 0;
    const threshold = Math.round(value * 10_000 + 5) / 10_000;
    const sums = [0, 0];
    const counts = [0, 0];
    for (const member of members) {
      const side = (table[member * FEATURES + feature] ?? 0) < threshold ? 0 : 1;
      sums[side] = (sums[side] ?? 0) + (labels[member] ?? 0);
      counts[side] = (counts[side] ?? 0) + 1;
    }
    const [less = 0, more = 0] = counts;
    if (less === 0 || more === 0) continue;
    const gain = (sums[0] ?? 0) ** 2 / less + (sums[1] ?? 0) ** 2 / more;
    if (!best || gain > best.gain) best = { feature, threshold, gain };
  }
  return best;
}

function meanOf(labels: Float64Array, members: number[]): number {
  return members.reduce((sum, row) => sum + (labels[row] ?? 0), 0) / members.length;
}

/** Numbers in (0, 1), the same ones for the same seed (Numerical Recipes' linear congruential generator). */
function uniforms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}
