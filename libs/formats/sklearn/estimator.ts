import type { DType } from '#program';
import type { Fitted } from './fitted.js';
import type { SklearnGraph } from './graph.js';
import type { Labels } from './labels.js';
import type { Table } from './table.js';

/**
 * What a fitted object can do. Each method adds nodes to the graph when it is called, so that what nobody asks for is not
 * there; a method is absent where scikit-learn has none.
 */
export interface Estimator {
  /** `n_features_in_`; absent where the object does not know. */
  readonly features?: number;
  /** `feature_names_in_` */
  readonly names?: string[];
  /** Of a classifier with one output. */
  readonly classes?: Labels;
  /** It answers another number of columns than it takes, which it may not know. */
  readonly changesWidth?: true;
  /** It reads one column of texts. */
  readonly readsTexts?: true;
  /** Its predictions and probabilities are float32 numbers: FP64 in the graph, FP32 where they are answers. */
  readonly single?: boolean;
  transform?: (input: Table) => Table;
  /** What `transform` answers where that is no table of numbers, for models that are nobody's part. */
  transformAnswer?: (input: Table) => Answer;
  /** Labels of a classifier; FP64 `[rows]` or `[rows, outputs]` of a regressor. */
  predict?: (input: Table) => Answer;
  /** The index of the predicted class, INT32 `[rows]`; every classifier with `classes` has it. */
  predictIndex?: (input: Table) => string;
  /** The columns of `predictProba` where they are not those of `classes`, as with several labels a row. */
  readonly probabilities?: number;
  /** FP64 `[rows, classes]`; several where there are several outputs. */
  predictProba?: (input: Table) => string;
  predictProbas?: (input: Table) => Answer[];
  decisionFunction?: (input: Table) => Answer;
  scoreSamples?: (input: Table) => Answer;
  /** What its library answers beside, by names of outputs, such as `margin` and `leaf` of boosted trees. */
  also?: (input: Table) => Record<string, Answer>;
}

/** A value of the graph that can be an output; −1 stands for the rows. */
export interface Answer {
  value: string;
  dtype: DType;
  shape: number[];
}

/** Reads one fitted object; throws UnsupportedModel and DamagedModel. */
export type CompileEstimator = (fitted: Fitted, graph: SklearnGraph) => Estimator;

/** FP64 `[rows]` for one column, else `[rows, columns]`. */
export function numbersAnswer(value: string, columns = 1): Answer {
  return { value, dtype: 'FP64', shape: columns === 1 ? [-1] : [-1, columns] };
}

/** The answers of a classifier whose labels are those of the classes with these indices. */
export function labelled(
  graph: SklearnGraph,
  classes: Labels,
  predictIndex: (input: Table) => string,
): Required<Pick<Estimator, 'classes' | 'predictIndex' | 'predict'>> {
  return {
    classes,
    predictIndex,
    predict: (input) => graph.predictLabels(classes, predictIndex(input)),
  };
}
