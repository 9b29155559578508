import { holdsDType, newData } from './dtype.js';
import { ProgramError } from './program-error.js';
import type { Tensor, TensorData } from './tensor.js';

/**
 * Joins bound requests of one rowwise program along the first dimension: `requests[r][i]` is input i of request r, all with
 * the same names, dtypes and rows of the same shape. Answers one request, whose tensors have the parameters of the first.
 */
export function concatRows(requests: Tensor[][]): Tensor[] {
  const [first, ...others] = requests;
  if (!first || others.length === 0) return first ?? [];
  return first.map((tensor, i) =>
    concatTensors(requests.map((request) => sameKind(tensor, request[i]))),
  );
}

/** A part of tensors that answer several requests at once. */
export interface RowRange {
  from: number;
  count: number;
}

/**
 * Cuts the answers to a joined request: `counts[r]` rows for request r. The pieces share memory with the answers. Throws
 * ProgramError where an answer does not have the rows that were asked, which a rowwise program does not do.
 */
export function splitRows(outputs: Tensor[], counts: number[]): Tensor[][] {
  let total = 0;
  for (const count of counts) total += count;
  checkRows(outputs, total);
  let from = 0;
  return counts.map((count) => {
    const part = takeRows(outputs, { from, count });
    from += count;
    return part;
  });
}

/** Throws ProgramError where a tensor has another number of rows. */
export function checkRows(outputs: Tensor[], total: number): void {
  for (const { name, shape } of outputs) {
    if (shape[0] === total) continue;
    throw new ProgramError(
      'INVALID_PROGRAM',
      `output "${name}" has shape [${shape.join(', ')}] where ${total} rows were asked`,
    );
  }
}

/** Some rows of tensors, which share memory with them. */
export function takeRows(tensors: Tensor[], { from, count }: RowRange): Tensor[] {
  return tensors.map((tensor) => rowsOf(tensor, from, count));
}

function sameKind(expected: Tensor, tensor: Tensor | undefined): Tensor {
  if (!tensor || tensor.name !== expected.name || tensor.dtype !== expected.dtype) {
    throw new ProgramError(
      'INVALID_INPUT',
      `requests of one batch differ in input "${expected.name}"`,
    );
  }
  return tensor;
}

function concatTensors(tensors: Tensor[]): Tensor {
  const [first] = tensors;
  if (!first) return { name: '', dtype: 'FP32', shape: [0], data: new Float32Array(0) };
  const { name, dtype, shape, parameters } = first;
  let rows = 0;
  let length = 0;
  for (const tensor of tensors) {
    rows += tensor.shape[0] ?? 1;
    length += tensor.data.length;
  }
  const data = newData(dtype, length);
  let at = 0;
  for (const tensor of tensors) {
    copyInto(data, tensor.data, at);
    at += tensor.data.length;
  }
  const joined: Tensor = { name, dtype, shape: [rows, ...shape.slice(1)], data };
  if (parameters) joined.parameters = parameters;
  return joined;
}

/** Copies `source` to `at`; the arrays are of one kind, which `sameKind` saw to. */
function copyInto(target: TensorData, source: TensorData, at: number): void {
  if (Array.isArray(target)) {
    if (Array.isArray(source)) for (const [i, item] of source.entries()) target[at + i] = item;
  } else if (target instanceof BigInt64Array || target instanceof BigUint64Array) {
    if (source instanceof BigInt64Array || source instanceof BigUint64Array) target.set(source, at);
  } else if (
    !Array.isArray(source) &&
    !(source instanceof BigInt64Array) &&
    !(source instanceof BigUint64Array)
  ) {
    target.set(source, at);
  }
}

function rowsOf(tensor: Tensor, from: number, count: number): Tensor {
  const [rows = 0, ...rest] = tensor.shape;
  const size = rows === 0 ? 0 : tensor.data.length / rows;
  const { data } = tensor;
  const part = Array.isArray(data)
    ? data.slice(from * size, (from + count) * size)
    : data.subarray(from * size, (from + count) * size);
  if (!holdsDType(part, tensor.dtype)) {
    throw new ProgramError('INVALID_PROGRAM', `output "${tensor.name}" is not ${tensor.dtype}`);
  }
  return { ...tensor, shape: [count, ...rest], data: part };
}
