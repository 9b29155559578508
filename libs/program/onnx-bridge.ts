import { elementCount, elementSize, newData, viewData } from './dtype.js';
import { ProgramError } from './program-error.js';
import type { DType, Tensor, TensorData } from './tensor.js';

/**
 * How inputs and outputs that onnxruntime's JavaScript API cannot pass (sequences, maps, bfloat16, defaults that a request
 * may replace) are led through ordinary tensors. The uploaded file stays as it is; when it is loaded, the tags at `hide`
 * are turned into those of a field that ONNX does not use, and the bytes of `append` are put behind it: protobuf merges
 * them with the model, so that its graph gets further nodes, inputs and outputs.
 */
export interface OnnxBridge {
  /** Locations of external data as the graph names them. */
  external: string[];
  /** Offsets of tags in the file. */
  hide: number[];
  /** Base64 of fields of ModelProto. */
  append: string;
  /** By the names of the graph's inputs; one that is not here is passed as it is. */
  inputs: Record<string, BridgedInput>;
  outputs: Record<string, BridgedOutput>;
}

export type BridgedInput =
  /** Used where a request leaves the input out; `data` is base64, little-endian. */
  | { kind: 'default'; dtype: Exclude<DType, 'BYTES'>; shape: number[]; data: string }
  | { kind: 'bfloat16'; value: string }
  | BridgedSequence;

export type BridgedOutput =
  /** `value` holds the numbers `[rows, labels]`. */
  | { kind: 'map'; value: string; labels: (string | number)[] }
  | { kind: 'bfloat16'; value: string }
  | BridgedSequence;

/** A sequence of tensors as the elements of all, their shapes and their ranks, each one after the other. */
export interface BridgedSequence {
  kind: 'sequence';
  dtype: DType;
  flat: string;
  shapes: string;
  ranks: string;
}

/** Tag of field 3 of GraphProto, length-delimited: reserved, so every reader skips it. */
const UNUSED_TAG = (3 << 3) | 2;

/** The bytes to load: the file itself, where nothing has to be changed. */
export function bridgeModel(file: Uint8Array, bridge: OnnxBridge | undefined): Uint8Array {
  if (!bridge || (bridge.hide.length === 0 && bridge.append === '')) return file;
  const appended = Uint8Array.from(atob(bridge.append), (char) => char.charCodeAt(0));
  const model = new Uint8Array(file.length + appended.length);
  model.set(file);
  model.set(appended, file.length);
  for (const offset of bridge.hide) model[offset] = UNUSED_TAG;
  return model;
}

/** The elements of a default. */
export function fromBase64(
  text: string,
  dtype: Exclude<DType, 'BYTES'>,
  length: number,
): TensorData {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  if (bytes.length !== length * elementSize(dtype))
    throw new ProgramError('INVALID_PROGRAM', 'A default has not the length of its shape.');
  return viewData(dtype, bytes.buffer, 0, length);
}

/** The items `NAME.0`, `NAME.1`, … of a request as the three tensors that the graph takes. */
export function joinSequence(
  name: string,
  sequence: BridgedSequence,
  inputs: Tensor[],
): { flat: Tensor; shapes: Tensor; ranks: Tensor } {
  const items: Tensor[] = [];
  const byName = new Map(inputs.map((tensor) => [tensor.name, tensor]));
  for (let item = byName.get(`${name}.0`); item; item = byName.get(`${name}.${items.length}`))
    items.push(item);
  const length = items.reduce((sum, item) => sum + elementCount(item.shape), 0);
  const data = concatenate(sequence.dtype, items, length);
  const shapes = items.flatMap((item) => item.shape);
  return {
    flat: { name: sequence.flat, dtype: sequence.dtype, shape: [length], data },
    shapes: integers(sequence.shapes, shapes),
    ranks: integers(
      sequence.ranks,
      items.map((item) => item.shape.length),
    ),
  };
}

function concatenate(dtype: DType, items: Tensor[], length: number): TensorData {
  if (dtype === 'BYTES') return items.flatMap((item) => item.data as string[]);
  const data = newData(dtype, length) as Float32Array;
  let offset = 0;
  for (const item of items) {
    data.set(item.data as Float32Array, offset);
    offset += item.data.length;
  }
  return data;
}

function integers(name: string, values: number[]): Tensor {
  const data = BigInt64Array.from(values, BigInt);
  return { name, dtype: 'INT64', shape: [values.length], data };
}

/** The items of a sequence output, named `NAME.0`, `NAME.1`, … */
export function splitSequence(
  name: string,
  flat: Tensor,
  shapes: Tensor,
  ranks: Tensor,
): Tensor[] {
  const dims = Array.from(shapes.data as BigInt64Array, Number);
  let dim = 0;
  let offset = 0;
  return Array.from(ranks.data as BigInt64Array, (rank, index) => {
    const shape = dims.slice(dim, (dim += Number(rank)));
    const data = flat.data.slice(offset, (offset += elementCount(shape)));
    return { name: `${name}.${index}`, dtype: flat.dtype, shape, data };
  });
}
