import { newData } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import { bytesOf, byteString, elementOf, elementsOf, fromByteString } from './byte-texts.js';
import { onlyInput, type Kernel, type KernelArguments, type Value } from './kernel.js';
import { numbersOf } from './numbers-of.js';
import { checkSplits } from './strings.js';

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const ERRORS = ['replace', 'ignore', 'strict'] as const;

/** Encodings of BYTES: Base64, raw numbers and Unicode (TensorFlow's base64_ops.cc, decode_raw_op.cc, unicode_ops.cc). */
export const encodings: Record<string, Kernel> = {
  /** Web-safe Base64 of BYTES, any shape; attribute `pad` adds `=` at the end. */
  'encode-base64': (given) => {
    const pad = given.flag('pad');
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = elementsOf(input).map((element) => encodeBase64(bytesOf(element), pad));
      return [{ dtype: 'BYTES', shape: input.shape, data }];
    };
  },

  /** BYTES that web-safe Base64 says, with `=` at the end or without; INVALID_INPUT where it is none. */
  'decode-base64': () => (inputs) => {
    const input = onlyInput(inputs);
    const data = elementsOf(input).map((element, i) => {
      const bytes = decodeBase64(byteString(element));
      if (bytes) return elementOf(bytes);
      throw ProgramError.input('/inputs', `String ${i} is no web-safe Base64.`);
    });
    return [{ dtype: 'BYTES', shape: input.shape, data }];
  },

  /**
   * Bytes of BYTES as numbers of the attribute `dtype` along a new last dimension; `little` says the order of their bytes. All
   * strings must be of one length.
   */
  'decode-raw': (given) => {
    const dtypes = [
      'BOOL',
      'UINT8',
      'INT8',
      'UINT16',
      'INT16',
      'INT32',
      'INT64',
      'FP16',
      'FP32',
      'FP64',
    ] as const;
    const dtype = given.oneOf('dtype', dtypes);
    const little = given.flag('little');
    return (inputs) => {
      const input = onlyInput(inputs);
      const lists = elementsOf(input).map(bytesOf);
      const length = lists[0]?.length ?? 0;
      const whole = new Uint8Array(lists.length * length);
      const size = elementBytes(newData(dtype, 0));
      if (length % size !== 0 || lists.some((bytes) => bytes.length !== length))
        throw ProgramError.input(
          '/inputs',
          `Strings that the model reads as ${dtype} must all have one length, a multiple of ${size} bytes.`,
        );
      lists.forEach((bytes, i) => whole.set(bytes, i * length));
      if (!little && size > 1)
        for (let at = 0; at < whole.length; at += size) whole.subarray(at, at + size).reverse();
      const data = newData(dtype, whole.length / size);
      if (!Array.isArray(data)) new Uint8Array(data.buffer).set(whole);
      return [{ dtype, shape: [...input.shape, length / size], data }];
    };
  },

  /**
   * Code points of BYTES `[rows]`: where the rows begin INT64 `[rows + 1]`, the code points INT32, and at which byte of its
   * string each is, INT64. Attributes: `encoding` utf-8, utf-16-be or utf-32-be, `errors` replace (by the code point
   * `replacement`), ignore or strict (INVALID_INPUT), `controls` replaces U+0000 to U+001F as well.
   */
  'decode-unicode': (given) => {
    const decode = decoderOf(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const begins = [0n];
      const points: number[] = [];
      const places: bigint[] = [];
      for (const element of elementsOf(input)) {
        decode(bytesOf(element), (point, at) => {
          points.push(point);
          places.push(BigInt(at));
        });
        begins.push(BigInt(points.length));
      }
      return [
        { dtype: 'INT64', shape: [begins.length], data: BigInt64Array.from(begins) },
        { dtype: 'INT32', shape: [points.length], data: Int32Array.from(points) },
        { dtype: 'INT64', shape: [points.length], data: BigInt64Array.from(places) },
      ];
    };
  },

  /**
   * BYTES of code points INT32 whose rows begin at the second input `[rows + 1]`. Attributes: `output` utf-8, utf-16-be or
   * utf-32-be; `errors` and `replacement` as of `decode-unicode`.
   */
  'encode-unicode': (given) => {
    const encode = encoderOf(given);
    const repair = repairOf(given);
    return ([points, splits]) => {
      if (!points || !splits) return given.fail('takes two inputs');
      const all = Array.from(numbersOf(points));
      const starts = numbersOf(splits);
      checkSplits(starts, all.length);
      const data = Array.from({ length: Math.max(0, starts.length - 1) }, (_, i) => {
        const own = all.slice(starts[i], starts[i + 1]).flatMap((point) => {
          const valid = point >= 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
          return valid ? [point] : repair();
        });
        return encode(own);
      });
      return [{ dtype: 'BYTES', shape: [data.length], data }];
    };
  },

  /** BYTES in another encoding: attributes of `decode-unicode` and `output` of `encode-unicode`. */
  'transcode-unicode': (given) => {
    const decode = decoderOf(given);
    const encode = encoderOf(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = elementsOf(input).map((element) => {
        const points: number[] = [];
        decode(bytesOf(element), (point) => points.push(point));
        return encode(points);
      });
      return [{ dtype: 'BYTES', shape: input.shape, data }];
    };
  },
};

