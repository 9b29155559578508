import { ProgramError } from '../program-error.js';
import {
  columnText,
  floatsOf,
  onlyInput,
  tableShape,
  type Kernel,
  type KernelArguments,
} from './kernel.js';
import { checkStarts } from './numbers.js';

/**
 * Categories as scikit-learn's encoders know them (sklearn/preprocessing/_encoders.py, 0.22 to 1.8). Codes are FP64 numbers
 * from 0 on, −1 for what is no category.
 */
export const categories: Record<string, Kernel> = {
  /**
   * The codes of texts `[rows]`: attribute `categories` lists them, `missing` is the code of a missing value (−1: it is no
   * category), `unseen` = `pass` or `refuse` what is none; `owner`, `column` and `names` are for the message.
   */
  'text-categories': (given) => {
    const codes = new Map(given.strings('categories').map((text, code) => [text, code]));
    const missing = given.integer('missing', -1, Number.MAX_SAFE_INTEGER);
    const refuse = refusal(given);
    return (inputs) => {
      const { shape, data: texts } = onlyInput(inputs);
      if (!Array.isArray(texts)) return given.fail('takes BYTES');
      const data = new Float64Array(texts.length);
      for (let row = 0; row < data.length; row++) {
        const text = texts[row] ?? null;
        const code =
          text === null ? missing : typeof text === 'string' ? (codes.get(text) ?? -1) : -1;
        if (code < 0) refuse?.(text, row, 0);
        data[row] = code;
      }
      return [{ dtype: 'FP64', shape, data }];
    };
  },

  /**
   * The codes of numbers `[rows, columns]`: those of column c are the weights `categories` FP64 from `starts`[c] to
   * `starts`[c + 1]; NaN may be one. Attributes as of `text-categories`.
   */
  'number-categories': (given) => {
    const starts = given.int32('starts');
    const { data: list } = given.floats('categories', 1);
    checkStarts(given, starts, list.length);
    const codes = Array.from({ length: starts.length - 1 }, (_, column) => {
      const own = list.subarray(starts[column], starts[column + 1]);
      return new Map(Array.from(own, (category, code) => [category, code]));
    });
    const refuse = refusal(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (columns !== codes.length) given.fail(`categories are not of ${columns} columns`);
      const data = new Float64Array(floatsOf(input.data, 'input of number-categories'));
      for (let column = 0; column < columns; column++) {
        const own = codes[column];
        for (let row = 0; row < rows; row++) {
          const at = row * columns + column;
          const x = data[at] ?? NaN;
          const code = own?.get(x) ?? -1;
          if (code < 0) refuse?.(x, row, column);
          data[at] = code;
        }
      }
      return [{ dtype: 'FP64', shape: [rows, columns], data }];
    };
  },

  /**
   * A 1 in the column of each code, zeros else. Code k of column c sets the column `map`[`starts`[c] + k] INT32 (−1: none),
   * no category the column `unseen`[c] INT32 (−1: none). Attribute `width` columns in all.
   */
  'one-hot': (given) => {
    const starts = given.int32('starts');
    const map = given.int32('map');
    const unseen = given.int32('unseen');
    const width = given.integer('width', 0, 10_000_000);
    checkStarts(given, starts, map.length);
    if (unseen.length !== starts.length - 1) given.fail('unseen');
    if ([map, unseen].some((targets) => targets.some((to) => to < -1 || to >= width))) {
      given.fail('map');
    }
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (columns !== unseen.length) given.fail(`takes ${unseen.length} columns of codes`);
      const source = floatsOf(input.data, 'input of one-hot');
      const data = new Float64Array(rows * width);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const code = source[row * columns + column] ?? -1;
          const first = starts[column] ?? 0;
          const known = code >= 0 && first + code < (starts[column + 1] ?? 0);
          const to = known ? (map[first + code] ?? -1) : (unseen[column] ?? -1);
          if (to >= 0) data[row * width + to] = 1;
        }
      }
      return [{ dtype: 'FP64', shape: [rows, width], data }];
    };
  },

  /** Code k of column c becomes `values`[`starts`[c] + k] FP64, no category `unseen`[c] FP64. */
  'map-codes': (given) => {
    const starts = given.int32('starts');
    const { data: values } = given.floats('values', 1);
    const { data: unseen } = given.floats('unseen', 1);
    checkStarts(given, starts, values.length);
    if (unseen.length !== starts.length - 1) given.fail('unseen');
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (columns !== unseen.length) given.fail(`takes ${unseen.length} columns of codes`);
      const data = new Float64Array(floatsOf(input.data, 'input of map-codes'));
      for (let i = 0; i < data.length; i++) {
        const column = i % columns;
        const at = (starts[column] ?? 0) + (data[i] ?? -1);
        const known = (data[i] ?? -1) >= 0 && at < (starts[column + 1] ?? 0);
        data[i] = (known ? values[at] : unseen[column]) ?? NaN;
      }
      return [{ dtype: 'FP64', shape: [rows, columns], data }];
    };
  },

  /** Missing texts replaced by the attribute `fill`; the attribute `missing`, where it is given, is a text that is missing too. */
  'fill-text': (given) => {
    const fill = given.text('fill');
    const missing = given.has('missing') ? given.text('missing') : null;
    const alsoNull = given.flag('null');
    return (inputs) => {
      const { shape, data: texts } = onlyInput(inputs);
      if (!Array.isArray(texts)) return given.fail('takes BYTES');
      const data = texts.map((text) =>
        (text === null && alsoNull) || (text !== null && text === missing) ? fill : text,
      );
      return [{ dtype: 'BYTES', shape, data }];
    };
  },

  /** 1 where a text is missing, else 0: FP64 `[rows]`. */
  'is-null': (given) => (inputs) => {
    const { shape, data: texts } = onlyInput(inputs);
    if (!Array.isArray(texts)) return given.fail('takes BYTES');
    return [
      { dtype: 'FP64', shape, data: Float64Array.from(texts, (text) => Number(text === null)) },
    ];
  },
};

type Refuse = (what: string | number | Uint8Array | null, row: number, column: number) => never;

function refusal(given: KernelArguments): Refuse | undefined {
  const owner = given.text('owner');
  const first = given.integer('column', 0, Number.MAX_SAFE_INTEGER);
  const names = given.has('names') ? given.strings('names') : [];
  if (given.oneOf('unseen', ['pass', 'refuse']) === 'pass') return undefined;
  return (what, row, column) => {
    const shown =
      what === null || what !== what
        ? 'a missing value'
        : what instanceof Uint8Array
          ? 'a text that is not UTF-8'
          : JSON.stringify(typeof what === 'string' ? what.slice(0, 100) : what);
    throw ProgramError.input(
      '/inputs',
      `There is ${shown} in row ${row}, column ${columnText(first + column, names[column])} of what ${owner} reads: a category that the model was not trained on, which ${owner} refuses (handle_unknown="error").`,
    );
  };
}
