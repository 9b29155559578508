import type { DType } from '#program';
import { Part } from '../document.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { dtypeNamed, Layer, layerNamed, type Dialect } from './layer.js';
import { ruleOf } from './layer-rules.js';

/** Models inside of models, wrappers around wrappers: deeper is hostile. */
const MAX_DEPTH = 24;
/** Layers of a model with those inside of them. */
const MOST_LAYERS = 50_000;

/** A Sequential or a Functional model, read from its configuration. */
export interface LayerModel {
  sequential: boolean;
  layers: Layer[];
  byName: Map<string, Layer>;
  /** The calls of each layer, in their order; none of a Sequential, which calls each once. */
  calls: Map<Layer, NodeCall[]>;
  /** Inputs in their order: the InputLayer of each, or what the first layer says where there is none. */
  inputs: ModelInput[];
  /** What it answers: a tensor, a list or a dictionary of them. */
  output: Structure;
}

export interface ModelInput {
  layer: Layer;
  name: string;
  /** −1: of any size. Undefined: it is not said. */
  shape?: number[];
  dtype: DType;
}

/** Tensor `tensor` of call `call` of a layer. */
export class TensorRef {
  constructor(
    readonly layer: string,
    readonly call: number,
    readonly tensor: number,
  ) {}
}

/** Tensors in lists and dictionaries, between constants. */
export type Structure =
  TensorRef | Structure[] | { [name: string]: Structure } | string | number | boolean | null;

export interface NodeCall {
  args: Structure[];
  kwargs: Record<string, Structure>;
}

/** Reads a model with all layers in it. Throws DamagedModel, and UnsupportedModel that names the layer. */
export function readModel(part: Part, dialect: Dialect): Layer {
  return new ModelReader(dialect).layer(part, 0);
}

const MODELS = new Set(['Functional', 'Model', 'Sequential']);

export class ModelReader {
  private count = 0;

  constructor(private readonly dialect: Dialect) {}

  /** A layer with those inside of it. */
  layer(part: Part, depth: number): Layer {
    if (depth > MAX_DEPTH)
      throw new DamagedModel(`${part.path}: layers are nested more than ${MAX_DEPTH} deep.`);
    if (++this.count > MOST_LAYERS)
      throw new DamagedModel(`The model has more than ${MOST_LAYERS} layers; that is the limit.`);
    const layer = layerNamed(part, this.dialect);
    refuseForeign(part, layer);
    if (layer.isOperation) return layer;
    if (isModel(layer)) {
      layer.model = this.model(layer, depth);
      return layer;
    }
    const rule = ruleOf(layer);
    if (!rule) return layer.unsupported('nothing here computes it');
    const children = rule.children?.(layer, (child) => this.layer(child, depth + 1)) ?? {};
    for (const [attribute, child] of Object.entries(children)) layer.children.set(attribute, child);
    return layer;
  }

  private model(layer: Layer, depth: number): LayerModel {
    const { config } = layer;
    // Before Keras 2.2.3 a Sequential's configuration was the list of its layers.
    const entries = Array.isArray(config.value) ? config : config.field('layers');
    const layers: Layer[] = [];
    const byName = new Map<string, Layer>();
    const calls = new Map<Layer, NodeCall[]>();
    for (const entry of entries.list()) {
      const child = this.layer(entry, depth + 1);
      if (byName.has(child.name)) entry.damaged(`is a second layer "${child.name}"`);
      layers.push(child);
      byName.set(child.name, child);
      calls.set(child, entry.optional('inbound_nodes')?.list().flatMap(readCall) ?? []);
    }
    const sequential = layer.className === 'Sequential';
    const common = { layers, byName, calls };
    if (sequential)
      return { ...common, sequential, inputs: [sequentialInput(layer, layers)], output: null };
    const inputs = tensorRefs(readStructure(config.field('input_layers'))).map((ref) => {
      const input = byName.get(ref.layer);
      if (input?.className !== 'InputLayer')
        return config.damaged(`has the input "${ref.layer}", which is no InputLayer`);
      return modelInput(input);
    });
    const output = readStructure(config.field('output_layers'));
    return { ...common, sequential, inputs, output };
  }
}

/** Model classes of Keras; a Functional may be written under its old name. */
function isModel(layer: Layer): boolean {
  return (
    MODELS.has(layer.className) && (Array.isArray(layer.config.value) || layer.config.has('layers'))
  );
}

const UNSUPPORTED: Record<string, string> = {
  Lambda:
    'it holds Python code, which is never run here; write it with layers or operations of Keras',
  TFSMLayer: 'it holds a SavedModel elsewhere; log that SavedModel itself',
  TorchModuleWrapper: 'it holds a module of PyTorch',
  JaxLayer: 'it holds a function of JAX',
  FlaxLayer: 'it holds a module of Flax',
  Model: 'a subclassed model has its code in Python; export it as a SavedModel or to ONNX',
};

/** What is code, or somebody's own class, is refused before anything of it is read. */
function refuseForeign(part: Part, layer: Layer): void {
  const { className } = layer;
  if (Object.hasOwn(UNSUPPORTED, className) && !isModel(layer))
    layer.unsupported(UNSUPPORTED[className] ?? '');
  const written = part.field('class_name').text();
  const registered = part.optional('registered_name')?.value;
  const module = part.optional('module')?.value;
  const isCustom =
    (typeof registered === 'string' &&
      registered.includes('>') &&
      !/^(Keras|keras)/.test(registered)) ||
    (written.includes('>') && !written.startsWith('Vision>') && !written.startsWith('Keras')) ||
    (typeof module === 'string' &&
      !/^(keras|tf_keras|tensorflow\.python\.keras|builtins)(\.|$)/.test(module)) ||
    (module === null && !ruleOf(layer) && !MODELS.has(className));
  if (isCustom) {
    const name = typeof registered === 'string' ? registered : written;
    throw new UnsupportedModel(
      `${layer.label} is not supported: its class ${JSON.stringify(name.slice(0, 200))} is the model's own, with its code in Python; export the model as a SavedModel or to ONNX.`,
    );
  }
}

