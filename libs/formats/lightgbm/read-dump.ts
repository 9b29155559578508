import { Part } from '../document.js';
import {
  MOST,
  MOST_CATEGORY,
  type LightgbmLeaf,
  type LightgbmModel,
  type LightgbmSplit,
  type LightgbmTree,
} from './model.js';
import { checkCategories } from './pandas-categories.js';

/** Reads what `dump_model` answers, saved as JSON. Throws DamagedModel. */
export function readDump(document: Part): LightgbmModel {
  const features = document.field('max_feature_idx').integer(-1, MOST.features) + 1;
  const trees = document
    .field('tree_info')
    .list()
    .map((tree) => readTree(tree.field('tree_structure'), tree.path, features));
  const featureNames = document.field('feature_names').texts();
  return {
    version: document.field('version').text(),
    features,
    featureNames,
    treesPerIteration: document.field('num_tree_per_iteration').integer(1, MOST.columns),
    objective: document.optional('objective')?.text(),
    averageOutput: document.optional('average_output')?.value === true,
    trees,
    pandasCategories: checkCategories(document.optional('pandas_categorical')?.value),
    categoricalFeatures: categoricalFeatures(document, featureNames, trees),
  };
}

/** Features whose values are listed, or that a tree tests for categories. */
function categoricalFeatures(document: Part, names: string[], trees: LightgbmTree[]): number[] {
  const infos = document.optional('feature_infos');
  const listed = names.flatMap((name, i) =>
    (infos?.optional(name)?.optional('values')?.list().length ?? 0) > 0 ? [i] : [],
  );
  const tested = trees.flatMap(({ splits }) =>
    splits.flatMap(({ test, feature }) => (typeof test === 'number' ? [] : [feature])),
  );
  return [...new Set([...listed, ...tested])].toSorted((a, b) => a - b);
}

/** Walks the nested nodes with a list of its own: trees may be deeper than the stack. */
function readTree(root: Part, name: string, features: number): LightgbmTree {
  const splits: LightgbmSplit[] = [];
  const leaves = new Map<number, LightgbmLeaf>();
  const open: { part: Part; attach: (child: number) => void }[] = [
    { part: root, attach: () => {} },
  ];
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const { part, attach } = entry;
    if (!part.has('split_feature')) {
      const index = part.optional('leaf_index')?.integer(0, MOST.leaves) ?? 0;
      if (leaves.has(index)) part.damaged(`leaf ${index} is there twice`);
      leaves.set(index, readLeaf(part, features));
      attach(~index);
      continue;
    }
    const split = readSplit(part);
    attach(splits.length);
    splits.push(split);
    open.push({ part: part.field('right_child'), attach: (child) => (split.right = child) });
    open.push({ part: part.field('left_child'), attach: (child) => (split.left = child) });
  }
  const ordered = Array.from(
    { length: leaves.size },
    (_, i) => leaves.get(i) ?? root.damaged(`leaf ${i} is missing`),
  );
  return { name, splits, leaves: ordered };
}

function readSplit(part: Part): LightgbmSplit {
  const missing = part.field('missing_type').text();
  if (missing !== 'None' && missing !== 'Zero' && missing !== 'NaN') {
    part.damaged(`missing_type "${missing.slice(0, 40)}" is none of LightGBM's`);
  }
  return {
    feature: part.field('split_feature').integer(0, MOST.features),
    test: readTest(part),
    defaultLeft: part.field('default_left').value === true,
    missing,
    left: NaN,
    right: NaN,
  };
}

function readTest(part: Part): LightgbmSplit['test'] {
  const threshold = part.field('threshold');
  const type = part.field('decision_type').text();
  if (type === '<=') {
    // A dump has no word for infinity: AvoidInf of LightGBM writes this instead.
    const number = threshold.number();
    return Math.abs(number) >= 1e300 ? Math.sign(number) * Infinity : number;
  }
  if (type !== '==')
    return part.damaged(`decision_type "${type.slice(0, 40)}" is none of LightGBM's`);
  const categories = String(threshold.value).split('||').map(Number);
  return categories.every((c) => Number.isInteger(c) && c >= 0 && c < MOST_CATEGORY)
    ? categories
    : threshold.damaged('must be categories');
}

function readLeaf(part: Part, features: number): LightgbmLeaf {
  const value = part.field('leaf_value').number();
  const constant = part.optional('leaf_const');
  if (!constant) return { value };
  const used = Array.from(part.field('leaf_features').numbers());
  const coefficients = Array.from(part.field('leaf_coeff').numbers(used.length));
  if (used.some((feature) => !Number.isInteger(feature) || feature < 0 || feature >= features)) {
    part.damaged('leaf_features has a feature that the model has not');
  }
  return { value, linear: { constant: constant.number(), features: used, coefficients } };
}
