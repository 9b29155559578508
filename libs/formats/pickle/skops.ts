import { DamagedModel, UnsupportedModel } from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { Budget } from './budget.js';
import { scalarOf } from './constructors.js';
import { sizeOf } from './elements.js';
import { readNpy } from './npy.js';
import type { GlobalUse } from './pickle-machine.js';
import type { Pickled } from './read-pickle.js';
import {
  DType,
  NdArray,
  PyDict,
  PyFloat,
  PyGlobal,
  PyObject,
  PySet,
  PyTuple,
  type PyValue,
} from './records.js';
import { checkShape } from './shape.js';
import { fileOf, readZip, type ZipEntry } from './zip-file.js';

/** Of nesting in `schema.json`; scikit-learn's own models have up to 60. */
const MOST_DEPTH = 256;
const MOST_SCHEMA_BYTES = 256 * 2 ** 20;

/** A node of `schema.json`. */
type Node = Record<string, unknown>;

/**
 * Reads a file of skops (0.6 to 0.16) into the records that a pickle of the same object gives. After skops/io: `schema.json` is a
 * tree of nodes, each with the name of a class and of its loader; arrays are `.npy` files, sparse matrices `.npz` files.
 * Throws DamagedModel and UnsupportedModel.
 */
export async function readSkops(entries: ZipEntry[], fileBytes: number): Promise<Pickled> {
  const schema = entries.find(({ name }) => name === 'schema.json');
  if (!schema || schema.size > MOST_SCHEMA_BYTES) {
    throw new DamagedModel('schema.json is missing, or too large');
  }
  const text = await schema.read();
  const tree = parseModelJson(text, 2 * MOST_DEPTH);
  const inside = entries.reduce((sum, { size }) => sum + size, 0);
  if (inside > 2 ** 31) throw new DamagedModel('the zip has more than 2 GiB inside');
  const budget = new Budget(Math.min(inside, 200 * fileBytes));
  const reader = new SkopsReader(await filesOf(entries, budget), budget);
  return { root: reader.value(tree, 0), globals: [...reader.globals.values()] };
}

type Content = Uint8Array | Map<string, Uint8Array>;

/** All arrays and bytes; those of `.npz` by their names inside. */
async function filesOf(entries: ZipEntry[], budget: Budget): Promise<Map<string, Content>> {
  const files = new Map<string, Content>();
  for (const entry of entries) {
    if (!/\.(?:npy|npz|bin)$/.test(entry.name)) continue;
    budget.memory(entry.size);
    const bytes = await entry.read();
    files.set(
      entry.name,
      entry.name.endsWith('.npz') ? await archive(entry.name, bytes, budget) : bytes,
    );
  }
  return files;
}

async function archive(
  name: string,
  bytes: Uint8Array,
  budget: Budget,
): Promise<Map<string, Uint8Array>> {
  const inner = new Map<string, Uint8Array>();
  for (const entry of await readZip(fileOf(name, bytes))) {
    budget.memory(entry.size);
    inner.set(entry.name.replace(/\.npy$/, ''), await entry.read());
  }
  return inner;
}

class SkopsReader {
  readonly globals = new Map<string, GlobalUse>();
  /** What several nodes mean the same thing by. */
  private readonly known = new Map<unknown, PyValue>();

  constructor(
    private readonly files: Map<string, Content>,
    private readonly budget: Budget,
  ) {}

  value(given: unknown, depth: number): PyValue {
    this.budget.opcode();
    this.budget.memory(160);
    if (depth > MOST_DEPTH) return this.damaged(`nested more than ${MOST_DEPTH} deep`);
    const node = isNode(given) ? given : this.damaged('a node is not an object');
    const id = node['__id__'];
    const known = id === undefined ? undefined : this.known.get(id);
    if (known !== undefined) return known;
    const made = this.make(node, depth + 1);
    if (id !== undefined && typeof made === 'object' && made !== null) this.known.set(id, made);
    return made;
  }

