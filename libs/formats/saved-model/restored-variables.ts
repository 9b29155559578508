import { dataOf } from '#program';
import { DamagedModel } from '../importer.js';
import type { TfNode, TfTensor } from '../tensorflow/tf-graph.js';
import { integerOf } from '../tensor-graph/known.js';
import { isTensorType } from '../tensorflow/tf-types.js';
import type { MetaGraph } from './meta-graph.js';
import type { TensorBundle } from './tensor-bundle.js';
import { parseSlice, type Slice } from './tensor-slice.js';
import { TracedGraph, type Visited } from './traced-graph.js';

/** Where a tensor of a checkpoint is. */
export interface StoredTensor {
  key: string;
  /** The part of it that is meant, where it is not all. */
  slice?: Slice;
}

/** What the model restores from its checkpoint, by the nodes that make the variables and tables. */
export interface Restored {
  variables: Map<TfNode, StoredTensor>;
  tables: Map<TfNode, { keys: StoredTensor; values: StoredTensor }>;
}

/**
 * Which tensor of the checkpoint each variable gets: found by following the operation that restores the model, since the names of
 * variables and the keys of the checkpoint have nothing to do with each other.
 */
export function traceRestore({ graph, restoreNode }: MetaGraph): Restored {
  const restored: Restored = { variables: new Map(), tables: new Map() };
  const traced = new TracedGraph(graph);
  for (const visited of traced.runsBefore(restoreNode)) {
    const { op } = visited.node;
    if (op === 'Assign' || op === 'AssignVariableOp') {
      const variable = traced.source(visited, 0)?.node;
      const stored = storedTensor(traced, visited, 1);
      if (variable !== undefined && stored) restored.variables.set(variable, stored);
    } else if (op === 'LookupTableImport' || op === 'LookupTableImportV2') {
      const table = traced.source(visited, 0)?.node;
      const keys = storedTensor(traced, visited, 1);
      const values = storedTensor(traced, visited, 2);
      if (table !== undefined && keys && values) restored.tables.set(table, { keys, values });
    }
  }
  return restored;
}

function storedTensor(
  traced: TracedGraph,
  visited: Visited,
  input: number,
): StoredTensor | undefined {
  const source = traced.source(visited, input);
  if (source?.node.op !== 'RestoreV2') return undefined;
  const key = constantText(traced, source, 1, source.output);
  const part = constantText(traced, source, 2, source.output);
  if (key === undefined) return undefined;
  const slice = part ? parseSlice(part) : undefined;
  if (part && !slice)
    throw new DamagedModel(
      `The node ${JSON.stringify(source.node.name)} restores the part ${JSON.stringify(part.slice(0, 100))}, which is none.`,
    );
  return slice ? { key, slice } : { key };
}

/** An element of an input of strings that is constant. */
function constantText(
  traced: TracedGraph,
  visited: Visited,
  input: number,
  element: number,
): string | undefined {
  const constant = constantOf(traced, visited, input);
  if (!constant || constant.dtype !== 'BYTES') return undefined;
  const text = constant.data[element];
  return typeof text === 'string' ? text : undefined;
}

/** Numbers that a range may have; keys of a vocabulary are counted with it. */
const MOST_COUNTED = 10_000_000;

/**
 * The tensor that is an input of a node, where that is constant, or counts: initialisers of TensorFlow 1 give the words of a
 * vocabulary the integers of a range.
 */
export function constantOf(
  traced: TracedGraph,
  visited: Visited,
  input: number,
): TfTensor | undefined {
  const source = traced.source(visited, input);
  if (source?.node.op === 'Range') return rangeOf(traced, source);
  if (source?.node.op === 'Cast') return castOf(traced, source);
  if (source?.node.op !== 'Const') return undefined;
  const value = source.node.attributes.get('value');
  return value?.kind === 'tensor' ? value.value : undefined;
}

function rangeOf(traced: TracedGraph, range: Visited): TfTensor | undefined {
  const [start, limit, step] = [0, 1, 2].map((input) => constantOf(traced, range, input));
  const [from, to, by] = [start, limit, step].map((tensor) => integer(tensor));
  const dtype = start?.dtype;
  if (from === undefined || to === undefined || !by || !dtype || !isTensorType(dtype))
    return undefined;
  const count = Math.max(0, Math.ceil((to - from) / by));
  if (count > MOST_COUNTED) return undefined;
  const values = Array.from({ length: count }, (_, i) => from + i * by);
  return { dtype, shape: [count], data: dataOf(dtype, values) };
}

function integer(tensor: TfTensor | undefined): number | undefined {
  if (tensor?.dtype !== 'INT32' && tensor?.dtype !== 'INT64') return undefined;
  return integerOf({ dtype: tensor.dtype, shape: tensor.shape, constant: tensor.data });
}

/** Of an integer type to a wider one. */
function castOf(traced: TracedGraph, cast: Visited): TfTensor | undefined {
  const from = constantOf(traced, cast, 0);
  const to = cast.node.attributes.get('DstT');
  if (from?.dtype !== 'INT32' || to?.kind !== 'type' || to.value !== 'INT64') return undefined;
  const data = BigInt64Array.from(
    Array.from<unknown, bigint>(from.data, (element) => BigInt(Number(element))),
  );
  return { dtype: 'INT64', shape: from.shape, data };
}

/** Reads a tensor that a trace found. Throws DamagedModel where the model has no checkpoint. */
export async function readStored(
  bundle: TensorBundle | undefined,
  { key, slice }: StoredTensor,
): Promise<TfTensor> {
  if (!bundle)
    throw new DamagedModel(
      `variables/variables.index is missing; ${JSON.stringify(key)} is in it.`,
    );
  return bundle.read(key, slice);
}
