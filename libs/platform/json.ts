import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { parse as parseSlowly } from 'lossless-json';
import { DomainError } from './errors.js';

export interface ReadJsonOptions {
  /** Deepest nesting of arrays and objects. */
  maxDepth?: number;
}

/**
 * Parses JSON from outside. Integers that a double would round come as `bigint`, so that INT64 and UINT64 stay exact.
 * Refused as INVALID_ARGUMENT: bytes that are not UTF-8, text that is not JSON (both with the place), nesting deeper
 * than `maxDepth` (found before anything is parsed), and the key `__proto__`.
 */
export function readJson(
  body: Uint8Array | string,
  { maxDepth = 64 }: ReadJsonOptions = {},
): unknown {
  const bytes = typeof body === 'string' ? Buffer.from(body) : asBuffer(body);
  if (typeof body !== 'string' && !isUtf8(bytes)) {
    throw refused(`is not UTF-8: byte ${firstInvalid(bytes)} begins no character`);
  }
  const wide = scan(bytes, maxDepth);
  const text = wide.length > 0 ? marked(bytes, wide) : bytes.toString('utf8');
  const value = parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  return wide.length > 0 ? revived(value) : value;
}

/** Writes JSON; a `bigint` becomes an integer with all its digits. The counterpart of {@link readJson}. */
export function writeJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError) || !error.message.includes('BigInt')) throw error;
    const text = JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'bigint' ? `${MARK}${part}` : part,
    );
    return text.replace(MARKED, '$1');
  }
}

/** Stands before the digits of a wide integer on its way through `JSON`; nobody outside can know it. */
const MARK = `${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, 'g');

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MOST_DIGITS = 20;

/** Where the integers stand that a double would round. Throws where the nesting is too deep. */
function scan(bytes: Buffer, maxDepth: number): { start: number; end: number }[] {
  const wide: { start: number; end: number }[] = [];
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) i = endOfString(bytes, i);
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > maxDepth) {
        throw refused(`is nested deeper than ${maxDepth} levels, at byte ${i}`);
      }
    } else if (byte === 0x5d || byte === 0x7d) depth--;
    else if (isDigit(byte)) {
      const start = bytes[i - 1] === 0x2d ? i - 1 : i;
      let end = i;
      while (isDigit(bytes[end])) end++;
      const fraction = bytes[end] === 0x2e || ((bytes[end] ?? 0) | 0x20) === 0x65;
      const digits = end - i;
      if (!fraction && digits >= 16 && digits <= MOST_DIGITS && byte !== 0x30) {
        if (isRounded(bytes.toString('latin1', i, end))) wide.push({ start, end });
      }
      i = fraction ? endOfFraction(bytes, end) : end - 1;
    }
  }
  return wide;
}

/** Index of the quote that ends the string which begins at `start`. */
function endOfString(bytes: Buffer, start: number): number {
  for (let i = start + 1; i < bytes.length; i++) {
    if (bytes[i] === BACKSLASH) i++;
    else if (bytes[i] === QUOTE) return i;
  }
  return bytes.length;
}

/** Index of the last character of a number whose `.` or `e` is at `start`. */
function endOfFraction(bytes: Buffer, start: number): number {
  let i = start;
  while (isDigit(bytes[i + 1]) || [0x2b, 0x2d, 0x2e, 0x45, 0x65].includes(bytes[i + 1] ?? 0)) i++;
  return i;
}

function isRounded(digits: string): boolean {
  const value = Number(digits);
  // A double may hold the integer and yet be written with other digits: the shortest that read back as it.
  return (
    !Number.isSafeInteger(value) && (String(value) !== digits || BigInt(value) !== BigInt(digits))
  );
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** The text with each wide integer as a marked string. */
function marked(bytes: Buffer, wide: { start: number; end: number }[]): string {
  const parts: string[] = [];
  let from = 0;
  for (const { start, end } of wide) {
    parts.push(
      bytes.toString('utf8', from, start),
      `"${MARK}${bytes.toString('latin1', start, end)}"`,
    );
    from = end;
  }
  parts.push(bytes.toString('utf8', from));
  return parts.join('');
}

/** Turns marked strings into bigints, in place; the depth was bounded by the scan. */
function revived(value: unknown): unknown {
  if (typeof value === 'string')
    return value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revived(value[i]);
  } else if (typeof value === 'object' && value !== null) {
    const fields = value as Record<string, unknown>;
    for (const key of Object.keys(fields)) fields[key] = revived(fields[key]);
  }
  return value;
}

function parse(text: string): unknown {
  // Assigned to another object, such a key would change its prototype. It may also be written with escapes.
  const risky = /__proto__|\\u005f/i.test(text);
  try {
    return risky ? JSON.parse(text, refuseProto) : JSON.parse(text);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw refused(`is not JSON: ${placeOf(text, error)}`);
  }
}

function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw refused('has a key "__proto__", which cannot be a name');
  return value;
}

/** Bodies up to this many characters are parsed a second time for the place of the fault. */
const SMALL = 2 ** 20;

function placeOf(text: string, error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  if (text.length > SMALL) return hidden(said);
  try {
    parseSlowly(text);
  } catch (slow) {
    if (slow instanceof Error) return hidden(slow.message);
  }
  return hidden(said);
}

function hidden(message: string): string {
  return message.replaceAll(MARK, '');
}

function refused(what: string): DomainError {
  const message = `The body ${what}.`;
  return new DomainError('INVALID_ARGUMENT', message, { errors: [{ pointer: '', message }] });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Index of the first byte that is no UTF-8. */
function firstInvalid(bytes: Buffer): number {
  const text = bytes.toString('utf8');
  for (let at = text.indexOf('\uFFFD'); at >= 0; at = text.indexOf('\uFFFD', at + 1)) {
    const offset = Buffer.byteLength(text.slice(0, at));
    if (bytes.toString('latin1', offset, offset + 3) !== '\xEF\xBF\xBD') return offset;
  }
  return bytes.length;
}