  private make(node: Node, depth: number): PyValue {
    const loader = node['__loader__'];
    const content = node['content'];
    const all = () => this.list(content).map((item) => this.value(item, depth));
    const part = (name: string) => this.value(this.node(content)[name], depth);
    switch (loader) {
      case 'JsonNode':
        return this.json(content);
      case 'DictNode':
        return this.dict(node, depth);
      case 'DefaultDictNode':
        return part('main');
      case 'ListNode':
        return all();
      case 'TupleNode':
        return new PyTuple(all());
      case 'SetNode':
        return new PySet(all(), node['__class__'] === 'frozenset');
      case 'NdArrayNode':
        return this.array(node, depth);
      case 'DTypeNode': {
        const array = this.value(content, depth);
        return array instanceof NdArray ? array.dtype : this.damaged('a dtype has no array');
      }
      case 'MaskedArrayNode':
        return this.object(node, new PyTuple([part('data'), part('mask')]));
      case 'SparseMatrixNode':
        return this.sparse(node);
      case 'BytesNode':
      case 'BytearrayNode':
        return this.bytes(node);
      case 'TypeNode':
        return this.global(node, false);
      case 'FunctionNode':
        return this.functionOf(node);
      case 'PartialNode':
        return this.object(node, new PyTuple([part('func'), part('args'), part('kwds')]));
      case 'SliceNode': {
        const { start, stop, step } = this.node(content);
        return this.object(node, new PyTuple([start, stop, step].map((each) => this.plain(each))));
      }
      case 'ConstructorFromReduceNode':
        return this.object(node, this.tuple(content, depth));
      case 'MethodNode':
        return this.method(node, depth);
      default:
        return this.instance(node, depth);
    }
  }

  /** An object with its `__dict__` or what its `__setstate__` takes; C objects carry what they are made of as well. */
  private instance(node: Node, depth: number): PyObject {
    const reduce = node['__reduce__'];
    const args = isNode(reduce) ? this.tuple(reduce['args'], depth) : new PyTuple([]);
    const attributes = node['attrs'];
    const made = new PyObject(
      'new',
      this.global(node, true),
      isNode(attributes) ? this.tuple(attributes, depth) : args,
    );
    const { content } = node;
    // Generators of random numbers have no state of one node; nobody asks for it.
    if (isNode(content) && '__loader__' in content) made.state = this.value(content, depth);
    return made;
  }

  private object(node: Node, args: PyTuple): PyObject {
    return new PyObject('reduce', this.global(node, true), args);
  }

  private method(node: Node, depth: number): PyObject {
    const { func, obj } = this.node(node['content']);
    const getattr = this.named('builtins', 'getattr', true);
    this.named(
      `${this.text(node['__module__'])}.${this.text(node['__class__'])}`,
      this.text(func),
      false,
    );
    return new PyObject('reduce', getattr, new PyTuple([this.value(obj, depth), this.text(func)]));
  }

  private functionOf(node: Node): PyGlobal {
    const { content } = node;
    // Protocols 0 and 1 name the function in the content.
    return isNode(content) && 'function' in content
      ? this.named(this.text(content['module_path']), this.text(content['function']), false)
      : this.global(node, false);
  }

  private dict(node: Node, depth: number): PyDict {
    const content = this.node(node['content']);
    const keys = node['key_types'] === undefined ? [] : this.value(node['key_types'], depth);
    const types = Array.isArray(keys) ? keys : [];
    const dict = new PyDict();
    Object.entries(content).forEach(([key, value], i) => {
      dict.entries.push([keyOf(key, types[i]), this.value(value, depth)]);
    });
    return dict;
  }

