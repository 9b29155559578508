import type { OnnxNode } from './onnx-model.js';
import { WireReader } from '../protobuf.js';
import { elementType } from './onnx-types.js';
import { readTensorValues } from './onnx-values.js';

/** An integer attribute of a node; `otherwise` where it is not there. */
export function integerOf(node: OnnxNode, name: string, otherwise: number): number {
  return read(node, name)?.integer ?? otherwise;
}

/** A list of integers; undefined where it is not there. */
export function integersOf(node: OnnxNode, name: string): number[] | undefined {
  return read(node, name)?.integers;
}

/** A float, as float64; `otherwise` where it is not there. */
export function floatOf(node: OnnxNode, name: string, otherwise: number): number {
  return read(node, name)?.float ?? otherwise;
}

/** A list of floats; undefined where it is not there. */
export function floatsOf(node: OnnxNode, name: string): Float32Array | undefined {
  const floats = read(node, name)?.floats;
  return floats && Float32Array.from(floats);
}

/** A text; `otherwise` where it is not there. */
export function textOf(node: OnnxNode, name: string, otherwise: string): string {
  return read(node, name)?.text ?? otherwise;
}

/** A list of texts; undefined where it is not there. */
export function textsOf(node: OnnxNode, name: string): string[] | undefined {
  return read(node, name)?.texts;
}

/** The numbers of a tensor of floats or doubles inside the node; undefined where it is not there. */
export function tensorOf(
  node: OnnxNode,
  name: string,
): { dtype: 'FP32' | 'FP64'; data: Float32Array | Float64Array } | undefined {
  const tensor = node.attributes.find((candidate) => candidate.name === name)?.tensors[0];
  const dtype = tensor && elementType(tensor.dataType)?.dtype;
  if (!tensor || tensor.isExternal || (dtype !== 'FP32' && dtype !== 'FP64')) return undefined;
  const { buffer } = Uint8Array.from(readTensorValues(tensor, dtype));
  return { dtype, data: dtype === 'FP32' ? new Float32Array(buffer) : new Float64Array(buffer) };
}

/** The elements of a tensor of bytes inside the node; undefined where it is not there. */
export function bytesOf(node: OnnxNode, name: string): Uint8Array | undefined {
  const tensor = node.attributes.find((candidate) => candidate.name === name)?.tensors[0];
  return tensor && !tensor.isExternal && elementType(tensor.dataType)?.dtype === 'UINT8'
    ? readTensorValues(tensor, 'UINT8')
    : undefined;
}

export function hasAttribute(node: OnnxNode, name: string): boolean {
  return node.attributes.some((attribute) => attribute.name === name);
}

interface Content {
  integer: number | undefined;
  integers: number[];
  float: number | undefined;
  floats: number[];
  text: string | undefined;
  texts: string[];
}

/** Fields 2 (`f`), 3 (`i`), 4 (`s`), 7 (`floats`), 8 (`ints`) and 9 (`strings`) of AttributeProto. */
function read({ attributes }: OnnxNode, name: string): Content | undefined {
  const attribute = attributes.find((candidate) => candidate.name === name);
  if (!attribute) return undefined;
  const reader = WireReader.open(attribute.bytes, `attribute ${name}`, { messages: 0 });
  const content: Content = {
    integer: undefined,
    integers: [],
    float: undefined,
    floats: [],
    text: undefined,
    texts: [],
  };
  while (reader.next()) {
    if (reader.field === 2) content.float = reader.float32();
    else if (reader.field === 3) content.integer = Number(reader.int64());
    else if (reader.field === 4) content.text = reader.text();
    else if (reader.field === 7) reader.float32s(content.floats);
    else if (reader.field === 8) reader.integers(content.integers);
    else if (reader.field === 9) content.texts.push(reader.text());
    else reader.skip();
  }
  return content;
}
