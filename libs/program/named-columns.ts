import { viewData } from './dtype.js';
import { ProgramError } from './program-error.js';
import type { Tensor, TensorData } from './tensor.js';

/** Tensors of one column each, and for each the tensor of the request that it was in. */
export interface NamedColumns {
  columns: Tensor[];
  origins: number[];
}

/** Whether a request names the columns of a matrix, as a data frame does. */
export function namesColumns(tensors: readonly Tensor[]): boolean {
  return tensors.some(({ parameters }) => (parameters?.['columns'] ?? undefined) !== undefined);
}

/**
 * Takes each matrix `[rows, columns]` with `parameters.columns` (as many names) apart into columns `[rows]` of these names, in
 * any order; other tensors stay as they are. Throws ProgramError (INVALID_INPUT) where the names are none or too few.
 */
export function splitNamedColumns(tensors: readonly Tensor[]): NamedColumns {
  const split: NamedColumns = { columns: [], origins: [] };
  for (const [at, tensor] of tensors.entries()) {
    const names: unknown = tensor.parameters?.['columns'] ?? undefined;
    const parts = names === undefined ? [tensor] : columnsOf(tensor, names, at);
    split.columns.push(...parts);
    split.origins.push(...parts.map(() => at));
  }
  return split;
}

/** An error about a column, with the pointer to where the request has it. */
export function pointedAtOrigin(error: unknown, { origins }: NamedColumns): unknown {
  const [, index, rest = ''] =
    (error instanceof ProgramError && /^\/inputs\/(\d+)(\/.*)?$/.exec(error.pointer ?? '')) || [];
  if (!(error instanceof ProgramError) || index === undefined) return error;
  const at = origins[Number(index)] ?? 0;
  const isSplit = origins.filter((origin) => origin === at).length > 1;
  const where = isSplit && rest === '/name' ? '/parameters/columns' : rest;
  return ProgramError.input(`/inputs/${at}${where}`, error.message);
}

function columnsOf(tensor: Tensor, names: unknown, at: number): Tensor[] {
  const { name, dtype, shape } = tensor;
  const [rows = 0, width] = shape;
  const isNames = Array.isArray(names) && names.every((each) => typeof each === 'string');
  if (!isNames || width === undefined || shape.length !== 2 || names.length !== width) {
    throw ProgramError.input(
      `/inputs/${at}/parameters/columns`,
      `"columns" must be the names of the columns of "${name}", which has shape [${shape.join(', ')}].`,
    );
  }
  return names.map((column: string, i): Tensor => ({
    name: column,
    dtype,
    shape: [rows],
    data: columnOf(tensor, rows, width, i),
  }));
}

function columnOf(
  { dtype, data }: Tensor,
  rows: number,
  width: number,
  column: number,
): TensorData {
  if (Array.isArray(data)) {
    return Array.from({ length: rows }, (_, row) => data[row * width + column] ?? null);
  }
  const size = data.BYTES_PER_ELEMENT;
  const from = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const to = new Uint8Array(rows * size);
  for (let row = 0; row < rows; row++) {
    const start = (row * width + column) * size;
    to.set(from.subarray(start, start + size), row * size);
  }
  return dtype === 'BYTES' ? [] : viewData(dtype, to.buffer, 0, rows);
}
