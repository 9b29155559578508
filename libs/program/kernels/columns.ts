import { ProgramError } from '../program-error.js';
import { floatsOf, onlyInput, type Kernel } from './kernel.js';

/** Kernels for the columns of a table. */
export const columns: Record<string, Kernel> = {
  /**
   * The codes of texts: attribute `levels` lists them from code 0 on, missing values become NaN, as the texts do that the
   * attribute `missing` lists. Attribute `unseen` says what other texts become: `missing`, the code 0 (`first`), or `refuse`
   * with INVALID_INPUT; `column` is the column's name for that message. Answers the attribute `dtype`.
   */
  'text-codes': (given) => {
    const codes = new Map(given.strings('levels').map((level, code) => [level, code]));
    const rule = given.oneOf('unseen', ['missing', 'first', 'refuse']);
    const absent = new Set(given.has('missing') ? given.strings('missing') : []);
    const unseenCode = rule === 'first' ? 0 : NaN;
    const column = given.text('column');
    const dtype = given.oneOf('dtype', ['FP32', 'FP64']);
    return (inputs) => {
      const { shape, data: texts } = onlyInput(inputs);
      if (!Array.isArray(texts)) return given.fail('takes BYTES');
      const data =
        dtype === 'FP32' ? new Float32Array(texts.length) : new Float64Array(texts.length);
      for (const [i, text] of texts.entries()) {
        const code = typeof text === 'string' ? codes.get(text) : undefined;
        if (text === null || (typeof text === 'string' && absent.has(text))) {
          data[i] = NaN;
          continue;
        }
        if (code === undefined && rule === 'refuse') throw unseen(column, i, text, codes);
        data[i] = code ?? unseenCode;
      }
      return [{ dtype, shape, data }];
    };
  },

  /**
   * The codes of numbers in one column of a matrix: weight `levels` lists them from code 0 on, all others become NaN. The
   * other columns stay. Attribute `column` is the index.
   */
  'number-codes': (given) => {
    const codes = new Map(
      Array.from(given.floats('levels', 1).data, (level, code) => [level, code]),
    );
    const column = given.integer('column', 0, Number.MAX_SAFE_INTEGER);
    return (inputs) => {
      const input = onlyInput(inputs);
      const width = input.shape[1] ?? 0;
      if (column >= width) given.fail(`there is no column ${column}`);
      const data = floatsOf(input.data, 'input of number-codes').slice();
      for (let i = column; i < data.length; i += width) data[i] = codes.get(data[i] ?? NaN) ?? NaN;
      return [{ ...input, data }];
    };
  },

  /**
   * Categories that are integers already, FP64 `[rows]`: NaN and −1, as YDF has it, are missing and become NaN; what is not
   * from 0 to less than the attribute `values` is refused with INVALID_INPUT (YDF would read outside of its tables). `column`
   * is the column's name for that message.
   */
  'integer-categories': (given) => {
    const values = given.integer('values', 0, 2 ** 31);
    const column = given.text('column');
    return (inputs) => {
      const { dtype, shape, data: source } = onlyInput(inputs);
      const data = floatsOf(source, 'input of integer-categories').slice();
      for (let row = 0; row < data.length; row++) {
        const code = data[row] ?? NaN;
        if (Number.isInteger(code) && code >= 0 && code < values) continue;
        if (code !== -1 && !Number.isNaN(code)) {
          throw ProgramError.input(
            '/inputs',
            `"${column}" has ${code} in row ${row}. Its categories are integers from 0 to ${values - 1}; null, NaN and -1 are missing.`,
          );
        }
        data[row] = NaN;
      }
      return [{ dtype, shape, data }];
    };
  },

  /** One column of a matrix, as `[rows]`: attribute `column` is the index. */
  'take-column': (given) => {
    const column = given.integer('column', 0, Number.MAX_SAFE_INTEGER);
    return (inputs) => {
      const input = onlyInput(inputs);
      const [rows = 0, width = 0] = input.shape;
      if (column >= width) given.fail(`there is no column ${column}`);
      const source = floatsOf(input.data, 'input of take-column');
      const data = source instanceof Float32Array ? new Float32Array(rows) : new Float64Array(rows);
      for (let row = 0; row < rows; row++) data[row] = source[row * width + column] ?? NaN;
      return [{ dtype: input.dtype, shape: [rows], data }];
    };
  },

  /** Columns `[rows]` of one floating-point dtype as one matrix `[rows, columns]`. */
  'join-columns': (given) => (inputs) => {
    const [first] = inputs;
    if (!first) return given.fail('takes one column at least');
    const { dtype } = first;
    const rows = first.data.length;
    const width = inputs.length;
    const data = dtype === 'FP32' ? new Float32Array(rows * width) : new Float64Array(rows * width);
    for (const [column, input] of inputs.entries()) {
      if (input.dtype !== dtype || input.data.length !== rows) given.fail('the columns differ');
      const source = floatsOf(input.data, 'a column');
      for (let row = 0; row < rows; row++) data[row * width + column] = source[row] ?? NaN;
    }
    return [{ dtype, shape: [rows, width], data }];
  },
};

const MOST_SHOWN = 20;

function unseen(
  column: string,
  row: number,
  text: string | Uint8Array,
  codes: Map<string, number>,
): ProgramError {
  const shown = [...codes.keys()].slice(0, MOST_SHOWN).map((level) => JSON.stringify(level));
  const more = codes.size > MOST_SHOWN ? ` and ${codes.size - MOST_SHOWN} more` : '';
  const what =
    typeof text === 'string' ? JSON.stringify(text.slice(0, 100)) : 'a text that is not UTF-8';
  return ProgramError.input(
    '/inputs',
    `"${column}" has ${what} in row ${row}, a level that the model was not trained on. Its levels are ${shown.join(', ')}${more}; null is a missing value.`,
  );
}
