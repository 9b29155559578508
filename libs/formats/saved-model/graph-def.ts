import { DamagedModel } from '../importer.js';
import type { WireReader } from '../protobuf.js';
import type { TfAttribute, TfFunction, TfGraph, TfNode, TfRef } from '../tensorflow/tf-graph.js';
import { typeOfNumber } from '../tensorflow/tf-types.js';
import { flatOutput, type OutputArgument } from './op-outputs.js';
import { readShape, readTensor, type ConstantBudget } from './tensor-proto.js';

/** Outputs of the operations whose definitions a model brings, by their names. */
export type BroughtOps = ReadonlyMap<string, OutputArgument[]>;

/** A GraphDef as it stands in the file: what the references to outputs mean depends on the definitions of operations. */
export interface GraphDef {
  nodes: NodeDef[];
  functions: FunctionDef[];
}

export interface NodeDef {
  name: string;
  op: string;
  inputs: string[];
  attributes: Map<string, TfAttribute>;
}

export interface FunctionDef {
  name: string;
  inputs: string[];
  outputs: string[];
  nodes: NodeDef[];
  /** References by the names of outputs. */
  returned: Map<string, string>;
  controls: string[];
  attributes: Map<string, TfAttribute>;
}

/** Reads a GraphDef (`graph.proto`, `node_def.proto`, `function.proto` and `attr_value.proto` of TensorFlow 2). */
export function readGraphDef(reader: WireReader, budget: ConstantBudget): GraphDef {
  const graph: GraphDef = { nodes: [], functions: [] };
  while (reader.next()) {
    if (reader.field === 1) graph.nodes.push(readNode(reader.message('a node'), budget));
    else if (reader.field === 2) {
      const library = reader.message('the library of functions');
      while (library.next())
        if (library.field === 1)
          graph.functions.push(readFunction(library.message('a function'), budget));
        else library.skip();
    } else reader.skip();
  }
  return graph;
}

/** The outputs of each operation of an OpList (`op_def.proto`). */
export function readOps(reader: WireReader): Map<string, OutputArgument[]> {
  const ops = new Map<string, OutputArgument[]>();
  while (reader.next()) {
    if (reader.field === 1) {
      const { name, outputs } = readOpDef(reader.message('the definition of an operation'));
      ops.set(name, outputs);
    } else reader.skip();
  }
  return ops;
}

interface OpDef {
  name: string;
  inputs: string[];
  outputs: OutputArgument[];
}

function readOpDef(reader: WireReader): OpDef {
  const op: OpDef = { name: '', inputs: [], outputs: [] };
  while (reader.next()) {
    if (reader.field === 1) op.name = reader.text();
    else if (reader.field === 2) op.inputs.push(readArgument(reader.message('an argument')).name);
    else if (reader.field === 3) op.outputs.push(readArgument(reader.message('an argument')));
    else reader.skip();
  }
  return op;
}

function readArgument(reader: WireReader): OutputArgument {
  const argument: OutputArgument = { name: '' };
  while (reader.next()) {
    if (reader.field === 1) argument.name = reader.text();
    else if (reader.field === 5 || reader.field === 6) {
      const count = reader.text();
      if (count !== '') argument.count = count;
    } else reader.skip();
  }
  return argument;
}

function readNode(reader: WireReader, budget: ConstantBudget): NodeDef {
  const node: NodeDef = { name: '', op: '', inputs: [], attributes: new Map() };
  while (reader.next()) {
    if (reader.field === 1) node.name = reader.text();
    else if (reader.field === 2) node.op = reader.text();
    else if (reader.field === 3) node.inputs.push(reader.text());
    else if (reader.field === 5) readAttributeEntry(reader, node.attributes, budget);
    else reader.skip();
  }
  return node;
}

function readFunction(reader: WireReader, budget: ConstantBudget): FunctionDef {
  let signature: OpDef = { name: '', inputs: [], outputs: [] };
  const made: FunctionDef = {
    name: '',
    inputs: [],
    outputs: [],
    nodes: [],
    returned: new Map(),
    controls: [],
    attributes: new Map(),
  };
  while (reader.next()) {
    if (reader.field === 1) signature = readOpDef(reader.message('the signature of a function'));
    else if (reader.field === 3) made.nodes.push(readNode(reader.message('a node'), budget));
    else if (reader.field === 4) made.returned.set(...readTextEntry(reader));
    else if (reader.field === 5) readAttributeEntry(reader, made.attributes, budget);
    else if (reader.field === 6) made.controls.push(readTextEntry(reader)[1]);
    else reader.skip();
  }
  const { name, inputs, outputs } = signature;
  return { ...made, name, inputs, outputs: outputs.map((output) => output.name) };
}

/** An entry of a map of texts. */
export function readTextEntry(reader: WireReader): [key: string, value: string] {
  const entry = reader.message('an entry of a map');
  let [key, value] = ['', ''];
  while (entry.next())
    if (entry.field === 1) key = entry.text();
    else if (entry.field === 2) value = entry.text();
    else entry.skip();
  return [key, value];
}

