import { NodeFlag, type Forest, type WeightsWriter } from '#program';
import { DamagedModel, UnsupportedModel } from './importer.js';

/**
 * A node as an importer reads it: a leaf, a comparison or a test of categories (members go left), which are listed, or given
 * as the words of a set.
 */
export type TreeNode =
  | { values: ArrayLike<number>; number: number }
  | { feature: number; threshold: number; left: number; right: number; flags: number }
  | { feature: number; set: number[] | Uint32Array; left: number; right: number; flags: number };

export interface TreeSource {
  /** For messages. */
  name: string;
  /** Nodes that the library's arrays hold; the root is node 0. Not all need be in use. */
  nodes: number;
  read(node: number): TreeNode;
  /** The column that the tree adds to; 0 where each leaf adds to all. */
  column: number;
}

/** All sets of categories together. */
const MOST_SET_WORDS = 2 ** 24;
const MOST_NODES = 2 ** 26;

/** Packs trees, as they come from a library, into a Forest. Throws DamagedModel where they are not trees. */
export class ForestBuilder {
  private readonly starts = [0];
  private readonly features: number[] = [];
  private readonly thresholds: number[] = [];
  private readonly left: number[] = [];
  private readonly right: number[] = [];
  private readonly flags: number[] = [];
  private readonly values: number[] = [];
  private readonly columns: number[] = [];
  private readonly setStarts = [0];
  private readonly setWords: number[] = [];

  /** `width`: numbers a leaf. */
  constructor(
    private readonly given: Omit<Forest, 'trees' | 'weights'>,
    private readonly width: number,
  ) {}

  get trees(): number {
    return this.columns.length;
  }

  /** Adds a tree: the nodes that can be reached from its root, each once. */
  addTree(tree: TreeSource): void {
    if (tree.column < 0 || tree.column >= this.given.columns) {
      throw new DamagedModel(`${tree.name} adds to column ${tree.column} of ${this.given.columns}`);
    }
    const first = this.features.length;
    const places = new Int32Array(tree.nodes).fill(-1);
    const queue: number[] = [];
    const place = (node: number): number => {
      if (!Number.isInteger(node) || node < 0 || node >= tree.nodes) {
        throw new DamagedModel(`${tree.name} has no node ${node}`);
      }
      if (places[node] !== -1) throw new DamagedModel(`${tree.name}: node ${node} has two parents`);
      places[node] = queue.length;
      queue.push(node);
      return queue.length - 1;
    };
    place(0);
    for (const node of queue) this.addNode(tree, node, place);
    if (this.features.length > MOST_NODES) {
      throw new UnsupportedModel(
        `The model has more than ${MOST_NODES} tree nodes, the most that is supported.`,
      );
    }
    this.starts.push(first + queue.length);
    this.columns.push(tree.column);
  }

  private addNode(tree: TreeSource, number: number, place: (node: number) => number): void {
    const node = tree.read(number);
    if ('values' in node) {
      this.push(-1, 0, this.values.length / this.width, node.number, 0);
      for (let i = 0; i < this.width; i++) this.values.push(node.values[i] ?? NaN);
      return;
    }
    if (
      !Number.isInteger(node.feature) ||
      node.feature < 0 ||
      node.feature >= this.given.features
    ) {
      throw new DamagedModel(`${tree.name}, node ${number}: there is no feature ${node.feature}`);
    }
    const left = place(node.left);
    const right = place(node.right);
    if ('set' in node) {
      this.push(
        node.feature,
        this.addSet(node.set),
        left,
        right,
        node.flags | NodeFlag.categorical,
      );
      return;
    }
    if (Number.isNaN(node.threshold)) {
      throw new DamagedModel(`${tree.name}, node ${number}: the threshold is not a number`);
    }
    this.push(node.feature, node.threshold, left, right, node.flags);
  }

  private push(
    feature: number,
    threshold: number,
    left: number,
    right: number,
    flags: number,
  ): void {
    this.features.push(feature);
    this.thresholds.push(threshold);
    this.left.push(left);
    this.right.push(right);
    this.flags.push(flags);
  }

  private addSet(set: number[] | Uint32Array): number {
    const count = Array.isArray(set) ? wordsOf(set) : set.length;
    if (this.setWords.length + count > MOST_SET_WORDS) {
      throw new UnsupportedModel(
        `The sets of categories need more than ${MOST_SET_WORDS * 4} bytes, the most that is supported.`,
      );
    }
    for (const word of Array.isArray(set) ? setOf(set, count) : set) this.setWords.push(word);
    this.setStarts.push(this.setWords.length);
    return this.setStarts.length - 2;
  }

  /** The forest, its arrays in `writer`; `base` is what the sums start with. */
  build(writer: WeightsWriter, base?: ArrayLike<number>): Forest {
    const { inputDtype, sumDtype } = this.given;
    const floats = (dtype: 'FP32' | 'FP64', data: ArrayLike<number>, shape?: number[]) =>
      writer.add(
        dtype,
        dtype === 'FP32' ? Float32Array.from(data) : Float64Array.from(data),
        shape,
      );
    const int32 = (data: number[]) => writer.add('INT32', Int32Array.from(data));
    const exact = inputDtype === 'FP32' && this.thresholds.every((t) => Math.fround(t) === t);
    return {
      ...this.given,
      trees: this.trees,
      weights: {
        starts: int32(this.starts),
        features: int32(this.features),
        thresholds: floats(exact ? 'FP32' : 'FP64', this.thresholds),
        left: int32(this.left),
        right: int32(this.right),
        flags: writer.add('UINT8', Uint8Array.from(this.flags)),
        values: floats(sumDtype, this.values, [this.values.length / this.width, this.width]),
        ...(this.width === 1 && { columns: int32(this.columns) }),
        ...(base && { base: floats(sumDtype, base) }),
        ...(this.setStarts.length > 1 && {
          setStarts: writer.add('UINT32', Uint32Array.from(this.setStarts)),
          setWords: writer.add('UINT32', Uint32Array.from(this.setWords)),
        }),
      },
    };
  }
}

/** Words that the set of these categories needs. */
function wordsOf(categories: number[]): number {
  return categories.reduce((words, category) => Math.max(words, Math.floor(category / 32) + 1), 0);
}

/** The words of a set: bit `c & 31` of word `c >> 5` says whether category `c` is in it. */
function setOf(categories: number[], count: number): Uint32Array {
  const words = new Uint32Array(count);
  for (const category of categories) {
    const word = Math.floor(category / 32);
    words[word] = (words[word] ?? 0) | (1 << (category & 31));
  }
  return words;
}
