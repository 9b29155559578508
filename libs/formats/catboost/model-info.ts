import { Part } from '../document.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ModelInfo } from './model.js';

const MOST_CLASSES = 100_000;

/**
 * Reads what a model says of its training: `model_info` in JSON, the info map of a cbm. Values are documents, or texts of
 * JSON. The order in which class labels are looked for is that of TFullModel::GetModelClassLabels (CatBoost 1.2).
 */
export function readModelInfo(info: Part, dimensions: number): ModelInfo {
  const params = documentOf(info, 'params');
  const lossFunction = params?.optional('loss_function') ?? documentOf(info, 'loss_function');
  const loss = lossFunction?.optional('type')?.text();
  const labelType = documentOf(info, 'class_params')?.optional('class_label_type');
  const classes = classesOf(info, params) ?? countedClasses(loss, dimensions);
  const seen = seenOf(info, classes.length, dimensions);
  return {
    loss,
    classes,
    ...(seen && { seen }),
    floatLabels: labelType?.value === 'Float',
    threshold: info.optional('binclass_probability_threshold')?.text(),
  };
}

function documentOf(info: Part, name: string): Part | undefined {
  const part = info.optional(name);
  if (typeof part?.value !== 'string') return part;
  try {
    return new Part(JSON.parse(part.value), part.path);
  } catch {
    return part.damaged('is not JSON');
  }
}

function classesOf(info: Part, params: Part | undefined): ModelInfo['classes'] | undefined {
  const options = documentOf(info, 'class_params') ?? documentOf(info, 'multiclass_params');
  const names = labelsOf(options?.optional('class_names') ?? options?.optional('class_labels'));
  if (names?.length) return names;
  const count = options?.optional('classes_count')?.integer(0, MOST_CLASSES) ?? 0;
  if (count > 0) return Array.from({ length: count }, (_, i) => i);
  const labels = options?.optional('class_to_label');
  if (labels) return Array.from(labels.numbers(), Math.trunc);
  const given = labelsOf(params?.optional('data_processing_options')?.optional('class_names'));
  return given?.length ? given : undefined;
}

/** Classes of the columns, where there are more classes than columns. */
function seenOf(info: Part, classes: number, dimensions: number): number[] | undefined {
  if (dimensions === 1 || classes <= dimensions) return undefined;
  const places = documentOf(info, 'class_params')?.optional('class_to_label');
  if (places?.list().length !== dimensions) return undefined;
  return places.list().map((place) => place.integer(0, classes - 1));
}

function labelsOf(part: Part | undefined): ModelInfo['classes'] | undefined {
  return part?.list().map((item) => {
    const { value } = item;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return value;
    throw new DamagedModel(`${item.path}: a class label must be a text, a number or a boolean`);
  });
}

function countedClasses(loss: string | undefined, dimensions: number): number[] {
  if (dimensions > MOST_CLASSES) {
    throw new UnsupportedModel(
      `The model has ${dimensions} columns; ${MOST_CLASSES} are supported.`,
    );
  }
  const classifiers = ['Logloss', 'CrossEntropy', 'MultiClass', 'MultiClassOneVsAll'];
  if (loss === undefined || !classifiers.includes(loss)) return [];
  return Array.from({ length: dimensions === 1 ? 2 : dimensions }, (_, i) => i);
}
