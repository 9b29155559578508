import { DTYPES, elementCount, elementSize, newData, viewData } from './dtype.js';
import type { JsonReader } from './json-reader.js';
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
export function splitSequence(name: string, flat: Tensor, shapes: Tensor, ranks: Tensor): Tensor[] {
  const dims = Array.from(shapes.data as BigInt64Array, Number);
  let dim = 0;
  let offset = 0;
  return Array.from(ranks.data as BigInt64Array, (rank, index) => {
    const shape = dims.slice(dim, (dim += Number(rank)));
    const data = flat.data.slice(offset, (offset += elementCount(shape)));
    return { name: `${name}.${index}`, dtype: flat.dtype, shape, data };
  });
}

const MOST = { ports: 2_000, bytes: 2 ** 24, labels: 1_000_000 } as const;

/** Checks the bridge of an onnx node in `program.json`. */
export function parseBridge(at: JsonReader): OnnxBridge {
  return {
    external: at
      .field('external')
      .array(MOST.ports)
      .map((location) => location.string()),
    hide: at
      .field('hide')
      .array(MOST.ports * 3)
      .map((offset) => offset.integer(0, 2 ** 40)),
    append: at.field('append').string(MOST.bytes),
    inputs: Object.fromEntries(
      at
        .field('inputs')
        .entries(MOST.ports)
        .map(([name, input]) => [name, parseInput(input)]),
    ),
    outputs: Object.fromEntries(
      at
        .field('outputs')
        .entries(MOST.ports)
        .map(([name, output]) => [name, parseOutput(output)]),
    ),
  };
}

function parseInput(at: JsonReader): BridgedInput {
  const kind = at.field('kind').oneOf(['default', 'bfloat16', 'sequence']);
  if (kind === 'sequence') return parseSequence(at);
  if (kind === 'bfloat16') return { kind, value: at.field('value').string() };
  const numeric = DTYPES.filter((dtype) => dtype !== 'BYTES');
  return {
    kind,
    dtype: at.field('dtype').oneOf(numeric),
    shape: at
      .field('shape')
      .array(64)
      .map((dim) => dim.integer(0, 2 ** 32)),
    data: at.field('data').string(MOST.bytes),
  };
}

function parseOutput(at: JsonReader): BridgedOutput {
  const kind = at.field('kind').oneOf(['map', 'bfloat16', 'sequence']);
  if (kind === 'sequence') return parseSequence(at);
  const value = at.field('value').string();
  if (kind === 'bfloat16') return { kind, value };
  const labels = at.field('labels').attribute(MOST.labels);
  if (!Array.isArray(labels)) at.fail('must have an array of labels');
  return {
    kind,
    value,
    labels: labels.map((label) => (typeof label === 'number' ? label : `${label}`)),
  };
}

function parseSequence(at: JsonReader): BridgedSequence {
  return {
    kind: 'sequence',
    dtype: at.field('dtype').oneOf(DTYPES),
    flat: at.field('flat').string(),
    shapes: at.field('shapes').string(),
    ranks: at.field('ranks').string(),
  };
}
