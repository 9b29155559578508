import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ProgramBuilder } from '../program-builder.js';
import type { YdfModel } from './compile-model.js';
import type { PlacedNode } from './read-nodes.js';
import type { YdfColumn } from './ydf-messages.js';

/** What the leaves of a model add up to, and what becomes of the sums. */
export interface YdfOutputs {
  columns: number;
  leafWidth: number;
  base?: number[];
  leaf(node: PlacedNode, what: string): number[];
  add(builder: ProgramBuilder, scores: string): void;
}

const TASKS = [
  'UNDEFINED',
  'CLASSIFICATION',
  'REGRESSION',
  'RANKING',
  'CATEGORICAL_UPLIFT',
  'NUMERICAL_UPLIFT',
  'ANOMALY_DETECTION',
  'SURVIVAL_ANALYSIS',
];
const CLASSIFICATION = 1;
const REGRESSION = 2;
const ANOMALY_DETECTION = 6;

type Link = 'sigmoid' | 'exp-shares' | 'exp' | undefined;

/** Links of the losses by their number; both functions of a class are links of classifiers. */
const LOSSES: Record<number, Link> = {
  1: 'sigmoid',
  2: undefined,
  3: 'exp-shares',
  4: undefined,
  5: undefined,
  6: 'sigmoid',
  7: 'exp',
  8: undefined,
  9: undefined,
  10: undefined,
};

const MOST_CLASSES = 10_000;

export function outputsOf(model: YdfModel): YdfOutputs {
  const { name, task } = model.header;
  if (name === 'ISOLATION_FOREST' && task === ANOMALY_DETECTION) return anomaly(model);
  const label = model.columns[model.header.label];
  if (!label) throw new DamagedModel(`There is no column ${model.header.label}, the label.`);
  if (name === 'GRADIENT_BOOSTED_TREES') return boosted(model, label);
  if (name === 'RANDOM_FOREST' && task === CLASSIFICATION) return votes(model, label);
  if (name === 'RANDOM_FOREST' && task === REGRESSION) return mean(model);
  throw new UnsupportedModel(
    `YDF models of type ${name.slice(0, 60)} with the task ${TASKS[task] ?? task} are not supported.`,
  );
}

/** Classes without the one for values that are in no dictionary. */
function classesOf({ values }: YdfColumn): number {
  const classes = values - 1;
  if (!(classes >= 2)) throw new DamagedModel(`The label has ${classes} classes.`);
  if (classes > MOST_CLASSES) throw new UnsupportedModel(`The label has ${classes} classes.`);
  return classes;
}

function boosted(model: YdfModel, label: YdfColumn): YdfOutputs {
  const { header, forest } = model;
  const baseLast = needsGenericEngine(model);
  const { loss, initial, treesPerIteration: columns, trees, outputLogits } = forest;
  if (!Object.hasOwn(LOSSES, loss)) {
    throw new UnsupportedModel(
      `The loss ${loss} of YDF's gradient boosted trees is not supported.`,
    );
  }
  if (columns < 1 || columns > MOST_CLASSES || initial.length !== columns || trees % columns > 0) {
    throw new DamagedModel(
      `The YDF header has ${trees} trees, ${columns} an iteration, and ${initial.length} initial predictions.`,
    );
  }
  const link = outputLogits ? undefined : LOSSES[loss];
  const classifier = header.task === CLASSIFICATION;
  if (classifier && columns !== (classesOf(label) === 2 && loss !== 3 ? 1 : classesOf(label))) {
    throw new DamagedModel(
      `The YDF header has ${columns} trees an iteration, as the classes do not.`,
    );
  }
  const shape = columns === 1 ? [-1] : [-1, columns];
  return {
    columns,
    leafWidth: 1,
    ...(!baseLast && { base: initial }),
    leaf: (node, what) => [regressionOf(node, what)],
    add(builder, scores) {
      const addend = builder.weights.add('FP32', Float32Array.from(initial));
      const margin = baseLast ? builder.kernel('add', [scores], { weights: { addend } }) : scores;
      const predict = link ? builder.kernel(link, [margin]) : margin;
      builder.output({ name: 'predict', dtype: 'FP32', shape }, predict);
      if (classifier && link) addProbabilities(builder, predict, columns);
      builder.output({ name: 'margin', dtype: 'FP32', shape }, margin);
    },
  };
}

