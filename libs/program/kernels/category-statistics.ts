import { ProgramError } from '../program-error.js';
import { CategoryHasher, HASHED_AT_ONCE } from './category-hash.js';
import { CtrTable } from './ctr-table.js';
import { floatsOf, onlyInput, type Kernel, type Value } from './kernel.js';

/** Texts whose hashes are remembered, and how long they may be. */
const MOST_REMEMBERED = 16_384;
const MOST_CHARACTERS = 256;

/** Kernels for CatBoost's categorical features. */
export const categoryStatistics: Record<string, Kernel> = {
  /**
   * The hash of each category, BYTES `[rows]` → INT32 `[rows]`: the lower half of CityHash64 of its UTF-8. A missing category
   * is refused with INVALID_INPUT, as CatBoost refuses it; attribute `column` is the column's name for that message.
   */
  'category-hash': (given) => {
    const column = given.text('column');
    const hasher = new CategoryHasher();
    const known = new Map<string, number>();
    const hashOf = (text: string): number => {
      const found = known.get(text);
      if (found !== undefined) return found;
      const hash = hasher.hash(text);
      if (known.size >= MOST_REMEMBERED) known.clear();
      if (text.length <= MOST_CHARACTERS) known.set(text, hash);
      return hash;
    };
    return (inputs) => {
      const { shape, data: texts } = onlyInput(inputs);
      if (!Array.isArray(texts)) return given.fail('takes BYTES');
      const data = new Int32Array(texts.length);
      for (const [row, text] of texts.entries()) {
        if (text === null) throw missing(column, row);
        data[row] = typeof text === 'string' ? hashOf(text) : hasher.hash(text);
      }
      return [{ dtype: 'INT32', shape, data }];
    };
  },

  /** Whether INT32 `[rows]` equals each of the weight `values`: FP32 `[rows, values]` of 0 and 1. */
  'hash-one-hot': (given) => {
    const { data: values } = given.weight('values', ['INT32'], 1);
    const places = new Map<number, number>();
    for (let i = 0; i < values.length; i++) places.set(Number(values[i]), i);
    const width = values.length;
    return (inputs) => {
      const source = int32Of(onlyInput(inputs)) ?? given.fail('takes INT32');
      const data = new Float32Array(source.length * width);
      for (const [row, value] of source.entries()) {
        const place = places.get(value);
        if (place !== undefined) data[row * width + place] = 1;
      }
      return [{ dtype: 'FP32', shape: [source.length, width], data }];
    };
  },

  /**
   * CatBoost's statistics of the target for combinations of categories: FP32 `[rows, statistics]`. Inputs are hashes (INT32
   * `[rows]`), attribute `hashed` of them; then columns of numbers (FP32), each with one of the weight `borders`; then hashes
   * again, each with one of the weight `equal` (INT32). A row's combination is hashed over the hashes, whether each number is
   * greater than its border (NaN counts as greater where the UINT8 weight `missingGreatest` is 1), and whether each of the
   * last equals its value. See {@link CtrTable} for the other weights and attributes, and what is made of the combination.
   */
  'target-statistics': (given) => {
    const hashed = given.integer('hashed', 0, 10_000);
    const borders = given.floats('borders', 1).data;
    const { data: greatest } = given.weight('missingGreatest', ['UINT8'], 1);
    const { data: equal } = given.weight('equal', ['INT32'], 1);
    if (greatest.length !== borders.length) given.fail('weight missingGreatest');
    const table = new CtrTable(given);
    const hasher = new CategoryHasher();
    const columns = hashed + borders.length + equal.length;

    const fillOf = (inputs: Value[], from: number) => (column: number, values: Int32Array) => {
      const input = inputs[column];
      const number = column - hashed;
      if (number < 0 || number >= borders.length) {
        const hashes = int32Of(input) ?? given.fail('takes INT32');
        const wanted = Number(equal[number - borders.length] ?? 0);
        for (let i = 0; i < values.length; i++) {
          const hash = hashes[from + i] ?? 0;
          values[i] = number < 0 ? hash : Number(hash === wanted);
        }
        return;
      }
      const source = floatsOf(input?.data ?? [], 'a number of target-statistics');
      const border = borders[number] ?? 0;
      const missing = Number(greatest[number]);
      for (let i = 0; i < values.length; i++) {
        const x = source[from + i] ?? NaN;
        values[i] = Number.isNaN(x) ? missing : Number(x > border);
      }
    };

    return (inputs) => {
      if (inputs.length !== columns) given.fail(`takes ${columns} inputs`);
      const rows = inputs[0]?.data.length ?? 0;
      if (inputs.some(({ data }) => data.length !== rows)) given.fail('the columns differ');
      const data = new Float32Array(rows * table.width);
      for (let from = 0; from < rows; from += HASHED_AT_ONCE) {
        const count = Math.min(HASHED_AT_ONCE, rows - from);
        table.answer(hasher.combine(columns, count, fillOf(inputs, from)), data, from);
      }
      return [{ dtype: 'FP32', shape: [rows, table.width], data }];
    };
  },
};

function int32Of(value: Value | undefined): Int32Array | undefined {
  return value?.data instanceof Int32Array ? value.data : undefined;
}

function missing(column: string, row: number): ProgramError {
  return ProgramError.input(
    '/inputs',
    `"${column}" is missing in row ${row}: CatBoost takes no missing category. Send the text that stood for it in training.`,
  );
}
