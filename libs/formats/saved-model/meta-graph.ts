import { DamagedModel, UnsupportedModel } from '../importer.js';
import { WireReader, type ReadBudget } from '../protobuf.js';
import type { TfGraph, TfType } from '../tensorflow/tf-graph.js';
import { typeOfNumber } from '../tensorflow/tf-types.js';
import { graphOf, readGraphDef, readOps, type GraphDef } from './graph-def.js';
import { readObjectGraph, type SavedObjects } from './object-graph.js';
import type { OutputArgument } from './op-outputs.js';
import { constantBudget, readShape } from './tensor-proto.js';

/** What the importer needs of a MetaGraphDef (`meta_graph.proto`, `saved_model.proto` of TensorFlow 2). */
export interface MetaGraph {
  tags: string[];
  /** Of TensorFlow that wrote it. */
  version: string;
  graph: TfGraph;
  signatures: Map<string, SignatureDef>;
  /** The node that restores the variables; empty where there is none. */
  restoreNode: string;
  /** Names of the nodes in the collections of TensorFlow 1. */
  collections: Map<string, string[]>;
  /** File names under `assets/` by the node that holds the path. */
  assets: Map<string, string>;
  objects: SavedObjects | undefined;
}

export interface SignatureDef {
  inputs: Map<string, TensorInfo>;
  outputs: Map<string, TensorInfo>;
  /** `tensorflow/serving/predict` */
  method: string;
}

/** A tensor that a signature takes or gives. */
export interface TensorInfo {
  /** `serving_default_x:0`; empty where it is made of several. */
  name: string;
  dtype: TfType;
  /** Undefined: of any rank. */
  shape: number[] | undefined;
}

/** Embedded messages of a model; a node of 10 attributes has about 25. */
const MOST_MESSAGES = 30_000_000;

const FORMAT = 'SavedModel';

/**
 * Reads `saved_model.pb` and chooses the graph for serving: the one whose tags are exactly `serve`, else the only one, else the
 * only one that is tagged `serve` beside others. Throws UnsupportedModel with all of them where that is none or several.
 */
export function readSavedModel(bytes: Uint8Array): MetaGraph {
  const budget: ReadBudget = { messages: MOST_MESSAGES };
  const candidates: { tags: string[]; bytes: Uint8Array }[] = [];
  const reader = WireReader.open(bytes, 'saved_model.pb', budget, FORMAT);
  while (reader.next()) {
    if (reader.field === 2) {
      const whole = reader.message('a meta graph').whole();
      candidates.push({ tags: tagsOf(whole, budget), bytes: whole });
    } else reader.skip();
  }
  const chosen = chooseGraph(candidates);
  return readMetaGraph(WireReader.open(chosen.bytes, 'the meta graph', budget, FORMAT));
}

function chooseGraph<T extends { tags: string[] }>(candidates: T[]): T {
  const [only, ...others] = candidates;
  if (!only) throw new DamagedModel('saved_model.pb has no graph.');
  const serving = candidates.filter(({ tags }) => tags.includes('serve'));
  const exact = serving.filter(({ tags }) => tags.length === 1);
  if (exact[0] && exact.length === 1) return exact[0];
  if (others.length === 0) return only;
  if (serving[0] && serving.length === 1) return serving[0];
  const sets = candidates.slice(0, 20).map(({ tags }) => `{${tags.join(', ')}}`);
  throw new UnsupportedModel(
    `None of the graphs is for serving: their tags are ${sets.join(', ')}. Save the model with one that is tagged "serve".`,
  );
}

function tagsOf(bytes: Uint8Array, budget: ReadBudget): string[] {
  const reader = WireReader.open(bytes, 'a meta graph', budget, FORMAT);
  while (reader.next()) {
    if (reader.field === 1) return readMetaInfo(reader.message('its facts')).tags;
    reader.skip();
  }
  return [];
}

interface MetaInfo {
  tags: string[];
  version: string;
  ops: Map<string, OutputArgument[]>;
}

function readMetaInfo(reader: WireReader): MetaInfo {
  const info: MetaInfo = { tags: [], version: '', ops: new Map() };
  while (reader.next()) {
    if (reader.field === 2) info.ops = readOps(reader.message('the list of operations'));
    else if (reader.field === 4) info.tags.push(reader.text());
    else if (reader.field === 5) info.version = reader.text();
    else reader.skip();
  }
  return info;
}

