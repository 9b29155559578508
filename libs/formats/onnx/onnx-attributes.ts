import type { OnnxNode } from './onnx-model.js';
import { WireReader } from '../protobuf.js';

/** An integer attribute of a node; `otherwise` where it is not there. */
export function integerOf(node: OnnxNode, name: string, otherwise: number): number {
  return read(node, name)?.integer ?? otherwise;
}

/** A list of integers; undefined where it is not there. */
export function integersOf(node: OnnxNode, name: string): number[] | undefined {
  return read(node, name)?.integers.map(Number);
}

export function hasAttribute(node: OnnxNode, name: string): boolean {
  return node.attributes.some((attribute) => attribute.name === name);
}

/** Fields 3 (`i`) and 8 (`ints`) of AttributeProto. */
function read(
  { attributes }: OnnxNode,
  name: string,
): { integer: number | undefined; integers: bigint[] } | undefined {
  const attribute = attributes.find((candidate) => candidate.name === name);
  if (!attribute) return undefined;
  const reader = WireReader.open(attribute.bytes, `attribute ${name}`, { messages: 0 });
  const integers: bigint[] = [];
  let integer: number | undefined;
  while (reader.next()) {
    if (reader.field === 3) integer = Number(reader.int64());
    else if (reader.field === 8) reader.int64s(integers);
    else reader.skip();
  }
  return { integer, integers };
}
