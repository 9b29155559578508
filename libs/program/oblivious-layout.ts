import type { PackedForest, PackOptions } from './forest-layout.js';
import { ProgramError } from './program-error.js';
import type { ObliviousForest } from './program.js';
import type { WeightsReader } from './weights.js';

/** Address of the kernel's `Layout`, and the first free one after it. */
const LAYOUT = 16;
const HEAP = 128;
const PAGE = 65_536;
const MOST_BYTES = 2 ** 31 - PAGE;
/** Rows at once, which the kernel's loops are made for. */
const BLOCK = 128;
/** Borders that a byte can count. */
const MOST_BORDERS = 255;
/** Leaf numbers have 16 bits in the kernel. */
const MOST_DEPTH = 16;

/** Checks the trees and lays them out as `assembly/oblivious-kernel.ts` says. Throws ProgramError (INVALID_PROGRAM). */
export function packOblivious(
  forest: ObliviousForest,
  reader: WeightsReader,
  { pointer, withLeaves }: PackOptions,
): PackedForest {
  const { features, columns, trees } = forest;
  const arrays = readArrays(forest, reader, `${pointer}/forest`);
  const bins = makeBins(arrays, `${pointer}/forest`);
  let end = HEAP;
  const take = (bytes: number): number => {
    const address = end;
    end = Math.ceil((end + bytes) / 64) * 64;
    return address;
  };
  const map = {
    rows: take(BLOCK * features * 4),
    bins: take(bins.length * 16),
    borders: take(bins.reduce((sum, { borders }) => sum + borders.length * 4, 0)),
    bytes: take(bins.length * BLOCK),
    column: take(BLOCK * 4),
    splits: take(arrays.features.length * 8),
    trees: take(trees * 16),
    values: take(arrays.values.length * 8),
    scores: take(BLOCK * columns * 8),
    leaves: take(withLeaves ? BLOCK * trees * 4 : 0),
    reached: take(4 * 2 * BLOCK),
  };
  if (end > MOST_BYTES) {
    throw ProgramError.program(
      pointer,
      `the trees need ${end} bytes, at most ${MOST_BYTES} are allowed`,
    );
  }
  const pages = Math.ceil(end / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { buffer } = memory;
  writeBins(bins, map, buffer);
  writeTrees(forest, arrays, bins, map, buffer);
  new Float64Array(buffer, map.values, arrays.values.length).set(arrays.values);
  new Uint32Array(buffer, LAYOUT, 13).set([
    map.rows,
    features * 4,
    map.bins,
    bins.length,
    map.bytes,
    map.column,
    map.splits,
    map.trees,
    trees,
    columns,
    map.scores,
    map.leaves,
    map.reached,
  ]);
  return {
    memory,
    block: BLOCK,
    rows: new Float32Array(buffer, map.rows, BLOCK * features),
    scores: new Float64Array(buffer, map.scores, BLOCK * columns),
    leaves: new Int32Array(buffer, map.leaves, withLeaves ? BLOCK * trees : 0),
  };
}

interface Arrays {
  starts: Int32Array;
  features: Int32Array;
  borders: Float32Array;
  missingGreatest: Uint8Array;
  values: Float64Array;
}

function readArrays(forest: ObliviousForest, reader: WeightsReader, pointer: string): Arrays {
  const { weights, features, columns, trees } = forest;
  const at = (name: keyof ObliviousForest['weights']) => `${pointer}/weights/${name}`;
  const fail = (name: keyof ObliviousForest['weights'], message: string): never => {
    throw ProgramError.program(at(name), message);
  };
  const borders = reader.floats(weights.borders, at('borders'));
  const values = reader.floats(weights.values, at('values'));
  const arrays: Arrays = {
    starts: reader.int32(weights.starts, at('starts')),
    features: reader.int32(weights.features, at('features')),
    borders: borders instanceof Float32Array ? borders : fail('borders', 'must be FP32'),
    missingGreatest: reader.uint8(weights.missingGreatest, at('missingGreatest')),
    values: values instanceof Float64Array ? values : fail('values', 'must be FP64'),
  };
  const { starts } = arrays;
  if (starts.length !== trees + 1 || starts[0] !== 0 || starts.at(-1) !== arrays.features.length) {
    fail('starts', `must have ${trees + 1} numbers, from 0 to the number of splits`);
  }
  if (arrays.borders.length !== arrays.features.length) {
    fail('borders', 'must have a number for each split');
  }
  if (arrays.missingGreatest.length !== features) {
    fail('missingGreatest', `must have ${features} numbers`);
  }
  let leaves = 0;
  for (let tree = 0; tree < trees; tree++) {
    const depth = (starts[tree + 1] ?? 0) - (starts[tree] ?? 0);
    if (depth < 0 || depth > MOST_DEPTH) {
      fail('starts', `tree ${tree} must have from 0 to ${MOST_DEPTH} splits, has ${depth}`);
    }
    leaves += 2 ** depth;
  }
  if (arrays.values.length !== leaves * columns) {
    fail('values', `must have ${leaves} times ${columns} numbers, has ${arrays.values.length}`);
  }
  for (const feature of arrays.features) {
    if (feature < 0 || feature >= features) fail('features', `there is no feature ${feature}`);
  }
  if (arrays.borders.some(Number.isNaN)) fail('borders', 'a border is not a number');
  return arrays;
}

/** A column of bytes: some borders of a feature, ascending. */
interface Bin {
  feature: number;
  borders: Float32Array;
  missingGreatest: boolean;
}

/** The borders that are asked for, each once. A feature with more than a byte can count has several columns. */
function makeBins({ features, borders, missingGreatest }: Arrays, pointer: string): Bin[] {
  const found = new Map<number, Set<number>>();
  for (const [i, feature] of features.entries()) {
    const known = found.get(feature) ?? new Set();
    // -0 and 0 are one border.
    known.add((borders[i] ?? 0) + 0);
    found.set(feature, known);
  }
  const bins: Bin[] = [];
  for (const [feature, known] of [...found].toSorted(([a], [b]) => a - b)) {
    const sorted = Float32Array.from(known).sort();
    for (let from = 0; from < sorted.length; from += MOST_BORDERS) {
      bins.push({
        feature,
        borders: sorted.subarray(from, from + MOST_BORDERS),
        missingGreatest: missingGreatest[feature] === 1,
      });
    }
  }
  if (bins.length > 2 ** 24) throw ProgramError.program(pointer, 'there are too many borders');
  return bins;
}

interface MemoryMap {
  rows: number;
  bins: number;
  borders: number;
  bytes: number;
  splits: number;
  trees: number;
  values: number;
}

function writeBins(bins: Bin[], map: MemoryMap, buffer: ArrayBuffer): void {
  const words = new Uint32Array(buffer);
  let at = map.borders;
  for (const [i, { feature, borders, missingGreatest }] of bins.entries()) {
    const entry = [map.rows + feature * 4, at, borders.length, missingGreatest ? 1 : 0];
    words.set(entry, map.bins / 4 + i * 4);
    new Float32Array(buffer, at, borders.length).set(borders);
    at += borders.length * 4;
  }
}

function writeTrees(
  { trees, columns }: ObliviousForest,
  { starts, features, borders }: Arrays,
  bins: Bin[],
  map: MemoryMap,
  buffer: ArrayBuffer,
): void {
  const words = new Uint32Array(buffer);
  const firstBins = new Map<number, number>();
  for (const [i, { feature }] of bins.entries()) {
    if (!firstBins.has(feature)) firstBins.set(feature, i);
  }
  for (const [i, feature] of features.entries()) {
    const { bin, place } = placeOf(borders[i] ?? 0, firstBins.get(feature) ?? 0, bins);
    words[map.splits / 4 + 2 * i] = map.bytes + bin * BLOCK;
    words[map.splits / 4 + 2 * i + 1] = place + 1;
  }
  let values = map.values;
  for (let tree = 0; tree < trees; tree++) {
    const [start = 0, end = 0] = starts.subarray(tree, tree + 2);
    words.set([map.splits + start * 8, end - start, values, 0], map.trees / 4 + tree * 4);
    values += 2 ** (end - start) * columns * 8;
  }
}

/** Where a border is among the columns of its feature, which begin with `first`. */
function placeOf(border: number, first: number, bins: Bin[]): { bin: number; place: number } {
  let bin = first;
  while (border > (bins[bin]?.borders.at(-1) ?? Infinity)) bin += 1;
  const { borders } = bins[bin] ?? { borders: new Float32Array(0) };
  let [low, high] = [0, borders.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((borders[middle] ?? 0) < border) low = middle + 1;
    else high = middle;
  }
  return { bin, place: low };
}
