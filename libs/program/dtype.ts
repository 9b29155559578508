import type { DType, TensorData } from './tensor.js';

const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

type NumericDType = keyof typeof ARRAYS;

/** Any array of numbers that holds the elements of a tensor, BYTES excepted. */
export type TypedArray = Exclude<TensorData, unknown[]>;

/** All element types; the order is that of the Open Inference Protocol. */
export const DTYPES: readonly DType[] = [...(Object.keys(ARRAYS) as NumericDType[]), 'BYTES'];

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && (value === 'BYTES' || Object.hasOwn(ARRAYS, value));
}

/** Bytes of one element; BYTES has none. */
export function elementSize(dtype: Exclude<DType, 'BYTES'>): number {
  return ARRAYS[dtype].BYTES_PER_ELEMENT;
}

/** An array of `length` zeros of `dtype` (missing values for BYTES). */
export function newData(dtype: DType, length: number): TensorData {
  return dtype === 'BYTES' ? Array.from({ length }, () => null) : new ARRAYS[dtype](length);
}

/** An array of the dtype with these elements; those of FP16 and BF16 are their bits. */
export function dataOf(
  dtype: DType,
  values: ArrayLike<number | bigint | string | boolean>,
): TensorData {
  if (dtype === 'BYTES') return Array.from(values, String);
  const data = newData(dtype, values.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i] ?? 0);
  else if (!Array.isArray(data))
    for (let i = 0; i < values.length; i++) data[i] = Number(values[i]);
  return data;
}

/** A view of `length` elements at `offset` of `buffer`; `offset` is aligned to the element. */
export function viewData(
  dtype: Exclude<DType, 'BYTES'>,
  buffer: ArrayBufferLike,
  offset: number,
  length: number,
): TypedArray {
  const View: new (buffer: ArrayBufferLike, offset: number, length: number) => TypedArray =
    ARRAYS[dtype];
  return new View(buffer, offset, length);
}

/** Whether `data` is the kind of array that `dtype` demands. */
export function holdsDType(data: TensorData, dtype: DType): boolean {
  return dtype === 'BYTES' ? Array.isArray(data) : data instanceof ARRAYS[dtype];
}

/** The number of elements of a shape without a free dimension. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}

/** The value of an IEEE 754 binary16 number given by its bits. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const bits32 = new Uint32Array(1);
const float32 = new Float32Array(bits32.buffer);

/** The value of a bfloat16 number given by its bits. */
export function fromBfloat16(bits: number): number {
  bits32[0] = bits << 16;
  return float32[0] ?? NaN;
}
