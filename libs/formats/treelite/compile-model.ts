import { below64, NodeFlag } from '#program';
import { ForestBuilder, type TreeNode } from '../forest-builder.js';
import { DamagedModel, UnsupportedModel, type Verdict } from '../importer.js';
import { ProgramBuilder } from '../program-builder.js';
import { MOST, type TreeliteModel, type TreeliteNode } from './model.js';

/** Compiles a model so that it answers what GTIL of Treelite 4 does. Throws UnsupportedModel and DamagedModel. */
export function compileModel(model: TreeliteModel, importer: string): Verdict {
  const { features, trees, dtype } = model;
  if (!(features >= 0 && features <= MOST.features)) fail(`num_feature is ${features}`);
  const columns = columnsOf(model);
  const comparison = comparisonOf(model);
  const builder = new ProgramBuilder();
  const forest = new ForestBuilder(
    { features, columns, comparison, inputDtype: dtype, sumDtype: dtype, category: 'non-negative' },
    model.leafWidth,
  );
  for (const [i, tree] of trees.entries()) {
    const name = `tree ${i}`;
    forest.addTree({
      name,
      nodes: tree.nodes,
      read: (node) => readNode(tree.read(node), node, { name, comparison, width: model.leafWidth }),
      column: model.leafWidth === 1 ? columnOf(model, i) : 0,
    });
  }
  const rows =
    dtype === 'FP32' ? builder.kernel('cast', ['X'], { attributes: { dtype: 'FP32' } }) : 'X';
  const { scores, leaf } = builder.forest(rows, forest.build(builder.weights));
  addOutputs(builder, scores, model, columns);
  builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, trees.length] }, leaf);
  const { program, weights } = builder.finish({
    importer,
    format: 'treelite',
    inputs: [{ name: 'X', dtype: 'FP64', shape: [-1, features] }],
    binding: { kind: 'table', matrix: { dtype: 'FP64', columns: features } },
    defaultOutputs: ['predict'],
  });
  return { state: 'servable', program, weights };
}

function fail(message: string): never {
  throw new DamagedModel(`Treelite model: ${message}`);
}

/** Sums of one answer: classes of one target, or targets of one class each. */
function columnsOf(model: TreeliteModel): number {
  const { targets, classes, trees, leafWidth, treeTargets, treeClasses, baseScores } = model;
  if (!(targets >= 1) || classes.length !== targets) fail('num_class must have an item a target');
  const [most = 1] = classes.toSorted((a, b) => b - a);
  if (!(most >= 1) || !(targets * most <= MOST.columns)) fail(`num_class is ${most}`);
  if (targets > 1 && most > 1) {
    throw new UnsupportedModel(
      'Treelite models of several targets with classes are not supported.',
    );
  }
  const columns = targets * most;
  if (treeTargets.length !== trees.length || treeClasses.length !== trees.length) {
    fail('target_id and class_id must have an item a tree');
  }
  if (baseScores.length !== columns || baseScores.some(Number.isNaN)) {
    fail(`base_scores must have ${columns} numbers`);
  }
  if (leafWidth !== 1 && leafWidth !== columns) {
    throw new UnsupportedModel(
      `Treelite models with leaves of ${leafWidth} numbers for ${columns} columns are not supported.`,
    );
  }
  return columns;
}

/** The column that a tree adds to; −1 stands for all, which is one where leaves are single numbers. */
function columnOf({ targets, treeTargets, treeClasses }: TreeliteModel, tree: number): number {
  return Math.max(0, (targets > 1 ? treeTargets[tree] : treeClasses[tree]) ?? 0);
}

/** The test of the forest: that of all nodes (turned round for greater), or `<=` where they differ. */
function comparisonOf({ trees }: TreeliteModel): '<' | '<=' {
  const seen = new Set<string>();
  for (const tree of trees) {
    for (let node = 0; node < tree.nodes; node++) {
      const read = tree.read(node);
      if ('operator' in read)
        seen.add(read.operator === '<' || read.operator === '>=' ? '<' : '<=');
    }
  }
  return seen.has('<') && !seen.has('<=') ? '<' : '<=';
}

