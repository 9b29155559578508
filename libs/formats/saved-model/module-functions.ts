import { UnsupportedModel } from '../importer.js';
import { WireReader } from '../protobuf.js';
import type { TfFunction, TfGraph, TfNode, TfRef } from '../tensorflow/tf-graph.js';
import type { MetaGraph, SignatureDef, TensorInfo } from './meta-graph.js';
import type {
  ConcreteFunction,
  SavedObject,
  SavedObjects,
  StructuredValue,
} from './object-graph.js';
import type { StoredTensor } from './restored-variables.js';
import type { TensorBundle } from './tensor-bundle.js';

const MOST_FUNCTIONS = 100;
const MOST_MESSAGES = 8_000_000;
const METHOD = 'tensorflow/serving/predict';

/** What a model without signatures is asked by: its own functions, as signatures. */
export interface ModuleFunctions {
  /** The graph of the model with a call of each function. */
  graph: TfGraph;
  signatures: Map<string, SignatureDef>;
  /** Functions that cannot be called, and why. */
  refused: Map<string, string>;
  /** The variables of the model, by the nodes that stand for them. */
  variables: Map<TfNode, StoredTensor>;
}

/**
 * The functions of a model that was saved without signatures, as modules of TensorFlow Hub are: `__call__` and what else it has,
 * each in the form that was traced for inference. Their outputs are called as TensorFlow calls those of signatures.
 */
export async function moduleFunctions(
  { graph, objects }: MetaGraph,
  bundle: TensorBundle | undefined,
): Promise<ModuleFunctions> {
  const made: ModuleFunctions = {
    graph: { nodes: new Map(graph.nodes), functions: graph.functions },
    signatures: new Map(),
    refused: new Map(),
    variables: new Map(),
  };
  const [root] = objects?.nodes ?? [];
  if (!objects || !root) return made;
  const keys = await checkpointKeys(objects, bundle);
  const calls = new FunctionCalls(objects, keys, made);
  for (const { name, node } of root.children.slice(0, MOST_FUNCTIONS)) {
    const object = objects.nodes[node];
    const own = name === '__call__' || !/^(_|call_and_return_)/.test(name);
    if (object?.kind !== 'function' || object.functions.length === 0 || !own) continue;
    try {
      made.signatures.set(name, calls.signature(name, object));
    } catch (error) {
      if (!(error instanceof UnsupportedModel)) throw error;
      made.refused.set(name, error.message);
    }
  }
  return made;
}

/** Puts calls of functions into the graph. */
class FunctionCalls {
  constructor(
    private readonly objects: SavedObjects,
    private readonly keys: ReadonlyMap<number, string>,
    private readonly made: ModuleFunctions,
  ) {}

  signature(name: string, object: SavedObject): SignatureDef {
    const { called, concrete } = this.chosen(object);
    const given = leavesOf(concrete.arguments, '');
    const own = called.inputs.slice(0, called.inputs.length - concrete.bound.length);
    if (given.length !== own.length)
      throw new UnsupportedModel(
        `The function ${called.name} takes ${own.length} tensors where ${given.length} are described.`,
      );
    const labels = given.map(({ value }) => value.name);
    const distinct = new Set(labels).size === labels.length && !labels.includes('');
    const inputs = own.map((argument, i): [string, TensorInfo] => {
      const node = this.add(` argument ${name} ${i}`, 'Placeholder');
      const { shape, dtype } = given[i]?.value ?? { shape: undefined, dtype: 'DT_INVALID' };
      const label = distinct ? (labels[i] ?? argument) : argument;
      return [label, { name: `${node.name}:0`, shape, dtype }];
    });
    const bound = concrete.bound.map((id) => this.boundRef(id));
    const call = this.add(` call ${name}`, 'StatefulPartitionedCall', [
      ...inputs.map(([, info]) => ({ node: info.name.slice(0, -2), output: 0 })),
      ...bound,
    ]);
    call.attributes.set('f', { kind: 'function', value: called.name });
    const answered = leavesOf(concrete.outputs, '');
    if (answered.length !== called.outputs.length)
      throw new UnsupportedModel(
        `The function ${called.name} gives ${called.outputs.length} tensors where ${answered.length} are described.`,
      );
    const outputs = answered.map(({ path, value }, i): [string, TensorInfo] => [
      path === '' || /^\d+$/.test(path) ? `output_${i}` : path,
      { name: `${call.name}:${i}`, shape: value.shape, dtype: value.dtype },
    ]);
    return { inputs: new Map(inputs), outputs: new Map(outputs), method: METHOD };
  }

  /** Of the traced forms, the one for inference; of several, the one that takes the most shapes. */
  private chosen(object: SavedObject): { called: TfFunction; concrete: ConcreteFunction } {
    const forms = object.functions.flatMap((name) => {
      const called = this.made.graph.functions.get(name);
      const concrete = this.objects.concrete.get(name);
      return called && concrete ? [{ called, concrete }] : [];
    });
    const inference = forms.filter(({ concrete }) => !flagsOf(concrete.arguments).includes(true));
    const [best] = inference.toSorted((a, b) => freedom(b.concrete) - freedom(a.concrete));
    if (!best)
      throw new UnsupportedModel(
        'None of the forms in which the function was traced is for inference (training=False).',
      );
    return best;
  }

