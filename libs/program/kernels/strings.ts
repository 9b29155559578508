import { elementCount } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import {
  byteString,
  elementsOf,
  fromByteString,
  isContinuation,
  textOf,
  type Bytes,
} from './byte-texts.js';
import { onlyInput, type Kernel, type Value } from './kernel.js';
import { numbersOf } from './numbers-of.js';

const SPACE = ' \t\n\v\f\r';
/** Bytes that the strings of one answer may have in all. */
const MOST_BYTES = 2 ** 28;

/** Operations on BYTES as TensorFlow's string operations have them (core/kernels/string_*_op.cc, 2.21); strings are bytes. */
export const strings: Record<string, Kernel> = {
  /** BYTES in lower case, any shape. Attribute `encoding`: `ascii` changes A to Z only, `utf-8` all letters of Unicode. */
  'lower-text': (given) => changeCase(given.oneOf('encoding', ['ascii', 'utf-8']), 'toLowerCase'),
  /** BYTES in upper case, any shape. Attribute `encoding`: `ascii` changes a to z only, `utf-8` all letters of Unicode. */
  'upper-text': (given) => changeCase(given.oneOf('encoding', ['ascii', 'utf-8']), 'toUpperCase'),
  /** BYTES without the white space of ASCII at both ends, any shape. */
  'strip-text': () => (inputs) =>
    mapped(onlyInput(inputs), (element) => {
      const text = byteString(element);
      const end = lastWord(text);
      return fromByteString(text.slice(Math.min(skipSpace(text, 0), end), end));
    }),

  /** The length of BYTES, INT32 of any shape. Attribute `unit`: `byte`, or `character` of UTF-8. */
  'text-length': (given) => {
    const characters = given.oneOf('unit', ['byte', 'character']) === 'character';
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = Int32Array.from(elementsOf(input), (element) => {
        const text = byteString(element);
        if (!characters) return text.length;
        let count = 0;
        for (let i = 0; i < text.length; i++) if (!isContinuation(text, i)) count++;
        return count;
      });
      return [{ dtype: 'INT32', shape: input.shape, data }];
    };
  },

  /**
   * Parts of BYTES; inputs: the strings, where each part begins (below 0: from the end) and how long it is, both integers, the
   * three of shapes that broadcast. Attribute `unit`: `byte`, or `character` of UTF-8. INVALID_INPUT where a part begins outside.
   */
  'sub-text': (given) => {
    const characters = given.oneOf('unit', ['byte', 'character']) === 'character';
    return ([input, positions, lengths]) => {
      if (!input || !positions || !lengths) return given.fail('takes three inputs');
      const elements = elementsOf(input);
      const starts = numbersOf(positions);
      const sizes = numbersOf(lengths);
      const shape = broadcastShape([input.shape, positions.shape, lengths.shape]);
      const places = [input, positions, lengths].map((value) =>
        broadcastPlaces(value.shape, shape),
      );
      const data = Array.from({ length: elementCount(shape) }, (_, i) => {
        const [at = 0, start = 0, size = 0] = places.map((place) => place(i));
        const text = byteString(elements[at] ?? '');
        const part = characters ? characterPart : bytePart;
        const cut = part(text, starts[start] ?? 0, sizes[size] ?? 0);
        if (cut === undefined)
          throw ProgramError.input(
            '/inputs',
            `Position ${starts[start]} is outside of string ${i} in what the model cuts.`,
          );
        return fromByteString(cut);
      });
      return [{ dtype: 'BYTES', shape, data }];
    };
  },

  /** Strings BYTES put together element by element, the attribute `separator` in between; all of one shape or single. */
  'join-texts': (given) => {
    const separator = given.text('separator');
    return (inputs) => {
      const lists = inputs.map(elementsOf);
      const shape = inputs.find((input) => input.shape.length > 0)?.shape ?? [];
      const count = elementCount(shape);
      if (inputs.some((input) => input.shape.length > 0 && input.data.length !== count))
        throw ProgramError.input('/inputs', 'Strings that the model joins have different shapes.');
      const bounded = new Bound();
      const data = Array.from({ length: count }, (_, i) => {
        const parts = lists.map((list, k) => list[inputs[k]?.shape.length ? i : 0] ?? '');
        return bounded.joined(parts, separator);
      });
      return [{ dtype: 'BYTES', shape, data }];
    };
  },

  /**
   * Joins BYTES along axes, the first that is named changing fastest. Weight `axes` INT64 (below 0: from the end); attributes
   * `separator` and `keep` (joined axes stay, of size 1).
   */
  'reduce-join': (given) => {
    const separator = given.text('separator');
    const keep = given.flag('keep');
    const axes = Array.from(given.weight('axes', ['INT64'], 1).data, Number);
    return (inputs) => {
      const input = onlyInput(inputs);
      const elements = elementsOf(input);
      const rank = input.shape.length;
      const named = axes.map((axis) => (axis < 0 ? axis + rank : axis));
      if (named.some((axis) => axis < 0 || axis >= rank)) given.fail('axes');
      const strides = input.shape.map((_, axis) => elementCount(input.shape.slice(axis + 1)));
      const kept = input.shape.map((_, axis) => axis).filter((axis) => !named.includes(axis));
      const sizes = kept.map((axis) => input.shape[axis] ?? 1);
      const joined = named.map((axis) => input.shape[axis] ?? 1);
      const offsets = Array.from({ length: elementCount(joined) }, (_, i) => {
        let [rest, offset] = [i, 0];
        named.forEach((axis, k) => {
          const size = joined[k] ?? 1;
          offset += (rest % size) * (strides[axis] ?? 0);
          rest = Math.floor(rest / size);
        });
        return offset;
      });
      const bounded = new Bound();
      const data = Array.from({ length: elementCount(sizes) }, (_, i) => {
        let [rest, base] = [i, 0];
        for (let k = kept.length - 1; k >= 0; k--) {
          const size = sizes[k] ?? 1;
          base += (rest % size) * (strides[kept[k] ?? 0] ?? 0);
          rest = Math.floor(rest / size);
        }
        return bounded.joined(
          offsets.map((offset) => elements[base + offset] ?? ''),
          separator,
        );
      });
      const shape = keep ? input.shape.map((n, axis) => (named.includes(axis) ? 1 : n)) : sizes;
      return [{ dtype: 'BYTES', shape, data }];
    };
  },

  /**
   * Splits BYTES `[rows]` as Python's `str.split` does: at the attribute `separator`, or where it is empty at white space of
   * ASCII; `most` splits a string at most (−1: any number). Answers the places INT64 `[parts, 2]` (row, number in the row), the
   * parts BYTES `[parts]` and INT64 `[rows, the most parts of a row]`.
   */
  'split-text': (given) => {
    const separator = byteString(given.text('separator'));
    const most = given.integer('most', -1, 2 ** 31 - 1);
    return (inputs) =>
      partsOf(onlyInput(inputs), (text) =>
        most === 0
          ? [text]
          : separator === ''
            ? splitAtSpace(text, most)
            : splitAt(text, separator, most),
      );
  },

  /**
   * Splits BYTES `[rows]` at each of the bytes of the attribute `separators` (empty: between all bytes); empty parts are left
   * out where the attribute `skip` is true. Answers like `split-text`.
   */
  'split-text-at-any': (given) => {
    const separators = byteString(given.text('separators'));
    const skip = given.flag('skip');
    return (inputs) =>
      partsOf(onlyInput(inputs), (text) => {
        const parts: string[] = [];
        let from = 0;
        for (let i = 0; i <= text.length; i++) {
          const one = separators === '' ? i > from : separators.includes(text.charAt(i));
          if (i < text.length && !one) continue;
          parts.push(text.slice(from, i));
          from = separators === '' ? i : i + 1;
        }
        return skip || separators === '' ? parts.filter((part) => part !== '') : parts;
      });
  },

  /**
   * The n-grams of rows of tokens (StringNGrams). Inputs: tokens BYTES and where each row begins, INT64 or INT32
   * `[rows + 1]`. Attributes: `separator`, `widths` (numbers of tokens), `left` and `right` (what pads a row), `pad` (how many
   * of these at most, −1: as a width needs) and `short` (a row with too few tokens for any is one n-gram itself). Answers the
   * n-grams BYTES and the begins of rows, INT64.
   */
  'text-ngrams': (given) => {
    const separator = given.text('separator');
    const widths = given.numbers('widths');
    const pad = given.integer('pad', -1, 2 ** 20);
    const short = given.flag('short');
    const [left, right] = [given.text('left'), given.text('right')];
    const padOf = (width: number) => Math.min(pad < 0 ? width - 1 : pad, width - 1);
    return ([tokens, splits]) => {
      if (!tokens || !splits) return given.fail('takes two inputs');
      const elements = elementsOf(tokens);
      const starts = numbersOf(splits);
      checkSplits(starts, elements.length);
      const ngrams: Bytes[] = [];
      const begins = [0n];
      const bounded = new Bound();
      const addOf = (row: readonly Bytes[], width: number, count: number) => {
        for (let i = 0; i < count; i++) {
          const padding = padOf(width);
          const before = Math.max(0, padding - i);
          const after = Math.max(0, padding - (count - (i + 1)));
          const from = before > 0 ? 0 : i - padding;
          const own = row.slice(from, from + width - before - after);
          const parts = [...filled(before, left), ...own, ...filled(after, right)];
          ngrams.push(bounded.joined(parts, separator));
        }
      };
      for (let i = 0; i + 1 < starts.length; i++) {
        const row = elements.slice(starts[i], starts[i + 1]);
        const before = ngrams.length;
        for (const width of widths)
          addOf(row, width, Math.max(0, row.length + 2 * padOf(width) - width + 1));
        if (short && ngrams.length === before && row.length > 0)
          addOf(row, row.length + 2 * Math.max(0, pad), 1);
        begins.push(BigInt(ngrams.length));
      }
      return [
        { dtype: 'BYTES', shape: [ngrams.length], data: ngrams },
        { dtype: 'INT64', shape: [begins.length], data: BigInt64Array.from(begins) },
      ];
    };
  },
};

