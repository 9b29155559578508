import type { Part } from '../document.js';
import type { FunctionDef, GraphDef, NodeDef } from '../saved-model/graph-def.js';
import type { TfAttribute, TfType } from '../tensorflow/tf-graph.js';
import { typeOfName, typeOfNumber } from '../tensorflow/tf-types.js';

const MOST_DIMENSIONS = 254;
const MOST_SIZE = 2 ** 53 - 1;

/**
 * Reads a GraphDef in the JSON form of protobuf, as the `modelTopology` of a TF.js graph model is one: 64-bit integers are
 * texts, bytes are base64, types are names. Tensors of attributes are left out: TF.js has them among its weights.
 */
export function readGraphJson(topology: Part): GraphDef {
  const functions = topology.optional('library')?.optional('function')?.list() ?? [];
  return {
    nodes: listOf(topology, 'node').map(readNode),
    functions: functions.map(readFunction),
  };
}

function listOf(part: Part, name: string): Part[] {
  return part.optional(name)?.list() ?? [];
}

function readNode(node: Part): NodeDef {
  return {
    name: node.field('name').text(),
    op: node.field('op').text(),
    inputs: node.optional('input')?.texts() ?? [],
    attributes: readAttributes(node.optional('attr')),
  };
}

function readFunction(definition: Part): FunctionDef {
  const signature = definition.field('signature');
  const names = (list: string) => listOf(signature, list).map((arg) => arg.field('name').text());
  return {
    name: signature.field('name').text(),
    inputs: names('inputArg'),
    outputs: names('outputArg'),
    nodes: listOf(definition, 'nodeDef').map(readNode),
    returned: new Map(textEntries(definition.optional('ret'))),
    controls: textEntries(definition.optional('controlRet')).map(([, node]) => node),
    attributes: readAttributes(definition.optional('attr')),
  };
}

function textEntries(map: Part | undefined): [string, string][] {
  return (map?.entries() ?? []).map(([name, value]) => [name, value.text()]);
}

function readAttributes(attributes: Part | undefined): Map<string, TfAttribute> {
  const read = new Map<string, TfAttribute>();
  for (const [name, value] of attributes?.entries() ?? []) {
    const attribute = readAttribute(value);
    if (attribute) read.set(name, attribute);
  }
  return read;
}

/** The attribute whose only member says what it is; undefined where it is nothing that is read here. */
function readAttribute(attribute: Part): TfAttribute | undefined {
  const [[kind, value] = []] = attribute.entries();
  if (kind === undefined || !value) return undefined;
  if (kind === 'list')
    return { kind, value: value.entries().flatMap(([of, items]) => readItems(of, items)) };
  if (kind === 'func') return { kind: 'function', value: value.field('name').text() };
  return readItem(kind, value);
}

function readItems(kind: string, items: Part): TfAttribute[] {
  return items.list().flatMap((item) => {
    if (kind === 'func') return [{ kind: 'function', value: item.field('name').text() }];
    return readItem(kind, item) ?? [];
  });
}

function readItem(kind: string, value: Part): TfAttribute | undefined {
  switch (kind) {
    case 's':
      return { kind: 'bytes', value: readBytes(value) };
    case 'i':
      return { kind: 'integer', value: readInteger(value) };
    case 'f':
      return { kind: 'float', value: readFloat(value) };
    case 'b':
      return { kind: 'flag', value: readFlag(value) };
    case 'type':
      return { kind: 'type', value: readType(value) };
    case 'shape':
      return { kind: 'shape', value: readShapeJson(value) };
    default:
      return undefined;
  }
}

/** Base64; old converters wrote a list of the bytes. */
function readBytes(part: Part): Uint8Array {
  if (!Array.isArray(part.value)) return Uint8Array.from(Buffer.from(part.text(), 'base64'));
  return Uint8Array.from(part.list(), (byte) => byte.integer(0, 255));
}

function readInteger(part: Part): bigint {
  const { value } = part;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  const text = typeof value === 'string' ? value : '';
  return /^-?\d{1,20}$/.test(text)
    ? BigInt.asIntN(64, BigInt(text))
    : part.damaged('must be an integer');
}

function readFloat(part: Part): number {
  // The parser of the file made null of a NaN without quotation marks.
  return part.value === 'NaN' || part.value === null ? NaN : part.number();
}

function readFlag(part: Part): boolean {
  return typeof part.value === 'boolean' ? part.value : part.damaged('must be true or false');
}

/** A dtype by its name, or by its number. */
export function readType(part: Part): TfType {
  return typeof part.value === 'number' ? typeOfNumber(part.value) : typeOfName(part.text());
}

/** A TensorShapeProto; undefined: of any rank, −1: of any size. */
export function readShapeJson(part: Part): number[] | undefined {
  const unknown = part.optional('unknownRank');
  if (unknown && readFlag(unknown)) return undefined;
  const dimensions = listOf(part, 'dim');
  if (dimensions.length > MOST_DIMENSIONS) part.damaged('has too many dimensions');
  return dimensions.map((dimension) =>
    Math.max(-1, dimension.optional('size')?.integer(-MOST_SIZE, MOST_SIZE) ?? 0),
  );
}
