import { NdArray, PyFloat, PySet, PyTuple, type PyValue } from '../pickle/records.js';

/** A Python number or bool. */
export function numberIn(value: PyValue | undefined): number | undefined {
  if (typeof value === 'number') return value;
  if (value instanceof PyFloat) return value.value;
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof NdArray && value.size === 1 && 'biuf'.includes(value.dtype.kind)) {
    return value.numbers()[0];
  }
  return undefined;
}

/** The items of a list, tuple, set or one-dimensional array of objects. */
export function itemsOf(value: PyValue | undefined): PyValue[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof PyTuple || value instanceof PySet) return value.items;
  if (!(value instanceof NdArray)) return undefined;
  const { kind } = value.dtype;
  if (kind === 'O') return value.objects();
  if (kind === 'U' || kind === 'S') return value.strings();
  if (kind === 'b') return Array.from(value.numbers(), Boolean);
  if (kind === 'f') return Array.from(value.numbers(), (x) => new PyFloat(x));
  return kind === 'i' || kind === 'u' ? Array.from(value.numbers()) : undefined;
}
