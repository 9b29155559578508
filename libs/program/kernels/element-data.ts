import { elementCount, newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import type { TensorData } from '../tensor.js';
import type { Value } from './kernel.js';

/** Elements that a kernel may make where sizes come from a request. */
export const MOST_ELEMENTS = 2 ** 28;

/** Copies elements of whatever dtype, the same in both. */
export function copyElements(
  from: TensorData,
  start: number,
  to: TensorData,
  at: number,
  count: number,
): void {
  if (Array.isArray(from) && Array.isArray(to))
    for (let i = 0; i < count; i++) to[at + i] = from[start + i] ?? null;
  else if (from instanceof BigInt64Array || from instanceof BigUint64Array) {
    for (let i = 0; i < count; i++) (to as BigInt64Array)[at + i] = from[start + i] ?? 0n;
  } else
    for (let i = 0; i < count; i++) (to as Float64Array)[at + i] = Number(from[start + i] ?? 0);
}

/** Blocks of the shape `inner` at places along the first dimension. */
export function takeElements(value: Value, places: ArrayLike<number>, inner: number[]): Value {
  const block = elementCount(inner);
  if (!(places.length * block <= MOST_ELEMENTS))
    throw ProgramError.input('/inputs', 'The model takes too many elements.');
  const data = newData(value.dtype, places.length * block);
  for (let i = 0; i < places.length; i++)
    copyElements(value.data, (places[i] ?? 0) * block, data, i * block, block);
  return { dtype: value.dtype, shape: [places.length, ...inner], data };
}

/** `count` elements that are the only one of a value. */
export function repeated(value: Value, shape: number[]): TensorData {
  const count = elementCount(shape);
  if (!(count <= MOST_ELEMENTS))
    throw ProgramError.input('/inputs', `The model would make a tensor [${shape.join(', ')}].`);
  const data = newData(value.dtype, count);
  for (let i = 0; i < count; i++) copyElements(value.data, 0, data, i, 1);
  return data;
}
