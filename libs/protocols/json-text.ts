import { isUtf8 } from 'node:buffer';
import { parse } from 'lossless-json';
import { CodecError } from './codec-error.js';

/** Text of a JSON document that came as bytes; refuses bytes that are not UTF-8. */
export function textOf(body: Buffer): string {
  const text = body.toString();
  // U+FFFD stands in the text where bytes were no UTF-8 or where it was written; only then the bytes are looked at again.
  if (text.includes('\ufffd') && !isUtf8(body)) {
    throw new CodecError('', 'The body is not UTF-8. Send JSON encoded as UTF-8.');
  }
  return text;
}

/**
 * Lists and objects in a body. Flat data needs a list a tensor; a million empty lists are 3 MB of text but take JSON.parse
 * half a second and 64 MiB of them ten, in which a process answers nobody.
 */
const MAX_CONTAINERS = 1_000_000;

/**
 * `JSON.parse` that refuses lists and objects nested deeper than `maxDepth`, and too many of them, before anything is built:
 * 64 MiB of `[` would take gigabytes.
 */
export function parseJson(text: string, maxDepth: number): unknown {
  if (!isPlain(text, maxDepth)) checkContainers(text, maxDepth);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson(error);
  }
}

/**
 * The same document with integers of 16 to 20 digits as bigint, where they would lose digits as numbers. Several times
 * slower than `JSON.parse`; the text has been through `parseJson`, which bounds the recursion here.
 */
export function parseExact(text: string): unknown {
  try {
    return parse(text, undefined, {
      // No 64-bit integer has more than 20 characters, and a bigint of millions of digits would take minutes.
      parseNumber: (digits) =>
        digits.length > 15 && /^-?\d{1,20}$/.test(digits) ? BigInt(digits) : Number(digits),
      onDuplicateKey: ({ newValue }) => newValue,
    });
  } catch (error) {
    throw notJson(error);
  }
}

/** Whether an integer may stand in the text that a float64 cannot hold: 2^53 has 16 digits. */
export function hasLongNumbers(text: string): boolean {
  return /\d{16}/.test(text);
}

function notJson(error: unknown): CodecError {
  const reason = error instanceof Error ? error.message : String(error);
  return new CodecError('', `The body is not JSON: ${reason}`);
}

/**
 * A quick look by native search that answers true only where `checkContainers` would find nothing. It counts the openings
 * that do not follow a closing and a comma at once (`], [`), which are never fewer than the depth, also where brackets stand
 * in strings. Rows of numbers pass it without a look at each character.
 */
function isPlain(text: string, maxDepth: number): boolean {
  if (text.length < 2 * maxDepth + 2) return true;
  let depth = 0;
  let count = 0;
  for (const opening of ['[', '{']) {
    for (let at = text.indexOf(opening); at >= 0; at = text.indexOf(opening, at + 1)) {
      if (++count > MAX_CONTAINERS) return false;
      if (!followsClosing(text, at) && ++depth > maxDepth) return false;
    }
  }
  return true;
}

function followsClosing(text: string, at: number): boolean {
  let before = at - 1;
  while (text.charCodeAt(before) <= 32) before--;
  if (text.charCodeAt(before) !== 44) return false;
  before--;
  while (text.charCodeAt(before) <= 32) before--;
  const code = text.charCodeAt(before);
  return code === 93 || code === 125;
}

function checkContainers(text: string, maxDepth: number): void {
  let depth = 0;
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) {
      at = endOfString(text, at);
    } else if (code === 91 || code === 123) {
      if (++depth > maxDepth) {
        throw new CodecError(
          '',
          `The body nests lists and objects deeper than ${maxDepth}, which no tensor needs. Send fewer levels.`,
        );
      }
      if (++count > MAX_CONTAINERS) {
        throw new CodecError(
          '',
          `The body has more than ${MAX_CONTAINERS} lists and objects. Send the data of each tensor as one flat list.`,
        );
      }
    } else if (code === 93 || code === 125) {
      depth--;
    }
  }
}

/** Index of the quote that ends the string which begins at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 92) at++;
    else if (code === 34) return at;
  }
  return text.length;
}
