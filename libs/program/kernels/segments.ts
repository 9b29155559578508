import { elementCount, newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import { elementsOf, keyOf } from './byte-texts.js';
import { MOST_ELEMENTS, takeElements } from './element-data.js';
import type { Kernel, KernelArguments, Value } from './kernel.js';
import { numberOf, numbersOf } from './numbers-of.js';

const COMBINE = ['sum', 'mean', 'sqrtn', 'product', 'max', 'min'] as const;
type Combine = (typeof COMBINE)[number];

/** Numbers and BigInts alike: an array holds one of both. */
type Cells = Record<number, number>;

/** Rows that belong together, and values that are equal (TensorFlow's segment and unique operations). */
export const segments: Record<string, Kernel> = {
  /**
   * Puts rows of a tensor together by the numbers of their segments: rows, segments (of the first dimensions of the rows), and how
   * many there are (−1: as the last one says). Attribute `combine`: sum, mean, sqrtn (sum over the root of the number), product, max or min; `sorted` refuses
   * segments that go back or are below 0 (else such rows are left out), and what has no row becomes 0 with max and min.
   */
  'combine-segments': (given) => {
    const how = rulesOf(given);
    return ([rows, ids, count]) => {
      if (!rows || !ids || !count) return given.fail('takes three inputs');
      const inner = rows.shape.slice(ids.shape.length);
      const places = Array.from({ length: ids.data.length }, (_, i) => i);
      const numbers = numbersOf(ids);
      const asked = numberOf(count);
      const all = asked < 0 ? (numbers[numbers.length - 1] ?? -1) + 1 : asked;
      return [combined(rows, { places, ids: numbers, inner, count: all }, how)];
    };
  },

  /** The same of rows that are chosen first: rows, which of them, their segments, and how many segments there are (−1: as named). */
  'combine-chosen-segments': (given) => {
    const how = rulesOf(given);
    return ([rows, chosen, ids, count]) => {
      if (!rows || !chosen || !ids || !count) return given.fail('takes four inputs');
      const [size = 0, ...inner] = rows.shape;
      const places = Array.from(numbersOf(chosen));
      const segmentIds = numbersOf(ids);
      if (places.some((place) => place < 0 || place >= size) || places.length !== segmentIds.length)
        throw ProgramError.input('/inputs', `The model takes a row that is not among ${size}.`);
      const named = (segmentIds[segmentIds.length - 1] ?? -1) + 1;
      const asked = numberOf(count);
      return [
        combined(rows, { places, ids: segmentIds, inner, count: asked < 0 ? named : asked }, how),
      ];
    };
  },

  /**
   * The different elements of a value of one dimension, of any dtype, in the order in which they come first; INT64 for each element
   * which of them it is; and INT64 how often each comes.
   */
  'unique-values':
    () =>
    ([values]) => {
      if (!values) throw new ProgramError('INVALID_PROGRAM', 'takes one input');
      const keys =
        values.dtype === 'BYTES'
          ? elementsOf(values).map(keyOf)
          : Array.from<unknown>(values.data as ArrayLike<number>);
      const numbers = new Map<unknown, number>();
      const first: number[] = [];
      const counts: bigint[] = [];
      const index = BigInt64Array.from(keys, (key, i) => {
        // NaN equals nothing, itself included.
        const known = key === key ? numbers.get(key) : undefined;
        const number = known ?? first.push(i) - 1;
        if (known === undefined) numbers.set(key, number);
        counts[number] = (counts[number] ?? 0n) + 1n;
        return BigInt(number);
      });
      return [
        takeElements(values, first, []),
        { dtype: 'INT64', shape: [index.length], data: index },
        { dtype: 'INT64', shape: [counts.length], data: BigInt64Array.from(counts) },
      ];
    },
};

interface Rules {
  combine: Combine;
  sorted: boolean;
}

function rulesOf(given: KernelArguments): Rules {
  return { combine: given.oneOf('combine', COMBINE), sorted: given.flag('sorted') };
}

interface Segmented {
  places: number[];
  ids: ArrayLike<number>;
  inner: number[];
  count: number;
}

function combined(rows: Value, { places, ids, inner, count }: Segmented, rules: Rules): Value {
  const { combine, sorted } = rules;
  const block = elementCount(inner);
  if (Array.isArray(rows.data)) throw new ProgramError('INVALID_PROGRAM', 'segments of strings');
  if (!(count >= 0 && count * block <= MOST_ELEMENTS))
    throw ProgramError.input('/inputs', `The model makes ${count} segments.`);
  const data = newData(rows.dtype, count * block);
  const cells = data as unknown as Cells;
  const source = rows.data as unknown as Cells;
  const found = new Int32Array(count);
  let last = 0;
  places.forEach((place, i) => {
    const id = ids[i] ?? 0;
    if (sorted && (id < last || id < 0))
      throw ProgramError.input('/inputs', 'Segment ids are not in ascending order.');
    last = id;
    if (id >= count)
      throw ProgramError.input('/inputs', `Segment ${id} is not among the ${count} of the model.`);
    if (id < 0) return;
    const isFirst = found[id] === 0;
    found[id] = (found[id] ?? 0) + 1;
    for (let k = 0; k < block; k++) {
      const value = source[place * block + k] ?? 0;
      const at = id * block + k;
      cells[at] = isFirst ? value : together(combine, cells[at] ?? 0, value);
    }
  });
  found.forEach((number, id) => {
    for (let k = id * block; k < (id + 1) * block; k++) {
      if (number === 0) cells[k] = emptyOf(rows, rules);
      else if (combine === 'mean') cells[k] = (cells[k] ?? 0) / number;
      else if (combine === 'sqrtn') cells[k] = (cells[k] ?? 0) / Math.sqrt(number);
    }
  });
  return { dtype: rows.dtype, shape: [count, ...inner], data };
}

function together(combine: Combine, left: number, right: number): number {
  if (combine === 'product') return left * right;
  if (combine === 'max') return right > left || right !== right ? right : left;
  if (combine === 'min') return right < left || right !== right ? right : left;
  return left + right;
}

/** What a segment without rows becomes. */
function emptyOf({ dtype }: Value, { combine, sorted }: Rules): number {
  const isLarge = dtype === 'INT64' || dtype === 'UINT64';
  const number = (value: number) => (isLarge ? BigInt(value) : value) as number;
  if (combine === 'product') return number(1);
  if (sorted || (combine !== 'max' && combine !== 'min')) return number(0);
  const [least, most] = boundsOf(dtype);
  return (combine === 'max' ? least : most) as number;
}

/** The least and the greatest number of a dtype, infinities excepted. */
function boundsOf(dtype: Value['dtype']): [number | bigint, number | bigint] {
  if (dtype === 'FP32') return [-(2 ** 128 - 2 ** 104), 2 ** 128 - 2 ** 104];
  if (dtype === 'FP64') return [-Number.MAX_VALUE, Number.MAX_VALUE];
  const bits = Number(/\d+$/.exec(dtype)?.[0] ?? 0);
  const unsigned = dtype.startsWith('U');
  const most = (1n << BigInt(unsigned ? bits : bits - 1)) - 1n;
  const least = unsigned ? 0n : -most - 1n;
  return bits === 64 ? [least, most] : [Number(least), Number(most)];
}
