import { dataOf, type DType } from '#program';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import type { TfTensor } from '../tensorflow/tf-graph.js';
import { latin1 } from './sorted-table.js';
import { textOf } from './tensor-proto.js';

const MOST_BYTES = 256 * 2 ** 20;

/** Where keys or values stand: −2 is the whole line, −1 its number, else the column. */
interface Part {
  index: number;
  dtype: DType;
}

interface Layout {
  key: Part;
  value: Part;
  /** Lines that count; −1 for all. */
  size: number;
  delimiter: string;
  /** Added to the numbers of lines. */
  offset: number;
}

/**
 * Reads a text file as `InitializeTableFromTextFileV2` does (`lookup_util.cc` of TensorFlow 2): a line an entry, `\r` at its end left
 * out; empty lines and lines with too few columns are faults.
 */
export async function readVocabulary(
  file: UploadedFile,
  { key, value, size, delimiter, offset }: Layout,
): Promise<{ keys: TfTensor; values: TfTensor }> {
  if (file.size > MOST_BYTES)
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; ${MOST_BYTES} are supported for a table.`,
    );
  const lines = linesOf(await file.read(), size);
  if (size >= 0 && lines.length < size)
    throw new DamagedModel(`${file.path} has ${lines.length} lines; the model says ${size}.`);
  const columns = Math.max(key.index, value.index);
  const cells: Record<'keys' | 'values', (string | Uint8Array)[]> = { keys: [], values: [] };
  lines.forEach((line, number) => {
    const fail = (reason: string): never => {
      throw new DamagedModel(`${file.path}, line ${number + 1}: ${reason}.`);
    };
    if (line.length === 0) fail('it is empty');
    const tokens = columns >= 0 ? split(line, delimiter) : [];
    if (columns >= tokens.length && columns >= 0)
      fail(`it has ${tokens.length} columns, and the model reads column ${columns + 1}`);
    const cell = ({ index, dtype }: Part) => {
      if (index === -1) return String(number + offset);
      const bytes = index === -2 ? line : tokens[index];
      return cellOf(bytes ?? line, dtype) ?? fail(`it has no ${dtype} where one must be`);
    };
    cells.keys.push(cell(key));
    cells.values.push(cell(value));
  });
  return { keys: column(cells.keys, key.dtype), values: column(cells.values, value.dtype) };
}

function linesOf(bytes: Uint8Array, most: number): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let at = 0; at < bytes.length && lines.length !== most;) {
    const found = bytes.indexOf(10, at);
    const end = found < 0 ? bytes.length : found;
    const last = end > at && bytes[end - 1] === 13 ? end - 1 : end;
    lines.push(bytes.subarray(at, last));
    at = end + 1;
  }
  return lines;
}

function split(line: Uint8Array, delimiter: string): Uint8Array[] {
  const separator = delimiter.charCodeAt(0);
  const parts: Uint8Array[] = [];
  let begin = 0;
  for (let i = 0; i <= line.length; i++)
    if (i === line.length || line[i] === separator) {
      parts.push(line.subarray(begin, i));
      begin = i + 1;
    }
  return parts;
}

const NUMBERS: Partial<Record<DType, RegExp>> = {
  INT32: /^\s*[+-]?\d{1,10}\s*$/,
  INT64: /^\s*[+-]?\d{1,19}\s*$/,
  FP32: /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i,
  FP64: /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i,
};

/** The text of a cell, where the dtype can be read of it. */
function cellOf(bytes: Uint8Array, dtype: DType): string | Uint8Array | undefined {
  if (dtype === 'BYTES') return textOf(bytes);
  const text = latin1(bytes);
  if (!NUMBERS[dtype]?.test(text)) return undefined;
  if (!dtype.startsWith('INT')) return text.trim();
  const value = BigInt(text.trim().replace('+', ''));
  return BigInt.asIntN(dtype === 'INT32' ? 32 : 64, value) === value ? String(value) : undefined;
}

function column(cells: (string | Uint8Array)[], dtype: DType): TfTensor {
  const shape = [cells.length];
  if (dtype === 'BYTES') return { dtype, shape, data: cells };
  return { dtype, shape, data: dataOf(dtype, cells.map(String)) };
}