  private boundRef(id: number): TfRef {
    const object = this.objects.nodes[id];
    if (object?.kind === 'constant') return { node: object.name, output: 0 };
    const key = this.keys.get(id);
    if (object?.kind !== 'variable' || key === undefined)
      throw new UnsupportedModel(
        `The function uses the object ${id} of the model, which is a ${object?.kind ?? 'missing one'}; variables and constants are supported.`,
      );
    const node = this.add(` variable ${id}`, 'VarHandleOp');
    this.made.variables.set(node, { key });
    return { node: node.name, output: 0 };
  }

  /** A node of our own: its name begins with a space, as none of TensorFlow does. */
  private add(name: string, op: string, inputs: TfRef[] = []): TfNode {
    const { nodes } = this.made.graph;
    const node = nodes.get(name) ?? { name, op, inputs, attributes: new Map() };
    nodes.set(name, node);
    return node;
  }
}

type TensorValue = Extract<StructuredValue, { kind: 'tensor' }>;

/** The tensors in a structure, in the order in which functions take them: dictionaries by their keys. */
function leavesOf(
  value: StructuredValue | undefined,
  path: string,
): { path: string; value: TensorValue }[] {
  if (value?.kind === 'tensor') return [{ path, value }];
  const within = (key: string | number) => (path === '' ? String(key) : `${path}.${key}`);
  if (value?.kind === 'list') return value.items.flatMap((item, i) => leavesOf(item, within(i)));
  if (value?.kind !== 'record') return [];
  return [...value.fields]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, field]) => leavesOf(field, within(key)));
}

function flagsOf(value: StructuredValue | undefined): boolean[] {
  if (value?.kind === 'flag') return [value.value];
  if (value?.kind === 'list') return value.items.flatMap(flagsOf);
  return value?.kind === 'record' ? [...value.fields.values()].flatMap(flagsOf) : [];
}

/** How many sizes of its arguments are free. */
function freedom({ arguments: given }: ConcreteFunction): number {
  return leavesOf(given, '').reduce(
    (count, { value }) => count + (value.shape?.filter((size) => size < 0).length ?? 1000),
    0,
  );
}

/**
 * The keys of variables in the checkpoint, by their objects: objects are the same where the same names lead to them from the root,
 * as TensorFlow itself restores them (`trackable_object_graph.proto`).
 */
async function checkpointKeys(
  { nodes }: SavedObjects,
  bundle: TensorBundle | undefined,
): Promise<Map<number, string>> {
  const keys = new Map<number, string>();
  if (!bundle?.has('_CHECKPOINTABLE_OBJECT_GRAPH')) return keys;
  const { data } = await bundle.read('_CHECKPOINTABLE_OBJECT_GRAPH');
  const stored = readTrackable(Buffer.from(bytesOf(data[0])));
  const seen = new Set<number>([0]);
  const open: [object: number, stored: number][] = [[0, 0]];
  for (let pair = open.pop(); pair; pair = open.pop()) {
    const [object, other] = pair;
    const key = stored[other]?.key;
    if (key !== undefined) keys.set(object, key);
    for (const { name, node } of nodes[object]?.children ?? []) {
      const match = stored[other]?.children.get(name);
      if (match === undefined || seen.has(node)) continue;
      seen.add(node);
      open.push([node, match]);
    }
  }
  return keys;
}

function bytesOf(element: unknown): Uint8Array {
  if (typeof element === 'string') return new TextEncoder().encode(element);
  return element instanceof Uint8Array ? element : new Uint8Array();
}

interface Trackable {
  children: Map<string, number>;
  /** Of its value in the checkpoint. */
  key?: string;
}

function readTrackable(bytes: Uint8Array): Trackable[] {
  const budget = { messages: MOST_MESSAGES };
  const reader = WireReader.open(bytes, 'the objects of the checkpoint', budget, 'checkpoint');
  const objects: Trackable[] = [];
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const object = reader.message('an object');
    const made: Trackable = { children: new Map() };
    while (object.next()) {
      if (object.field === 1) made.children.set(...readChild(object.message('a child')));
      else if (object.field === 2) readValue(object.message('a value'), made);
      else object.skip();
    }
    objects.push(made);
  }
  return objects;
}

function readChild(reader: WireReader): [string, number] {
  let [name, node] = ['', 0];
  while (reader.next())
    if (reader.field === 1) node = reader.integer();
    else if (reader.field === 2) name = reader.text();
    else reader.skip();
  return [name, node];
}

function readValue(reader: WireReader, into: Trackable): void {
  let [name, key] = ['', ''];
  while (reader.next())
    if (reader.field === 1) name = reader.text();
    else if (reader.field === 3) key = reader.text();
    else reader.skip();
  if (name === 'VARIABLE_VALUE') into.key = key;
}
