import { dataOf, elementCount, type DType } from '#program';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import type { TfTable } from '../tensorflow/table.js';
import type { TfAttribute, TfNode, TfTensor } from '../tensorflow/tf-graph.js';
import { isTensorType } from '../tensorflow/tf-types.js';
import type { MetaGraph } from './meta-graph.js';
import { constantOf, readStored, type Restored } from './restored-variables.js';
import type { TensorBundle } from './tensor-bundle.js';
import { readVocabulary } from './vocabulary-file.js';
import { TracedGraph, type Visited } from './traced-graph.js';

/** Where the contents of tables come from. */
export interface TableSources {
  files: ReadonlyMap<string, UploadedFile>;
  restored: Restored;
  bundle: TensorBundle | undefined;
  /** Only these are read. */
  needed: ReadonlySet<TfNode>;
}

/** Keys and values as an initialiser gives them. */
interface Contents {
  keys: TfTensor;
  values: TfTensor;
}

/**
 * The lookup tables of a model as they are once it is initialised, by the nodes that make them; for one whose contents cannot be
 * said before the model runs, the reason.
 */
export async function readTables(
  meta: MetaGraph,
  { files, restored, bundle, needed }: TableSources,
): Promise<Map<TfNode, TfTable | string>> {
  const tables = new Map<TfNode, TfTable | string>();
  const fill = async (node: TfNode, contents: () => Promise<Contents>) => {
    try {
      tables.set(node, filledTable(node, await contents()));
    } catch (error) {
      if (!(error instanceof UnsupportedModel)) throw error;
      tables.set(node, error.message);
    }
  };
  for (const node of needed) if (isMutable(node)) await fill(node, async () => emptyContents(node));
  const traced = new TracedGraph(meta.graph);
  const run = initialisers(meta).flatMap((name) => [...traced.runsBefore(name)]);
  const assets = assetVariables(traced, run, meta);
  for (const visited of run) {
    const node = initialises(visited.node.op) && traced.source(visited, 0)?.node;
    if (!node || !needed.has(node)) continue;
    if (typeof tables.get(node) === 'object' && !isMutable(node)) continue;
    await fill(node, () => contentsOf(traced, visited, node, { assets, files }));
  }
  // What a checkpoint holds was in the table after it was initialised.
  for (const [node, { keys, values }] of restored.tables)
    if (needed.has(node))
      await fill(node, async () => ({
        keys: await readStored(bundle, keys),
        values: await readStored(bundle, values),
      }));
  return tables;
}

/** Names of the nodes that initialise the model. */
function initialisers({ signatures, collections }: MetaGraph): string[] {
  const signature = signatures.get('__saved_model_init_op');
  if (signature) return [...signature.outputs.values()].map(({ name }) => nodeName(name));
  const main = collections.get('saved_model_main_op') ?? collections.get('legacy_init_op');
  return (main ?? []).map(nodeName);
}

function nodeName(tensor: string): string {
  return tensor.replace(/:\d+$/, '');
}

function initialises(op: string): boolean {
  return /^(InitializeTable|InitializeTableFromTextFile|LookupTableImport|LookupTableInsert)(V2)?$/.test(
    op,
  );
}

function isMutable(node: TfNode): boolean {
  return /^Mutable(Dense)?HashTable/.test(node.op);
}

async function contentsOf(
  traced: TracedGraph,
  visited: Visited,
  node: TfNode,
  { assets, files }: { assets: Assets; files: ReadonlyMap<string, UploadedFile> },
): Promise<Contents> {
  const { op, attributes } = visited.node;
  if (op.startsWith('LookupTableInsert'))
    throw new UnsupportedModel('keys are added to the table while the model is initialised.');
  if (!op.startsWith('InitializeTableFromTextFile')) {
    const keys = constantOf(traced, visited, 1);
    const values = constantOf(traced, visited, 2);
    if (!keys || !values)
      throw new UnsupportedModel(
        'what fills the table is computed while the model is initialised.',
      );
    return { keys, values };
  }
  const path = traced.source(visited, 1);
  const variable = path?.node.op === 'ReadVariableOp' && traced.source(path, 0)?.node;
  const asset = path && assets.get(variable || path.node);
  if (asset === undefined)
    throw new UnsupportedModel('it is filled from a file that is no asset of the model.');
  const file = assetFile(asset, files);
  const { keys, values } = await readVocabulary(file, {
    key: { index: integer(attributes, 'key_index', -2), dtype: tableType(node, 'key_dtype') },
    value: { index: integer(attributes, 'value_index', -1), dtype: tableType(node, 'value_dtype') },
    size: integer(attributes, 'vocab_size', -1),
    delimiter: text(attributes, 'delimiter', '\t'),
    offset: integer(attributes, 'offset', 0),
  });
  return { keys, values };
}

/** The names of assets, by the nodes that hold their paths and the variables that are given them. */
type Assets = ReadonlyMap<TfNode | undefined, string>;

