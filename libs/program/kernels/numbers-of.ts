import { newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import type { DType, TensorData } from '../tensor.js';
import type { Value } from './kernel.js';

/** The elements of a value of integers, booleans or floats that a double holds, as numbers. */
export function numbersOf({ data }: Pick<Value, 'data'>): ArrayLike<number> {
  if (Array.isArray(data))
    throw new ProgramError('INVALID_PROGRAM', 'a kernel for numbers got BYTES');
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    return Float64Array.from(data, Number);
  return data;
}

/** The only element of a value. */
export function numberOf(value: Pick<Value, 'data'>): number {
  return numbersOf(value)[0] ?? NaN;
}
/** Numbers as the elements of a dtype that is not BYTES, FP16 or BF16. */
export function dtypeData(dtype: DType, numbers: ArrayLike<number | bigint>): TensorData {
  const data = newData(dtype, numbers.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < numbers.length; i++) data[i] = BigInt(numbers[i] ?? 0);
  else if (!Array.isArray(data))
    for (let i = 0; i < numbers.length; i++) data[i] = Number(numbers[i]);
  return data;
}