function readCall(part: Part): NodeCall[] {
  const { value } = part;
  if (Array.isArray(value)) return [legacyCall(value, part)];
  const args = part.field('args').list().map(readStructure);
  const kwargs = readStructure(part.optional('kwargs') ?? part.as({}));
  if (!isDictionary(kwargs)) return part.damaged('must have a dictionary of arguments');
  return [{ args, kwargs }];
}

/**
 * Keras 2 writes the first argument as `[layer, call, tensor, arguments]`, or as a list or dictionary of these (`node.py`,
 * `Node.serialize`); all of them carry the same further arguments.
 */
function legacyCall(value: unknown[], part: Part): NodeCall {
  let kwargs: Record<string, Structure> = {};
  const read = (item: unknown, depth: number): Structure => {
    if (depth > MAX_DEPTH) part.damaged('is nested too deep');
    if (isLegacyTensor(item)) {
      const given = item[3];
      if (isPlainObject(given)) {
        const named = readStructure(part.as(given));
        if (isDictionary(named)) kwargs = named;
      }
      if (item[0] === '_CONSTANT_VALUE') return readStructure(part.as(item[2]));
      return new TensorRef(item[0], item[1], Number(item[2]));
    }
    if (Array.isArray(item)) return item.map((one) => read(one, depth + 1));
    if (isPlainObject(item))
      return Object.fromEntries(
        Object.entries(item).map(([name, one]) => [name, read(one, depth + 1)]),
      );
    return part.damaged('has an input that is no tensor of a layer');
  };
  const first = read(value, 0);
  // A list of one tensor is that tensor.
  const only = Array.isArray(first) && first.length === 1 ? (first[0] ?? null) : first;
  return { args: [only], kwargs };
}

/** `[layer, call, tensor]`, perhaps with further arguments. */
function isLegacyTensor(item: unknown): item is [string, number, unknown, unknown?] {
  return (
    Array.isArray(item) &&
    (item.length === 3 || item.length === 4) &&
    typeof item[0] === 'string' &&
    Number.isInteger(item[1]) &&
    (Number.isInteger(item[2]) || item[0] === '_CONSTANT_VALUE')
  );
}

/** Reads what a configuration has for arguments: tensors, and constants between them. */
function readStructure(part: Part): Structure {
  const { value } = part;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return value;
  if (isLegacyTensor(value)) return new TensorRef(value[0], value[1], Number(value[2]));
  if (Array.isArray(value)) return part.list().map(readStructure);
  if (!isPlainObject(value)) return part.damaged('is neither a tensor nor a constant');
  const kind = value.class_name;
  if (kind === '__keras_tensor__') {
    const [layer, call, tensor] = part.field('config').field('keras_history').list();
    if (!layer || !call || !tensor) return part.damaged('is a tensor without a history');
    return new TensorRef(layer.text(), call.integer(0, 2 ** 31), tensor.integer(0, 2 ** 31));
  }
  if (kind === '__tuple__') return part.field('items').list().map(readStructure);
  if (kind === '__numpy__' || kind === '__tensor__')
    return readStructure(part.field('config').field('value'));
  return Object.fromEntries(
    Object.keys(value).map((name) => [name, readStructure(part.field(name))]),
  );
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDictionary(value: Structure): value is { [name: string]: Structure } {
  return isPlainObject(value) && !(value instanceof TensorRef);
}

/** All tensors of a structure, dictionaries by their sorted names, as Keras flattens them. */
export function tensorRefs(structure: Structure): TensorRef[] {
  if (structure instanceof TensorRef) return [structure];
  if (Array.isArray(structure)) return structure.flatMap(tensorRefs);
  if (!isDictionary(structure)) return [];
  return Object.keys(structure)
    .toSorted()
    .flatMap((name) => tensorRefs(structure[name] ?? null));
}

/** What an InputLayer, or the first layer of a Sequential, says of its input. */
function modelInput(layer: Layer, name = layer.name): ModelInput {
  if (layer.flag('sparse', false)) layer.unsupported('its input is sparse');
  if (layer.flag('ragged', false)) layer.unsupported('its input is ragged');
  if (layer.flag('optional', false)) layer.unsupported('its input is optional');
  const part = layer.has('batch_shape') ?? layer.has('batch_input_shape') ?? layer.has('shape');
  const given = layer.has('dtype')?.value;
  const dtype = typeof given === 'string' ? dtypeNamed(given) : layer.dtype;
  if (!dtype)
    return layer.unsupported(
      `its input is of the type ${JSON.stringify(String(given).slice(0, 40))}`,
    );
  return { layer, name, dtype, ...(part && { shape: readShape(part) }) };
}

function readShape(part: Part): number[] {
  return part.list().map((size) => (size.value === null ? -1 : size.integer(-1, 2 ** 31 - 1)));
}

function sequentialInput(model: Layer, layers: Layer[]): ModelInput {
  const [first] = layers;
  if (!first) return model.config.damaged('is a Sequential without layers');
  if (first.className === 'InputLayer') return modelInput(first);
  // A model in front says what it takes.
  const [inner] = first.model?.inputs ?? [];
  const name = `${first.name}_input`;
  if (inner) return { ...inner, layer: first, name };
  const own = modelInput(first, name);
  const built = Array.isArray(model.config.value) ? undefined : model.has('build_input_shape');
  return { ...own, ...(!own.shape && built && { shape: readShape(built) }) };
}
