import { DamagedModel, UnsupportedModel } from '../importer.js';
import { MOST, type TreeliteModel } from './model.js';

/** Numbers of all leaves together, once each leaf has one for every column. */
const MOST_LEAF_VALUES = 2 ** 27;

/** Sums of one answer, target by target: as many columns for each as the target with most classes has. */
export class TreeliteColumns {
  readonly count: number;
  /** Columns of one target. */
  readonly most: number;
  /** Numbers in each leaf of the forest: one, or one for each column. */
  readonly leafWidth: number;

  constructor(private readonly model: TreeliteModel) {
    const { targets, classes, trees, leafShape } = model;
    if (!(targets >= 1) || classes.length !== targets) {
      fail('num_class must have an item a target');
    }
    const [most = 1] = classes.toSorted((a, b) => b - a);
    if (!(most >= 1) || !(targets * most <= MOST.columns)) fail(`num_class is ${most}`);
    if (classes.some((count) => count < 1)) fail('a target has no class');
    this.most = most;
    this.count = targets * most;
    if (model.treeTargets.length !== trees.length || model.treeClasses.length !== trees.length) {
      fail('target_id and class_id must have an item a tree');
    }
    if (model.baseScores.length !== this.count || model.baseScores.some(Number.isNaN)) {
      fail(`base_scores must have ${this.count} numbers`);
    }
    this.leafWidth = leafShape[0] * leafShape[1] === 1 ? 1 : this.count;
    if (this.leafWidth > 1) {
      const nodes = trees.reduce((sum, tree) => sum + tree.nodes, 0);
      if (nodes * this.count > MOST_LEAF_VALUES) {
        throw new UnsupportedModel(
          `The Treelite model has ${nodes} nodes with leaves for ${this.count} columns; ${MOST_LEAF_VALUES} numbers in all are supported.`,
        );
      }
    }
  }

  /** The column of a class; some targets may have fewer classes than columns. */
  has(column: number): boolean {
    return column % this.most < (this.model.classes[Math.floor(column / this.most)] ?? 0);
  }

  get isRagged(): boolean {
    return this.model.classes.some((count) => count !== this.most);
  }

  /** The columns that a tree adds to, in the order of the numbers in its leaves; −1 where a number is for none. */
  of(tree: number): number[] {
    const { targets, treeTargets, treeClasses, leafShape } = this.model;
    const [target, category] = [treeTargets[tree] ?? -1, treeClasses[tree] ?? -1];
    const rows = target === -1 ? targets : 1;
    const columns = category === -1 ? this.most : 1;
    if (leafShape[0] !== rows || leafShape[1] !== columns) {
      fail(
        `tree ${tree} must have leaves of ${rows} × ${columns} numbers, not ${leafShape.join(' × ')}`,
      );
    }
    if (target < -1 || target >= targets || category < -1 || category >= this.most) {
      fail(`tree ${tree} adds to class ${category} of target ${target}`);
    }
    return Array.from({ length: rows * columns }, (_, i) => {
      const column =
        Math.max(target, Math.floor(i / columns)) * this.most + Math.max(category, i % columns);
      return this.has(column) ? column : -1;
    });
  }
}

function fail(message: string): never {
  throw new DamagedModel(`Treelite model: ${message}`);
}
