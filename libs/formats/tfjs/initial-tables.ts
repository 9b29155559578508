import type { DType, TensorData } from '#program';
import type { Part } from '../document.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { graphOf } from '../saved-model/graph-def.js';
import type { TfTable } from '../tensorflow/table.js';
import type { TfGraph, TfNode, TfRef, TfTensor } from '../tensorflow/tf-graph.js';
import { isTensorType } from '../tensorflow/tf-types.js';
import { readGraphJson } from './graph-json.js';
import { readPort, type TfjsPort } from './port.js';
import type { TfjsWeight } from './weights.js';
import { withWeights } from './weighted-graph.js';

/** The lookup tables that the initialiser of a graph model makes, by the inputs of the graph that they are given to. */
export interface InitialTables {
  /** Throws UnsupportedModel and DamagedModel where the initialiser does not make the table, or not from constants. */
  of(input: TfjsPort): TfTable;
}

const MOST_STEPS = 1000;

/** Reads `modelInitializer` and `initializerSignature` of a `model.json`. Nothing is run: tables are filled with constants. */
export function readInitialTables(
  document: Part,
  weights: ReadonlyMap<string, TfjsWeight>,
): InitialTables {
  const topology = document.optional('modelInitializer');
  const graph: TfGraph = topology
    ? withWeights(graphOf(readGraphJson(topology), new Map()), weights)
    : { nodes: new Map(), functions: new Map() };
  const outputs = document.optional('initializerSignature')?.optional('outputs')?.entries() ?? [];
  const ports = outputs.map(readPort);
  return {
    of({ name, resource }) {
      const port =
        resource === undefined ? undefined : ports.find((made) => made.resource === resource);
      if (!port)
        throw new UnsupportedModel(
          `The input ${JSON.stringify(name.slice(0, 200))} is a resource that the model's initialiser does not make.`,
        );
      return tableOf(graph, port.ref);
    },
  };
}

function tableOf(graph: TfGraph, ref: TfRef): TfTable {
  const made = sourceOf(graph, ref);
  for (const node of graph.nodes.values()) {
    const [table, keys, values] = node.inputs;
    if (!FILLING.test(node.op) || !table || sourceOf(graph, table) !== made) continue;
    if (!keys || !values || node.op.startsWith('InitializeTableFromTextFile'))
      throw new UnsupportedModel(
        `The operation ${node.op} (node ${quoted(node)}) is not supported: the file that it reads is not part of a TF.js model.`,
      );
    return filled(made, constantOf(graph, keys), constantOf(graph, values));
  }
  throw new UnsupportedModel(
    `The operation ${made.op} (node ${quoted(made)}) is not supported: the model's initialiser does not fill it.`,
  );
}

const FILLING = /^(LookupTableImport|InitializeTable|InitializeTableFromTextFile)(V2)?$/;

function quoted({ name }: TfNode): string {
  return JSON.stringify(name.slice(0, 200));
}

/** The node that makes a value, through nodes that pass it on. */
function sourceOf({ nodes }: TfGraph, { node }: TfRef): TfNode {
  let found = nodes.get(node);
  for (let steps = 0; found?.op === 'Identity' && found.inputs[0] && steps < MOST_STEPS; steps++)
    found = nodes.get(found.inputs[0].node);
  if (!found) throw new DamagedModel(`The initialiser has no node ${JSON.stringify(node)}.`);
  return found;
}

function constantOf(graph: TfGraph, ref: TfRef): TfTensor {
  const node = sourceOf(graph, ref);
  const value = node.attributes.get('value');
  if (value?.kind === 'tensor') return value.value;
  throw new UnsupportedModel(
    `The operation ${node.op} (node ${quoted(node)}) is not supported: tables are filled with constants alone.`,
  );
}

/** TensorFlow takes a key a second time where its value is the same. */
function filled({ name }: TfNode, keys: TfTensor, values: TfTensor): TfTable {
  const { length } = keys.data;
  if (values.data.length !== length || !isTensorType(keys.dtype) || !isTensorType(values.dtype))
    throw new DamagedModel(`The table ${JSON.stringify(name)} has not as many values as keys.`);
  const places = new Map<string, number>();
  for (let i = 0; i < length; i++) {
    const key = textOf(keys.data, i);
    const before = places.get(key) ?? i;
    if (textOf(values.data, before) !== textOf(values.data, i))
      throw new DamagedModel(`The table ${JSON.stringify(name)} has two values for a key.`);
    places.set(key, before);
  }
  const kept = [...places.values()];
  return {
    resource: 'table',
    name,
    keyDtype: keys.dtype,
    valueDtype: values.dtype,
    keys: picked(keys.dtype, keys.data, kept),
    values: picked(values.dtype, values.data, kept),
    valueShape: [],
  };
}

/** An element in a form that only equal ones have. */
function textOf(data: TensorData, i: number): string {
  const element = data[i];
  return element instanceof Uint8Array ? `bytes ${element.join()}` : `${typeof element} ${element}`;
}

function picked(dtype: DType, data: TensorData, kept: number[]): TensorData {
  if (kept.length === data.length) return data;
  if (Array.isArray(data)) return kept.map((i) => data[i] ?? '');
  const places = new Set(kept);
  return data.filter((_: number | bigint, i: number) => places.has(i));
}
