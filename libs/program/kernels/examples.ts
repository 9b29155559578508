import { elementCount, newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import type { TensorData } from '../tensor.js';
import { bytesOf, elementsOf } from './byte-texts.js';
import { copyElements, MOST_ELEMENTS } from './element-data.js';
import { readExample, type Feature } from './example-reader.js';
import type { Kernel, KernelArguments, Value } from './kernel.js';

const TYPES = ['FP32', 'INT64', 'BYTES'] as const;
type Type = (typeof TYPES)[number];

interface Wanted {
  name: string;
  dtype: Type;
}

interface DenseFeature extends Wanted {
  /** −1 in front: as many as the longest has. */
  shape: number[];
}

/** Serialised tf.Examples (TensorFlow 2.21, core/util/example_proto_fast_parsing.cc). */
export const examples: Record<string, Kernel> = {
  /**
   * Takes features out of tf.Examples, BYTES `[rows]`, or with the attribute `single` out of one, BYTES `[]`, without a dimension for
   * the rows. Attributes: names of features `sparse`, `dense` and `ragged`, and their types `sparseTypes`, `denseTypes` and
   * `raggedTypes` (FP32, INT64 or BYTES); `denseShapes` such as `2,3`, the first size −1 where it varies. Further inputs: what a
   * dense feature is where it is missing, no elements: it must be there. Answers indices, values and shapes of the sparse features,
   * then dense ones, then values of ragged ones and where their rows begin (INT64).
   */
  'parse-examples': (given) => {
    const single = given.flag('single');
    const sparse = wantedIn(given, 'sparse', 'sparseTypes');
    const dense = denseIn(given);
    const ragged = wantedIn(given, 'ragged', 'raggedTypes');
    if (single && ragged.length > 0) given.fail('one example has no ragged features');
    return ([serialised, ...defaults]) => {
      if (!serialised || defaults.length !== dense.length) return given.fail('defaults');
      const list = elementsOf(serialised);
      if (single && list.length !== 1) given.fail('takes one example');
      const rows = list.map((element, i) => readExample(bytesOf(element), `Element ${i}`));
      const all = (wanted: Wanted) => rows.map((row, i) => listOf(row.get(wanted.name), wanted, i));
      const sparseValues = sparse.map((wanted) => sparseOf(wanted.dtype, all(wanted), single));
      const raggedValues = ragged.map((wanted) => raggedOf(wanted.dtype, all(wanted)));
      return [
        ...[0, 1, 2].flatMap((part) => sparseValues.flatMap((value) => value[part] ?? [])),
        ...dense.map((wanted, i) => denseOf(wanted, all(wanted), defaults[i], single)),
        ...[0, 1].flatMap((part) => raggedValues.flatMap((value) => value[part] ?? [])),
      ];
    };
  },
};

type List = readonly (number | bigint | string | Uint8Array)[];

function wantedIn(given: KernelArguments, names: string, types: string): Wanted[] {
  const dtypes = given.strings(types);
  return given.strings(names).map((name, i) => {
    const dtype = TYPES.find((type) => type === dtypes[i]);
    return dtype ? { name, dtype } : given.fail(types);
  });
}

function denseIn(given: KernelArguments): DenseFeature[] {
  const shapes = given.strings('denseShapes');
  return wantedIn(given, 'dense', 'denseTypes').map((wanted, i) => {
    const text = shapes[i] ?? given.fail('denseShapes');
    const shape = text === '' ? [] : text.split(',').map(Number);
    const valid = shape.every((n, axis) => Number.isInteger(n) && n >= (axis === 0 ? -1 : 0));
    return valid ? { ...wanted, shape } : given.fail('denseShapes');
  });
}

/** The elements of a feature; undefined: it is missing. */
function listOf(
  feature: Feature | undefined,
  { name, dtype }: Wanted,
  row: number,
): List | undefined {
  if (!feature || Object.keys(feature).length === 0) return undefined;
  return (
    feature[dtype] ??
    refuse(row, name, `is no list of ${dtype}, but of ${Object.keys(feature).join()}`)
  );
}

function refuse(row: number, name: string, why: string): never {
  throw ProgramError.input(
    '/inputs',
    `The feature ${JSON.stringify(name.slice(0, 100))} of example ${row} ${why}.`,
  );
}

function dataOf(dtype: Type, lists: readonly (List | undefined)[]): TensorData {
  const count = lists.reduce((sum, list) => sum + (list?.length ?? 0), 0);
  const data = newData(dtype, count);
  let at = 0;
  for (const list of lists) for (const element of list ?? []) Reflect.set(data, at++, element);
  return data;
}

function int64(shape: number[], numbers: number[]): Value {
  return { dtype: 'INT64', shape, data: BigInt64Array.from(numbers, BigInt) };
}

/** Indices, values and shape. */
function sparseOf(dtype: Type, lists: (List | undefined)[], single: boolean): Value[] {
  const data = dataOf(dtype, lists);
  const longest = lists.reduce((most, list) => Math.max(most, list?.length ?? 0), 0);
  const index = lists.flatMap((list, row) =>
    Array.from({ length: list?.length ?? 0 }, (_, i) => (single ? [i] : [row, i])).flat(),
  );
  const rank = single ? 1 : 2;
  return [
    int64([data.length, rank], index),
    { dtype, shape: [data.length], data },
    int64([rank], single ? [longest] : [lists.length, longest]),
  ];
}

/** Values, and where the rows begin. */
function raggedOf(dtype: Type, lists: (List | undefined)[]): Value[] {
  const data = dataOf(dtype, lists);
  const begins = [0];
  for (const list of lists) begins.push((begins.at(-1) ?? 0) + (list?.length ?? 0));
  return [{ dtype, shape: [data.length], data }, int64([begins.length], begins)];
}

function denseOf(
  { name, dtype, shape }: DenseFeature,
  lists: (List | undefined)[],
  standard: Value | undefined,
  single: boolean,
): Value {
  if (!standard) throw new ProgramError('INVALID_PROGRAM', 'a dense feature lacks its default');
  const varies = shape[0] === -1;
  const block = elementCount(varies ? shape.slice(1) : shape);
  const sizes = lists.map((list, row) => {
    if (!list) {
      const isRequired = !varies && standard.data.length === 0 && block > 0;
      return isRequired ? refuse(row, name, 'is missing, and it is required') : 0;
    }
    const fits = varies ? list.length % block === 0 : list.length === block;
    if (!fits)
      refuse(
        row,
        name,
        `has ${list.length} values and not ${varies ? 'a multiple of ' : ''}${block}`,
      );
    return list.length / Math.max(1, block);
  });
  const rows = varies ? Math.max(0, ...sizes) : 1;
  const width = rows * block;
  if (!(lists.length * width <= MOST_ELEMENTS))
    throw ProgramError.input('/inputs', `The feature ${JSON.stringify(name)} is too long.`);
  const data = newData(dtype, lists.length * width);
  lists.forEach((list, row) => {
    const filled = list?.length ?? 0;
    list?.forEach((element, i) => Reflect.set(data, row * width + i, element));
    // A default of one element fills what is left; TensorFlow's own is zero or "".
    for (let i = filled; i < width; i++) {
      const one = standard.data.length === 1 || varies;
      if (standard.data.length > 0)
        copyElements(standard.data, one ? 0 : i, data, row * width + i, 1);
      else if (Array.isArray(data)) data[row * width + i] = '';
    }
  });
  const inner = varies ? [rows, ...shape.slice(1)] : shape;
  return { dtype, shape: single ? inner : [lists.length, ...inner], data };
}