function elementBytes(data: Value['data']): number {
  return Array.isArray(data) ? 1 : data.BYTES_PER_ELEMENT;
}

function encodeBase64(bytes: Uint8Array, pad: boolean): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(at, at + 3);
    const bits = (a << 16) | (b << 8) | c;
    const count = Math.min(4, bytes.length - at + 1);
    for (let i = 0; i < 4; i++)
      text += i < count ? DIGITS.charAt((bits >> (18 - 6 * i)) & 63) : pad ? '=' : '';
  }
  return text;
}

function decodeBase64(text: string): Uint8Array | undefined {
  const [, digits = ''] = /^([\w-]*)(={0,2})$/.exec(text) ?? [];
  const padding = text.length - digits.length;
  if (digits === '' && text !== '') return undefined;
  if (digits.length % 4 === 1 || (padding > 0 && text.length % 4 !== 0)) return undefined;
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let [bits, held, at] = [0, 0, 0];
  for (const digit of digits) {
    bits = ((bits << 6) | DIGITS.indexOf(digit)) & 0xffffff;
    held += 6;
    if (held >= 8) bytes[at++] = (bits >> (held -= 8)) & 255;
  }
  // TensorFlow takes no bits that say nothing.
  return (bits & ((1 << held) - 1)) === 0 ? bytes : undefined;
}

type Take = (point: number, at: number) => void;
const UNICODE = ['utf-8', 'utf-16-be', 'utf-32-be'] as const;

function repairOf(given: KernelArguments): () => number[] {
  const errors = given.oneOf('errors', ERRORS);
  const replacement = given.integer('replacement', 0, 0x10ffff);
  if (errors === 'replace') return () => [replacement];
  if (errors === 'ignore') return () => [];
  return () => {
    throw ProgramError.input('/inputs', 'A string is not in the encoding that the model demands.');
  };
}

function decoderOf(given: KernelArguments): (bytes: Uint8Array, take: Take) => void {
  const encoding = given.oneOf('encoding', UNICODE);
  const repair = repairOf(given);
  const controls = given.flag('controls');
  const replacement = given.integer('replacement', 0, 0x10ffff);
  const next = { 'utf-8': utf8Point, 'utf-16-be': utf16Point, 'utf-32-be': utf32Point }[encoding];
  return (bytes, take) => {
    for (let at = 0; at < bytes.length;) {
      const { point, size } = next(bytes, at);
      const points = point < 0 ? repair() : [controls && point < 0x20 ? replacement : point];
      for (const made of points) take(made, at);
      at += size;
    }
  };
}

interface Point {
  /** −1: none. */
  point: number;
  size: number;
}

/** A code point, or the longest beginning of one that is broken off (as ICU and the WHATWG replace it). */
function utf8Point(bytes: Uint8Array, at: number): Point {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return { point: first, size: 1 };
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return { point: -1, size: 1 };
  let point = first & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] ?? 0;
    const least = i > 1 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const most = i > 1 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (byte < least || byte > most) return { point: -1, size: i };
    point = (point << 6) | (byte & 0x3f);
  }
  return { point, size: length };
}

function utf16Point(bytes: Uint8Array, at: number): Point {
  const unit = (place: number) =>
    place + 1 < bytes.length ? ((bytes[place] ?? 0) << 8) | (bytes[place + 1] ?? 0) : -1;
  const first = unit(at);
  if (first < 0) return { point: -1, size: bytes.length - at };
  if (first < 0xd800 || first > 0xdfff) return { point: first, size: 2 };
  const second = unit(at + 2);
  if (first > 0xdbff || second < 0xdc00 || second > 0xdfff) return { point: -1, size: 2 };
  return { point: 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), size: 4 };
}

function utf32Point(bytes: Uint8Array, at: number): Point {
  if (at + 4 > bytes.length) return { point: -1, size: bytes.length - at };
  const point = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
  const valid = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  return { point: valid ? point : -1, size: 4 };
}

function encoderOf(given: KernelArguments): (points: number[]) => string | Uint8Array {
  const output = given.oneOf('output', UNICODE);
  if (output === 'utf-8')
    return (points) => points.map((point) => String.fromCodePoint(point)).join('');
  return (points) => {
    const units =
      output === 'utf-32-be'
        ? points.flatMap((point) => [point >>> 16, point & 0xffff])
        : points.flatMap((point) =>
            point < 0x10000
              ? [point]
              : [0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff)],
          );
    return fromByteString(units.map((unit) => String.fromCharCode(unit >> 8, unit & 255)).join(''));
  };
}
