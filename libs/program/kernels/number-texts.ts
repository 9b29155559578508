import { dataOf } from '../dtype.js';
import { ProgramError } from '../program-error.js';
import { formatFloat, nearestFloat32 } from './decimal-text.js';
import { byteString, elementsOf, type Bytes } from './byte-texts.js';
import { onlyInput, type Kernel } from './kernel.js';

/** Floats of more characters are refused (kFastToBufferSize in TensorFlow's numbers.cc). */
const MOST_CHARACTERS = 31;

/** Numbers to texts and back, as TensorFlow 2.21 does it (tsl/platform/numbers.cc, core/kernels/as_string_op.cc). */
export const numberTexts: Record<string, Kernel> = {
  /** The numbers that BYTES say, any shape: attribute `dtype` FP32, FP64, INT32 or INT64. INVALID_INPUT where one says none. */
  'text-to-number': (given) => {
    const dtype = given.oneOf('dtype', ['FP32', 'FP64', 'INT32', 'INT64']);
    const isFloat = dtype.startsWith('FP');
    return (inputs) => {
      const input = onlyInput(inputs);
      const numbers = elementsOf(input).map((element, i) => {
        const text = byteString(element);
        const number = isFloat
          ? floatOf(text, dtype === 'FP32')
          : integerOf(text, dtype === 'INT32' ? 32 : 64);
        return number ?? notNumber(element, i, dtype);
      });
      return [{ dtype, shape: input.shape, data: dataOf(dtype, numbers) }];
    };
  },

  /**
   * The texts of numbers of any shape, as C's printf writes them: attribute `conversion` d, e, f, g or bool; `precision`,
   * `width` (−1: none) and `fill` (one of space + - 0, or none).
   */
  'number-to-text': (given) => {
    const conversion = given.oneOf('conversion', ['d', 'e', 'f', 'g', 'bool']);
    const precision = given.integer('precision', -1, 1000);
    const width = given.integer('width', -1, 1000);
    const fill = given.oneOf('fill', ['', ' ', '+', '-', '0']);
    return (inputs) => {
      const { data, shape } = onlyInput(inputs);
      if (Array.isArray(data)) return given.fail('takes numbers');
      const data_ = Array.from<number | bigint, string>(data, (number) => {
        if (conversion === 'bool') return number ? 'true' : 'false';
        if (conversion === 'd') return padded(number.toString(), width, fill, precision);
        return padded(formatFloat(Number(number), conversion, precision), width, fill, -1);
      });
      return [{ dtype: 'BYTES', shape, data: data_ }];
    };
  },
};

/** What printf makes of the digits of a number with flags. */
function padded(text: string, width: number, fill: string, precision: number): string {
  let sign = text.startsWith('-') ? '-' : '';
  let digits = text.slice(sign.length);
  if (precision >= 0)
    digits = precision === 0 && digits === '0' ? '' : digits.padStart(precision, '0');
  if (sign === '' && (fill === '+' || fill === ' ')) sign = fill;
  if (width <= 0) return sign + digits;
  if (fill === '-') return (sign + digits).padEnd(width);
  if (fill === '0' && precision < 0 && /^\d/.test(digits))
    return sign + digits.padStart(width - sign.length, '0');
  return (sign + digits).padStart(width);
}

const DECIMAL = /^[ \t\n\v\f\r]*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)[ \t\n\v\f\r]*$/i;
const SPECIAL = /^[ \t\n\v\f\r]*([+-]?)(inf|nan)[ \t\n\v\f\r]*$/i;
const HEXADECIMAL = /^[ \t\n\v\f\r]*([+-]?)(0x[\da-f]+)[ \t\n\v\f\r]*$/i;

function floatOf(text: string, single: boolean): number | undefined {
  if (text === '' || text.length > MOST_CHARACTERS) return undefined;
  const [, decimal] = DECIMAL.exec(text) ?? [];
  if (decimal !== undefined) return single ? nearestFloat32(decimal) : Number(decimal);
  const [, sign, word] = SPECIAL.exec(text) ?? [];
  if (word) return word.toLowerCase() === 'nan' ? NaN : sign === '-' ? -Infinity : Infinity;
  const [, minus, hexadecimal] = HEXADECIMAL.exec(text) ?? [];
  if (hexadecimal) return Number(hexadecimal) * (minus === '-' ? -1 : 1);
  return /^[ \t\n\v\f\r]+$/.test(text) ? 0 : undefined;
}

function integerOf(text: string, bits: 32 | 64): bigint | undefined {
  const [, digits] = /^[ \t\n\v\f\r]*(-?\d{1,40})[ \t\n\v\f\r]*$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const number = BigInt(digits);
  return BigInt.asIntN(bits, number) === number ? number : undefined;
}

function notNumber(element: Bytes, i: number, dtype: string): never {
  const text = JSON.stringify(byteString(element).slice(0, 40));
  throw ProgramError.input('/inputs', `String ${i}, ${text}, is no number of ${dtype}.`);
}