  private array(node: Node, depth: number): PyValue {
    if (node['type'] === 'numpy') {
      const array = readNpy(this.bytes(node));
      return node['__class__'] === 'ndarray' ? array : (scalarOf(array) ?? array);
    }
    const shape = checkShape(this.value(node['shape'], depth));
    let items = this.list(node['content']).map((item) => this.value(item, depth));
    for (let i = 1; i < shape.length; i++)
      items = items.flatMap((item) => (Array.isArray(item) ? item : [item]));
    this.budget.memory(8 * sizeOf(shape));
    return NdArray.of(DType.parse('O'), shape, items);
  }

  private sparse(node: Node): PyObject {
    const parts = this.files.get(this.text(node['file']));
    if (!(parts instanceof Map)) return this.damaged('a sparse matrix has no file');
    const made = new PyObject('new', this.global(node, true), new PyTuple([]));
    const state = new PyDict();
    for (const [name, bytes] of parts) {
      // scipy's own name of the attribute; the format is in the name of the class.
      if (name !== 'format')
        state.entries.push([name === 'shape' ? '_shape' : name, readNpy(bytes)]);
    }
    made.state = state;
    return made;
  }

  private bytes(node: Node): Uint8Array {
    const name = this.text(node['file']);
    const content = this.files.get(name);
    return content instanceof Uint8Array ? content : this.damaged(`the file ${name} is missing`);
  }

  /** JSON in a text, as Python writes it: a number with a point or exponent is a float. */
  private json(content: unknown): PyValue {
    const text = this.text(content);
    if (/^-?(?:Infinity|NaN)$/.test(text)) return new PyFloat(Number(text));
    const value: unknown = parseModelJson(new TextEncoder().encode(text), MOST_DEPTH);
    if (typeof value !== 'number') return this.plain(value);
    if (/[.eE]/.test(text)) return new PyFloat(value);
    return Number.isSafeInteger(value) ? value : BigInt(text.trim());
  }

  private plain(value: unknown): PyValue {
    if (value === null || value === undefined) return null;
    if (typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') return Number.isSafeInteger(value) ? value : new PyFloat(value);
    if (Array.isArray(value)) return value.map((item) => this.plain(item));
    const dict = new PyDict();
    for (const [key, item] of Object.entries(value)) dict.entries.push([key, this.plain(item)]);
    return dict;
  }

  private tuple(content: unknown, depth: number): PyTuple {
    const value = this.value(content, depth);
    return value instanceof PyTuple ? value : new PyTuple(Array.isArray(value) ? value : [value]);
  }

  private global(node: Node, called: boolean): PyGlobal {
    return this.named(this.text(node['__module__']), this.text(node['__class__']), called);
  }

  private named(module: string, name: string, called: boolean): PyGlobal {
    const key = `${module}\0${name}`;
    const use = this.globals.get(key);
    if (use) use.called ||= called;
    else {
      this.globals.set(key, { module, name, id: `${module}.${name}`, called, position: 0 });
      this.budget.check('globals', this.globals.size);
    }
    return new PyGlobal(module, name);
  }

  private node(value: unknown): Node {
    return isNode(value) ? value : this.damaged('a node has no content');
  }

  private list(value: unknown): unknown[] {
    return Array.isArray(value) ? value : this.damaged('a node has no list');
  }

  private text(value: unknown): string {
    return typeof value === 'string' ? value : this.damaged('a name in a node is not a text');
  }

  private damaged(message: string): never {
    throw new DamagedModel(`schema.json: ${message}`);
  }
}

/** JSON has only texts as keys; the types of the others stand beside. */
function keyOf(key: string, type: PyValue | undefined): PyValue {
  const name = type instanceof PyGlobal ? type.name : 'str';
  if (name === 'str' || name === 'str_') return key;
  if (/^u?int\d*$/.test(name)) return Number(key);
  if (/^float\d*$/.test(name)) return new PyFloat(Number(key));
  if (/^bool_?$/.test(name)) return key === 'true' || key === 'True';
  if (name === 'NoneType') return null;
  throw new UnsupportedModel(`schema.json: a dict has keys of the type ${name}`);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
