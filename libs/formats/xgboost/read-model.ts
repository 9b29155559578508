import { NodeFlag } from '#program';
import type { Part, Numbers } from '../document.js';
import type { ForestBuilder, TreeNode } from '../forest-builder.js';
import { UnsupportedModel } from '../importer.js';
import { isSince, LAST_VERSION, type Version } from './objectives.js';

/** What XGBoost's model document says, checked, apart from its trees. */
export interface ModelFacts {
  version: Version;
  objective: string;
  features: number;
  featureNames: string[];
  /** `float`, `int`, `i`, `q`, `c` … a feature, or nothing. */
  featureTypes: string[];
  /** Columns of the margins: classes or targets. */
  columns: number;
  /** As answers, one a column. */
  baseScore: number[];
  /** It is learned from the labels where the user gave none. */
  learnsBase: boolean;
}

const MOST_FEATURES = 100_000;
const MOST_COLUMNS = 100_000;
/** XGBoost takes no category from here on (`common::InvalidCat`). */
const MOST_CATEGORY = 2 ** 24;

export function readFacts(document: Part): ModelFacts {
  const learner = document.field('learner');
  const parameters = learner.field('learner_model_param');
  const features = parameters.field('num_feature').integer(0, MOST_FEATURES);
  const classes = parameters.field('num_class').integer(0, MOST_COLUMNS);
  const targets = parameters.optional('num_target')?.integer(0, MOST_COLUMNS) ?? 1;
  if (classes > 1 && targets > 1) {
    throw new UnsupportedModel(
      'A model with several classes and several targets is not supported.',
    );
  }
  const columns = Math.max(classes, targets, 1);
  return {
    version: readVersion(document),
    objective: learner.field('objective').field('name').text(),
    features,
    featureNames: namesOf(learner, 'feature_names', features),
    featureTypes: namesOf(learner, 'feature_types', features),
    columns,
    baseScore: readBaseScore(parameters.field('base_score'), columns),
    learnsBase: parameters.optional('boost_from_average')?.integer(0, 1) === 1,
  };
}

function readVersion(document: Part): Version {
  const [major = 0, minor = 0] = Array.from(document.field('version').numbers());
  const [lastMajor, lastMinor] = LAST_VERSION;
  if (isSince([major, minor], [lastMajor, lastMinor + 1])) {
    throw new UnsupportedModel(
      `XGBoost ${major}.${minor} wrote the model; up to ${lastMajor}.${lastMinor} it is known what models mean.`,
    );
  }
  return [major, minor];
}

function namesOf(learner: Part, field: string, features: number): string[] {
  const part = learner.optional(field);
  const names = part?.texts() ?? [];
  return names.length === 0 || names.length === features
    ? names
    : (part?.damaged(`must have ${features} items`) ?? []);
}

/** `5E-1`, or since 3.1 `[5E-1]` or `[1E-1,2E-1]`; a single one holds for all columns. */
function readBaseScore(part: Part, columns: number): number[] {
  const text = String(part.value).trim();
  const items = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1).split(',') : [text];
  const numbers = items.map((item) => {
    const number = Math.fround(Number(item.trim() || NaN));
    return Number.isNaN(number) ? part.damaged(`"${text.slice(0, 100)}" is not a number`) : number;
  });
  if (numbers.length !== 1 && numbers.length !== columns) {
    part.damaged(`has ${numbers.length} numbers where the model has ${columns} columns`);
  }
  return Array.from({ length: columns }, (_, i) => numbers[i] ?? numbers[0] ?? 0);
}

/** Which trees are added, and what becomes of their leaves. */
export interface TreeRules {
  /** Those of dart, one a tree. */
  weights?: Numbers;
  /** The first so many trees. */
  most?: number;
  /**
   * The base of each column goes in and out of every leaf before it is weighed, in float32: so does dart where it reads rows
   * in place (`Dart::InplacePredict` of src/gbm/gbtree.cc, 1.4 to 3.2).
   */
  through?: number[];
}

/** Adds the trees of a `gbtree` model. */
export function readTrees(
  model: Part,
  builder: ForestBuilder,
  facts: ModelFacts,
  { weights, most = Infinity, through }: TreeRules = {},
): void {
  const trees = model.field('trees').list();
  const groups = model.field('tree_info').numbers(trees.length);
  for (const [i, tree] of trees.entries()) {
    if (i >= most) break;
    const column = groups[i] ?? 0;
    const read = readTree(tree, facts, { weight: weights?.[i] ?? 1, base: through?.[column] ?? 0 });
    builder.addTree({
      name: tree.path,
      nodes: read.nodes,
      read: read.node,
      column,
    });
  }
}

