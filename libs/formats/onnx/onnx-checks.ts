import { posix } from 'node:path';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type {
  OnnxFunction,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxSparseTensor,
  OnnxTensor,
  OpsetImport,
} from './onnx-model.js';
import { elementType } from './onnx-types.js';

/**
 * What ONNX Runtime 1.30 accepts (measured); anything else it refuses late, or runs wrong. Below ai.onnx 7 it has kernels
 * only for operators that have not changed since, which is all that tree models of scikit-learn need, and refuses the
 * others by name.
 */
const IR_VERSIONS = { least: 3, most: 13 };
const OPSETS = new Map([
  ['', { name: 'ai.onnx', least: 1, most: 26 }],
  ['ai.onnx.ml', { name: 'ai.onnx.ml', least: 1, most: 5 }],
  ['com.microsoft', { name: 'com.microsoft', least: 1, most: 1 }],
]);

/** ONNX Runtime does not come back from loading graphs far above these (measured: 100,000 nodes, 50,000 outputs). */
const MAX_NODES = 100_000;
const MAX_VALUES = 400_000;
const MAX_PORTS = 1_000;

/** A sparse tensor is made dense at load: this many bytes at most. */
const MAX_DENSE = 2 ** 30;

/** An external-data file as the graph names it, and its path among the uploaded files. */
export interface ExternalFile {
  location: string;
  path: string;
}

/**
 * Everything that is checked before ONNX Runtime sees the model: versions, operator domains, the size of the graph with
 * its functions inlined, names, tensors, and that external data lies within uploaded files.
 * @param main path of the model among the uploaded files
 * @param sizes bytes of each uploaded file
 * @returns the external-data files that the model uses
 */
export function checkOnnxModel(
  model: OnnxModel & { graph: OnnxGraph },
  main: string,
  sizes: ReadonlyMap<string, number>,
): ExternalFile[] {
  const { irVersion } = model;
  if (irVersion < IR_VERSIONS.least || irVersion > IR_VERSIONS.most)
    throw new UnsupportedModel(
      `The model has IR version ${irVersion}; versions ${IR_VERSIONS.least} to ${IR_VERSIONS.most} are supported. ` +
        'Export it again with an IR version in this range.',
    );
  checkOpsets(model.opsets, 'The model');
  for (const made of model.functions)
    checkOpsets(made.opsets, `Function ${made.domain}.${made.name}`);
  checkNodes(model);
  checkNames(model.graph);
  const tensors = new TensorChecks(main, sizes);
  tensors.graph(model.graph);
  for (const made of model.functions) tensors.nodes(made.nodes);
  return [...tensors.external.values()];
}

function checkOpsets(opsets: OpsetImport[], who: string): void {
  const seen = new Map<string, number>();
  for (const { domain, version } of opsets) {
    const known = OPSETS.get(domain);
    const before = seen.get(domain);
    // skl2onnx lists an operator set once for each part that it joins; that is harmless while they agree.
    if (before !== undefined && before !== version) {
      throw new DamagedModel(
        `${who} imports operator set ${domain || 'ai.onnx'} as version ${before} and as version ${version}.`,
      );
    }
    seen.set(domain, version);
    if (known && (version < known.least || version > known.most))
      throw new UnsupportedModel(
        `${who} uses operator set ${known.name} ${version}; ${known.name} ${known.least} to ${known.most} is supported. ` +
          'Export it again with an opset in this range.',
      );
  }
}

/** How a node is named in messages. */
export function nodeLabel(node: OnnxNode): string {
  const operator = node.domain ? `${node.domain}.${node.opType}` : node.opType;
  if (node.name) return `node "${node.name}" (${operator})`;
  return `the node ${operator}${node.outputs[0] ? ` that makes "${node.outputs[0]}"` : ''}`;
}

function functionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain, name, overload]);
}

function checkNodes({ graph, functions }: { graph: OnnxGraph; functions: OnnxFunction[] }): void {
  const byName = new Map<string, OnnxFunction>();
  for (const made of functions) {
    const key = functionKey(made.domain, made.name, made.overload);
    if (byName.has(key))
      throw new DamagedModel(`Function ${made.domain}.${made.name} is defined twice.`);
    byName.set(key, made);
  }
  const counts = new NodeCounts(byName);
  counts.ofNodes(graph.nodes);
  for (const made of functions) counts.ofFunction(made);
}

/** Counts nodes as they will be after ONNX Runtime has put every function in the place of its calls. */
class NodeCounts {
  private readonly counted = new Map<OnnxFunction, number>();
  private readonly open = new Set<OnnxFunction>();
  private values = 0;

