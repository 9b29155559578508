import { below32, below64, floor32 } from './float-neighbours.js';
import { readForestArrays, type ForestArrays } from './forest-arrays.js';
import { ProgramError } from './program-error.js';
import { NodeFlag, type Forest } from './program.js';
import type { WeightsReader } from './weights.js';

/** A forest in the memory that the kernel reads, and the views through which rows go in and answers come out. */
export interface PackedForest {
  memory: WebAssembly.Memory;
  /** Most rows at once. */
  block: number;
  rows: Float32Array | Float64Array;
  scores: Float32Array | Float64Array;
  leaves: Int32Array;
}

export interface PackOptions {
  pointer: string;
  /** Whether anything may ask for leaves. */
  withLeaves: boolean;
}

/** Address of the kernel's `Layout`, and the first free one after it. */
const LAYOUT = 16;
const HEAP = 256;
const NODE_BYTES = 16;
const PAGE = 65_536;
const MOST_BYTES = 2 ** 31 - PAGE;
const MOST_BLOCK = 256;
const LEAST_BLOCK = 8;
/** Rows, sums and leaves of a block stay within this where they can, so that they stay in the processor's cache. */
const BLOCK_BYTES = 2 ** 17;

/** Kinds of trees, by the walk that they need. */
const KIND = { plain: 0, zero: 1, categorical: 2 } as const;

/** Bits of a node's meta in the kernel. */
const META = { missingRight: 1, zeroMissing: 2, categorical: 4 } as const;

/** Nodes that are packed between two looks at the clock. */
const NODES_AT_ONCE = 2048;
/** A thread that packs answers others as well: after so many milliseconds it lets them. */
const SLICE = 3;

/**
 * Checks the trees and lays them out as `assembly/forest-kernel.ts` says, in slices of some milliseconds. Throws
 * ProgramError (INVALID_PROGRAM).
 */
