import { ProgramError } from '../program-error.js';
import type { TensorData } from '../tensor.js';
import type { Value } from './kernel.js';

/** An element of BYTES that is not missing: text, or bytes that are no UTF-8. */
export type Bytes = string | Uint8Array;

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { ignoreBOM: true });

/** The elements of BYTES. Throws INVALID_INPUT where one is missing: TensorFlow has no missing strings. */
export function elementsOf({ data }: Pick<Value, 'data'>): readonly Bytes[] {
  if (!isBytes(data)) throw new ProgramError('INVALID_PROGRAM', 'a kernel for BYTES got numbers');
  const missing = data.indexOf(null);
  if (missing >= 0)
    throw ProgramError.input(
      '/inputs',
      `Element ${missing} of a tensor of strings is missing (null). Send a string, "" for none.`,
    );
  return data as readonly Bytes[];
}

function isBytes(data: TensorData): data is (string | Uint8Array | null)[] {
  return Array.isArray(data);
}

/** The bytes of an element. */
export function bytesOf(element: Bytes): Uint8Array {
  return typeof element === 'string' ? encoder.encode(element) : element;
}

/** An element of these bytes: a string where they are UTF-8. */
export function elementOf(bytes: Uint8Array): Bytes {
  try {
    return strict.decode(bytes);
  } catch {
    return bytes.slice();
  }
}

/** The text of an element, with U+FFFD for what is no UTF-8. */
export function textOf(element: Bytes): string {
  return typeof element === 'string' ? wellFormed(element) : lenient.decode(element);
}

function wellFormed(text: string): string {
  return isAscii(text) ? text : lenient.decode(encoder.encode(text));
}

/** An element as a string of which each character is one byte, so that it can be cut anywhere. */
export function byteString(element: Bytes): string {
  if (typeof element === 'string' && isAscii(element)) return element;
  return binary(bytesOf(element));
}

/** The element that a string of {@link byteString} means. */
export function fromByteString(text: string): Bytes {
  return isAscii(text) ? text : elementOf(Uint8Array.from(text, (c) => c.charCodeAt(0)));
}

/** How many characters a text in UTF-8 has, counted as TensorFlow does: bytes that continue none. */
export function isContinuation(byteText: string, at: number): boolean {
  return (byteText.charCodeAt(at) & 0xc0) === 0x80;
}

/** Bytes in what {@link String.fromCharCode} takes at once. */
const CHUNK = 8192;

function binary(bytes: Uint8Array): string {
  let text = '';
  for (let from = 0; from < bytes.length; from += CHUNK)
    text += String.fromCharCode(...bytes.subarray(from, from + CHUNK));
  return text;
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** A key that two elements share where their bytes are equal. */
export function keyOf(element: Bytes): string {
  return typeof element === 'string' ? element : `\uDFFF${binary(element)}`;
}