function readMetaGraph(reader: WireReader): MetaGraph {
  let info: MetaInfo = { tags: [], version: '', ops: new Map() };
  let definition: GraphDef = { nodes: [], functions: [] };
  const constants = constantBudget();
  const rest: Omit<MetaGraph, 'tags' | 'version' | 'graph'> = {
    signatures: new Map(),
    restoreNode: '',
    collections: new Map(),
    assets: new Map(),
    objects: undefined,
  };
  while (reader.next()) {
    if (reader.field === 1) info = readMetaInfo(reader.message('its facts'));
    else if (reader.field === 2) definition = readGraphDef(reader.message('the graph'), constants);
    else if (reader.field === 3) rest.restoreNode = readSaver(reader.message('the saver'));
    else if (reader.field === 4) readCollection(reader.message('a collection'), rest);
    else if (reader.field === 5) readSignature(reader.message('a signature'), rest.signatures);
    else if (reader.field === 6) readAsset(reader.message('an asset'), rest.assets);
    else if (reader.field === 7) rest.objects = readObjectGraph(reader.message('the objects'));
    else reader.skip();
  }
  const { tags, version, ops } = info;
  return { tags, version, graph: graphOf(definition, ops), ...rest };
}

function readSaver(reader: WireReader): string {
  let restore = '';
  while (reader.next())
    if (reader.field === 3) restore = reader.text();
    else reader.skip();
  return restore.replace(/:\d+$/, '');
}

/** Where TensorFlow 1 says what the assets are. */
const ASSETS = 'saved_model_assets';

function readCollection(entry: WireReader, into: Pick<MetaGraph, 'collections' | 'assets'>): void {
  let key = '';
  const names: string[] = [];
  const assets = new Map<string, string>();
  while (entry.next()) {
    if (entry.field === 1) key = entry.text();
    else if (entry.field === 2) {
      const collection = entry.message('a collection');
      while (collection.next()) {
        if (collection.field === 1) {
          const list = collection.message('a list of nodes');
          while (list.next())
            if (list.field === 1) names.push(list.text());
            else list.skip();
        } else if (collection.field === 5 && key === ASSETS)
          readAssets(collection.message('a list of assets'), assets);
        else collection.skip();
      }
    } else entry.skip();
  }
  into.collections.set(key, names);
  for (const [name, file] of assets) into.assets.set(name, file);
}

/** Messages of whatever type, of which these are AssetFileDef. */
function readAssets(list: WireReader, into: Map<string, string>): void {
  while (list.next()) {
    if (list.field !== 1) {
      list.skip();
      continue;
    }
    const any = list.message('an asset');
    while (any.next())
      if (any.field === 2) readAsset(any.message('an asset'), into);
      else any.skip();
  }
}

function readSignature(entry: WireReader, into: Map<string, SignatureDef>): void {
  let key = '';
  const signature: SignatureDef = { inputs: new Map(), outputs: new Map(), method: '' };
  while (entry.next()) {
    if (entry.field === 1) key = entry.text();
    else if (entry.field === 2) {
      const reader = entry.message('a signature');
      while (reader.next()) {
        if (reader.field === 1) signature.inputs.set(...readTensorEntry(reader));
        else if (reader.field === 2) signature.outputs.set(...readTensorEntry(reader));
        else if (reader.field === 3) signature.method = reader.text();
        else reader.skip();
      }
    } else entry.skip();
  }
  into.set(key, signature);
}

function readTensorEntry(reader: WireReader): [string, TensorInfo] {
  const entry = reader.message('a tensor of a signature');
  let key = '';
  let info: TensorInfo = { name: '', dtype: 'DT_INVALID', shape: undefined };
  while (entry.next())
    if (entry.field === 1) key = entry.text();
    else if (entry.field === 2) info = readTensorInfo(entry.message('a tensor of a signature'));
    else entry.skip();
  return [key, info];
}

function readTensorInfo(reader: WireReader): TensorInfo {
  const info: TensorInfo = { name: '', dtype: 'DT_INVALID', shape: [] };
  while (reader.next()) {
    if (reader.field === 1) info.name = reader.text();
    else if (reader.field === 2) info.dtype = typeOfNumber(reader.integer());
    else if (reader.field === 3) info.shape = readShape(reader.message('a shape'));
    else reader.skip();
  }
  return info;
}

function readAsset(reader: WireReader, into: Map<string, string>): void {
  let tensor = '';
  let file = '';
  while (reader.next()) {
    if (reader.field === 1) tensor = readTensorInfo(reader.message('the name of an asset')).name;
    else if (reader.field === 2) file = reader.text();
    else reader.skip();
  }
  into.set(tensor.replace(/:0$/, ''), file);
}