export async function packForest(
  forest: Forest,
  reader: WeightsReader,
  options: PackOptions,
): Promise<PackedForest> {
  const arrays = readForestArrays(forest, reader, options.pointer);
  await pause();
  const map = mapMemory(forest, arrays, options);
  if (map.end > MOST_BYTES) {
    throw ProgramError.program(
      options.pointer,
      `the trees need ${map.end} bytes, at most ${MOST_BYTES} are allowed`,
    );
  }
  const pages = Math.ceil(map.end / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const packer = new TreePacker(forest, arrays, map, memory.buffer, options.pointer);
  await inSlices(packer.pack());
  await pause();
  writeTables(forest, arrays, map, memory.buffer, packer);
  writeLayout(forest, arrays, map, memory.buffer, packer);
  const Input = forest.inputDtype === 'FP32' ? Float32Array : Float64Array;
  const Sum = forest.sumDtype === 'FP32' ? Float32Array : Float64Array;
  const { block } = map;
  return {
    memory,
    block,
    rows: new Input(memory.buffer, map.rows, block * forest.features),
    scores: new Sum(memory.buffer, map.scores, block * forest.columns),
    leaves: new Int32Array(
      memory.buffer,
      map.leaves,
      options.withLeaves ? block * forest.trees : 0,
    ),
  };
}

async function inSlices(work: Iterable<void>): Promise<void> {
  let begun = performance.now();
  for (const _ of work) {
    if (performance.now() - begun < SLICE) continue;
    await pause();
    begun = performance.now();
  }
}

/** Lets what waits for this thread have its turn. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Where everything lies. */
type MemoryMap = ReturnType<typeof mapMemory>;

function mapMemory(forest: Forest, arrays: ForestArrays, { withLeaves }: PackOptions) {
  const { trees, columns, features } = forest;
  const inputSize = forest.inputDtype === 'FP32' ? 4 : 8;
  const sumSize = forest.sumDtype === 'FP32' ? 4 : 8;
  let end = HEAP;
  const take = (bytes: number): number => {
    const address = end;
    end = Math.ceil((end + bytes) / 64) * 64;
    return address;
  };
  // A root takes the room of two, so that siblings share a cache line.
  const slots = arrays.features.length + trees;
  const rowBytes =
    features * inputSize * (isCategorical(arrays) ? 2 : 1) +
    columns * sumSize +
    (withLeaves ? trees * 4 : 0);
  const block = Math.min(MOST_BLOCK, Math.max(LEAST_BLOCK, Math.floor(BLOCK_BYTES / rowBytes)));
  const map = {
    block,
    stride: features * inputSize,
    nodes: take(slots * NODE_BYTES),
    metas: forest.inputDtype === 'FP64' ? take(slots * 4) : 0,
    values: take(arrays.values.length * sumSize),
    leafNumbers: take(arrays.leaves * 4),
    roots: take(trees * 4),
    depths: take(trees * 4),
    kinds: take(trees * 4),
    sorted: take(trees * 8),
    groupDepths: take(Math.ceil(trees / 8) * 4),
    treeColumns: take(trees * 4),
    base: take(columns * sumSize),
    // Each set has its number of words in front and a word that is 0 behind; the one after the last is empty.
    sets: take((arrays.setWords.length + 2 * arrays.setStarts.length) * 4),
    // A forest without features still has trees of one leaf, which look at a first value.
    rows: take(block * Math.max(features * inputSize, 8)),
    // Room as for the rows, where some node may test a set.
    codes: isCategorical(arrays) ? take(block * features * inputSize) : 0,
    scores: take(block * columns * sumSize),
    leaves: take(withLeaves ? block * trees * 4 : 0),
    reached: take(Math.max(block, trees) * 4),
  };
  return { ...map, end };
}

/** `-Infinity` as a threshold may be written as a set without members. */
function isCategorical({ flags, thresholds }: ForestArrays): boolean {
  return flags.some((bits) => bits & NodeFlag.categorical) || thresholds.includes(-Infinity);
}

/** Writes the nodes of all trees, breadth first, siblings side by side. */
class TreePacker {
  readonly depths: Uint32Array;
  readonly kinds: Uint32Array;
  private readonly words: Uint32Array;
  private readonly narrow: boolean;
  private readonly floats: Float32Array | Float64Array;
  private readonly visited: Uint8Array;
  private slot = 0;
  private packed = 0;

  constructor(
    private readonly forest: Forest,
    private readonly arrays: ForestArrays,
    private readonly map: MemoryMap,
    buffer: ArrayBuffer,
    private readonly pointer: string,
  ) {
    this.depths = new Uint32Array(buffer, map.depths, forest.trees);
    this.kinds = new Uint32Array(buffer, map.kinds, forest.trees);
    this.words = new Uint32Array(buffer);
    this.narrow = forest.inputDtype === 'FP32';
    this.floats = this.narrow ? new Float32Array(buffer) : new Float64Array(buffer);
    this.visited = new Uint8Array(arrays.features.length);
  }

  /** Stops now and then. */
  *pack(): Generator<void> {
    for (let tree = 0; tree < this.forest.trees; tree++) yield* this.packTree(tree);
  }

  private *packTree(tree: number): Generator<void> {
    const { starts, left, right, features } = this.arrays;
    const first = starts[tree] ?? 0;
    const queue = [{ node: first, slot: this.slot, depth: 0 }];
    this.words[this.map.roots / 4 + tree] = this.addressOf(this.slot);
    this.slot += 2;
    for (const { node, slot, depth } of queue) {
      if (++this.packed % NODES_AT_ONCE === 0) yield;
      this.visit(node, tree);
      if (features[node] === -1) {
        this.writeLeaf(node, slot);
        this.depths[tree] = Math.max(this.depths[tree] ?? 0, depth);
        continue;
      }
      const kind = this.writeTest(node, slot, this.slot);
      this.kinds[tree] = Math.max(this.kinds[tree] ?? 0, kind);
      queue.push({ node: first + (left[node] ?? 0), slot: this.slot, depth: depth + 1 });
      queue.push({ node: first + (right[node] ?? 0), slot: this.slot + 1, depth: depth + 1 });
      this.slot += 2;
    }
  }

  /** Each node of a tree is reached at most once, and lies within its tree. */
  private visit(node: number, tree: number): void {
    const { starts } = this.arrays;
    if (node < (starts[tree] ?? 0) || node >= (starts[tree + 1] ?? 0)) {
      this.fail(`tree ${tree} has a child outside of it`);
    }
    if (this.visited[node]) this.fail(`tree ${tree} has a node with two parents`);
    this.visited[node] = 1;
  }

  private fail(message: string): never {
    throw ProgramError.program(`${this.pointer}/forest`, message);
  }

  private addressOf(slot: number): number {
    return this.map.nodes + slot * NODE_BYTES;
  }

  private writeLeaf(node: number, slot: number): void {
    const leaf = this.arrays.left[node] ?? -1;
    if (leaf < 0 || leaf >= this.arrays.leaves) this.fail(`a leaf has no value ${leaf}`);
    this.words[this.map.leafNumbers / 4 + leaf] = this.arrays.right[node] ?? 0;
    this.writeNode(slot, Infinity, 0, slot, leaf * 8);
  }

  /** Writes an inner node and answers the kind of tree that it makes. */
  private writeTest(node: number, slot: number, children: number): number {
    const feature = this.arrays.features[node] ?? -1;
    if (feature < 0 || feature >= this.forest.features) this.fail(`there is no feature ${feature}`);
    const flags = this.arrays.flags[node] ?? 0;
    const threshold = this.arrays.thresholds[node] ?? NaN;
    let meta: number = flags & NodeFlag.missingLeft ? 0 : META.missingRight;
    if (flags & NodeFlag.categorical) {
      meta |= META.categorical | (flags & NodeFlag.zeroMissing ? META.zeroMissing : 0);
      this.writeNode(slot, 0, feature, children, meta);
      this.words[this.addressOf(slot) / 4] = this.setAddress(threshold);
      return KIND.categorical;
    }
    const limit = this.limitOf(threshold);
    if (flags & NodeFlag.zeroMissing && !this.zeroGoesAsMissing(limit, meta))
      meta |= META.zeroMissing;
    this.writeNode(slot, limit, feature, children, meta);
    if (threshold === -Infinity && this.forest.comparison === '<') {
      // Nothing is less: no limit says so, the empty set does.
      this.writeNode(slot, 0, feature, children, meta | META.categorical);
      this.words[this.addressOf(slot) / 4] = this.setAddress(this.arrays.setStarts.length - 1);
      return KIND.categorical;
    }
    return meta & META.zeroMissing ? KIND.zero : KIND.plain;
  }

  /** The number that a value must not be greater than to go left. */
  private limitOf(threshold: number): number {
    if (Number.isNaN(threshold)) this.fail('a threshold is not a number');
    if (!this.narrow) return this.forest.comparison === '<' ? below64(threshold) : threshold;
    const limit = floor32(threshold);
    return this.forest.comparison === '<' && limit === threshold ? below32(limit) : limit;
  }

  /** Whether every number that counts as zero goes where a missing value does without being asked. */
  private zeroGoesAsMissing(limit: number, meta: number): boolean {
    const zero = this.forest.zero ?? 0;
    return meta & META.missingRight ? limit < -zero : limit >= zero;
  }

  private setAddress(set: number): number {
    const { setStarts } = this.arrays;
    if (!Number.isInteger(set) || set < 0 || set >= setStarts.length)
      this.fail(`there is no set ${set}`);
    return this.map.sets + ((setStarts[set] ?? 0) + 2 * set) * 4;
  }

  private writeNode(
    slot: number,
    limit: number,
    feature: number,
    child: number,
    meta: number,
  ): void {
    const address = this.addressOf(slot);
    const word = address / 4;
    if (this.narrow) {
      this.floats[word] = limit;
      this.words[word + 1] = feature * 4;
      this.words[word + 2] = this.addressOf(child);
      this.words[word + 3] = meta;
    } else {
      this.floats[address / 8] = limit;
      this.words[word + 2] = feature * 8;
      this.words[word + 3] = this.addressOf(child);
      this.words[this.map.metas / 4 + slot] = meta;
    }
  }
}

function writeTables(
  { trees, columns, sumDtype }: Forest,
  { values, treeColumns, base, setStarts, setWords }: ForestArrays,
  map: MemoryMap,
  buffer: ArrayBuffer,
  { kinds, depths }: TreePacker,
): void {
  const Sum = sumDtype === 'FP32' ? Float32Array : Float64Array;
  new Sum(buffer, map.values, values.length).set(values);
  new Sum(buffer, map.base, columns).set(base);
  new Int32Array(buffer, map.treeColumns, trees).set(treeColumns);
  const words = new Uint32Array(buffer);
  for (let set = 0; set < setStarts.length; set++) {
    const [from = 0, to = from] = setStarts.subarray(set, set + 2);
    const at = map.sets / 4 + from + 2 * set;
    words[at] = to - from;
    words.set(setWords.subarray(from, to), at + 1);
  }
  const order = Array.from({ length: trees }, (_, tree) => tree).toSorted(
    (a, b) => (kinds[a] ?? 0) - (kinds[b] ?? 0) || (depths[a] ?? 0) - (depths[b] ?? 0),
  );
  for (const [i, tree] of order.entries()) {
    words[map.sorted / 4 + 2 * i] = words[map.roots / 4 + tree] ?? 0;
    words[map.sorted / 4 + 2 * i + 1] = tree;
    const group = map.groupDepths / 4 + (i >> 3);
    words[group] = Math.max(words[group] ?? 0, depths[tree] ?? 0);
  }
}

/** The kernel's `Layout`, field by field. */
function writeLayout(
  forest: Forest,
  arrays: ForestArrays,
  map: MemoryMap,
  buffer: ArrayBuffer,
  { kinds }: TreePacker,
): void {
  const plain = kinds.filter((kind) => kind === KIND.plain).length;
  const zero = kinds.filter((kind) => kind === KIND.zero).length;
  const fields = [
    map.roots,
    map.depths,
    map.kinds,
    forest.trees,
    map.sorted,
    map.groupDepths,
    plain,
    plain + zero,
    map.nodes,
    map.metas,
    map.values,
    arrays.width,
    map.leafNumbers,
    map.treeColumns,
    forest.columns,
    map.base,
    map.rows,
    map.stride,
    forest.features,
    map.scores,
    map.leaves,
    map.reached,
    forest.sumDtype === 'FP32' ? 1 : 0,
    map.sets + (arrays.setWords.length + 2 * (arrays.setStarts.length - 1)) * 4,
    zero > 0 ? 1 : 0,
    map.codes && map.codes - map.rows,
  ];
  const least = forest.category === 'truncate' ? -1 : -Number.MIN_VALUE;
  new Float64Array(buffer, LAYOUT, 2).set([forest.zero ?? 0, least]);
  new Uint32Array(buffer, LAYOUT + 16, fields.length).set(fields);
}
