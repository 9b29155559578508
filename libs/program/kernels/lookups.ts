import { dataOf } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import { bytesIn } from './byte-attributes.js';
import { elementsOf, keyOf } from './byte-texts.js';
import type { DType, TensorData } from '../tensor.js';
import { onlyInput, type Kernel, type KernelArguments, type Value } from './kernel.js';
import { numbersOf } from './numbers-of.js';

/** Tables that TensorFlow looks keys up in, and buckets of numbers. Strings are BYTES, of whatever bytes. */
export const lookups: Record<string, Kernel> = {
  /**
   * Looks keys up in a table. Inputs: the keys, any shape; what those become that are not in the table, one value, or, where
   * the table is open, one each. Keys of the table: attribute `keys` (strings) or weight `keys` INT32, INT64, FP32 or FP64;
   * their values: attribute or weight `values` (also BOOL). `keyBytes` and `valueBytes` are the places of attributes that are
   * bytes in Base64 because they are no UTF-8. Answers values in the shape of the keys.
   */
  'look-up': (given) => {
    const keys = column(given, 'keys', 'keyBytes');
    const values = column(given, 'values', 'valueBytes');
    const places = new Map<string | number | bigint, number>();
    keysOf(keys).forEach((key, i) => places.set(key, i));
    if (keys.data.length !== values.data.length) given.fail('keys and values differ in number');
    return ([asked, absent]) => {
      if (!asked || !absent) return given.fail('takes two inputs');
      const found = keysOf(asked).map((key) => places.get(key) ?? -1);
      const one = absent.data.length === 1;
      if (!one && absent.data.length !== found.length) given.fail('the defaults differ in number');
      const data = found.map((place, i) =>
        place >= 0 ? values.data[place] : absent.data[one ? 0 : i],
      );
      return [{ dtype: values.dtype, shape: asked.shape, data: answersOf(values.dtype, data) }];
    };
  },

  /**
   * The bucket of each number, INT32 of the same shape: how many of the weight `boundaries` FP32 are not above it. NaN is in the
   * last one.
   */
  'buckets-of': (given) => {
    const { data: boundaries } = given.floats('boundaries', 1);
    return (inputs) => {
      const { shape, data: source, dtype } = onlyInput(inputs);
      const numbers = numbersOf({ data: source });
      // Integers are compared as float32, float64 as it is.
      const narrow = dtype !== 'FP64';
      const data = new Int32Array(numbers.length);
      for (let i = 0; i < data.length; i++) {
        const x = narrow ? Math.fround(numbers[i] ?? NaN) : (numbers[i] ?? NaN);
        let [from, to] = [0, boundaries.length];
        while (from < to) {
          const middle = (from + to) >> 1;
          if (x < (boundaries[middle] ?? NaN)) to = middle;
          else from = middle + 1;
        }
        data[i] = from;
      }
      return [{ dtype: 'INT32', shape, data }];
    };
  },
};

type Column = Pick<Value, 'dtype' | 'data'>;

function column(given: KernelArguments, name: string, bytes: string): Column {
  if (given.isWeight(name))
    return given.weight(name, ['INT32', 'INT64', 'FP32', 'FP64', 'BOOL', 'UINT8'], 1);
  return { dtype: 'BYTES', data: bytesIn(given, name, bytes) };
}

/** Keys that are equal where TensorFlow's are: −0 is 0. */
function keysOf({ dtype, data }: Column): (string | number | bigint)[] {
  if (dtype === 'BYTES') return elementsOf({ data }).map(keyOf);
  if (Array.isArray(data)) throw new ProgramError('INVALID_PROGRAM', 'numbers must be numbers');
  return Array.from<number | bigint>(data);
}

function answersOf(dtype: DType, elements: readonly unknown[]): TensorData {
  if (dtype === 'BYTES') return elements as string[];
  return dataOf(dtype, elements as number[]);
}
