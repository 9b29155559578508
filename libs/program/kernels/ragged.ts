import { dataOf, elementCount, newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import type { Kernel, Value } from './kernel.js';
import { numberOf, numbersOf } from './numbers-of.js';
import { broadcastPlaces, checkSplits } from './strings.js';
import { copyElements, MOST_ELEMENTS, takeElements } from './element-data.js';

const PARTITIONS = ['FIRST_DIM_SIZE', 'ROW_SPLITS', 'VALUE_ROWIDS'] as const;
type Partition = (typeof PARTITIONS)[number];

/** Ragged tensors: values in a row, and where their rows begin (TensorFlow 2.21, core/kernels/ragged_*_op.cc). */
export const ragged: Record<string, Kernel> = {
  /**
   * Ragged values as one tensor. Inputs: its shape (−1: as large as the rows are), the values of any dtype, what stands where no value
   * is, and one partition a ragged dimension. Attribute `partitions` says what each is: FIRST_DIM_SIZE, ROW_SPLITS or VALUE_ROWIDS.
   * Rows that are longer than the shape are cut.
   */
  'ragged-to-dense': (given) => {
    const kinds = given.strings('partitions').map((kind): Partition => {
      const known = PARTITIONS.find((name) => name === kind);
      return known ?? given.fail(`the partition ${kind}`);
    });
    return ([shape, values, standard, ...partitions]) => {
      if (!shape || !values || !standard || partitions.length !== kinds.length)
        return given.fail('takes a shape, values, a default and the partitions');
      const parts = partitions.map((partition) => numbersOf(partition));
      return [raggedToDense(Array.from(numbersOf(shape)), values, standard, { kinds, parts })];
    };
  },

  /**
   * How often each integer from 0 to less than a size comes: values of one or two dimensions, the size, and weights (as many as the
   * values, or none). Answers the dtype of the weights `[size]` or `[rows, size]`; attribute `binary`: 1 where it comes at all.
   */
  'count-values': (given) => {
    const binary = given.flag('binary');
    return ([values, size, weights]) => {
      if (!values || !size || !weights) return given.fail('takes three inputs');
      const rows = values.shape.length === 2 ? (values.shape[0] ?? 0) : 1;
      const width = values.data.length / Math.max(1, rows);
      const starts = Array.from({ length: rows + 1 }, (_, row) => row * width);
      const data = counted(values, numberOf(size), weights, { starts, binary });
      const shape = values.shape.length === 2 ? [rows, numberOf(size)] : [numberOf(size)];
      return [{ dtype: weights.dtype, shape, data }];
    };
  },

  /** The same of each row of a ragged tensor: where the rows begin, values, size and weights. */
  'count-ragged-values': (given) => {
    const binary = given.flag('binary');
    return ([splits, values, size, weights]) => {
      if (!splits || !values || !size || !weights) return given.fail('takes four inputs');
      const starts = numbersOf(splits);
      checkSplits(starts, values.data.length);
      const data = counted(values, numberOf(size), weights, { starts, binary });
      const shape = [starts.length - 1, numberOf(size)];
      return [{ dtype: weights.dtype, shape, data }];
    };
  },

  /**
   * Ranges of numbers, one a row: starts, limits and steps, each `[rows]` or single. Answers where the rows begin, INT64, and the
   * numbers in the dtype of the starts.
   */
  'ragged-ranges':
    (given) =>
    ([starts, limits, steps]) => {
      if (!starts || !limits || !steps) return given.fail('takes three inputs');
      const inputs = [starts, limits, steps];
      const rows = inputs.find((input) => input.shape.length > 0)?.data.length ?? 1;
      if (inputs.some((input) => input.shape.length > 0 && input.data.length !== rows))
        throw ProgramError.input('/inputs', 'Starts, limits and steps of ranges differ in number.');
      const lists = inputs.map(numbersOf);
      const begins = [0n];
      const numbers: number[] = [];
      for (let row = 0; row < rows; row++) {
        const [from = 0, to = 0, step = 0] = lists.map(
          (list, i) => list[inputs[i]?.shape.length ? row : 0],
        );
        if (step === 0) throw ProgramError.input('/inputs', 'The step of a range is 0.');
        const count = Math.max(0, Math.ceil((to - from) / step));
        if (!(numbers.length + count <= MOST_ELEMENTS))
          throw ProgramError.input('/inputs', 'The ranges have too many numbers.');
        for (let i = 0; i < count; i++) numbers.push(from + i * step);
        begins.push(BigInt(numbers.length));
      }
      return [
        { dtype: 'INT64', shape: [begins.length], data: BigInt64Array.from(begins) },
        { dtype: starts.dtype, shape: [numbers.length], data: dataOf(starts.dtype, numbers) },
      ];
    },

  /**
   * Rows of a ragged tensor: where its rows begin (one input a ragged dimension), its values, and which rows. Answers where the
   * rows of what was taken begin (one a ragged dimension below the first of the indices; INT64), and the values.
   */
  'take-ragged': (given) => (inputs) => {
    const splits = inputs.slice(0, -2).map(numbersOf);
    const [values, indices] = inputs.slice(-2);
    if (!values || !indices || splits.length === 0) return given.fail('takes splits and values');
    let ranges = Array.from(numbersOf(indices), (index): [number, number] => [index, index + 1]);
    const rows = (splits[0]?.length ?? 1) - 1;
    if (ranges.some(([from]) => from < 0 || from >= rows))
      throw ProgramError.input('/inputs', `The model takes a row that is not among ${rows}.`);
    const outputs = splits.map((starts): Value => {
      const begins = [0n];
      let total = 0;
      const next: [number, number][] = [];
      for (const [from, to] of ranges) {
        for (let row = from; row < to; row++) {
          total += (starts[row + 1] ?? 0) - (starts[row] ?? 0);
          begins.push(BigInt(total));
        }
        next.push([starts[from] ?? 0, starts[to] ?? 0]);
      }
      ranges = next;
      return { dtype: 'INT64', shape: [begins.length], data: BigInt64Array.from(begins) };
    });
    const [count = 0, ...inner] = values.shape;
    const places: number[] = [];
    for (const [from, to] of ranges) for (let i = from; i < to && i < count; i++) places.push(i);
    return [...outputs, takeElements(values, places, inner)];
  },
};

function counted(
  values: Value,
  size: number,
  weights: Value,
  { starts, binary }: { starts: ArrayLike<number>; binary: boolean },
): Value['data'] {
  const list = numbersOf(values);
  const own = weights.data.length > 0 ? numbersOf(weights) : undefined;
  const rows = starts.length - 1;
  if (!(size >= 0 && rows * size <= MOST_ELEMENTS))
    throw ProgramError.input('/inputs', `The model counts ${size} values in ${rows} rows.`);
  if (own && own.length !== list.length)
    throw ProgramError.input('/inputs', 'Weights and values that are counted differ in number.');
  const sums =
    weights.dtype === 'FP32' ? new Float32Array(rows * size) : new Float64Array(rows * size);
  for (let row = 0; row < rows; row++)
    for (let i = starts[row] ?? 0; i < (starts[row + 1] ?? 0); i++) {
      const value = list[i] ?? 0;
      if (value < 0)
        throw ProgramError.input('/inputs', 'A value that the model counts is below 0.');
      if (value >= size) continue;
      const at = row * size + value;
      sums[at] = binary ? 1 : (sums[at] ?? 0) + (own ? (own[i] ?? 0) : 1);
    }
  return dataOf(weights.dtype, sums);
}

interface Partitions {
  kinds: Partition[];
  parts: ArrayLike<number>[];
}

/** Where each row of a partition ends up: the number of its parent row, in the order of the rows. */
function parents(kind: Partition, part: ArrayLike<number>, rows: number): number[] {
  if (kind === 'VALUE_ROWIDS') return Array.from(part);
  const all: number[] = [];
  if (part.length !== rows + 1)
    throw ProgramError.input('/inputs', `Row splits of ${rows} rows must be ${rows + 1}.`);
  checkSplits(part, part[part.length - 1] ?? 0);
  if ((part[part.length - 1] ?? 0) > MOST_ELEMENTS)
    throw ProgramError.input('/inputs', 'Row splits are too large.');
  for (let row = 0; row + 1 < part.length; row++)
    for (let i = part[row] ?? 0; i < (part[row + 1] ?? 0); i++) all.push(row);
  return all;
}

function raggedToDense(
  given: number[],
  values: Value,
  standard: Value,
  { kinds, parts }: Partitions,
): Value {
  const hasSize = kinds[0] === 'FIRST_DIM_SIZE';
  const first = hasSize ? (parts[0]?.[0] ?? 0) : (parts[0]?.length ?? 1) - 1;
  const inner = values.shape.slice(1);
  const wanted = (axis: number, size: number) => {
    const asked = given[axis] ?? -1;
    return asked >= 0 ? asked : size;
  };
  const sizes = [wanted(0, first)];
  // For each row of the last dimension its place along all dimensions so far; −1 is outside.
  let places: number[] = Array.from({ length: first }, (_, i) => (i < (sizes[0] ?? 0) ? i : -1));
  kinds.forEach((kind, k) => {
    if (kind === 'FIRST_DIM_SIZE') return;
    const rows = parents(kind, parts[k] ?? [], places.length);
    const columns = new Int32Array(rows.length);
    let [widest, column, last] = [0, 0, -1];
    rows.forEach((row, i) => {
      if (row < last || row >= places.length)
        throw ProgramError.input('/inputs', 'Row ids of a ragged tensor are not in order.');
      column = row === last ? column + 1 : 0;
      last = row;
      columns[i] = column;
      widest = Math.max(widest, column + 1);
    });
    const size = wanted(sizes.length, widest);
    sizes.push(size);
    places = rows.map((row, i) => {
      const [parent = -1, at = 0] = [places[row], columns[i]];
      return parent >= 0 && at < size ? parent * size + at : -1;
    });
  });
  if (places.length !== (values.shape[0] ?? 0))
    throw ProgramError.input('/inputs', 'The rows of a ragged tensor do not fit its values.');
  const block = elementCount(inner);
  const shape = [...sizes, ...inner];
  if (!(elementCount(shape) <= MOST_ELEMENTS))
    throw ProgramError.input('/inputs', `A ragged tensor would become [${shape.join(', ')}].`);
  const data = newData(values.dtype, elementCount(shape));
  const fill = broadcastPlaces(standard.shape, inner);
  for (let at = 0; at < data.length; at++)
    copyElements(standard.data, fill(at % block), data, at, 1);
  places.forEach((place, i) => {
    if (place >= 0) copyElements(values.data, i * block, data, place * block, block);
  });
  return { dtype: values.dtype, shape, data };
}
