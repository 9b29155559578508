import { DamagedModel } from '../importer.js';
import type { Budget } from './budget.js';

/** Two's complement, little-endian, of any length. */
export function parseInteger(bytes: Uint8Array, budget: Budget): number | bigint {
  budget.check('integerBytes', bytes.length);
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  const negative = ((bytes[bytes.length - 1] ?? 0) & 0x80) !== 0;
  return small(negative ? value - (1n << BigInt(8 * bytes.length)) : value);
}

/** A decimal integer; `INT 00` and `INT 01` are the booleans of protocol 1. */
export function parseIntegerLine(
  text: string,
  budget: Budget,
  opcode: 'INT' | 'LONG' = 'INT',
): number | bigint | boolean {
  if (opcode === 'INT' && (text === '00' || text === '01')) return text === '01';
  budget.check('integerDigits', text.length);
  const digits = /^\s*([+-]?)(\d+)\s*$/.exec(text);
  if (!digits) throw new DamagedModel(`${JSON.stringify(text.slice(0, 40))} is not an integer`);
  const value = BigInt(digits[2] ?? '0');
  return small(digits[1] === '-' ? -value : value);
}

export function parseFloatLine(line: string): number {
  const text = line.trim();
  const word = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(text);
  if (word) return word[2]?.toLowerCase() === 'nan' ? NaN : word[1] === '-' ? -Infinity : Infinity;
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) {
    throw new DamagedModel(`${JSON.stringify(text.slice(0, 40))} is not a float`);
  }
  return Number(text);
}

const ESCAPES: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

/** A `repr` of Python 2: in quotes, with escapes. */
export function parseStringLine(line: string): string {
  const text = line.trimEnd();
  const quote = text[0];
  if (text.length < 2 || (quote !== "'" && quote !== '"') || !text.endsWith(quote)) {
    throw new DamagedModel('a text is not in quotes');
  }
  return text
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\s\S]))/g,
      (all: string, hex?: string, octal?: string, letter = '') => {
        if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
        if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8) & 0xff);
        return ESCAPES[letter] ?? all;
      },
    );
}

function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