/** Numbers in each leaf: 1, or one a column (`multi_output_tree`). */
export function leafWidth(model: Part, columns: number): number {
  const widths = new Set(
    model
      .field('trees')
      .list()
      .map(
        (tree) =>
          tree.optional('tree_param')?.optional('size_leaf_vector')?.integer(0, MOST_COLUMNS) ?? 1,
      )
      .map((size) => Math.max(size, 1)),
  );
  const [width = 1, ...others] = widths;
  if (others.length > 0)
    throw new UnsupportedModel('Trees with leaves of different sizes are not supported.');
  return width === 1 || width === columns
    ? width
    : model.damaged(`has leaves of ${width} numbers where the model has ${columns} columns`);
}

function readTree(
  tree: Part,
  facts: ModelFacts,
  { weight, base }: { weight: number; base: number },
) {
  const left = tree.field('left_children').numbers();
  const nodes = left.length;
  if (nodes === 0) tree.damaged('has no nodes');
  const right = tree.field('right_children').numbers(nodes);
  const features = tree.field('split_indices').numbers(nodes);
  const conditions = tree.field('split_conditions').numbers(nodes);
  const defaultLeft = tree.field('default_left').numbers(nodes);
  const types = tree.optional('split_type')?.numbers(nodes) ?? new Uint8Array(nodes);
  const sets = readSets(tree);
  const leafValues = readLeafValues(tree, facts.columns, nodes, { conditions, right });
  const node = (number: number): TreeNode => {
    if (left[number] === -1) {
      // Dart multiplies the answer of a tree in float32 before it is added.
      const values = leafValues(number).map((value) => {
        const leaf = Math.fround(Math.fround(Math.fround(value) + base) - base);
        return Math.fround(leaf * Math.fround(weight));
      });
      if (values.some(Number.isNaN)) tree.damaged(`node ${number}: a leaf is not a number`);
      return { values, number };
    }
    const [yes, no] = [left[number] ?? -1, right[number] ?? -1];
    const missingLeft = defaultLeft[number] ? 1 : 0;
    const feature = features[number] ?? -1;
    if (types[number] === 1) {
      // Listed categories go right; here members go left, so the children change places.
      const set = sets.get(number) ?? tree.damaged(`node ${number} tests categories and has none`);
      return { feature, set, left: no, right: yes, flags: missingLeft ? 0 : NodeFlag.missingLeft };
    }
    if (types[number] !== 0) tree.damaged(`node ${number} has split type ${types[number]}`);
    const threshold = Math.fround(conditions[number] ?? NaN);
    return {
      feature,
      threshold,
      left: yes,
      right: no,
      flags: missingLeft ? NodeFlag.missingLeft : 0,
    };
  };
  return { nodes, node };
}

/** The values of a leaf by its node: in place of the condition, or rows of `leaf_weights` (3.2) or `base_weights` (2.0). */
function readLeafValues(
  tree: Part,
  columns: number,
  nodes: number,
  { conditions, right }: { conditions: Numbers; right: Numbers },
): (node: number) => number[] {
  const width =
    tree.optional('tree_param')?.optional('size_leaf_vector')?.integer(0, MOST_COLUMNS) ?? 1;
  if (width <= 1) return (node) => [conditions[node] ?? NaN];
  const stored = tree.optional('leaf_weights');
  const weights = stored ? stored.numbers() : tree.field('base_weights').numbers(nodes * columns);
  return (node) => {
    // Since 3.2 the right child of a leaf is its row.
    const row = stored ? (right[node] ?? -1) : node;
    if (!Number.isInteger(row) || row < 0 || (row + 1) * columns > weights.length) {
      tree.damaged(`node ${node}: there is no leaf ${row}`);
    }
    return Array.from({ length: columns }, (_, i) => weights[row * columns + i] ?? NaN);
  };
}

/** The listed categories of each node that tests them. */
function readSets(tree: Part): Map<number, number[]> {
  const nodes = tree.optional('categories_nodes')?.numbers() ?? [];
  const sets = new Map<number, number[]>();
  if (nodes.length === 0) return sets;
  const categories = tree.field('categories').numbers();
  const segments = tree.field('categories_segments').numbers(nodes.length);
  const sizes = tree.field('categories_sizes').numbers(nodes.length);
  for (let i = 0; i < nodes.length; i++) {
    const from = segments[i] ?? -1;
    const to = from + (sizes[i] ?? -1);
    if (!(from >= 0) || !(to >= from) || !(to <= categories.length)) {
      tree.damaged(`categories_segments[${i}] lies outside the categories`);
    }
    const listed = Array.from({ length: to - from }, (_, k) => categories[from + k] ?? -1);
    if (!listed.every((c) => Number.isInteger(c) && c >= 0 && c < MOST_CATEGORY)) {
      tree.damaged(`node ${nodes[i]} lists something that is not a category`);
    }
    sets.set(nodes[i] ?? -1, listed);
  }
  return sets;
}
