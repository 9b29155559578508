import { WireReader, type ReadBudget } from '../protobuf.js';

/**
 * What the importer needs of an ONNX model, as in `onnx.proto` (IR 3 to 13). Weights stay views of the file; lists that
 * nothing here asks for are counted or skipped. `tagAt` is the offset in the file of the tag of the field.
 */
export interface OnnxModel {
  irVersion: number;
  opsets: OpsetImport[];
  graph: OnnxGraph | undefined;
  functions: OnnxFunction[];
}

export interface OpsetImport {
  /** `''` for ai.onnx. */
  domain: string;
  version: number;
}

export interface OnnxGraph {
  nodes: OnnxNode[];
  initializers: OnnxTensor[];
  sparseInitializers: OnnxSparseTensor[];
  inputs: OnnxValue[];
  outputs: OnnxValue[];
}

export interface OnnxFunction {
  domain: string;
  name: string;
  overload: string;
  opsets: OpsetImport[];
  nodes: OnnxNode[];
}

export interface OnnxNode {
  tagAt: number;
  name: string;
  opType: string;
  domain: string;
  overload: string;
  inputs: string[];
  outputs: string[];
  attributes: OnnxAttribute[];
}

export interface OnnxAttribute {
  name: string;
  /** The message itself: {@link labelsOf} reads its list. */
  bytes: Uint8Array;
  tensors: OnnxTensor[];
  sparseTensors: OnnxSparseTensor[];
  graphs: OnnxGraph[];
}

export interface OnnxTensor {
  tagAt: number;
  name: string;
  dims: number[];
  /** TensorProto.DataType. */
  dataType: number;
  raw: Uint8Array | undefined;
  /** Elements in each of the typed lists, by the name of the field. */
  typed: Map<TypedField, number>;
  /** The message itself, for the few tensors whose values are wanted. */
  bytes: Uint8Array;
  external: ExternalEntry[];
  isExternal: boolean;
}

export type TypedField =
  'float_data' | 'int32_data' | 'string_data' | 'int64_data' | 'double_data' | 'uint64_data';

export interface ExternalEntry {
  key: string;
  value: string;
}

export interface OnnxSparseTensor {
  values: OnnxTensor | undefined;
  indices: OnnxTensor | undefined;
  dims: number[];
}

export interface OnnxValue {
  tagAt: number;
  name: string;
  type: OnnxType | undefined;
}

export type OnnxType =
  /** `dims` is absent where the rank is free; -1 is a free dimension. */
  | { kind: 'tensor'; dataType: number; dims?: readonly number[] }
  | { kind: 'sequence'; of: OnnxType | undefined }
  | { kind: 'optional'; of: OnnxType | undefined }
  | { kind: 'map'; keyType: number; value: OnnxType | undefined }
  | { kind: 'sparse tensor' | 'opaque' };

/** Messages in one file: enough for 100,000 nodes with their attributes, value infos and metadata. */
const MAX_MESSAGES = 4_000_000;

/** Reads a model; throws {@link DamagedModel} for anything that is not one. */
export function readOnnxModel(bytes: Uint8Array): OnnxModel {
  const budget: ReadBudget = { messages: MAX_MESSAGES };
  const reader = WireReader.open(bytes, 'the model', budget);
  const model: OnnxModel = { irVersion: 0, opsets: [], graph: undefined, functions: [] };
  if (bytes.length === 0) reader.fail('it has no bytes');
  while (reader.next()) {
    if (reader.field === 1) model.irVersion = reader.integer();
    else if (reader.field === 7) {
      once(reader, model.graph, 'graph');
      model.graph = readGraph(reader.message('the graph'));
    } else if (reader.field === 8) model.opsets.push(readOpset(reader.message('opset_import')));
    else if (reader.field === 25) model.functions.push(readFunction(reader.message('a function')));
    else reader.skip();
  }
  if (!model.graph) reader.fail('it has no graph');
  return model;
}

/** Protobuf merges a message that is there twice; no writer does that, and it would hide what is checked here. */
function once(reader: WireReader, present: unknown, what: string): void {
  if (present !== undefined) reader.fail(`${what} is there twice`);
}

function readOpset(reader: WireReader): OpsetImport {
  const opset: OpsetImport = { domain: '', version: 0 };
  while (reader.next()) {
    if (reader.field === 1) opset.domain = plainDomain(reader.text());
    else if (reader.field === 2) opset.version = reader.integer();
    else reader.skip();
  }
  return opset;
}

function plainDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function readGraph(reader: WireReader): OnnxGraph {
  const graph: OnnxGraph = {
    nodes: [],
    initializers: [],
    sparseInitializers: [],
    inputs: [],
    outputs: [],
  };
  while (reader.next()) {
    const { tagAt } = reader;
    if (reader.field === 1) graph.nodes.push(readNode(reader.message('a node'), tagAt));
    else if (reader.field === 5)
      graph.initializers.push(readTensor(reader, 'an initializer', tagAt));
    else if (reader.field === 11)
      graph.inputs.push(readValue(reader.message('a graph input'), tagAt));
    else if (reader.field === 12)
      graph.outputs.push(readValue(reader.message('a graph output'), tagAt));
    else if (reader.field === 15)
      graph.sparseInitializers.push(readSparseTensor(reader.message('a sparse initializer')));
    else reader.skip();
  }
  return graph;
}

