import { DamagedModel } from './importer.js';

/**
 * Parses the JSON that C++ and Python libraries write, which may hold `NaN`, `Infinity` and `-Infinity`: NaN becomes null.
 * The depth of nesting is checked before anything is built. Throws DamagedModel.
 */
export function parseModelJson(bytes: Uint8Array, mostDepth: number): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new DamagedModel(
      'The JSON is not UTF-8, or longer than a text can be (512 MiB); save the model in a binary format.',
    );
  }
  try {
    return JSON.parse(withoutWords(text, mostDepth));
  } catch (error) {
    if (error instanceof DamagedModel) throw error;
    throw new DamagedModel(`The file is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);
const CAPITAL_N = 0x4e;
const CAPITAL_I = 0x49;

/** Writes numbers that are not JSON as numbers that are: 1e999 reads back as Infinity. */
function withoutWords(text: string, mostDepth: number): string {
  const pieces: string[] = [];
  let done = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      i = endOfString(text, i);
    } else if (OPENING.has(code)) {
      depth += 1;
      if (depth > mostDepth)
        throw new DamagedModel(`The JSON is nested more than ${mostDepth} deep.`);
    } else if (CLOSING.has(code)) {
      depth -= 1;
    } else if (code === CAPITAL_N && text.startsWith('NaN', i)) {
      pieces.push(text.slice(done, i), 'null');
      done = i + 3;
      i += 2;
    } else if (code === CAPITAL_I && text.startsWith('Infinity', i)) {
      pieces.push(text.slice(done, i), '1e999');
      done = i + 8;
      i += 7;
    }
  }
  return pieces.length === 0 ? text : pieces.join('') + text.slice(done);
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH) i += 1;
    else if (code === QUOTE) return i;
  }
  return text.length;
}
