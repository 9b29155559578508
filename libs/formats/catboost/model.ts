/** A model of CatBoost, from whichever file; numbers that CatBoost keeps as float32 are float32. */
export interface CatboostModel {
  /** Numbers a leaf, and so columns of the raw answer. */
  dimensions: number;
  floats: FloatFeature[];
  categories: CategoricalFeature[];
  oneHots: OneHotFeature[];
  ctrs: CtrFeature[];
  tables: CtrTable[];
  trees: ObliviousTree[] | BranchingTree[];
  /** Of the sum: `sum · scale + bias[column]`. */
  scale: number;
  bias: number[];
  info: ModelInfo;
}

interface Placed {
  /** Among the features of its kind. */
  index: number;
  /** Among all features: the column of the table. */
  column: number;
  /** What the user called it; empty where it has no name. */
  name: string;
}

export interface FloatFeature extends Placed {
  /** Empty where no tree asks for the feature. */
  borders: Float32Array;
  /** A missing value is greater than every border; otherwise it is greater than none. */
  missingIsGreatest: boolean;
}

export type CategoricalFeature = Placed;

/** Tests of a category for equality, by the hashes of the categories. */
export interface OneHotFeature {
  /** Index of the categorical feature. */
  feature: number;
  /** Signed, as CatBoost keeps them. */
  values: Int32Array;
}

export const CTR_TYPES = [
  'Borders',
  'Buckets',
  'BinarizedTargetMeanValue',
  'FloatTargetMeanValue',
  'Counter',
  'FeatureFreq',
] as const;
export type CtrType = (typeof CTR_TYPES)[number];

/** What the hash of a row is made of. */
export interface Projection {
  categories: number[];
  /** Index of a float feature, and a border. */
  floats: { feature: number; border: number }[];
  /** Index of a categorical feature, and the hash that it must have. */
  oneHots: { feature: number; value: number }[];
}

export interface CtrBase {
  projection: Projection;
  type: CtrType;
  /** Which way of cutting the target into classes: models of several targets have one for each. */
  classifier: number;
}

/** A statistic of the target, computed of a row's categories. */
export interface CtrFeature extends CtrBase {
  targetBorder: number;
  priorNumerator: number;
  priorDenominator: number;
  shift: number;
  scale: number;
  borders: Float32Array;
}

/** What was learnt of each combination of categories. */
export interface CtrTable extends CtrBase {
  /** Of combinations, in two halves. */
  hashes: { low: Uint32Array; high: Uint32Array };
  /** `width` numbers for each hash: counts a class, or a sum (of float32) and a count. */
  numbers: Float64Array;
  width: number;
  denominator: number;
}

/** All nodes of a level ask the same. `leaves`: `dimensions` numbers each; bit i of a leaf's number is the answer to split i. */
export interface ObliviousTree {
  /** Indexes among all binary tests: those of the float features, then one-hot, then ctr. */
  splits: ArrayLike<number>;
  leaves: Float64Array;
}

/** Nodes: a test goes right where it holds. The root is node 0. */
export interface BranchingTree {
  nodes: BranchingNode[];
}

export type BranchingNode =
  | { split: number; left: number; right: number }
  /** `number`: the library's of the leaf. */
  | { values: Float64Array; number: number };

export type ClassLabel = string | number | boolean;

export interface ModelInfo {
  /** Without parameters, such as `Tweedie`; absent where the file does not say. */
  loss: string | undefined;
  /** In the order of the columns. */
  classes: ClassLabel[];
  /** Where classes were promised that training did not see: the class of each column of the trees, of `classes`. */
  seen?: number[];
  /** Labels that are numbers are floating-point ones, also where each is an integer. */
  floatLabels: boolean;
  /** What CatBoost compares the probability of the second class with, as text. */
  threshold: string | undefined;
}

export function isOblivious(trees: CatboostModel['trees']): trees is ObliviousTree[] {
  const [first] = trees;
  return first === undefined || 'splits' in first;
}
