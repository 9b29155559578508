import type { TensorData } from '#program';

/** A part of a tensor (`tensor_slice.proto`); an extent without a length is all of its dimension. */
export type Slice = { start: number; length: number | undefined }[];

type Extent = { start: number; length: number }[];

/** The slice with all lengths; undefined where it does not lie in the shape. */
export function fullSlice(slice: Slice, shape: readonly number[]): Extent | undefined {
  if (slice.length !== shape.length) return undefined;
  const extents = slice.map(({ start, length }, axis) => ({
    start,
    length: length ?? (shape[axis] ?? 0) - start,
  }));
  const inside = extents.every(
    ({ start, length }, axis) => start >= 0 && length >= 0 && start + length <= (shape[axis] ?? 0),
  );
  return inside ? extents : undefined;
}

/**
 * What a model says of the part that it restores: the sizes of the whole, then `start,length` of each dimension or `-` for all of
 * it, as in `4 3 0,2:-`. Undefined where the text is none; empty text is the whole.
 */
export function parseSlice(text: string): Slice | undefined {
  const parts = text.trim().split(' ');
  const last = parts.pop() ?? '';
  const extents = last.split(':').map((extent) => {
    if (extent === '-') return { start: 0, length: undefined };
    const found = /^(\d{1,15}),(\d{1,15})$/.exec(extent);
    return found ? { start: Number(found[1]), length: Number(found[2]) } : undefined;
  });
  const slice = extents.filter((extent) => extent !== undefined);
  return slice.length === extents.length && slice.length === parts.length ? slice : undefined;
}

/**
 * The key of a slice of a partitioned tensor in the index (`EncodeTensorNameSlice` of TensorFlow's `saved_tensor_slice_util.cc`,
 * in its ordered code). `name` and the answer have one character a byte.
 */
export function sliceKey(name: string, slice: Slice): string {
  const bytes = [...unsigned(0), ...text(name), ...unsigned(slice.length)];
  for (const { start, length } of slice)
    bytes.push(...signed(length === undefined ? 0 : start), ...signed(length ?? -1));
  return String.fromCharCode(...bytes);
}

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [bytes.length, ...bytes];
}

function text(name: string): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < name.length; i++) {
    const byte = name.charCodeAt(i);
    bytes.push(byte);
    if (byte === 0) bytes.push(0xff);
    if (byte === 0xff) bytes.push(0);
  }
  return [...bytes, 0, 1];
}

/** As many leading ones as there are bytes, a zero, and the number in two's complement behind them. */
function signed(value: number): number[] {
  const magnitude = BigInt(value < 0 ? -(value + 1) : value);
  let length = 1;
  while (magnitude >= 1n << BigInt(7 * length - 1)) length++;
  const bits = BigInt.asUintN(8 * length, BigInt(value));
  const header = ((1n << BigInt(length)) - 1n) << BigInt(8 * length - length);
  const coded = bits ^ header;
  return Array.from({ length }, (_, i) => Number((coded >> BigInt(8 * (length - 1 - i))) & 0xffn));
}

/**
 * Copies a part of a tensor into another: `from` as a whole to `extent` of `to`, or, where there is none, what begins at `starts`
 * in `from` to all of `to`.
 */
export function copyPart(
  from: TensorData,
  fromShape: readonly number[],
  to: Exclude<TensorData, unknown[]>,
  toShape: readonly number[],
  extent?: Extent,
  starts: readonly number[] = [],
): void {
  if (Array.isArray(from)) return;
  const shape = extent ? fromShape : toShape;
  const run = shape.at(-1) ?? 1;
  if (shape.includes(0)) return;
  const rows = shape.slice(0, -1).reduce((count, size) => count * size, 1);
  const index = shape.map(() => 0);
  const place = (sizes: readonly number[], begin: readonly number[]) =>
    sizes.reduce((flat, size, axis) => flat * size + (index[axis] ?? 0) + (begin[axis] ?? 0), 0);
  const toStarts = extent?.map(({ start }) => start) ?? [];
  for (let row = 0; row < rows; row++) {
    const source = place(fromShape, starts);
    const target = place(toShape, toStarts);
    for (let i = 0; i < run; i++) to[target + i] = from[source + i] ?? 0;
    for (let axis = shape.length - 2; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (shape[axis] ?? 0)) break;
      index[axis] = 0;
    }
  }
}