function filled(count: number, text: string): string[] {
  return Array.from({ length: count }, () => text);
}

/** Where rows begin must start with 0, never go back and end with all. */
export function checkSplits(splits: ArrayLike<number>, count: number): void {
  let last = 0;
  for (let i = 0; i < splits.length; i++) {
    const start = splits[i] ?? 0;
    if (start < last || (i === 0 && start !== 0))
      throw ProgramError.input('/inputs', `Row splits must start with 0 and never go back.`);
    last = start;
  }
  if (splits.length === 0 || last !== count)
    throw ProgramError.input('/inputs', `Row splits end with ${last} where ${count} values are.`);
}

function mapped(input: Value, change: (element: Bytes) => Bytes): Value[] {
  return [{ dtype: 'BYTES', shape: input.shape, data: elementsOf(input).map(change) }];
}

function changeCase(encoding: 'ascii' | 'utf-8', way: 'toLowerCase' | 'toUpperCase') {
  const range = way === 'toLowerCase' ? /[A-Z]+/g : /[a-z]+/g;
  const ascii = (text: string) => text.replace(range, (letters) => letters[way]());
  return (inputs: Value[]): Value[] =>
    mapped(onlyInput(inputs), (element) => {
      if (encoding === 'utf-8') return textOf(element)[way]();
      return typeof element === 'string'
        ? ascii(element)
        : fromByteString(ascii(byteString(element)));
    });
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && SPACE.includes(text.charAt(at))) at++;
  return at;
}

