import { NdArray, PyFloat, type PyValue } from '../pickle/records.js';
import { itemsOf } from './python-values.js';

/** The classes of a classifier, in the dtype that answers have. */
export interface Labels {
  dtype: 'INT64' | 'BYTES' | 'BOOL' | 'FP64';
  values: (number | bigint | string | boolean)[];
}

/** The object that labels are an attribute of, for bounds and messages. */
interface Owner {
  readonly budget: { spend(cells: number): void };
  unsupported: (why: string) => never;
  wrong(name: string, wanted: string): never;
}

/** Reads labels: an array of any kind that a label can be of, or a list of them, all of one type. */
export function labelsOf(value: PyValue, owner: Owner, name: string): Labels {
  if (value instanceof NdArray) {
    owner.budget.spend(value.size * 4);
    const { kind } = value.dtype;
    if (kind === 'i' || kind === 'u') {
      return { dtype: 'INT64', values: Array.from<number | bigint>(value.typed()) };
    }
    if (kind === 'f') return { dtype: 'FP64', values: [...value.numbers()] };
    if (kind === 'b') return { dtype: 'BOOL', values: Array.from(value.numbers(), Boolean) };
    if (kind === 'U') return { dtype: 'BYTES', values: value.strings() };
    if (kind !== 'O') return owner.unsupported(`has ${name} of the kind "${kind}"`);
  }
  const items = itemsOf(value) ?? owner.wrong(name, 'a list of labels');
  owner.budget.spend(items.length);
  const labels = items.map((item) => labelOf(item, owner, name));
  const [first] = labels;
  if (labels.some((label) => label.dtype !== first?.dtype)) {
    owner.unsupported(`has ${name} of several types`);
  }
  return { dtype: first?.dtype ?? 'INT64', values: labels.map((label) => label.value) };
}

function labelOf(
  item: PyValue,
  owner: Owner,
  name: string,
): { dtype: Labels['dtype']; value: Labels['values'][number] } {
  if (typeof item === 'string') return { dtype: 'BYTES', value: item };
  if (typeof item === 'boolean') return { dtype: 'BOOL', value: item };
  if (typeof item === 'number' || typeof item === 'bigint') return { dtype: 'INT64', value: item };
  if (item instanceof PyFloat) return { dtype: 'FP64', value: item.value };
  return owner.unsupported(`has ${name} that are neither numbers nor strings`);
}
