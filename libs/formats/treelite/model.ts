/** What a Treelite model says, from a checkpoint or from its JSON. */
export interface TreeliteModel {
  /** Of thresholds, leaves and sums, and of the numbers that are compared. */
  dtype: 'FP32' | 'FP64';
  features: number;
  classifier: boolean;
  averaged: boolean;
  targets: number;
  /** Of each target. */
  classes: number[];
  /** Of the numbers in each leaf: targets, classes. */
  leafShape: [targets: number, classes: number];
  /** What each tree adds to; −1 where each leaf adds to all of them. */
  treeTargets: ArrayLike<number>;
  treeClasses: ArrayLike<number>;
  postprocessor: string;
  sigmoidAlpha: number;
  /** That scores of isolation forests are divided by. */
  ratio: number;
  baseScores: number[];
  trees: TreeliteTree[];
}

export interface TreeliteTree {
  nodes: number;
  /** Throws DamagedModel where the node is none. */
  read(node: number): TreeliteNode;
}

export type TreeliteOperator = '<' | '<=' | '>' | '>=';

export type TreeliteNode =
  | { values: number[] }
  | (Children & { operator: TreeliteOperator; threshold: number })
  | (Children & { categories: number[]; matchGoesRight: boolean });

interface Children {
  feature: number;
  left: number;
  right: number;
  defaultLeft: boolean;
}

/** Bounds on what a model may say. */
export const MOST = {
  features: 100_000,
  columns: 100_000,
  trees: 1_000_000,
  category: 2 ** 24,
} as const;