function lastWord(text: string): number {
  let end = text.length;
  while (end > 0 && SPACE.includes(text.charAt(end - 1))) end--;
  return end;
}

function bytePart(text: string, position: number, length: number): string | undefined {
  const at = position < 0 ? text.length + position : position;
  if (at < 0 || at > text.length) return undefined;
  // A length below 0 is a very large one in TensorFlow's unsigned arithmetic.
  return length < 0 ? text.slice(at) : text.slice(at, at + length);
}

function characterPart(text: string, position: number, length: number): string | undefined {
  const starts: number[] = [];
  for (let i = 0; i < text.length; i++) if (!isContinuation(text, i)) starts.push(i);
  starts.push(text.length);
  const count = starts.length - 1;
  const at = position < 0 ? count + position : position;
  if (at < 0 || at > count) return undefined;
  return text.slice(starts[at], starts[Math.min(count, at + Math.max(0, length))]);
}

function splitAtSpace(text: string, most: number): string[] {
  const parts: string[] = [];
  let at = skipSpace(text, 0);
  while (at < text.length) {
    let end = at;
    while (end < text.length && !SPACE.includes(text.charAt(end))) end++;
    parts.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (parts.length === most) {
      parts.push(text.slice(at));
      break;
    }
  }
  return parts;
}

