import { fromFloat16, type TypedArray } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';

export type NumberArray = Exclude<TypedArray, readonly string[]>;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

const over =
  <Made>(made: {
    new (buffer: ArrayBufferLike, offset: number, length: number): Made;
    BYTES_PER_ELEMENT: number;
  }) =>
  (bytes: Uint8Array): Made =>
    new made(bytes.buffer, bytes.byteOffset, bytes.length / made.BYTES_PER_ELEMENT);

/** A view of little-endian bytes, by kind and size of the elements. */
export const ELEMENTS: Partial<Record<string, (bytes: Uint8Array) => NumberArray>> = {
  b1: over(Uint8Array),
  i1: over(Int8Array),
  i2: over(Int16Array),
  i4: over(Int32Array),
  i8: over(BigInt64Array),
  u1: over(Uint8Array),
  u2: over(Uint16Array),
  u4: over(Uint32Array),
  u8: over(BigUint64Array),
  f2: (bytes) => Float32Array.from(over(Uint16Array)(bytes), fromFloat16),
  f4: over(Float32Array),
  f8: over(Float64Array),
  M8: over(BigInt64Array),
  m8: over(BigInt64Array),
};

/** Of a text in UTF-32, without the zeros at its end. */
export function utf32(bytes: Uint8Array): string {
  const points = over(Uint32Array)(bytes);
  let length = points.length;
  while (length > 0 && points[length - 1] === 0) length -= 1;
  let text = '';
  for (let i = 0; i < length; i++) {
    const point = points[i] ?? 0;
    if (point > 0x10ffff)
      throw new DamagedModel('a text of an array has a character beyond Unicode');
    text += String.fromCodePoint(point);
  }
  return text;
}

export function utf8Text(bytes: Uint8Array): string {
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length -= 1;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      bytes.subarray(0, length),
    );
  } catch {
    throw new UnsupportedModel('an array of bytes holds what is not UTF-8');
  }
}

/** A copy in the other byte order. */
export function swapped(bytes: Uint8Array, elementBytes: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  for (let at = 0; at < copy.length; at += elementBytes) {
    copy.subarray(at, at + elementBytes).reverse();
  }
  return copy;
}

/** `count` parts of `length` bytes, `stride` apart, side by side. */
export function gather(
  bytes: Uint8Array,
  count: number,
  stride: number,
  offset: number,
  length: number,
): Uint8Array {
  const out = new Uint8Array(count * length);
  if (length === 8 || length === 4) {
    const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const words = new Uint32Array(out.buffer);
    const each = length / 4;
    for (let i = 0; i < count; i++) {
      words[i * each] = from.getUint32(i * stride + offset, true);
      if (each === 2) words[i * 2 + 1] = from.getUint32(i * stride + offset + 4, true);
    }
    return out;
  }
  for (let i = 0; i < count; i++) {
    const at = i * stride + offset;
    for (let j = 0; j < length; j++) out[i * length + j] = bytes[at + j] ?? 0;
  }
  return out;
}

/** From Fortran order to C order. */
export function transposed(
  bytes: Uint8Array,
  shape: readonly number[],
  length: number,
): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const size = sizeOf(shape);
  const strides: number[] = [];
  let stride = length;
  for (const extent of shape) {
    strides.push(stride);
    stride *= extent;
  }
  const at = shape.map(() => 0);
  let from = 0;
  const words = length % 4 === 0 && bytes.byteOffset % 4 === 0;
  const source = words ? over(Uint32Array)(bytes) : bytes;
  const target = words ? over(Uint32Array)(out) : out;
  const unit = words ? 4 : 1;
  const each = length / unit;
  for (let i = 0; i < size; i++) {
    const start = from / unit;
    for (let j = 0; j < each; j++) target[i * each + j] = source[start + j] ?? 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const extent = shape[d] ?? 1;
      const step = strides[d] ?? 0;
      const next = (at[d] ?? 0) + 1;
      from += step;
      if (next < extent) {
        at[d] = next;
        break;
      }
      at[d] = 0;
      from -= step * extent;
    }
  }
  return out;
}
