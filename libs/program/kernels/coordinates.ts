import { dataOf, elementCount, newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import { bytesOf, byteString, elementsOf, fromByteString, type Bytes } from './byte-texts.js';
import { copyElements, MOST_ELEMENTS, repeated, takeElements } from './element-data.js';
import { combineFingerprints } from './fingerprints.js';
import { fingerprintOf } from './hashes.js';
import { floatsOf, type Kernel, type Value } from './kernel.js';
import { numbersOf } from './numbers-of.js';

/** Sparse tensors as TensorFlow has them: indices INT64 `[values, rank]`, values and a shape INT64 `[rank]` (core/kernels/sparse_*_op.cc). */
export const coordinates: Record<string, Kernel> = {
  /**
   * A dense tensor of a sparse one: indices (`[values, rank]`, `[values]` or none), its shape, values (one for all or one each) and
   * what stands elsewhere. Attribute `checked` refuses indices that are not in ascending order or come twice.
   */
  'sparse-to-dense': (given) => {
    const checked = given.flag('checked');
    return ([indices, shape, values, standard]) => {
      if (!indices || !shape || !values || !standard) return given.fail('takes four inputs');
      const sizes = Array.from(numbersOf(shape));
      const data = repeated({ ...standard, dtype: values.dtype }, sizes);
      const places = placesIn(indices, sizes);
      places.forEach((place, i) => {
        if (checked && i > 0 && place <= (places[i - 1] ?? -1))
          throw ProgramError.input('/inputs', 'Indices of a sparse tensor are not in order.');
        copyElements(values.data, values.data.length === 1 ? 0 : i, data, place, 1);
      });
      return [{ dtype: values.dtype, shape: sizes, data }];
    };
  },

  /**
   * A sparse matrix with a value in each row: indices, values, shape, and the value of rows that have none. Answers indices and
   * values, BOOL which rows had none, and INT64 where each of the old values is now.
   */
  'fill-empty-rows':
    (given) =>
    ([indices, values, shape, standard]) => {
      if (!indices || !values || !shape || !standard) return given.fail('takes four inputs');
      const sizes = Array.from(numbersOf(shape));
      const rank = sizes.length;
      const rows = sizes[0] ?? 0;
      const list = numbersOf(indices);
      placesIn(indices, sizes);
      if (rows > MOST_ELEMENTS)
        throw ProgramError.input('/inputs', 'A sparse tensor has too many rows.');
      const byRow: number[][] = Array.from({ length: rows }, () => []);
      for (let i = 0; i < values.data.length; i++) byRow[list[i * rank] ?? 0]?.push(i);
      const places: number[] = [];
      const index: number[] = [];
      const moved = new BigInt64Array(values.data.length);
      byRow.forEach((own, row) => {
        for (const i of own) {
          moved[i] = BigInt(places.length);
          for (let axis = 0; axis < rank; axis++) index.push(list[i * rank + axis] ?? 0);
          places.push(i);
        }
        if (own.length > 0) return;
        places.push(-1);
        index.push(row, ...Array.from({ length: rank - 1 }, () => 0));
      });
      const data = newData(values.dtype, places.length);
      places.forEach((place, i) =>
        copyElements(place < 0 ? standard.data : values.data, Math.max(0, place), data, i, 1),
      );
      return [
        int64([places.length, rank], index),
        { dtype: values.dtype, shape: [places.length], data },
        {
          dtype: 'BOOL',
          shape: [rows],
          data: Uint8Array.from(byRow, (own) => Number(own.length === 0)),
        },
        { dtype: 'INT64', shape: [moved.length], data: moved },
      ];
    },

  /** Indices and shape of a sparse tensor in another shape (one size may be −1): indices, shape, new shape → indices, shape. */
  'reshape-sparse':
    (given) =>
    ([indices, shape, target]) => {
      if (!indices || !shape || !target) return given.fail('takes three inputs');
      const sizes = Array.from(numbersOf(shape));
      const wanted = Array.from(numbersOf(target));
      const count = elementCount(sizes);
      const known = elementCount(wanted.filter((size) => size >= 0));
      const next = wanted.map((size) => (size < 0 ? (known === 0 ? 0 : count / known) : size));
      if (elementCount(next) !== count || !next.every(Number.isInteger))
        throw ProgramError.input(
          '/inputs',
          `A sparse tensor [${sizes.join(', ')}] cannot become [${wanted.join(', ')}].`,
        );
      const index = placesIn(indices, sizes).flatMap((place) => {
        let rest = place;
        const at: number[] = [];
        for (const size of next.toReversed()) {
          at.unshift(rest % size);
          rest = Math.floor(rest / size);
        }
        return at;
      });
      const rows = indices.shape[0] ?? 0;
      return [int64([rows, next.length], index), int64([next.length], next)];
    },

  /** Sums of a sparse tensor as a dense one: indices, values, shape and axes (below 0: from the end); attribute `keep`. */
  'sum-sparse': (given) => {
    const keep = given.flag('keep');
    return ([indices, values, shape, axes]) => {
      if (!indices || !values || !shape || !axes) return given.fail('takes four inputs');
      const sizes = Array.from(numbersOf(shape));
      const rank = sizes.length;
      const named = new Set(Array.from(numbersOf(axes), (axis) => (axis < 0 ? axis + rank : axis)));
      const all = named.size === 0;
      const kept = sizes.map((size, axis) => (all || named.has(axis) ? 1 : size));
      const data = repeated({ ...values, data: newData(values.dtype, 1) }, kept);
      placesIn(indices, sizes);
      const list = numbersOf(indices);
      const cells = data as unknown as Record<number, number>;
      const source = values.data as unknown as Record<number, number>;
      for (let i = 0; i < values.data.length; i++) {
        let at = 0;
        kept.forEach((size, axis) => {
          at = at * size + (size === 1 ? 0 : (list[i * rank + axis] ?? 0));
        });
        cells[at] = (cells[at] ?? 0) + (source[i] ?? 0);
      }
      const left = kept.filter((_, axis) => !all && !named.has(axis));
      return [{ dtype: values.dtype, shape: keep ? kept : left, data }];
    };
  },

  /** The values of a sparse tensor in ascending order of their indices: indices, values, shape → indices, values. */
  'sort-sparse':
    (given) =>
    ([indices, values, shape]) => {
      if (!indices || !values || !shape) return given.fail('takes three inputs');
      const places = placesIn(indices, Array.from(numbersOf(shape)));
      const order = places.map((_, i) => i).toSorted((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
      return [
        takeElements(indices, order, indices.shape.slice(1)),
        takeElements(values, order, []),
      ];
    },

  /**
   * Sparse tensors one behind the other along the attribute `axis`, sorted: all indices, then all values, then all shapes. Answers
   * indices, values and shape.
   */
  'join-sparse': (given) => {
    const asked = given.integer('axis', -32, 32);
    return (inputs) => {
      const count = inputs.length / 3;
      const shapes = inputs.slice(2 * count).map((shape) => Array.from(numbersOf(shape)));
      const rank = shapes[0]?.length ?? 0;
      const axis = asked < 0 ? asked + rank : asked;
      const sizes = [...(shapes[0] ?? [])];
      if (shapes.some((shape) => shape.some((n, i) => i !== axis && n !== sizes[i])))
        throw ProgramError.input('/inputs', 'Sparse tensors that the model joins differ in shape.');
      const index: number[] = [];
      let start = 0;
      inputs.slice(0, count).forEach((indices, k) => {
        placesIn(indices, shapes[k] ?? []);
        const list = numbersOf(indices);
        for (let i = 0; i < list.length; i++)
          index.push((list[i] ?? 0) + (i % rank === axis ? start : 0));
        start += shapes[k]?.[axis] ?? 0;
      });
      sizes[axis] = start;
      const parts = inputs.slice(count, 2 * count);
      const total = parts.reduce((sum, part) => sum + part.data.length, 0);
      const dtype = parts[0]?.dtype ?? 'FP32';
      const data = newData(dtype, total);
      let at = 0;
      for (const part of parts) {
        copyElements(part.data, 0, data, at, part.data.length);
        at += part.data.length;
      }
      const joined = int64([total, rank], index);
      const places = placesIn(joined, sizes);
      const order = places.map((_, i) => i).toSorted((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
      return [
        takeElements(joined, order, [rank]),
        takeElements({ dtype, shape: [total], data }, order, []),
        int64([rank], sizes),
      ];
    };
  },

  /**
   * A sparse matrix times a dense one: indices, values, shape, matrix → `[rows, columns]` of the values' float dtype. Attributes
   * `transposeFirst` and `transposeSecond`.
   */
  'sparse-times-dense': (given) => {
    const [first, second] = [given.flag('transposeFirst'), given.flag('transposeSecond')];
    return ([indices, values, shape, matrix]) => {
      if (!indices || !values || !shape || !matrix) return given.fail('takes four inputs');
      const sizes = Array.from(numbersOf(shape));
      const [rows = 0, inner = 0] = first ? sizes.toReversed() : sizes;
      const [height = 0, width = 0] = matrix.shape;
      const [depth, columns] = second ? [width, height] : [height, width];
      if (depth !== inner || !(rows * columns <= MOST_ELEMENTS))
        throw ProgramError.input('/inputs', 'Matrices that the model multiplies do not fit.');
      placesIn(indices, sizes);
      const list = numbersOf(indices);
      const [a, b] = [floatsOf(values.data, 'values'), floatsOf(matrix.data, 'matrix')];
      const data = newData(values.dtype, rows * columns) as Float64Array;
      for (let i = 0; i < a.length; i++) {
        const [row = 0, k = 0] = first
          ? [list[2 * i + 1], list[2 * i]]
          : [list[2 * i], list[2 * i + 1]];
        for (let column = 0; column < columns; column++) {
          const factor = b[second ? column * width + k : k * width + column] ?? 0;
          const at = row * columns + column;
          data[at] = (data[at] ?? 0) + (a[i] ?? 0) * factor;
        }
      }
      return [{ dtype: values.dtype, shape: [rows, columns], data }];
    };
  },

  /**
   * Crosses features (SparseCross): for each row all combinations of one value of each column. Attribute `sparse` = number s of
   * sparse columns: inputs are s indices, s values, s shapes, then dense columns `[rows, n]`; values are BYTES or INT64. `hashed`:
   * INT64 hashes modulo the attribute `buckets` (0: 2^63 − 1) that begin with the weight `key` INT64 `[1]`; else BYTES, joined by
   * `_X_`. Answers indices, values and shape.
   */
  'cross-features': (given) => {
    const sparse = given.integer('sparse', 0, 10_000);
    const hashed = given.flag('hashed');
    const buckets = given.integer('buckets', 0, Number.MAX_SAFE_INTEGER);
    const key = hashed ? BigInt(given.weight('key', ['INT64'], 1).data[0] ?? 0) : 0n;
    const limit = BigInt(buckets) || 2n ** 63n - 1n;
    return (inputs) => {
      const columns = columnsOf(inputs, sparse);
      const rows = columns[0]?.length ?? 0;
      if (columns.some((column) => column.length !== rows))
        throw ProgramError.input('/inputs', 'Features that the model crosses differ in rows.');
      const index: number[] = [];
      const values: (Bytes | bigint)[] = [];
      let widest = 0;
      for (let row = 0; row < rows; row++) {
        const parts = columns.map((column) => column[row] ?? []);
        const count = parts.reduce((product, part) => product * part.length, 1);
        widest = Math.max(widest, count);
        if (!(values.length + count <= MOST_ELEMENTS / 16))
          throw ProgramError.input('/inputs', 'The model crosses too many features.');
        for (let i = 0; i < count; i++) {
          const chosen = combination(parts, i);
          index.push(row, i);
          values.push(hashed ? crossHash(chosen, key) % limit : crossText(chosen));
        }
      }
      const value: Value = hashed
        ? { dtype: 'INT64', shape: [values.length], data: dataOf('INT64', values as bigint[]) }
        : { dtype: 'BYTES', shape: [values.length], data: values as Bytes[] };
      return [int64([values.length, 2], index), value, int64([2], [rows, widest])];
    };
  },
};

function int64(shape: number[], numbers: number[]): Value {
  return { dtype: 'INT64', shape, data: BigInt64Array.from(numbers, BigInt) };
}

/** Where indices lead to in a dense tensor of a shape. Throws INVALID_INPUT where one is outside. */
function placesIn(indices: Value, sizes: number[]): number[] {
  const list = numbersOf(indices);
  const rank = sizes.length;
  const count =
    indices.shape.length === 2 ? (indices.shape[0] ?? 0) : rank === 0 ? 1 : list.length / rank;
  if (count * rank !== list.length)
    throw ProgramError.input('/inputs', `Indices of a sparse tensor do not have ${rank} numbers.`);
  return Array.from({ length: count }, (_, i) => {
    let place = 0;
    for (let axis = 0; axis < rank; axis++) {
      const at = list[i * rank + axis] ?? 0;
      const size = sizes[axis] ?? 0;
      if (at < 0 || at >= size)
        throw ProgramError.input(
          '/inputs',
          `Index ${at} of a sparse tensor is outside of its shape [${sizes.join(', ')}].`,
        );
      place = place * size + at;
    }
    return place;
  });
}

/** The features of each column, row by row. */
function columnsOf(inputs: Value[], sparse: number): (Bytes | bigint)[][][] {
  const featuresOf = (value: Value): readonly (Bytes | bigint)[] =>
    value.dtype === 'BYTES' ? elementsOf(value) : Array.from(numbersOf(value), BigInt);
  const sparseColumns = inputs.slice(0, sparse).map((indices, k) => {
    const [values, shape] = [inputs[sparse + k], inputs[2 * sparse + k]];
    const features = values ? featuresOf(values) : [];
    const sizes = shape ? Array.from(numbersOf(shape)) : [];
    placesIn(indices, sizes);
    const rows: (Bytes | bigint)[][] = Array.from(
      { length: Math.min(sizes[0] ?? 0, MOST_ELEMENTS) },
      () => [],
    );
    const list = numbersOf(indices);
    features.forEach((feature, i) => rows[list[i * sizes.length] ?? 0]?.push(feature));
    return rows;
  });
  const dense = inputs.slice(3 * sparse).map((value) => {
    const [rows = 0, width = 1] = value.shape;
    const features = featuresOf(value);
    return Array.from({ length: rows }, (_, row) => features.slice(row * width, (row + 1) * width));
  });
  return [...sparseColumns, ...dense];
}

/** Combination `number` of one of each part, the last part changing fastest. */
function combination(parts: readonly (Bytes | bigint)[][], number: number): (Bytes | bigint)[] {
  let rest = number;
  return parts
    .toReversed()
    .map((part) => {
      const feature = part[rest % part.length] ?? '';
      rest = Math.floor(rest / part.length);
      return feature;
    })
    .toReversed();
}

function crossHash(features: (Bytes | bigint)[], key: bigint): bigint {
  return features.reduce<bigint>(
    (hash, feature) =>
      combineFingerprints(
        hash,
        typeof feature === 'bigint' ? BigInt.asUintN(64, feature) : fingerprintOf(bytesOf(feature)),
      ),
    BigInt.asUintN(64, key),
  );
}

function crossText(features: (Bytes | bigint)[]): Bytes {
  const texts = features.map((feature) =>
    typeof feature === 'bigint' ? feature.toString() : byteString(feature),
  );
  return fromByteString(texts.join('_X_'));
}