function splitAt(text: string, separator: string, most: number): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, from)) {
    parts.push(text.slice(from, at));
    from = at + separator.length;
    if (parts.length === most) break;
  }
  parts.push(text.slice(from));
  return parts;
}

function partsOf(input: Value, split: (text: string) => string[]): Value[] {
  if (input.shape.length !== 1)
    throw ProgramError.input('/inputs', 'The model splits strings of one dimension only.');
  const places: bigint[] = [];
  const parts: Bytes[] = [];
  let most = 0;
  elementsOf(input).forEach((element, row) => {
    const own = split(byteString(element));
    most = Math.max(most, own.length);
    own.forEach((part, i) => {
      places.push(BigInt(row), BigInt(i));
      parts.push(fromByteString(part));
    });
  });
  const shape = [BigInt(input.data.length), BigInt(most)];
  return [
    { dtype: 'INT64', shape: [parts.length, 2], data: BigInt64Array.from(places) },
    { dtype: 'BYTES', shape: [parts.length], data: parts },
    { dtype: 'INT64', shape: [2], data: BigInt64Array.from(shape) },
  ];
}

/** Keeps what is joined in bounds: each string may be used many times. */
class Bound {
  private bytes = 0;

  joined(parts: readonly Bytes[], separator: string): Bytes {
    const texts = parts.map((part) => (typeof part === 'string' ? part : undefined));
    const isText = texts.every((text) => text !== undefined);
    for (const part of parts) this.bytes += part.length + separator.length;
    if (this.bytes > MOST_BYTES)
      throw ProgramError.input(
        '/inputs',
        `The model makes more than ${MOST_BYTES} bytes of strings.`,
      );
    if (isText) return texts.join(separator);
    return fromByteString(parts.map(byteString).join(byteString(separator)));
  }
}

/** The shape that shapes broadcast to. Throws INVALID_INPUT where there is none. */
export function broadcastShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((shape) => shape[i - rank + shape.length] ?? 1);
    const size = sizes.find((n) => n !== 1) ?? 1;
    if (sizes.some((n) => n !== 1 && n !== size))
      throw ProgramError.input('/inputs', 'Shapes inside of the model do not go together.');
    return size;
  });
}

/** Which element of `own` broadcast to `shape` stands at a place of the latter. */
export function broadcastPlaces(
  own: readonly number[],
  shape: readonly number[],
): (place: number) => number {
  const count = elementCount(own);
  if (count === elementCount(shape)) return (place) => place;
  if (count === 1) return () => 0;
  return (place) => {
    let [rest, at, stride] = [place, 0, 1];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1;
      const mine = own[axis - shape.length + own.length] ?? 1;
      if (mine !== 1) at += (rest % size) * stride;
      stride *= mine;
      rest = Math.floor(rest / size);
    }
    return at;
  };
}
