import type { InferTensor, Nested, PredictionInputs, PredictOptions, TensorSpec } from '#sdk';
import { parseExact } from '#sdk';
import { UsageError } from './failure.js';

export interface PredictionInput {
  values: PredictionInputs;
  /** What a V2 request says beside its inputs. */
  options: PredictOptions;
}

/**
 * What a file asks for: a V2 request, values by input, a bare array, or CSV with a header. `specsOf` is asked only for CSV,
 * which does not say what its columns are.
 *
 * @throws UsageError where the text is none of these
 */
export async function readInput(
  text: string,
  file: string,
  specsOf: () => Promise<TensorSpec[]>,
): Promise<PredictionInput> {
  const bare = text.replace(/^\uFEFF/, '');
  if (!/^\s*[[{]/.test(bare)) {
    const { columns, rows } = parseCsv(bare, file);
    return { values: csvInputs(columns, rows, await specsOf(), file), options: {} };
  }
  const value = parseJson(bare, file);
  if (Array.isArray(value)) return { values: value as Nested[], options: {} };
  const request = asObject('inputExample' in value ? value['inputExample'] : value, file);
  if (!Array.isArray(request['inputs']))
    return { values: request as Record<string, Nested>, options: {} };
  const { inputs, outputs, parameters, id } = request;
  const names = Array.isArray(outputs)
    ? outputs.map((output) => String(asObject(output, file)['name']))
    : undefined;
  return {
    values: inputs as InferTensor[],
    options: {
      ...(names ? { outputs: names } : {}),
      ...(parameters === undefined ? {} : { parameters: asObject(parameters, file) }),
      ...(typeof id === 'string' ? { id } : {}),
    },
  };
}

function parseJson(text: string, file: string): Record<string, unknown> | unknown[] {
  try {
    const value = parseExact(text);
    return Array.isArray(value) ? value : asObject(value, file);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file}: ${error.message}.`);
    throw error;
  }
}

function asObject(value: unknown, file: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new UsageError(`${file} is no request: see slipway predict --help.`);
}

/** Columns as inputs of their own where the model has inputs of these names, else together as rows of its only input. */
function csvInputs(
  columns: string[],
  rows: string[][],
  specs: TensorSpec[],
  file: string,
): PredictionInputs {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  if (columns.every((column) => byName.has(column)))
    return Object.fromEntries(
      columns.map((column, i) => [
        column,
        rows.map((row) => cellOf(row[i] ?? '', byName.get(column))),
      ]),
    );
  const [only, ...others] = specs;
  if (!only || others.length > 0) {
    const unknown = columns.filter((column) => !byName.has(column));
    throw new UsageError(
      `${file} has columns that are no inputs of the model: ${unknown.join(', ')}. It takes ${specs.map(({ name }) => name).join(', ')}.`,
    );
  }
  const wide = only.shape.length > 1;
  return {
    [only.name]: rows.map((row) =>
      wide ? row.map((cell) => cellOf(cell, only)) : cellOf(row[0] ?? '', only),
    ),
  };
}

/** A cell as the input wants it. An empty one is missing; what is no number is left to the server to refuse by its place. */
function cellOf(cell: string, spec: TensorSpec | undefined): Nested {
  if (cell === '') return null;
  if (spec?.dtype === 'BYTES') return cell;
  if (/^(true|false)$/i.test(cell)) return cell.toLowerCase() === 'true';
  if (/^[+-]?\d+$/.test(cell) && !Number.isSafeInteger(Number(cell))) return BigInt(cell);
  const number = Number(cell);
  return Number.isNaN(number) && !/^nan$/i.test(cell) ? cell : number;
}

/** CSV by RFC 4180: quoted cells may hold commas, line breaks and doubled quotes. */
export function parseCsv(text: string, file: string): { columns: string[]; rows: string[][] } {
  const rows: string[][] = [];
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n|\n|\r|$)/y;
  let row: string[] = [];
  while (cell.lastIndex < text.length) {
    const line = rows.length + 1;
    const match = cell.exec(text);
    if (!match)
      throw new UsageError(`${file} is neither JSON nor CSV: row ${line} has a stray quote.`);
    const [, value = '', end] = match;
    row.push(value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value.trim());
    if (end === ',' && cell.lastIndex === text.length) row.push('');
    if (end === ',' && cell.lastIndex < text.length) continue;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  const [columns, ...values] = rows;
  if (!columns || values.length === 0)
    throw new UsageError(`${file} has no rows: JSON, or CSV with a header and rows, was expected.`);
  const odd = values.findIndex((cells) => cells.length !== columns.length);
  if (odd >= 0)
    throw new UsageError(
      `${file}: row ${odd + 1} has ${values[odd]?.length} cells, and the header ${columns.length}.`,
    );
  return { columns, rows: values };
}
