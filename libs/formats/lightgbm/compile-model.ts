import {
  below64,
  COLUMN_PREFIX,
  NodeFlag,
  type Binding,
  type DType,
  type TensorSpec,
} from '#program';
import { canNameInputs, madeUpNames } from '../column-names.js';
import { ForestBuilder, type TreeNode } from '../forest-builder.js';
import { DamagedModel, UnsupportedModel, type Verdict } from '../importer.js';
import { ProgramBuilder, type NodeBuilder } from '../program-builder.js';
import type { LightgbmModel, LightgbmSplit, LightgbmTree } from './model.js';
import { objectiveOf, type Objective } from './objectives.js';

/** LightGBM's kZeroThreshold, a float: a number of at most this size is taken for 0 wherever it is. */
const ZERO = Math.fround(1e-35);

const VERSIONS = ['v2', 'v3', 'v4'];

/** Checks what all ways to compile a model rely on, and reads its objective. Throws UnsupportedModel and DamagedModel. */
export function checkModel(model: LightgbmModel): Objective {
  if (!VERSIONS.includes(model.version)) {
    throw new UnsupportedModel(
      `The version "${model.version.slice(0, 40)}" of LightGBM's format is not supported; ${VERSIONS.join(', ')} are (LightGBM 2.0.12 to 4).`,
    );
  }
  if (model.featureNames.length !== model.features) {
    throw new DamagedModel(
      `The model has ${model.featureNames.length} names for ${model.features} features.`,
    );
  }
  const columns = model.treesPerIteration;
  if (model.trees.length % columns !== 0) {
    throw new DamagedModel(
      `The model has ${model.trees.length} trees, which is not a multiple of ${columns}.`,
    );
  }
  return objectiveOf(model.objective, columns);
}

/** Compiles a model. Throws UnsupportedModel and DamagedModel. */
export function compileModel(model: LightgbmModel, importer: string): Verdict {
  const objective = checkModel(model);
  const builder = new ProgramBuilder();
  const table = bindColumns(builder, model);
  const { margin, leaf } = addTrees(builder, table.rows, model);
  addOutputs(builder, { margin, leaf }, model, objective);
  const { program, weights } = builder.finish({
    importer,
    format: 'lightgbm',
    inputs: table.inputs,
    binding: table.binding,
    defaultOutputs: ['predict'],
  });
  return { state: 'servable', program, weights };
}

interface Table {
  inputs: TensorSpec[];
  binding: Binding;
  /** The value that holds all columns. */
  rows: string;
}

/** Names that LightGBM makes up for arrays. */
export function isMadeUp(names: string[]): boolean {
  return names.every((name, i) => name === `Column_${i}`);
}

function bindColumns(builder: ProgramBuilder, model: LightgbmModel): Table {
  const { features, featureNames } = model;
  const levels = levelsOf(model);
  const named = !isMadeUp(featureNames) && canNameInputs(featureNames);
  if ([...levels.values()].some((level) => typeof level[0] === 'string')) {
    const names = named ? featureNames : madeUpNames(features);
    return joinColumns(builder, names, levels);
  }
  let rows = 'X';
  for (const [column, level] of levels) {
    const codes = builder.weights.add('FP64', Float64Array.from(level, Number));
    rows = builder.kernel('number-codes', [rows], {
      attributes: { column },
      weights: { levels: codes },
    });
  }
  const inputs: TensorSpec[] = named
    ? featureNames.map((name) => ({ name, dtype: 'FP64', shape: [-1] }))
    : [{ name: 'X', dtype: 'FP64', shape: [-1, features] }];
  return { inputs, binding: { kind: 'table', matrix: { dtype: 'FP64', columns: features } }, rows };
}

/** Columns of texts among the others; each becomes its codes, then all become one matrix. */
function joinColumns(
  builder: ProgramBuilder,
  names: string[],
  levels: Map<number, Level[]>,
): Table {
  const inputs: TensorSpec[] = [];
  const columns = names.map((name, i) => {
    const known = levels.get(i)?.map(String);
    const isText = known !== undefined && typeof levels.get(i)?.[0] === 'string';
    const dtype: DType = isText ? 'BYTES' : 'FP64';
    inputs.push({ name, dtype, shape: [-1] });
    const column = `${COLUMN_PREFIX}${name}`;
    if (!isText) return column;
    // pandas turns what is no category of a column into a missing value.
    const attributes = { levels: known, unseen: 'missing', column: name, dtype: 'FP64' };
    return builder.kernel('text-codes', [column], { attributes });
  });
  let rows = builder.kernel('join-columns', columns);
  for (const [column, level] of levels) {
    if (typeof level[0] === 'string') continue;
    const codes = builder.weights.add('FP64', Float64Array.from(level, Number));
    rows = builder.kernel('number-codes', [rows], {
      attributes: { column },
      weights: { levels: codes },
    });
  }
  return { inputs, binding: { kind: 'table' }, rows };
}

export type Level = string | number | boolean;

/** The categories of pandas columns by feature; the file does not say which columns they are of, but how many there are. */
export function levelsOf({
  pandasCategories,
  categoricalFeatures,
}: LightgbmModel): Map<number, Level[]> {
  if (pandasCategories.length === 0) return new Map();
  if (pandasCategories.length !== categoricalFeatures.length) {
    throw new UnsupportedModel(
      `pandas_categorical has ${pandasCategories.length} lists for ${categoricalFeatures.length} categorical features, so that it does not tell which columns they belong to (ordered categories are such columns).`,
    );
  }
  return new Map(
    pandasCategories.map((list, i) => [categoricalFeatures[i] ?? 0, checkLevels(list)]),
  );
}