function assetVariables(traced: TracedGraph, run: Visited[], { graph, assets }: MetaGraph): Assets {
  const found = new Map<TfNode | undefined, string>();
  for (const [name, file] of assets) {
    const node = graph.nodes.get(name);
    if (node) found.set(node, file);
  }
  for (const visited of run)
    if (visited.node.op === 'AssignVariableOp') {
      const asset = found.get(traced.source(visited, 1)?.node);
      const variable = traced.source(visited, 0)?.node;
      if (asset !== undefined && variable) found.set(variable, asset);
    }
  return found;
}

/** A file under `assets/`. Throws DamagedModel for names that lead anywhere else. */
function assetFile(name: string, files: ReadonlyMap<string, UploadedFile>): UploadedFile {
  const parts = name.split(/[/\\]/);
  if (name === '' || /^[A-Za-z]:/.test(name) || parts.some((part) => /^\.{0,2}$/.test(part)))
    throw new DamagedModel(
      `The asset ${JSON.stringify(name.slice(0, 200))} is outside of the folder assets, where all assets must be.`,
    );
  const file = files.get(`assets/${name}`);
  if (!file) throw new DamagedModel(`assets/${name} is missing; a table is filled from it.`);
  return file;
}

function integer(
  attributes: ReadonlyMap<string, TfAttribute>,
  name: string,
  absent: number,
): number {
  const attribute = attributes.get(name);
  return attribute?.kind === 'integer' ? Number(attribute.value) : absent;
}

function text(attributes: ReadonlyMap<string, TfAttribute>, name: string, absent: string): string {
  const attribute = attributes.get(name);
  return attribute?.kind === 'bytes' ? Buffer.from(attribute.value).toString('latin1') : absent;
}

function tableType(node: TfNode, name: 'key_dtype' | 'value_dtype'): DType {
  const attribute = node.attributes.get(name);
  const type = attribute?.kind === 'type' ? attribute.value : 'DT_INVALID';
  if (!isTensorType(type)) throw new UnsupportedModel(`a table of ${type} is not supported.`);
  return type;
}

function emptyContents(node: TfNode): Contents {
  const shape = node.attributes.get('value_shape');
  const value = shape?.kind === 'shape' ? (shape.value ?? []) : [];
  const empty = (name: 'key_dtype' | 'value_dtype', inner: number[]): TfTensor => {
    const dtype = tableType(node, name);
    return { dtype, shape: [0, ...inner], data: dataOf(dtype, []) };
  };
  return {
    keys: empty('key_dtype', []),
    values: empty(
      'value_dtype',
      value.map((size) => Math.max(size, 0)),
    ),
  };
}

/** The table that a node makes, with contents. Throws UnsupportedModel and DamagedModel where these are none for it. */
export function filledTable(node: TfNode, { keys, values }: Contents): TfTable {
  const keyDtype = tableType(node, 'key_dtype');
  const valueDtype = tableType(node, 'value_dtype');
  if (keys.dtype !== keyDtype || values.dtype !== valueDtype)
    throw new DamagedModel(`The table ${JSON.stringify(node.name)} is filled with other types.`);
  const [count = 1] = keys.shape;
  if (keys.shape.length !== 1 || (count > 0 && values.shape[0] !== count))
    throw new UnsupportedModel(
      `keys of the shape [${keys.shape.join(', ')}] and values of [${values.shape.join(', ')}] are not supported.`,
    );
  const made: TfTable = {
    resource: 'table',
    name: node.name,
    keyDtype,
    valueDtype,
    keys: keys.data,
    values: values.data,
    valueShape: values.shape.slice(1),
  };
  return withoutDoubles(made, isMutable(node));
}

/** A table that is filled once refuses a key with two values; of one that may change, the last value counts. */
function withoutDoubles(table: TfTable, lastCounts: boolean): TfTable {
  const { keys, values, name } = table;
  const width = elementCount(table.valueShape);
  const places = new Map<number | bigint | string | null, number>();
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    const plain = key instanceof Uint8Array ? `\u0000${key.join()}` : (key ?? null);
    const known = places.get(plain);
    if (known !== undefined && !lastCounts && !sameValue(values, known, i, width))
      throw new DamagedModel(
        `The table ${JSON.stringify(name)} has two values for the key ${JSON.stringify(String(plain).slice(0, 100))}.`,
      );
    places.set(plain, i);
  }
  if (places.size === keys.length) return table;
  const kept = [...places.values()];
  const elements = kept.flatMap((place) =>
    Array.from({ length: width }, (_, j) => place * width + j),
  );
  return { ...table, keys: picked(keys, kept), values: picked(values, elements) };
}

function sameValue(values: TfTable['values'], one: number, other: number, width: number): boolean {
  for (let j = 0; j < width; j++)
    if (String(values[one * width + j]) !== String(values[other * width + j])) return false;
  return true;
}

function picked(data: TfTable['keys'], places: number[]): TfTable['keys'] {
  if (Array.isArray(data)) return places.map((place) => data[place] ?? null);
  const cut = data.slice(0, places.length);
  places.forEach((place, i) => (cut[i] = data[place] ?? 0));
  return cut;
}
