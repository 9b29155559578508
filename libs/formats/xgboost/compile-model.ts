import { COLUMN_PREFIX, type Binding, type DType, type TensorSpec } from '#program';
import { canNameInputs, madeUpNames } from '../column-names.js';
import type { Numbers, Part } from '../document.js';
import { ForestBuilder } from '../forest-builder.js';
import { UnsupportedModel, type Verdict } from '../importer.js';
import { ProgramBuilder, type NodeBuilder } from '../program-builder.js';
import { readLevels } from './categories.js';
import { log32 } from './log32.js';
import { isSince, objectiveOf, type Objective, type Version } from './objectives.js';
import { leafWidth, readFacts, readTrees, type ModelFacts } from './read-model.js';

/** What the document of a model says, checked: a file of its own and a pickled wrapper are both compiled from it. */
export interface XgboostModel {
  booster: Booster;
  facts: ModelFacts;
  objective: Objective;
  /** As margins, one a column. */
  base: number[];
  /** The levels of features that are texts, where there are any. */
  levels: (string[] | undefined)[] | undefined;
}

/** Reads the document of a model. Throws UnsupportedModel and DamagedModel. */
export function readModel(document: Part): XgboostModel {
  const booster = boosterOf(document);
  const facts = readFacts(document);
  const objective = objectiveOf(facts.objective, facts.version);
  if (!objective) {
    throw new UnsupportedModel(`The objective "${facts.objective}" of XGBoost is not supported.`);
  }
  const space = holdsMargin(booster, facts) ? 'identity' : objective.base;
  const base = facts.baseScore.map((score) => marginOf(score, space));
  const levels = booster.model && readLevels(booster.model, facts.features);
  return { booster, facts, objective, base, levels };
}

/** Compiles the document of a model. Throws UnsupportedModel and DamagedModel. */
export function compileModel(document: Part, importer: string): Verdict {
  const model = readModel(document);
  const { facts, levels } = model;
  const builder = new ProgramBuilder();
  const table = levels ? readColumns(builder, facts, levels) : matrixOf(facts);
  addOutputs(builder, addMargin(builder, table.rows, model), facts, model.objective);
  const { program, weights } = builder.finish({
    importer,
    format: 'xgboost',
    inputs: table.inputs,
    binding: table.binding,
    defaultOutputs: ['predict'],
  });
  return { state: 'servable', program, weights };
}

/** Whether `base_score` is a margin: before 1.0, and since 3.1 while nothing was trained that it could be learned from. */
function holdsMargin({ name, model }: Booster, { version, learnsBase }: ModelFacts): boolean {
  if (!isSince(version, [1, 0])) return true;
  const untrained = name !== 'gblinear' && model.field('trees').list().length === 0;
  return untrained && learnsBase && isSince(version, [3, 1]);
}

interface Booster {
  name: 'gbtree' | 'dart' | 'gblinear';
  model: Part;
  /** What dropout multiplies trees with. */
  treeWeights?: Numbers;
}

function boosterOf(document: Part): Booster {
  const booster = document.field('learner').field('gradient_booster');
  const name = booster.field('name').text();
  if (document.field('learner').has('generic_param')) {
    throw new UnsupportedModel(
      'This is a configuration of XGBoost (save_config), which has no trees in it. Save the model with save_model.',
    );
  }
  switch (name) {
    case 'gblinear':
      return { name, model: booster.field('model') };
    case 'gbtree': {
      // Since 3.3 a gbtree may have been trained with dropout; trees beyond the list weigh 1.
      const model = booster.field('model');
      const treeWeights = (
        booster.optional('weight_drop') ?? model.optional('weight_drop')
      )?.numbers();
      return { name, model, ...(treeWeights && { treeWeights }) };
    }
    case 'dart': {
      const model = booster.field('gbtree').field('model');
      const trees = model.field('trees').list().length;
      return { name, model, treeWeights: booster.field('weight_drop').numbers(trees) };
    }
    default:
      throw new UnsupportedModel(`The booster "${name}" of XGBoost is not supported.`);
  }
}

/** `base_score` as a margin, in float32 as XGBoost computes it. */
function marginOf(score: number, base: Objective['base']): number {
  const { fround } = Math;
  switch (base) {
    case 'identity':
      return score;
    case 'log':
      return log32(score);
    case 'logit':
      return -log32(fround(fround(1 / score) - 1));
  }
}

interface Table {
  inputs: TensorSpec[];
  binding: Binding;
  /** The value that holds all columns. */
  rows: string;
}

/** XGBoost refuses infinities in a DMatrix since 1.4 at the latest (1.3 took them). */
export function refusesInfinity({ version }: ModelFacts): boolean {
  return isSince(version, [1, 4]);
}

function matrixOf(facts: ModelFacts): Table {
  const { features, featureNames } = facts;
  const inputs: TensorSpec[] = canNameInputs(featureNames)
    ? featureNames.map((name) => ({ name, dtype: 'FP32', shape: [-1] }))
    : [{ name: 'X', dtype: 'FP32', shape: [-1, features] }];
  return {
    inputs,
    binding: {
      kind: 'table',
      matrix: { dtype: 'FP32', columns: features },
      ...(refusesInfinity(facts) && { finite: true }),
    },
    rows: 'X',
  };
}