/** The most leaves a tree that YDF's QuickScorer takes. */
const QUICK_LEAVES = 64;

/** Engines of YDF differ in when they add the initial predictions: the one for models of any kind does it last. */
function needsGenericEngine({ trees }: YdfModel): boolean {
  return trees.some(
    (nodes) =>
      nodes.length > 2 * QUICK_LEAVES - 1 ||
      nodes.some((node) => node.condition?.test.kind === 'oblique'),
  );
}

function addProbabilities(builder: ProgramBuilder, predict: string, columns: number): void {
  const [value, width] =
    columns === 1 ? [builder.kernel('both-classes', [predict]), 2] : [predict, columns];
  builder.output({ name: 'predict_proba', dtype: 'FP32', shape: [-1, width] }, value);
}

function regressionOf({ regressor }: PlacedNode, what: string): number {
  if (!regressor || Number.isNaN(regressor.top)) {
    throw new DamagedModel(`${what} is a leaf without a number`);
  }
  return regressor.top;
}

/** Each tree votes for one class, or gives each its share; of two classes only the second is summed. */
function votes({ forest }: YdfModel, label: YdfColumn): YdfOutputs {
  const classes = classesOf(label);
  const columns = classes === 2 ? 1 : classes;
  const count = Math.fround(forest.trees);
  const first = classes === 2 ? 2 : 1;
  return {
    columns,
    leafWidth: columns,
    leaf({ classifier }, what) {
      if (!classifier) throw new DamagedModel(`${what} is a leaf without a class`);
      const { top, counts, sum } = classifier;
      if (top < 1 || top > classes) throw new DamagedModel(`${what} votes for class ${top}`);
      if (!forest.winnerTakesAll && (counts.length !== classes + 1 || !(sum > 0))) {
        throw new DamagedModel(`${what} has no distribution over ${classes} classes`);
      }
      return Array.from({ length: columns }, (_, i) => {
        if (forest.winnerTakesAll) return Math.fround(Number(top === first + i) / count);
        return Math.fround((counts[first + i] ?? 0) / sum / count);
      });
    },
    add(builder, scores) {
      const shape = columns === 1 ? [-1] : [-1, columns];
      const predict = builder.kernel('clip', [scores], { attributes: { least: 0, most: 1 } });
      builder.output({ name: 'predict', dtype: 'FP32', shape }, predict);
      addProbabilities(builder, predict, columns);
    },
  };
}

function mean({ forest }: YdfModel): YdfOutputs {
  return {
    columns: 1,
    leafWidth: 1,
    leaf: (node, what) => [Math.fround(regressionOf(node, what) / Math.fround(forest.trees))],
    add(builder, scores) {
      builder.output({ name: 'predict', dtype: 'FP32', shape: [-1] }, scores);
    },
  };
}

/** 2 to the power of minus the mean depth, relative to that of trees of random numbers (`isolation_forest.cc`). */
function anomaly({ forest }: YdfModel): YdfOutputs {
  const divisor = averagePath(forest.examples);
  return {
    columns: 1,
    leafWidth: 1,
    leaf({ anomaly: leaf, depth }, what) {
      if (!leaf) throw new DamagedModel(`${what} is a leaf without its number of examples`);
      return [Math.fround(Math.fround(depth + averagePath(leaf.examples)) / forest.trees)];
    },
    add(builder, scores) {
      const predict = builder.kernel('negative-exp2', [scores], { attributes: { divisor } });
      builder.output({ name: 'predict', dtype: 'FP32', shape: [-1] }, predict);
      builder.output({ name: 'margin', dtype: 'FP32', shape: [-1] }, scores);
    },
  };
}

/** Mean length of the paths in a tree of so many examples, step by step in float32 (B. R. Preiss; YDF's own function). */
function averagePath(examples: number): number {
  if (!(examples >= 0)) throw new DamagedModel(`A YDF model counts ${examples} examples.`);
  if (examples <= 2) return examples === 2 ? 1 : 0;
  const { fround } = Math;
  const before = fround(fround(examples) - 1);
  const harmonic = fround(fround(Math.log(before)) + fround(0.5772156649));
  return fround(fround(2 * harmonic) - fround(fround(2 * before) / fround(examples)));
}