function readNode(
  node: TreeliteNode,
  number: number,
  { name, comparison, width }: { name: string; comparison: '<' | '<='; width: number },
): TreeNode {
  if ('values' in node) {
    if (node.values.length !== width || node.values.some(Number.isNaN)) {
      fail(`${name}, node ${number} must have ${width} numbers`);
    }
    return { values: node.values, number };
  }
  const { feature, left, right, defaultLeft } = node;
  if ('categories' in node) {
    const { categories, matchGoesRight } = node;
    if (!categories.every((c) => Number.isInteger(c) && c >= 0)) {
      fail(`${name}, node ${number} lists something that is not a category`);
    }
    // More than what floats hold exactly is never matched.
    const set = categories.filter((category) => category <= MOST.category);
    return matchGoesRight
      ? { feature, set, left: right, right: left, flags: defaultLeft ? 0 : NodeFlag.missingLeft }
      : { feature, set, left, right, flags: defaultLeft ? NodeFlag.missingLeft : 0 };
  }
  const { operator } = node;
  const strict = operator === '<' || operator === '>=';
  const threshold = strict && comparison === '<=' ? below64(node.threshold) : node.threshold;
  const turned = operator === '>' || operator === '>=';
  const flags = turned === defaultLeft ? 0 : NodeFlag.missingLeft;
  return turned
    ? { feature, threshold, left: right, right: left, flags }
    : { feature, threshold, left, right, flags };
}

function addOutputs(
  builder: ProgramBuilder,
  scores: string,
  model: TreeliteModel,
  columns: number,
): void {
  const { dtype, averaged, baseScores, classifier } = model;
  const shape = columns === 1 ? [-1] : [-1, columns];
  const means = averaged ? meanOf(builder, scores, model, columns) : scores;
  const addend = builder.weights.add('FP64', Float64Array.from(baseScores));
  const margin = builder.kernel('add', [means], { weights: { addend } });
  const predict = addPostprocessor(builder, margin, model, columns);
  builder.output({ name: 'predict', dtype, shape }, predict);
  if (classifier && model.targets === 1) {
    const value = columns === 1 ? builder.kernel('both-classes', [predict]) : predict;
    builder.output({ name: 'predict_proba', dtype, shape: [-1, Math.max(columns, 2)] }, value);
  }
  builder.output({ name: 'margin', dtype, shape }, margin);
}

/** Each column is divided by the number of trees that add to it. */
function meanOf(
  builder: ProgramBuilder,
  scores: string,
  model: TreeliteModel,
  columns: number,
): string {
  const counts = new Float64Array(columns);
  for (let tree = 0; tree < model.trees.length; tree++) {
    if (model.leafWidth > 1) for (let i = 0; i < columns; i++) counts[i] = (counts[i] ?? 0) + 1;
    else counts[columnOf(model, tree)] = (counts[columnOf(model, tree)] ?? 0) + 1;
  }
  const [divisor = 0] = counts;
  if (counts.some((count) => count !== divisor) || divisor === 0) {
    throw new UnsupportedModel(
      'Means over different numbers of trees in Treelite models are not supported.',
    );
  }
  return builder.kernel('divide', [scores], { attributes: { divisor } });
}

/** `postprocessor.cc` of GTIL. */
function addPostprocessor(
  builder: ProgramBuilder,
  margin: string,
  { postprocessor, sigmoidAlpha, dtype }: TreeliteModel,
  columns: number,
): string {
  switch (postprocessor) {
    case 'identity':
    case 'identity_multiclass':
      return margin;
    case 'sigmoid':
    case 'multiclass_ova':
      if (!(sigmoidAlpha > 0)) fail(`sigmoid_alpha is ${sigmoidAlpha}`);
      return builder.kernel('sigmoid', [margin], { attributes: { scale: sigmoidAlpha } });
    case 'exponential':
      return builder.kernel('exp', [margin]);
    case 'hinge':
      return builder.kernel('greater', [margin], { attributes: { than: 0 } });
    case 'signed_square':
      return builder.kernel('sign-square', [margin]);
    case 'softmax':
      if (columns === 1) break;
      return builder.kernel(dtype === 'FP32' ? 'softmax' : 'softmax-narrow', [margin]);
    case 'logarithm_one_plus_exp':
      if (dtype === 'FP32') break;
      return builder.kernel('log1p-exp', [margin]);
  }
  throw new UnsupportedModel(
    `The postprocessor "${postprocessor.slice(0, 60)}" of Treelite in ${dtype} for ${columns} columns is not supported.`,
  );
}