/** Columns of texts among the others; each becomes its codes, then all become one matrix. */
function readColumns(
  builder: ProgramBuilder,
  facts: ModelFacts,
  levels: (string[] | undefined)[],
): Table {
  const names = canNameInputs(facts.featureNames)
    ? facts.featureNames
    : madeUpNames(facts.features);
  const inputs = names.map((name, i): TensorSpec => {
    const dtype: DType = levels[i] ? 'BYTES' : 'FP32';
    return { name, dtype, shape: [-1] };
  });
  const columns = names.map((name, i) => {
    const column = `${COLUMN_PREFIX}${name}`;
    const known = levels[i];
    if (!known) return column;
    const attributes = { levels: known, unseen: 'refuse', column: name, dtype: 'FP32' };
    return builder.kernel('text-codes', [column], { attributes });
  });
  return {
    inputs,
    binding: { kind: 'table', ...(refusesInfinity(facts) && { finite: true }) },
    rows: builder.kernel('join-columns', columns),
  };
}

/** FP32 `[rows]` or `[rows, columns]`; the leaves INT32 `[rows, trees]`. */
export interface Values {
  margin: string;
  leaf?: { value: string; trees: number };
}

/** How an estimator answers otherwise than a Booster: with the first `most` trees, and reading rows in place. */
export interface Reading {
  most?: number;
  inPlace?: boolean;
}

/** Adds what makes margins of rows (FP32, all columns). */
export function addMargin(
  builder: NodeBuilder,
  rows: string,
  { booster, facts, base }: XgboostModel,
  reading: Reading = {},
): Values {
  return booster.name === 'gblinear'
    ? addLinear(builder, rows, booster.model.field('weights').numbers(), facts, base)
    : addForest(builder, rows, booster, { facts, base, ...reading });
}

function addForest(
  builder: NodeBuilder,
  rows: string,
  { name, model, treeWeights }: Booster,
  { facts, base, most, inPlace }: { facts: ModelFacts; base: number[] } & Reading,
): Values {
  const { features, columns } = facts;
  const trees = new ForestBuilder(
    {
      features,
      columns,
      comparison: '<',
      inputDtype: 'FP32',
      sumDtype: 'FP32',
      category: 'non-negative',
    },
    leafWidth(model, columns),
  );
  readTrees(model, trees, facts, {
    ...(treeWeights && { weights: treeWeights }),
    ...(most !== undefined && { most }),
    ...(name === 'dart' && inPlace && { through: base }),
  });
  // Sums began with the base score since 1.3, with dropout since 1.4; before, it was added in the end.
  const baseFirst = isSince(facts.version, name === 'dart' ? [1, 4] : [1, 3]);
  const forest = trees.build(builder.weights, baseFirst ? base : undefined);
  const { scores, leaf } = builder.forest(rows, forest);
  const addend = builder.weights.add('FP32', Float32Array.from(base));
  const margin = baseFirst ? scores : builder.kernel('add', [scores], { weights: { addend } });
  return { margin, leaf: { value: leaf, trees: trees.trees } };
}

/** `weights`: one a feature and column, then the biases. */
function addLinear(
  builder: NodeBuilder,
  rows: string,
  weights: Numbers,
  { features, columns }: ModelFacts,
  base: number[],
): Values {
  const count = features * columns;
  if (weights.length !== count + columns) {
    throw new UnsupportedModel(
      `gblinear has ${weights.length} weights where ${count + columns} are expected.`,
    );
  }
  const coefficients = Float32Array.from({ length: count }, (_, i) => weights[i] ?? NaN);
  // Of several base scores gblinear uses the first, for all columns.
  const intercept = base.map((_, i) =>
    Math.fround(Math.fround(weights[count + i] ?? NaN) + (base[0] ?? 0)),
  );
  const margin = builder.kernel('affine', [rows], {
    attributes: { missing: 'skip' },
    weights: {
      coefficients: builder.weights.add('FP32', coefficients, [features, columns]),
      intercept: builder.weights.add('FP32', Float32Array.from(intercept)),
    },
  });
  return { margin };
}

function addOutputs(
  builder: ProgramBuilder,
  { margin, leaf }: Values,
  { columns, version }: ModelFacts,
  objective: Objective,
): void {
  const shape = columns === 1 ? [-1] : [-1, columns];
  const probabilities =
    objective.link === 'arg-max' ? builder.kernel('softmax', [margin]) : undefined;
  const predict = addLink(builder, margin, objective.link, version);
  const predictShape = objective.link === 'arg-max' ? [-1] : shape;
  builder.output({ name: 'predict', dtype: 'FP32', shape: predictShape }, predict);
  if (objective.classifier) {
    const [value, width] =
      columns === 1
        ? [builder.kernel('both-classes', [predict]), 2]
        : [probabilities ?? predict, columns];
    builder.output({ name: 'predict_proba', dtype: 'FP32', shape: [-1, width] }, value);
  }
  builder.output({ name: 'margin', dtype: 'FP32', shape }, margin);
  if (leaf) builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, leaf.trees] }, leaf.value);
}

/** Adds what makes answers of margins. */
export function addLink(
  builder: NodeBuilder,
  margin: string,
  link: Objective['link'],
  version: Version,
): string {
  switch (link) {
    case 'identity':
      return margin;
    case 'sort':
      return builder.kernel('sort-rows', [margin]);
    case 'sigmoid':
      return builder.kernel(
        link,
        [margin],
        isSince(version, [1, 6]) ? { attributes: { limit: 88.7 } } : {},
      );
    case 'exp':
    case 'softmax':
      return builder.kernel(link, [margin]);
    case 'hinge':
      return builder.kernel('greater', [margin], { attributes: { than: 0 } });
    case 'arg-max':
      // A Booster answers the number of the class as float32.
      return builder.kernel('cast', [builder.kernel('arg-max', [margin])], {
        attributes: { dtype: 'FP32' },
      });
  }
}
