/** What a LightGBM model says, from its text or from `dump_model`. */
export interface LightgbmModel {
  /** `v2` … `v4`. */
  version: string;
  features: number;
  featureNames: string[];
  /** Trees of one iteration: classes, or 1. */
  treesPerIteration: number;
  /** With its parameters, such as `binary sigmoid:1`; absent where the objective was the user's own. */
  objective: string | undefined;
  averageOutput: boolean;
  trees: LightgbmTree[];
  /** Categories of each pandas column of category dtype, in the order of these columns. */
  pandasCategories: unknown[][];
  /** Features that the model takes for categorical, ascending. */
  categoricalFeatures: number[];
}

export type MissingType = 'None' | 'Zero' | 'NaN';

/** Children: nodes from 0 on, leaves as their bitwise complement. */
export interface LightgbmTree {
  /** For messages. */
  name: string;
  splits: LightgbmSplit[];
  leaves: LightgbmLeaf[];
}

export interface LightgbmSplit {
  feature: number;
  /** A threshold, or the categories that go left: listed, or the words of a set. */
  test: number | number[] | Uint32Array;
  defaultLeft: boolean;
  missing: MissingType;
  left: number;
  right: number;
}

export interface LightgbmLeaf {
  value: number;
  /** Of a linear tree: constant + Σ coefficient · feature. */
  linear?: { constant: number; features: number[]; coefficients: number[] };
}

/** Bounds on what a model may say. */
export const MOST = {
  features: 100_000,
  columns: 100_000,
  leaves: 2 ** 26,
} as const;

/** Categories are C++ ints. */
export const MOST_CATEGORY = 2 ** 31;