function readFunction(reader: WireReader): OnnxFunction {
  const made: OnnxFunction = { domain: '', name: '', overload: '', opsets: [], nodes: [] };
  while (reader.next()) {
    const { tagAt } = reader;
    if (reader.field === 1) made.name = reader.text();
    else if (reader.field === 7)
      made.nodes.push(readNode(reader.message(`a node of function ${made.name}`), tagAt));
    else if (reader.field === 9) made.opsets.push(readOpset(reader.message('opset_import')));
    else if (reader.field === 10) made.domain = plainDomain(reader.text());
    else if (reader.field === 13) made.overload = reader.text();
    else reader.skip();
  }
  return made;
}

function readNode(reader: WireReader, tagAt: number): OnnxNode {
  const node: OnnxNode = {
    tagAt,
    name: '',
    opType: '',
    domain: '',
    overload: '',
    inputs: [],
    outputs: [],
    attributes: [],
  };
  while (reader.next()) {
    if (reader.field === 1) node.inputs.push(reader.text());
    else if (reader.field === 2) node.outputs.push(reader.text());
    else if (reader.field === 3) node.name = reader.text();
    else if (reader.field === 4) node.opType = reader.text();
    else if (reader.field === 5) node.attributes.push(readAttribute(reader));
    else if (reader.field === 7) node.domain = plainDomain(reader.text());
    else if (reader.field === 8) node.overload = reader.text();
    else reader.skip();
  }
  return node;
}

function readAttribute(parent: WireReader): OnnxAttribute {
  const reader = parent.message('an attribute');
  const attribute: OnnxAttribute = {
    name: '',
    bytes: reader.whole(),
    tensors: [],
    sparseTensors: [],
    graphs: [],
  };
  let tensor: OnnxTensor | undefined;
  let graph: OnnxGraph | undefined;
  let sparse: OnnxSparseTensor | undefined;
  while (reader.next()) {
    const { tagAt } = reader;
    if (reader.field === 1) attribute.name = reader.text();
    else if (reader.field === 5) {
      once(reader, tensor, 'a tensor');
      attribute.tensors.push((tensor = readTensor(reader, 'a tensor', tagAt)));
    } else if (reader.field === 6) {
      once(reader, graph, 'a subgraph');
      attribute.graphs.push((graph = readGraph(reader.message('a subgraph'))));
    } else if (reader.field === 10) attribute.tensors.push(readTensor(reader, 'a tensor', tagAt));
    else if (reader.field === 11) attribute.graphs.push(readGraph(reader.message('a subgraph')));
    else if (reader.field === 22) {
      once(reader, sparse, 'a sparse tensor');
      attribute.sparseTensors.push((sparse = readSparseTensor(reader.message('a sparse tensor'))));
    } else if (reader.field === 23)
      attribute.sparseTensors.push(readSparseTensor(reader.message('a sparse tensor')));
    else reader.skip();
  }
  return attribute;
}

const typedVarints = new Map<number, TypedField>([
  [5, 'int32_data'],
  [7, 'int64_data'],
  [11, 'uint64_data'],
]);

function readTensor(parent: WireReader, what: string, tagAt: number): OnnxTensor {
  const reader = parent.message(what);
  const dims: bigint[] = [];
  const tensor: OnnxTensor = {
    tagAt,
    name: '',
    dims: [],
    dataType: 0,
    raw: undefined,
    typed: new Map(),
    bytes: reader.whole(),
    external: [],
    isExternal: false,
  };
  const count = (field: TypedField, added: number) =>
    tensor.typed.set(field, (tensor.typed.get(field) ?? 0) + added);
  while (reader.next()) {
    const varints = typedVarints.get(reader.field);
    if (varints) count(varints, reader.countVarints());
    else if (reader.field === 1) reader.int64s(dims);
    else if (reader.field === 2) tensor.dataType = reader.integer();
    else if (reader.field === 4) count('float_data', reader.countFixed(4));
    else if (reader.field === 6) count('string_data', reader.view().length >= 0 ? 1 : 0);
    else if (reader.field === 8) tensor.name = reader.text();
    else if (reader.field === 9) tensor.raw = reader.view();
    else if (reader.field === 10) count('double_data', reader.countFixed(8));
    else if (reader.field === 13) tensor.external.push(readEntry(reader.message('external_data')));
    else if (reader.field === 14) tensor.isExternal = reader.integer() === 1;
    else reader.skip();
    if (dims.length > MAX_RANK) reader.fail(`a tensor has more than ${MAX_RANK} dimensions`);
  }
  tensor.dims = dims.map((dim) => safeDim(reader, dim));
  return tensor;
}

/** More than any operator takes. */
const MAX_RANK = 64;

