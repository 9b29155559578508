import type { Part } from '../document.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { graphOf } from '../saved-model/graph-def.js';
import { filledTable } from '../saved-model/initialised-tables.js';
import type { TfTable } from '../tensorflow/table.js';
import type { TfGraph, TfNode, TfRef, TfTensor } from '../tensorflow/tf-graph.js';
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
    return filledTable(made, { keys: constantOf(graph, keys), values: constantOf(graph, values) });
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