  constructor(private readonly functions: ReadonlyMap<string, OnnxFunction>) {}

  ofNodes(nodes: OnnxNode[]): number {
    let count = 0;
    for (const node of nodes) {
      count += this.ofNode(node);
      if (count > MAX_NODES)
        throw new DamagedModel(
          `The graph has more than ${MAX_NODES.toLocaleString('en')} nodes (functions and subgraphs counted where they ` +
            'are used); that is the limit.',
        );
    }
    return count;
  }

  ofFunction(made: OnnxFunction): number {
    const known = this.counted.get(made);
    if (known !== undefined) return known;
    if (this.open.has(made))
      throw new DamagedModel(`Function ${made.domain}.${made.name} calls itself.`);
    this.open.add(made);
    const count = this.ofNodes(made.nodes);
    this.open.delete(made);
    this.counted.set(made, count);
    return count;
  }

  private ofNode(node: OnnxNode): number {
    this.values += node.inputs.length + node.outputs.length;
    if (this.values > MAX_VALUES)
      throw new DamagedModel(
        `The nodes have more than ${MAX_VALUES.toLocaleString('en')} inputs and outputs; that is the limit.`,
      );
    const made = this.functions.get(functionKey(node.domain, node.opType, node.overload));
    if (!made && !OPSETS.has(node.domain))
      throw new UnsupportedModel(
        `The operator ${node.domain}.${node.opType} (${nodeLabel(node)}) is not supported: its domain is not one of ` +
          'ai.onnx, ai.onnx.ml, com.microsoft, and the model defines no such function.',
      );
    let count = 1 + (made ? this.ofFunction(made) : 0);
    for (const attribute of node.attributes)
      for (const graph of attribute.graphs) count += this.ofNodes(graph.nodes);
    return count;
  }
}

function checkNames(graph: OnnxGraph): void {
  if (graph.outputs.length === 0) throw new DamagedModel('The graph has no outputs.');
  for (const [what, values] of [
    ['inputs', graph.inputs],
    ['outputs', graph.outputs],
  ] as const) {
    const seen = new Set<string>();
    for (const { name } of values) {
      if (name === '' || name === '__proto__')
        throw new DamagedModel(`One of the ${what} of the graph has no usable name.`);
      if (seen.has(name)) throw new DamagedModel(`"${name}" is twice among the ${what}.`);
      seen.add(name);
    }
  }
  const initial = new Set(graph.initializers.map(({ name }) => name));
  const made = new Set<string>([...graph.inputs.map(({ name }) => name), ...initial]);
  for (const { values } of graph.sparseInitializers) if (values) made.add(values.name);
  const ports = graph.inputs.filter(({ name }) => !initial.has(name)).length;
  if (ports > MAX_PORTS || graph.outputs.length > MAX_PORTS)
    throw new DamagedModel(
      `The graph has ${ports} inputs and ${graph.outputs.length} outputs; at most ${MAX_PORTS} of each are allowed.`,
    );
  for (const node of graph.nodes)
    for (const output of node.outputs) {
      if (output === '') continue;
      if (made.has(output))
        throw new DamagedModel(
          `"${output}" is made by ${nodeLabel(node)} and also elsewhere in the graph.`,
        );
      made.add(output);
    }
  for (const { name } of graph.outputs)
    if (!made.has(name)) throw new DamagedModel(`No node makes the output "${name}" of the graph.`);
}

class TensorChecks {
  readonly external = new Map<string, ExternalFile>();

  constructor(
    private readonly main: string,
    private readonly sizes: ReadonlyMap<string, number>,
  ) {}

  graph(graph: OnnxGraph): void {
    for (const tensor of graph.initializers) this.tensor(tensor, `initializer "${tensor.name}"`);
    for (const sparse of graph.sparseInitializers)
      this.sparse(sparse, `sparse initializer "${sparse.values?.name ?? ''}"`);
    this.nodes(graph.nodes);
  }

  nodes(nodes: OnnxNode[]): void {
    for (const node of nodes)
      for (const attribute of node.attributes) {
        const where = () => `attribute ${attribute.name} of ${nodeLabel(node)}`;
        for (const tensor of attribute.tensors) this.tensor(tensor, where());
        for (const sparse of attribute.sparseTensors) this.sparse(sparse, where());
        for (const graph of attribute.graphs) this.graph(graph);
      }
  }