function safeDim(reader: WireReader, dim: bigint): number {
  if (dim < 0n) reader.fail(`a tensor has the negative dimension ${dim}`);
  if (dim > BigInt(Number.MAX_SAFE_INTEGER)) reader.fail(`the dimension ${dim} is out of range`);
  return Number(dim);
}

function readSparseTensor(reader: WireReader): OnnxSparseTensor {
  const dims: bigint[] = [];
  const sparse: OnnxSparseTensor = { values: undefined, indices: undefined, dims: [] };
  while (reader.next()) {
    const { tagAt } = reader;
    if (reader.field === 1) {
      once(reader, sparse.values, 'values');
      sparse.values = readTensor(reader, 'values of a sparse tensor', tagAt);
    } else if (reader.field === 2) {
      once(reader, sparse.indices, 'indices');
      sparse.indices = readTensor(reader, 'indices of a sparse tensor', tagAt);
    } else if (reader.field === 3) reader.int64s(dims);
    else reader.skip();
    if (dims.length > MAX_RANK) reader.fail(`a tensor has more than ${MAX_RANK} dimensions`);
  }
  sparse.dims = dims.map((dim) => safeDim(reader, dim));
  return sparse;
}

function readEntry(reader: WireReader): ExternalEntry {
  const entry: ExternalEntry = { key: '', value: '' };
  while (reader.next()) {
    if (reader.field === 1) entry.key = reader.text();
    else if (reader.field === 2) entry.value = reader.text();
    else reader.skip();
  }
  return entry;
}

function readValue(reader: WireReader, tagAt: number): OnnxValue {
  const value: OnnxValue = { tagAt, name: '', type: undefined };
  while (reader.next()) {
    if (reader.field === 1) value.name = reader.text();
    else if (reader.field === 2) {
      once(reader, value.type, 'a type');
      value.type = readType(reader.message('a type'));
    } else reader.skip();
  }
  return value;
}

function readType(reader: WireReader): OnnxType | undefined {
  let type: OnnxType | undefined;
  while (reader.next()) {
    if (reader.field === 6) {
      reader.skip();
      continue;
    }
    once(reader, type, 'a type');
    if (reader.field === 1) type = readTensorType(reader.message('a tensor type'));
    else if (reader.field === 4)
      type = { kind: 'sequence', of: readElementType(reader.message('a sequence type'), 1) };
    else if (reader.field === 5) type = readMapType(reader.message('a map type'));
    else if (reader.field === 9)
      type = { kind: 'optional', of: readElementType(reader.message('an optional type'), 1) };
    else {
      if (reader.field !== 7 && reader.field !== 8)
        reader.fail(`field ${reader.field} is not a known type`);
      type = { kind: reader.field === 7 ? 'opaque' : 'sparse tensor' };
      reader.skip();
    }
  }
  return type;
}

function readTensorType(reader: WireReader): OnnxType {
  let dataType = 0;
  let dims: number[] | undefined;
  while (reader.next()) {
    if (reader.field === 1) dataType = reader.integer();
    else if (reader.field === 2) {
      once(reader, dims, 'a shape');
      dims = readShape(reader.message('a shape'));
    } else reader.skip();
  }
  return dims ? { kind: 'tensor', dataType, dims } : { kind: 'tensor', dataType };
}

function readShape(reader: WireReader): number[] {
  const dims: number[] = [];
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const dim = reader.message('a dimension');
    let size = -1;
    while (dim.next()) {
      if (dim.field === 1) size = Math.max(-1, dim.integer());
      else {
        if (dim.field === 2) size = -1;
        dim.skip();
      }
    }
    dims.push(size);
    if (dims.length > MAX_RANK) reader.fail(`a shape has more than ${MAX_RANK} dimensions`);
  }
  return dims;
}

function readElementType(reader: WireReader, field: number): OnnxType | undefined {
  let type: OnnxType | undefined;
  while (reader.next()) {
    if (reader.field === field) {
      once(reader, type, 'an element type');
      type = readType(reader.message('an element type'));
    } else reader.skip();
  }
  return type;
}

function readMapType(reader: WireReader): OnnxType {
  let keyType = 0;
  let value: OnnxType | undefined;
  while (reader.next()) {
    if (reader.field === 1) keyType = reader.integer();
    else if (reader.field === 2) {
      once(reader, value, 'a value type');
      value = readType(reader.message('a value type'));
    } else reader.skip();
  }
  return { kind: 'map', keyType, value };
}

/** Labels of a ZipMap: the strings or the integers of the attribute. */
export function labelsOf(attribute: OnnxAttribute): string[] | bigint[] {
  const reader = WireReader.open(attribute.bytes, `attribute ${attribute.name}`, { messages: 0 });
  const texts: string[] = [];
  const integers: bigint[] = [];
  while (reader.next()) {
    if (reader.field === 8) reader.int64s(integers);
    else if (reader.field === 9) texts.push(reader.text());
    else reader.skip();
  }
  return texts.length > 0 ? texts : integers;
}
