import { bytesField, varintField } from '../../libs/formats/protobuf.js';

/** A node as a GraphDef has it; inputs as it writes them. */
export interface WrittenNode {
  name: string;
  op: string;
  inputs?: string[];
  attributes?: Record<string, WrittenAttribute>;
}

export type WrittenAttribute =
  | { function: string }
  | { type: number }
  | { text: string }
  | { texts: string[] }
  | { integer: number }
  /** The bytes of a TensorProto ({@link tensor}). */
  | { tensor: number[] }
  /** The bytes of an AttrValue. */
  | { raw: number[] };

export interface WrittenFunction {
  name: string;
  inputs: string[];
  /** References, by the names of the outputs. */
  outputs: Record<string, string>;
  nodes: WrittenNode[];
  controls?: string[];
}

export interface WrittenTensorInfo {
  name: string;
  dtype: number;
  shape: number[];
}

export interface WrittenSignature {
  inputs: Record<string, WrittenTensorInfo>;
  outputs: Record<string, WrittenTensorInfo>;
}

export interface WrittenGraph {
  tags?: string[];
  nodes: WrittenNode[];
  functions?: WrittenFunction[];
  signatures: Record<string, WrittenSignature>;
  /** File names by the nodes that hold their paths. */
  assets?: Record<string, string>;
  mainOp?: string;
  /** The node that restores the variables. */
  restore?: string;
}

export const FLOAT = 1;
export const INT32 = 3;
export const STRING = 7;
export const LONG = 9;

/** The bytes of `saved_model.pb`. */
export function writeSavedModel(...graphs: WrittenGraph[]): Uint8Array {
  return Uint8Array.from([
    ...varintField(1, 1),
    ...graphs.flatMap((g) => bytesField(2, metaGraph(g))),
  ]);
}

/** One input `x` and one output `y`, vectors of floats. */
export function signature(y: string, x = 'x:0'): WrittenSignature {
  const vector = (name: string) => ({ name, dtype: FLOAT, shape: [-1] });
  return { inputs: { x: vector(x) }, outputs: { y: vector(y) } };
}

export const placeholder: WrittenNode = {
  name: 'x',
  op: 'Placeholder',
  attributes: { dtype: { type: FLOAT } },
};

/** A TensorProto; strings or one number that all elements are. */
export function tensor(dtype: number, shape: number[], texts: string[] = []): number[] {
  const one = dtype === FLOAT ? bytesField(5, new Uint8Array(Float32Array.of(1).buffer)) : [];
  const elements = dtype === STRING ? texts.flatMap((text) => bytesField(8, text)) : one;
  return [...varintField(1, dtype), ...bytesField(2, shapeOf(shape)), ...elements];
}

function metaGraph(graph: WrittenGraph): number[] {
  const {
    tags = ['serve'],
    nodes,
    functions = [],
    signatures,
    assets = {},
    mainOp,
    restore,
  } = graph;
  const library = concat(functions.map((one) => bytesField(1, functionDef(one))));
  const main = mainOp === undefined ? [] : bytesField(1, bytesField(1, mainOp));
  return concat([
    bytesField(1, concat(tags.map((tag) => bytesField(4, tag)))),
    bytesField(
      2,
      concat([...nodes.map((node) => bytesField(1, nodeDef(node))), bytesField(2, library)]),
    ),
    restore === undefined ? [] : bytesField(3, bytesField(3, restore)),
    mainOp === undefined ? [] : entry(4, 'saved_model_main_op', main),
    ...Object.entries(signatures).map(([name, one]) => entry(5, name, signatureDef(one))),
    ...Object.entries(assets).map(([node, file]) =>
      bytesField(6, [...bytesField(1, bytesField(1, `${node}:0`)), ...bytesField(2, file)]),
    ),
  ]);
}

/** Flattens without the limit that arguments of a call have. */
function concat(parts: number[][]): number[] {
  const all: number[] = [];
  for (const part of parts) for (const byte of part) all.push(byte);
  return all;
}

function nodeDef({ name, op, inputs = [], attributes = {} }: WrittenNode): number[] {
  return [
    ...bytesField(1, name),
    ...bytesField(2, op),
    ...inputs.flatMap((input) => bytesField(3, input)),
    ...Object.entries(attributes).flatMap(([key, value]) => entry(5, key, attribute(value))),
  ];
}

function attribute(value: WrittenAttribute): number[] {
  if ('function' in value) return bytesField(10, bytesField(1, value.function));
  if ('type' in value) return varintField(6, value.type);
  if ('text' in value) return bytesField(2, value.text);
  if ('texts' in value)
    return bytesField(
      1,
      value.texts.flatMap((text) => bytesField(2, text)),
    );
  if ('integer' in value) return varintField(3, value.integer);
  return 'tensor' in value ? bytesField(8, value.tensor) : value.raw;
}

function functionDef({ name, inputs, outputs, nodes, controls = [] }: WrittenFunction): number[] {
  const named = (field: number, one: string) => bytesField(field, bytesField(1, one));
  return [
    ...bytesField(1, [
      ...bytesField(1, name),
      ...inputs.flatMap((one) => named(2, one)),
      ...Object.keys(outputs).flatMap((one) => named(3, one)),
    ]),
    ...concat(nodes.map((node) => bytesField(3, nodeDef(node)))),
    ...Object.entries(outputs).flatMap(([key, ref]) =>
      entry(4, key, [...new TextEncoder().encode(ref)]),
    ),
    ...controls.flatMap((control) => entry(6, control, [...new TextEncoder().encode(control)])),
  ];
}

function signatureDef({ inputs, outputs }: WrittenSignature): number[] {
  const infos = (field: number, all: Record<string, WrittenTensorInfo>) =>
    Object.entries(all).flatMap(([name, info]) =>
      entry(field, name, [
        ...bytesField(1, info.name),
        ...varintField(2, info.dtype),
        ...bytesField(3, shapeOf(info.shape)),
      ]),
    );
  return [
    ...infos(1, inputs),
    ...infos(2, outputs),
    ...bytesField(3, 'tensorflow/serving/predict'),
  ];
}

function shapeOf(shape: number[]): number[] {
  return shape.flatMap((size) => bytesField(2, varintField(1, size)));
}

function entry(field: number, key: string, value: number[]): number[] {
  return bytesField(field, [...bytesField(1, key), ...bytesField(2, value)]);
}