  private sparse({ values, indices, dims }: OnnxSparseTensor, where: string): void {
    if (!values || !indices) throw new DamagedModel(`The ${where} lacks its values or indices.`);
    this.tensor(values, `values of ${where}`);
    this.tensor(indices, `indices of ${where}`);
    const bytes = product(dims) * ((elementType(values.dataType)?.bits ?? 64) / 8);
    if (bytes > MAX_DENSE)
      throw new DamagedModel(
        `The ${where} has the shape [${dims.join(', ')}], more than 1 GiB when made dense; that is the limit.`,
      );
  }

  private tensor(tensor: OnnxTensor, where: string): void {
    const type = elementType(tensor.dataType);
    if (!type)
      throw new DamagedModel(`The ${where} has the unknown element type ${tensor.dataType}.`);
    const elements = product(tensor.dims);
    const bytes = Math.ceil((elements * type.bits) / 8);
    const listed = [...tensor.typed].filter(([, count]) => count > 0);
    const raw = tensor.raw?.length ?? 0;
    if (tensor.isExternal) {
      if (raw > 0 || listed.length > 0)
        throw new DamagedModel(`The ${where} has both external data and data of its own.`);
      this.file(tensor, where, bytes);
      return;
    }
    if (raw > 0 && listed.length > 0)
      throw new DamagedModel(`The ${where} has both raw data and ${listed[0]?.[0] ?? ''}.`);
    const shape = `shape [${tensor.dims.join(', ')}] of ${type.name}`;
    if (raw > 0) {
      if (type.bits === 0) throw new DamagedModel(`The ${where} has strings as raw data.`);
      if (raw !== bytes)
        throw new DamagedModel(
          `The ${where} has ${shape}, so ${bytes} bytes, but ${raw} are there.`,
        );
      return;
    }
    const [field, count] = listed[0] ?? [type.field, 0];
    if (listed.length > 1 || field !== type.field)
      throw new DamagedModel(
        `The ${where} is of ${type.name} but has ${listed.map(([name]) => name).join(' and ')}.`,
      );
    const packed = type.bits > 0 && type.bits < 8 ? bytes : elements;
    if (count !== elements * type.perElement && count !== packed)
      throw new DamagedModel(`The ${where} has ${shape}, but ${count} elements are there.`);
  }

  private file(tensor: OnnxTensor, where: string, bytes: number): void {
    const entries = new Map<string, string>();
    for (const { key, value } of tensor.external) {
      if (entries.has(key))
        throw new DamagedModel(`The ${where} has ${key} of its external data twice.`);
      entries.set(key, value);
    }
    if (tensor.dataType === 8) throw new DamagedModel(`The ${where} has strings as external data.`);
    const location = entries.get('location') ?? '';
    const path = this.pathOf(location, where);
    const size = this.sizes.get(path);
    if (size === undefined)
      throw new DamagedModel(
        `The ${where} has its data in "${location}", which is not among the files (expected at ${path}). ` +
          'Upload it together with the model.',
      );
    const offset = decimal(entries.get('offset') ?? '0', 'offset', where);
    const length = decimal(entries.get('length') ?? String(bytes), 'length', where);
    if (length !== bytes)
      throw new DamagedModel(
        `The ${where} takes ${bytes} bytes, but ${length} are named in "${location}".`,
      );
    if (offset + length > size)
      throw new DamagedModel(
        `The ${where} reads bytes ${offset} to ${offset + length} of "${location}", which has ${size}.`,
      );
    this.external.set(location, { location, path });
  }

  /** The uploaded file that a location names: inside the folder of the model, and never the model itself. */
  private pathOf(location: string, where: string): string {
    const parts = location.split('/').filter((part) => part !== '.');
    // The backslash, the colon of a drive or URL and control characters mean nothing in a path of a manifest.
    const odd = /[\\:\p{Cc}]/u.test(location);
    if (odd || location === '' || parts.includes('..') || parts.includes(''))
      throw new DamagedModel(
        `The ${where} has its data in ${JSON.stringify(location.slice(0, 200))}, which is not a relative path within the upload.`,
      );
    const path = posix.join(posix.dirname(this.main), ...parts);
    if (path === this.main)
      throw new DamagedModel(`The ${where} has its data in the model file itself ("${location}").`);
    return path;
  }
}

function product(dims: number[]): number {
  return dims.reduce((size, dim) => size * dim, 1);
}

function decimal(text: string, what: string, where: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value))
    throw new DamagedModel(
      `The ${where} has the ${what} ${JSON.stringify(text.slice(0, 50))} of external data; a whole number was expected.`,
    );
  return value;
}
