import { holdsDType, newData } from './dtype.js';
import { ProgramError } from './program-error.js';
import type { Tensor, TensorData } from './tensor.js';

/**
 * Joins bound requests of one rowwise program along the first dimension: `requests[r][i]` is input i of request r, all with
 * the same names, dtypes and rows of the same shape. Answers one request.
 */
export function concatRows(requests: Tensor[][]): Tensor[] {
  const [first, ...others] = requests;
  if (!first || others.length === 0) return first ?? [];
  return first.map((tensor, i) =>
    concatTensors(requests.map((request) => sameKind(tensor, request[i]))),
  );
}

/**
 * Cuts the answers to a joined request: `counts[r]` rows for request r. The pieces share memory with the answers. Throws
 * ProgramError where an answer does not have the rows that were asked, which a rowwise program does not do.
 */
export function splitRows(outputs: Tensor[], counts: number[]): Tensor[][] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const wrong = outputs.find((output) => output.shape[0] !== total);
  if (wrong) {
    throw new ProgramError(
      'INVALID_PROGRAM',
      `output "${wrong.name}" has shape [${wrong.shape.join(', ')}] where ${total} rows were asked`,
    );
  }
  let start = 0;
  return counts.map((count) => {
    const from = start;
    start += count;
    return outputs.map((output) => rowsOf(output, from, count));
  });
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
  const { name, dtype, shape } = first;
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
  return { name, dtype, shape: [rows, ...shape.slice(1)], data };
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
