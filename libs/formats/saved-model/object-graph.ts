import type { WireReader } from '../protobuf.js';
import { typeOfNumber } from '../tensorflow/tf-types.js';
import type { TfType } from '../tensorflow/tf-graph.js';
import { readShape } from './tensor-proto.js';

/** The objects of a model of TensorFlow 2 (`saved_object_graph.proto`); the first is the model itself. */
export interface SavedObjects {
  nodes: SavedObject[];
  /** What each concrete function has beside its arguments, by its name. */
  concrete: Map<string, ConcreteFunction>;
}

export interface SavedObject {
  children: { node: number; name: string }[];
  /** Names of concrete functions, where the object is a function. */
  functions: string[];
  kind: 'variable' | 'asset' | 'constant' | 'function' | 'resource' | 'captured' | 'other';
  /** Of a constant: the node that holds it. Of a variable: its name. Of a captured tensor: its name. */
  name: string;
  /** Of an asset: its place in the list of asset files. */
  asset: number;
  dtype: TfType;
}

export interface ConcreteFunction {
  /** Objects that stand behind the arguments, by their place. */
  bound: number[];
  /** How it was traced: positional and named arguments. */
  arguments: StructuredValue | undefined;
  outputs: StructuredValue | undefined;
}

/** A StructuredValue (`struct.proto`), as far as functions for serving need it. */
export type StructuredValue =
  | { kind: 'none' | 'other' }
  | { kind: 'flag'; value: boolean }
  | { kind: 'number'; value: number }
  | { kind: 'text'; value: string }
  | { kind: 'tensor'; name: string; shape: number[] | undefined; dtype: TfType }
  | { kind: 'list'; items: StructuredValue[] }
  | { kind: 'record'; fields: Map<string, StructuredValue> };

export function readObjectGraph(reader: WireReader): SavedObjects {
  const objects: SavedObjects = { nodes: [], concrete: new Map() };
  while (reader.next()) {
    if (reader.field === 1) objects.nodes.push(readObject(reader.message('an object')));
    else if (reader.field === 2) {
      const entry = reader.message('a concrete function');
      let key = '';
      let value: ConcreteFunction | undefined;
      while (entry.next())
        if (entry.field === 1) key = entry.text();
        else if (entry.field === 2) value = readConcrete(entry.message('a concrete function'));
        else entry.skip();
      if (value) objects.concrete.set(key, value);
    } else reader.skip();
  }
  return objects;
}

/** The fields of a SavedObject that say what it is. */
const KINDS: Record<number, SavedObject['kind']> = {
  5: 'asset',
  6: 'function',
  7: 'variable',
  8: 'function',
  9: 'constant',
  10: 'resource',
  12: 'captured',
};

function readObject(reader: WireReader): SavedObject {
  const object: SavedObject = {
    children: [],
    functions: [],
    kind: 'other',
    name: '',
    asset: 0,
    dtype: 'DT_INVALID',
  };
  while (reader.next()) {
    if (reader.field === 1) object.children.push(readChild(reader.message('a child')));
    else if (KINDS[reader.field]) {
      const { field } = reader;
      object.kind = KINDS[field] ?? 'other';
      readKind(field, reader.message('an object'), object);
    } else reader.skip();
  }
  return object;
}

function readKind(kind: number, reader: WireReader, object: SavedObject): void {
  while (reader.next()) {
    const { field } = reader;
    if (kind === 5 && field === 1) object.asset = reader.integer();
    else if ((kind === 6 || kind === 8) && field === 1) object.functions.push(reader.text());
    else if (kind === 7 && field === 1) object.dtype = typeOfNumber(reader.integer());
    else if (kind === 7 && field === 6) object.name = reader.text();
    else if ((kind === 9 || kind === 12) && field === 1) object.name = reader.text();
    else reader.skip();
  }
}

function readChild(reader: WireReader): { node: number; name: string } {
  const child = { node: 0, name: '' };
  while (reader.next())
    if (reader.field === 1) child.node = reader.integer();
    else if (reader.field === 2) child.name = reader.text();
    else reader.skip();
  return child;
}

function readConcrete(reader: WireReader): ConcreteFunction {
  const made: ConcreteFunction = { bound: [], arguments: undefined, outputs: undefined };
  while (reader.next()) {
    if (reader.field === 2) reader.integers(made.bound);
    else if (reader.field === 3) made.arguments = readStructure(reader.message('its arguments'));
    else if (reader.field === 4) made.outputs = readStructure(reader.message('its outputs'));
    else reader.skip();
  }
  return made;
}

function readStructure(reader: WireReader): StructuredValue {
  let value: StructuredValue = { kind: 'other' };
  while (reader.next()) {
    const { field } = reader;
    if (field === 1) {
      reader.skip();
      value = { kind: 'none' };
    } else if (field === 11) value = { kind: 'number', value: reader.float64() };
    else if (field === 12) value = { kind: 'number', value: zigzag(reader.int64()) };
    else if (field === 13) value = { kind: 'text', value: reader.text() };
    else if (field === 14) value = { kind: 'flag', value: reader.integer() !== 0 };
    else if (field === 33 || field === 35) value = readSpec(reader.message('a tensor'));
    else if (field >= 51 && field <= 54) value = readItems(field, reader.message('a structure'));
    else reader.skip();
  }
  return value;
}

function zigzag(value: bigint): number {
  return Number((value >> 1n) ^ -(value & 1n));
}

function readSpec(reader: WireReader): StructuredValue {
  let name = '';
  let shape: number[] | undefined = [];
  let dtype: TfType = 'DT_INVALID';
  while (reader.next()) {
    if (reader.field === 1) name = reader.text();
    else if (reader.field === 2) shape = readShape(reader.message('a shape'));
    else if (reader.field === 3) dtype = typeOfNumber(reader.integer());
    else reader.skip();
  }
  return { kind: 'tensor', name, shape, dtype };
}

/** Lists and tuples (51, 52), dictionaries (53) and named tuples (54). */
function readItems(kind: number, reader: WireReader): StructuredValue {
  const items: StructuredValue[] = [];
  const fields = new Map<string, StructuredValue>();
  const [listed, named] = kind === 54 ? [0, 2] : kind === 53 ? [0, 1] : [1, 0];
  while (reader.next()) {
    if (reader.field === listed) items.push(readStructure(reader.message('an item')));
    else if (reader.field === named) {
      const entry = reader.message('a field');
      let key = '';
      let value: StructuredValue = { kind: 'other' };
      while (entry.next())
        if (entry.field === 1) key = entry.text();
        else if (entry.field === 2) value = readStructure(entry.message('a field'));
        else entry.skip();
      fields.set(key, value);
    } else reader.skip();
  }
  return listed > 0 ? { kind: 'list', items } : { kind: 'record', fields };
}
