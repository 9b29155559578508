import { ProgramError } from './program-error.js';
import { NodeFlag, type Forest, type WeightRef } from './program.js';
import type { WeightsReader } from './weights.js';

/** The arrays of a forest, read and checked one against the other; that the trees are trees is checked where they are walked. */
export interface ForestArrays {
  starts: Int32Array;
  features: Int32Array;
  thresholds: Float32Array | Float64Array;
  left: Int32Array;
  right: Int32Array;
  flags: Uint8Array;
  values: Float32Array | Float64Array;
  /** Numbers in each row of `values`. */
  width: number;
  leaves: number;
  treeColumns: Int32Array;
  base: Float32Array | Float64Array;
  setStarts: Uint32Array;
  setWords: Uint32Array;
}

/** Throws ProgramError (INVALID_PROGRAM) with a pointer to the array that is wrong. */
export function readForestArrays(
  forest: Forest,
  reader: WeightsReader,
  pointer: string,
): ForestArrays {
  const { weights, trees, columns } = forest;
  const at = (name: keyof Forest['weights']) => `${pointer}/forest/weights/${name}`;
  const optional = <T>(
    name: keyof Forest['weights'],
    read: (ref: WeightRef, where: string) => T,
    otherwise: T,
  ): T => {
    const ref = weights[name];
    return ref ? read(ref, at(name)) : otherwise;
  };
  const [leaves = 0, width = 1] = weights.values.shape;
  const arrays: ForestArrays = {
    starts: reader.int32(weights.starts, at('starts')),
    features: reader.int32(weights.features, at('features')),
    thresholds: reader.floats(weights.thresholds, at('thresholds')),
    left: reader.int32(weights.left, at('left')),
    right: reader.int32(weights.right, at('right')),
    flags: reader.uint8(weights.flags, at('flags')),
    values: reader.floats(weights.values, at('values')),
    width,
    leaves,
    treeColumns: optional(
      'columns',
      (ref, where) => reader.int32(ref, where),
      new Int32Array(trees),
    ),
    base: optional('base', (ref, where) => reader.floats(ref, where), new Float64Array(columns)),
    setStarts: optional('setStarts', (ref, where) => reader.uint32(ref, where), new Uint32Array(1)),
    setWords: optional('setWords', (ref, where) => reader.uint32(ref, where), new Uint32Array(0)),
  };
  checkArrays(forest, arrays, at);
  return arrays;
}

function checkArrays(
  forest: Forest,
  arrays: ForestArrays,
  at: (name: keyof Forest['weights']) => string,
): void {
  const { trees, columns, inputDtype, sumDtype } = forest;
  const check = (holds: boolean, name: keyof Forest['weights'], message: string) => {
    if (!holds) throw ProgramError.program(at(name), message);
  };
  const nodes = arrays.features.length;
  check(arrays.starts.length === trees + 1, 'starts', `must have ${trees + 1} items`);
  check(
    arrays.starts[0] === 0 && arrays.starts[trees] === nodes && ascending(arrays.starts, 1),
    'starts',
    'must go from 0 to the number of nodes, a node a tree at least',
  );
  for (const name of ['thresholds', 'left', 'right', 'flags'] as const) {
    check(arrays[name].length === nodes, name, `must have ${nodes} items`);
  }
  const { width } = arrays;
  check(width === 1 || width === columns, 'values', `must have 1 or ${columns} numbers a leaf`);
  check(arrays.treeColumns.length === trees, 'columns', `must have ${trees} items`);
  check(
    arrays.treeColumns.every((column) => column >= 0 && column < columns),
    'columns',
    `must be from 0 to ${columns - 1}`,
  );
  check(arrays.base.length === columns, 'base', `must have ${columns} items`);
  check(
    sumDtype === 'FP64' || arrays.values instanceof Float32Array,
    'values',
    'must be FP32 where the sums are',
  );
  check(
    inputDtype === 'FP32' || arrays.thresholds instanceof Float64Array,
    'thresholds',
    'must be FP64 where the inputs are',
  );
  check(
    arrays.setStarts[0] === 0 &&
      arrays.setStarts.at(-1) === arrays.setWords.length &&
      ascending(arrays.setStarts, 0),
    'setStarts',
    'must go from 0 to the number of words',
  );
  const categorical = arrays.flags.some((flags) => flags & NodeFlag.categorical);
  check(
    !categorical || forest.category !== undefined,
    'flags',
    'sets need the rule for categories',
  );
}

function ascending(items: Int32Array | Uint32Array, step: number): boolean {
  for (let i = 1; i < items.length; i++) {
    if ((items[i] ?? 0) - (items[i - 1] ?? 0) < step) return false;
  }
  return true;
}
