import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ProgramBuilder } from '../program-builder.js';
import { lossOf, type Loss } from './losses.js';
import type { CatboostModel } from './model.js';

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
  const shape = dimensions === 1 ? [-1] : [-1, dimensions];
  checkDimensions(loss, model);
  addPredict(builder, values.margin, model, loss);
  if (loss.kind === 'exponent') {
    const exponent = builder.kernel('fmath-exp', [values.margin]);
    builder.output({ name: 'exponent', dtype: 'FP64', shape }, exponent);
  }
  builder.output({ name: 'margin', dtype: 'FP64', shape }, values.margin);
  builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, trees.length] }, values.leaf);
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
      return;
    }
    case 'classes':
      addLabels(builder, builder.kernel('arg-max', [margin]), model, dimensions);
      builder.output(
        { name: 'predict_proba', dtype: 'FP64', shape },
        builder.kernel(loss.link, [margin]),
      );
      return;
    case 'labels': {
      const has = builder.kernel('greater', [margin], { attributes: { than: 0 } });
      const predict = builder.kernel('cast', [has], { attributes: { dtype: 'INT64' } });
      builder.output({ name: 'predict', dtype: 'INT64', shape }, predict);
      const sigmoid = builder.kernel('sigmoid', [margin]);
      builder.output({ name: 'predict_proba', dtype: 'FP64', shape }, sigmoid);
    }
  }
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

function dtypeOf({ classes, floatLabels }: CatboostModel['info']): 'BYTES' | 'INT64' | 'FP64' {
  if (classes.every((label) => typeof label === 'string')) return 'BYTES';
  if (!classes.every((label) => typeof label === 'number' && Number.isFinite(label))) {
    throw new UnsupportedModel(
      'Class labels that are not all texts or all numbers are not supported.',
    );
  }
  return floatLabels || !classes.every(Number.isSafeInteger) ? 'FP64' : 'INT64';
}
