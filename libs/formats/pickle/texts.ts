import { DamagedModel } from '../importer.js';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 as Python's `surrogatepass` reads it. Throws DamagedModel. */
export function utf8(bytes: Uint8Array): string {
  // Faster than a TextDecoder for the short texts that most are, but it hides what is wrong behind U+FFFD.
  const text = over(bytes).toString('utf8');
  if (!text.includes('\ufffd')) return text;
  try {
    return strict.decode(bytes);
  } catch {
    return withSurrogates(bytes);
  }
}

/** One character a byte. */
export function latin1(bytes: Uint8Array): string {
  return over(bytes).toString('latin1');
}

/** A text of characters up to U+00FF that was UTF-8, and its bytes with one for each character. */
export interface Latin1Text {
  text: string;
  bytes: Uint8Array;
}

/**
 * Reads UTF-8 that has characters up to U+00FF only, which is how protocol 2 holds bytes; undefined where it has others or is
 * none. A decoder would make such texts of two bytes a character, and needs ten times as long.
 */
export function utf8OfLatin1(bytes: Uint8Array): Latin1Text | undefined {
  const narrow = new Uint8Array(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < 0x80) {
      narrow[length++] = byte;
      continue;
    }
    const next = bytes[++i] ?? 0;
    if ((byte !== 0xc2 && byte !== 0xc3) || next >> 6 !== 2) return undefined;
    narrow[length++] = ((byte & 3) << 6) | (next & 0x3f);
  }
  const used = narrow.subarray(0, length);
  return { text: latin1(used), bytes: used };
}

/** Bytes of a text of characters up to U+00FF; undefined where one is beyond. */
export function bytesOfLatin1(text: string): Uint8Array | undefined {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return undefined;
  const bytes = Buffer.from(text, 'latin1');
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Python's raw-unicode-escape: latin-1, with \uXXXX and \UXXXXXXXX. Throws DamagedModel. */
export function rawUnicode(bytes: Uint8Array): string {
  // A backslash escapes only where an odd number of them comes before the letter.
  return latin1(bytes).replace(
    /(\\+)(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))?/g,
    (all: string, slashes: string, four?: string, eight?: string) => {
      const digits = four ?? eight;
      if (digits === undefined || slashes.length % 2 === 0) return all;
      const point = parseInt(digits, 16);
      if (point > 0x10ffff) throw new DamagedModel('a text has a character beyond Unicode');
      return slashes.slice(1) + String.fromCodePoint(point);
    },
  );
}

function over(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Surrogates stand alone as three bytes ED A0..BF xx; all else must be UTF-8. */
function withSurrogates(bytes: Uint8Array): string {
  let text = '';
  let done = 0;
  const decode = (end: number) => {
    try {
      text += strict.decode(bytes.subarray(done, end));
    } catch {
      throw new DamagedModel('a text is not UTF-8');
    }
  };
  for (let i = 0; i + 2 < bytes.length; i++) {
    const [second = 0, third = 0] = [bytes[i + 1], bytes[i + 2]];
    if (bytes[i] !== 0xed || second < 0xa0 || second > 0xbf || third >> 6 !== 2) continue;
    decode(i);
    text += String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f));
    done = i + 3;
    i += 2;
  }
  decode(bytes.length);
  return text;
}
