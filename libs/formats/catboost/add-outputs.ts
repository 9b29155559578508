import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ProgramBuilder } from '../program-builder.js';
import { lossOf, type Loss } from './losses.js';
import type { CatboostModel, ModelInfo } from './model.js';

interface Values {
  margin: string;
  leaf: string;
}

/**
 * Adds `predict` (labels of classifiers, else raw scores, as CatBoost.predict answers them), `predict_proba` of classifiers,
 * what else the loss function has, `margin` and `leaf`.
 */
export function addOutputs(builder: ProgramBuilder, values: Values, model: CatboostModel): void {
  const { dimensions, trees, info } = model;
  const loss = lossOf(info.loss);
  checkDimensions(loss, model);
  const width = loss.kind === 'classes' ? info.classes.length : dimensions;
  const shape = width === 1 ? [-1] : [-1, width];
  const margin = width > dimensions ? addUnseen(builder, values.margin, info) : values.margin;
  addPredict(builder, margin, model, loss);
  if (loss.kind === 'exponent') {
    const exponent = builder.kernel('fmath-exp', [margin]);
    builder.output({ name: 'exponent', dtype: 'FP64', shape }, exponent);
  }
  builder.output({ name: 'margin', dtype: 'FP64', shape }, margin);
  builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, trees.length] }, values.leaf);
}

/** Scores of the classes that training did not see, beside those of the others. */
function addUnseen(builder: ProgramBuilder, margin: string, { classes, seen }: ModelInfo): string {
  if (!seen) {
    throw new DamagedModel(`The model has ${classes.length} class labels for fewer classes.`);
  }
  return builder.kernel('place-columns', [margin], {
    attributes: { width: classes.length, rest: 'impossible' },
    weights: { columns: builder.weights.add('INT32', Int32Array.from(seen)) },
  });
}

export function checkDimensions(loss: Loss, { dimensions, info }: CatboostModel): void {
  const right =
    loss.kind === 'uncertainty'
      ? dimensions === 2
      : loss.kind === 'binary' || loss.kind === 'exponent'
        ? dimensions === 1
        : loss.kind !== 'classes' || dimensions >= 2;
  if (!right) {
    throw new DamagedModel(`A model of ${info.loss} cannot have ${dimensions} columns of scores.`);
  }
}

function addPredict(
  builder: ProgramBuilder,
  margin: string,
  model: CatboostModel,
  loss: Loss,
): void {
  const { dimensions } = model;
  const shape = dimensions === 1 ? [-1] : [-1, dimensions];
  switch (loss.kind) {
    case 'plain':
    case 'exponent':
    case 'uncertainty':
      builder.output({ name: 'predict', dtype: 'FP64', shape }, margin);
      if (loss.kind === 'uncertainty') addUncertainty(builder, margin);
      return;
    case 'binary': {
      if (loss.labels) {
        const than = borderOf(model);
        addLabels(builder, builder.kernel('greater', [margin], { attributes: { than } }), model, 2);
      } else {
        builder.output({ name: 'predict', dtype: 'FP64', shape }, margin);
      }
      const both = builder.kernel('both-classes', [builder.kernel('sigmoid', [margin])]);
      builder.output({ name: 'predict_proba', dtype: 'FP64', shape: [-1, 2] }, both);
      const scores = builder.kernel('catboost-both-scores', [margin]);
      addLogarithms(builder, builder.kernel('catboost-log-sigmoid', [scores]), 2);
      return;
    }
    case 'classes': {
      const width = model.info.classes.length;
      addLabels(builder, builder.kernel('arg-max', [margin]), model, Math.max(width, dimensions));
      const [link, logLink] =
        loss.link === 'softmax'
          ? ['fmath-softmax', 'catboost-log-softmax']
          : ['sigmoid', 'catboost-log-sigmoid'];
      builder.output(
        { name: 'predict_proba', dtype: 'FP64', shape: [-1, width] },
        builder.kernel(link, [margin]),
      );
      addLogarithms(builder, builder.kernel(logLink, [margin]), width);
      return;
    }
    case 'labels': {
      const has = builder.kernel('greater', [margin], { attributes: { than: 0 } });
      const predict = builder.kernel('cast', [has], { attributes: { dtype: 'INT64' } });
      builder.output({ name: 'predict', dtype: 'INT64', shape }, predict);
      const sigmoid = builder.kernel('sigmoid', [margin]);
      builder.output({ name: 'predict_proba', dtype: 'FP64', shape }, sigmoid);
    }
  }
}

/** What CatBoost calls LogProbability. */
function addLogarithms(builder: ProgramBuilder, value: string, width: number): void {
  builder.output({ name: 'predict_log_proba', dtype: 'FP64', shape: [-1, width] }, value);
}

/** The mean as it is, the variance from the logarithm of the deviation: the prediction type RMSEWithUncertainty. */
function addUncertainty(builder: ProgramBuilder, margin: string): void {
  const columnOf = (column: number) =>
    builder.kernel('take-column', [margin], { attributes: { column } });
  const variance = builder.kernel('fmath-exp', [columnOf(1)], { attributes: { scale: 2 } });
  builder.output(
    { name: 'rmse_with_uncertainty', dtype: 'FP64', shape: [-1, 2] },
    builder.kernel('join-columns', [columnOf(0), variance]),
  );
}

/** What the log odds must be greater than for the second class. */
export function borderOf({ info }: CatboostModel): number {
  if (info.threshold === undefined) return 0;
  const probability = Number(info.threshold);
  if (!(probability > 0 && probability < 1)) {
    throw new DamagedModel(
      `binclass_probability_threshold must be between 0 and 1, is "${info.threshold.slice(0, 40)}".`,
    );
  }
  return -Math.log(1 / probability - 1);
}

function addLabels(
  builder: ProgramBuilder,
  chosen: string,
  model: CatboostModel,
  count: number,
): void {
  const { dtype, values } = classLabels(model, count);
  if (dtype === 'BOOL') {
    const index = builder.kernel('cast', [chosen], { attributes: { dtype: 'INT32' } });
    const labels = builder.weights.add('BOOL', Uint8Array.from(values, Number));
    const value = builder.kernel('number-labels', [index], { weights: { labels } });
    builder.output({ name: 'predict', dtype, shape: [-1] }, value);
    return;
  }
  const labels = dtype === 'BYTES' ? values.map(String) : values.map(Number);
  const predict = builder.kernel('class-labels', [chosen], { attributes: { dtype, labels } });
  builder.output({ name: 'predict', dtype, shape: [-1] }, predict);
}

/** The labels of `count` classes, as CatBoost answers them. */
export function classLabels({ info }: CatboostModel, count: number) {
  const { classes } = info;
  if (classes.length !== count) {
    throw new DamagedModel(`The model has ${classes.length} class labels for ${count} classes.`);
  }
  return { dtype: dtypeOf(info), values: classes };
}

function dtypeOf({
  classes,
  floatLabels,
}: CatboostModel['info']): 'BYTES' | 'BOOL' | 'INT64' | 'FP64' {
  if (classes.every((label) => typeof label === 'string')) return 'BYTES';
  if (classes.every((label) => typeof label === 'boolean')) return 'BOOL';
  if (!classes.every((label) => typeof label === 'number' && Number.isFinite(label))) {
    throw new UnsupportedModel(
      'Class labels that are not all texts, all numbers or all booleans are not supported.',
    );
  }
  return floatLabels || !classes.every(Number.isSafeInteger) ? 'FP64' : 'INT64';
}
