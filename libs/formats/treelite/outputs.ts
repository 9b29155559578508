import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ProgramBuilder } from '../program-builder.js';
import type { TreeliteColumns } from './columns.js';
import type { TreeliteModel } from './model.js';

/** Adds `predict`, `predict_proba` of classifiers, and `margin`, in the order of GTIL: means, base scores, postprocessor. */
export function addOutputs(
  builder: ProgramBuilder,
  scores: string,
  model: TreeliteModel,
  columns: TreeliteColumns,
): void {
  const { dtype, averaged, baseScores, classifier, targets } = model;
  const means = averaged ? meanOf(builder, scores, model, columns) : scores;
  const bases = Float64Array.from(baseScores, (base, i) => (columns.has(i) ? base : 0));
  const margin = builder.kernel('add', [means], {
    weights: { addend: builder.weights.add('FP64', bases) },
  });
  const predict = addPostprocessor(builder, margin, model, columns);
  const { count, most } = columns;
  if (targets > 1 && most > 1) {
    const attributes = { groups: targets, columns: most };
    for (const [name, value] of Object.entries({ predict, margin })) {
      const shaped = builder.kernel('treelite-join-rows', [value], { attributes });
      builder.output({ name, dtype, shape: [-1, targets, most] }, shaped);
    }
    return;
  }
  const shape = count === 1 ? [-1] : [-1, count];
  builder.output({ name: 'predict', dtype, shape }, predict);
  if (classifier && targets === 1) {
    const value = count === 1 ? builder.kernel('both-classes', [predict]) : predict;
    builder.output({ name: 'predict_proba', dtype, shape: [-1, Math.max(count, 2)] }, value);
  }
  builder.output({ name: 'margin', dtype, shape }, margin);
}

/** Each column is divided by the number of trees that add to it. */
function meanOf(
  builder: ProgramBuilder,
  scores: string,
  { trees }: TreeliteModel,
  columns: TreeliteColumns,
): string {
  const counts = new Float64Array(columns.count);
  for (const tree of trees.keys()) {
    for (const column of columns.of(tree)) {
      if (column >= 0) counts[column] = (counts[column] ?? 0) + 1;
    }
  }
  const divisors = counts.map((count, column) => (columns.has(column) ? count : 1));
  const [divisor = 0] = divisors;
  if (divisors.every((other) => other === divisor)) {
    return builder.kernel('divide', [scores], { attributes: { divisor } });
  }
  const weights = { divisors: builder.weights.add('FP64', divisors) };
  return builder.kernel('treelite-means', [scores], { weights });
}

/** `postprocessor.cc` of GTIL, which works on the classes of one target. */
function addPostprocessor(
  builder: ProgramBuilder,
  margin: string,
  model: TreeliteModel,
  columns: TreeliteColumns,
): string {
  const { postprocessor, sigmoidAlpha, dtype, targets } = model;
  const ofClasses = () => !columns.isRagged;
  // The others are for one class: GTIL applies them to the first alone.
  const ofOne = () => columns.most === 1;
  const checkAlpha = () => {
    if (sigmoidAlpha > 0) return { attributes: { scale: sigmoidAlpha } };
    throw new DamagedModel(`Treelite model: sigmoid_alpha is ${sigmoidAlpha}`);
  };
  switch (postprocessor) {
    case 'identity':
    case 'identity_multiclass':
      return margin;
    case 'multiclass_ova':
      if (!ofClasses()) break;
      return builder.kernel('sigmoid', [margin], checkAlpha());
    case 'sigmoid':
      if (!ofOne()) break;
      return builder.kernel('sigmoid', [margin], checkAlpha());
    case 'exponential':
      if (!ofOne()) break;
      return builder.kernel('exp', [margin]);
    case 'exponential_standard_ratio':
      if (!ofOne() || !(model.ratio > 0)) break;
      return builder.kernel('negative-exp2', [margin], { attributes: { divisor: model.ratio } });
    case 'hinge':
      if (!ofOne()) break;
      return builder.kernel('greater', [margin], { attributes: { than: 0 } });
    case 'signed_square':
      if (!ofOne()) break;
      return builder.kernel('sign-square', [margin]);
    case 'softmax': {
      if (columns.most === 1 || !ofClasses()) break;
      const rows =
        targets === 1
          ? margin
          : builder.kernel('treelite-cut-rows', [margin], { attributes: { groups: targets } });
      return builder.kernel(dtype === 'FP32' ? 'softmax' : 'softmax-narrow', [rows]);
    }
    case 'logarithm_one_plus_exp':
      // C libraries differ in the logarithm of a float32.
      if (dtype === 'FP32' || !ofOne()) break;
      return builder.kernel('log1p-exp', [margin]);
  }
  throw new UnsupportedModel(
    `The postprocessor "${postprocessor.slice(0, 60)}" of Treelite in ${dtype} for ${targets} targets of ${columns.most} classes is not supported.`,
  );
}