function checkLevels(list: unknown[]): Level[] {
  const levels = list.filter((level): level is Level =>
    ['string', 'number', 'boolean'].includes(typeof level),
  );
  if (levels.length !== list.length || new Set(levels.map((level) => typeof level)).size > 1) {
    throw new UnsupportedModel(
      'Categories that are not all texts, all numbers or all booleans are not supported.',
    );
  }
  return levels;
}

/** Adds what makes margins of rows (FP64, all columns): FP64 `[rows]` or `[rows, columns]`, and leaves INT32 `[rows, trees]`. */
export function addTrees(builder: NodeBuilder, rows: string, model: LightgbmModel) {
  const { features, treesPerIteration: columns, trees } = model;
  const forest = new ForestBuilder(
    {
      features,
      columns,
      comparison: '<=',
      inputDtype: 'FP64',
      sumDtype: 'FP64',
      category: 'truncate',
      zero: ZERO,
    },
    1,
  );
  for (const [i, tree] of trees.entries()) {
    forest.addTree({
      name: tree.name,
      nodes: tree.splits.length + tree.leaves.length,
      read: (node) => readNode(tree, node),
      column: i % columns,
    });
  }
  const { scores, leaf } = builder.forest(rows, forest.build(builder.weights));
  const isLinear = trees.some((tree) => tree.leaves.some((found) => found.linear));
  return { margin: isLinear ? addLinear(builder, rows, leaf, model) : scores, leaf };
}

/** Splits come first, then leaves; a tree without splits has one leaf. */
function readNode(tree: LightgbmTree, node: number): TreeNode {
  const split = tree.splits[node];
  if (split) return readSplit(tree, split);
  const number = node - tree.splits.length;
  const leaf = tree.leaves[number];
  if (!leaf || Number.isNaN(leaf.value))
    throw new DamagedModel(`${tree.name}: leaf ${number} is not a number`);
  return { values: [leaf.value], number };
}

function readSplit(tree: LightgbmTree, split: LightgbmSplit): TreeNode {
  const { feature, test, missing, defaultLeft } = split;
  const childOf = (child: number) => (child >= 0 ? child : tree.splits.length + ~child);
  const children = { left: childOf(split.left), right: childOf(split.right) };
  // A missing category goes right, whatever the node says.
  if (typeof test !== 'number') return { feature, set: test, ...children, flags: 0 };
  // Where missing values are not known of, they are 0.
  const missingLeft = missing === 'None' ? test >= 0 : defaultLeft;
  const flags =
    (missingLeft ? NodeFlag.missingLeft : 0) | (missing === 'Zero' ? NodeFlag.zeroMissing : 0);
  return { feature, threshold: aroundZero(test), ...children, flags };
}

/** The threshold that does to any number what `threshold` does once numbers that count as zero have become 0. */
function aroundZero(threshold: number): number {
  return threshold >= 0 ? Math.max(threshold, ZERO) : Math.min(threshold, below64(-ZERO));
}

function addLinear(builder: NodeBuilder, rows: string, leaf: string, model: LightgbmModel): string {
  const { trees, treesPerIteration: columns } = model;
  const leaves = trees.flatMap((tree) => tree.leaves);
  const starts = [0];
  for (const tree of trees) starts.push((starts.at(-1) ?? 0) + tree.leaves.length);
  const terms = [0];
  for (const { linear } of leaves) terms.push((terms.at(-1) ?? 0) + (linear?.features.length ?? 0));
  const int32 = (data: number[]) => builder.weights.add('INT32', Int32Array.from(data));
  const floats = (data: number[]) => builder.weights.add('FP64', Float64Array.from(data));
  return builder.kernel('linear-leaves', [rows, leaf], {
    attributes: { columns, zero: ZERO },
    weights: {
      starts: int32(starts),
      columns: int32(trees.map((_, i) => i % columns)),
      constants: floats(leaves.map(({ linear, value }) => linear?.constant ?? value)),
      values: floats(leaves.map(({ value }) => value)),
      terms: int32(terms),
      features: int32(leaves.flatMap(({ linear }) => linear?.features ?? [])),
      coefficients: floats(leaves.flatMap(({ linear }) => linear?.coefficients ?? [])),
    },
  });
}

function addOutputs(
  builder: ProgramBuilder,
  { margin, leaf }: { margin: string; leaf: string },
  model: LightgbmModel,
  objective: Objective,
): void {
  const columns = model.treesPerIteration;
  const shape = columns === 1 ? [-1] : [-1, columns];
  const predict = addLink(builder, margin, model, objective);
  builder.output({ name: 'predict', dtype: 'FP64', shape }, predict);
  if (objective.classifier) {
    const value = columns === 1 ? builder.kernel('both-classes', [predict]) : predict;
    builder.output(
      { name: 'predict_proba', dtype: 'FP64', shape: [-1, Math.max(columns, 2)] },
      value,
    );
  }
  builder.output({ name: 'margin', dtype: 'FP64', shape }, margin);
  builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, model.trees.length] }, leaf);
}

/** Adds what makes answers of margins. */
export function addLink(
  builder: NodeBuilder,
  margin: string,
  model: LightgbmModel,
  { kernel, attributes }: Objective,
): string {
  const iterations = model.trees.length / model.treesPerIteration;
  const averaged = model.averageOutput
    ? builder.kernel('divide', [margin], { attributes: { divisor: iterations } })
    : margin;
  if (kernel === undefined) return averaged;
  return builder.kernel(kernel, [averaged], { ...(attributes && { attributes }) });
}
