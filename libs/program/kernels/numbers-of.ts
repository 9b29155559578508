import { ProgramError } from '../program-error.js';
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