function readAttributeEntry(
  reader: WireReader,
  into: Map<string, TfAttribute>,
  budget: ConstantBudget,
): void {
  const entry = reader.message('an attribute');
  let key = '';
  let value: TfAttribute | undefined;
  while (entry.next())
    if (entry.field === 1) key = entry.text();
    else if (entry.field === 2) value = readAttribute(entry.message('an attribute'), budget);
    else entry.skip();
  if (value) into.set(key, value);
}

function readAttribute(reader: WireReader, budget: ConstantBudget): TfAttribute | undefined {
  let value: TfAttribute | undefined;
  while (reader.next()) {
    // Fields of single values have the numbers of those of lists, but for a few.
    if (reader.field === 1)
      value = { kind: 'list', value: readList(reader.message('a list'), budget) };
    else if (reader.field === 10)
      value = { kind: 'function', value: readFunctionName(reader.message('a function')) };
    else if (reader.field >= 2 && reader.field <= 8) [value] = readItems(reader, budget);
    else reader.skip();
  }
  return value;
}

function readList(reader: WireReader, budget: ConstantBudget): TfAttribute[] {
  const items: TfAttribute[] = [];
  while (reader.next()) {
    if (reader.field === 9)
      items.push({ kind: 'function', value: readFunctionName(reader.message('a function')) });
    else if (reader.field >= 2 && reader.field <= 8)
      for (const item of readItems(reader, budget)) items.push(item);
    else reader.skip();
  }
  return items;
}

/** What a field of an AttrValue or a list in one holds; several numbers may stand in one field. */
function readItems(reader: WireReader, budget: ConstantBudget): TfAttribute[] {
  switch (reader.field) {
    case 2:
      return [{ kind: 'bytes', value: reader.view() }];
    case 3: {
      const values: bigint[] = [];
      reader.int64s(values);
      return values.map((value) => ({ kind: 'integer', value }));
    }
    case 4: {
      const values: number[] = [];
      reader.float32s(values);
      return values.map((value) => ({ kind: 'float', value }));
    }
    case 5:
      return integers(reader).map((value) => ({ kind: 'flag', value: value !== 0 }));
    case 6:
      return integers(reader).map((value) => ({ kind: 'type', value: typeOfNumber(value) }));
    case 7:
      return [{ kind: 'shape', value: readShape(reader.message('a shape')) }];
    default:
      return [{ kind: 'tensor', value: readTensor(reader.message('a tensor'), budget) }];
  }
}

function integers(reader: WireReader): number[] {
  const values: number[] = [];
  reader.integers(values);
  return values;
}

function readFunctionName(reader: WireReader): string {
  let name = '';
  while (reader.next())
    if (reader.field === 1) name = reader.text();
    else reader.skip();
  return name;
}

/** The graph with all references resolved. Throws DamagedModel where names are used twice or an output is not there. */
export function graphOf({ nodes, functions }: GraphDef, ops: BroughtOps): TfGraph {
  const resolved = new Map<string, TfFunction>();
  for (const definition of functions) {
    if (resolved.has(definition.name))
      throw new DamagedModel(`Two functions are called ${JSON.stringify(definition.name)}.`);
    resolved.set(definition.name, functionOf(definition, ops));
  }
  return { nodes: nodesOf(nodes, plainRef), functions: resolved };
}

function functionOf(definition: FunctionDef, ops: BroughtOps): TfFunction {
  const { name, inputs, outputs, returned, controls, attributes } = definition;
  const byName = new Map(definition.nodes.map((node) => [node.name, node]));
  const within = (reason: string): never => {
    throw new DamagedModel(`In the function ${JSON.stringify(name)}: ${reason}`);
  };
  const refOf = (text: string): TfRef => {
    const [node = '', output, index = '0'] = text.split(':');
    const made = byName.get(node);
    if (!made || output === undefined) return { node, output: 0 };
    const flat = flatOutput(made, output, Number(index), ops);
    return flat !== undefined && flat >= 0
      ? { node, output: flat }
      : within(`${made.op} has no output ${JSON.stringify(text)}.`);
  };
  return {
    name,
    inputs,
    nodes: nodesOf(definition.nodes, refOf),
    outputs: outputs.map((output) =>
      refOf(returned.get(output) ?? within(`nothing is returned as ${JSON.stringify(output)}.`)),
    ),
    controls,
    attributes,
  };
}

/** What `name` or `name:1` refers to outside of functions. */
export function plainRef(text: string): TfRef {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return { node: text, output: 0 };
  const output = Number(text.slice(colon + 1));
  if (!Number.isSafeInteger(output) || output < 0)
    throw new DamagedModel(`${JSON.stringify(text)} is no output of a node.`);
  return { node: text.slice(0, colon), output };
}

function nodesOf(definitions: NodeDef[], refOf: (text: string) => TfRef): Map<string, TfNode> {
  const nodes = new Map<string, TfNode>();
  for (const { name, op, inputs, attributes } of definitions) {
    if (nodes.has(name)) throw new DamagedModel(`Two nodes are called ${JSON.stringify(name)}.`);
    const isControl = (input: string) => input.startsWith('^');
    const controls = inputs.filter(isControl).map((input) => input.slice(1));
    nodes.set(name, {
      name,
      op,
      inputs: inputs.filter((input) => !isControl(input)).map(refOf),
      ...(controls.length > 0 && { controls }),
      attributes,
    });
  }
  return nodes;
}
