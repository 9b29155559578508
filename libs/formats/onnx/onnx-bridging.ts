import type { BridgedSequence, DType, OnnxBridge, TensorSpec } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type {
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxType,
  OnnxValue,
} from './onnx-model.js';
import { labelsOf } from './onnx-model.js';
import { bytesField, varintField } from '../protobuf.js';
import { readTensorValues } from './onnx-values.js';
import { elementType, ONNX_BFLOAT16, ONNX_BOOL, ONNX_FLOAT, ONNX_INT64 } from './onnx-types.js';

/** Defaults above this (weights that an old exporter lists as inputs) stay constants. */
const MAX_DEFAULTS = 64 * 1024;

/** Loop carries sequences from here on. */
const LEAST_OPSET_FOR_SEQUENCES = 14;

/** The ports of a graph as users see them, and how they are led to it. */
export interface GraphPorts {
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  bridge: OnnxBridge;
}

/**
 * Makes the signature of a graph. Symbolic dimensions are -1. Sequences of tensors, ZipMap's sequences of maps, bfloat16
 * and defaults are bridged; anything else that is not a tensor is refused by name.
 */
export function bridgeGraph(
  model: OnnxModel & { graph: OnnxGraph },
  external: string[],
): GraphPorts {
  return new Bridging(model, external).ports();
}

class Bridging {
  private readonly hide: number[] = [];
  /** Fields of GraphProto. */
  private readonly fields: number[] = [];
  private readonly bridge: OnnxBridge;
  private readonly exposed = new Set<string>();

  constructor(
    private readonly model: OnnxModel & { graph: OnnxGraph },
    external: string[],
  ) {
    this.bridge = { external, hide: this.hide, append: '', inputs: {}, outputs: {} };
    for (const { name } of model.graph.outputs) this.exposed.add(name);
  }

  ports(): GraphPorts {
    const inputs = this.inputs();
    const outputs = this.model.graph.outputs.map((value) => this.output(value));
    if (this.fields.length > 0)
      this.bridge.append = Buffer.from(bytesField(7, this.fields)).toString('base64');
    return { inputs, outputs, bridge: this.bridge };
  }

  private inputs(): TensorSpec[] {
    const { graph, irVersion } = this.model;
    const initial = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
    const sparse = new Set(graph.sparseInitializers.map(({ values }) => values?.name));
    const defaults = graph.inputs.flatMap(({ name }) => initial.get(name) ?? []);
    // Before IR 4 every initialiser had to be listed as an input: it is none.
    const replaceable =
      irVersion >= 4 &&
      defaults.every((tensor) => isPlain(tensor)) &&
      defaults.reduce((sum, tensor) => sum + tensor.bytes.length, 0) <= MAX_DEFAULTS;
    return graph.inputs.flatMap((value) => {
      const tensor = initial.get(value.name);
      if (sparse.has(value.name) || (tensor && !replaceable)) return [];
      return [tensor ? this.optionalInput(value, tensor) : this.input(value)];
    });
  }

  /** The initialiser is hidden, so that ONNX Runtime takes the input as an ordinary one; its value is fed from here. */
  private optionalInput(value: OnnxValue, tensor: OnnxTensor): TensorSpec {
    const { dtype } = elementType(tensor.dataType) ?? {};
    if (!dtype || dtype === 'BYTES') throw new DamagedModel(`Input "${value.name}" has no dtype.`);
    const spec = tensorSpec(value, 'Input');
    this.hide.push(tensor.tagAt);
    const data = readTensorValues(tensor, dtype).toString('base64');
    this.bridge.inputs[value.name] = { kind: 'default', dtype, shape: tensor.dims, data };
    return { ...spec, optional: true };
  }

  private input(value: OnnxValue): TensorSpec {
    const { name, type, tagAt } = value;
    if (type?.kind === 'sequence') {
      const { dataType, ...item } = sequenceItem(type, `Input "${name}"`);
      this.needSequences(`Input "${name}"`);
      this.hide.push(tagAt);
      const port = sequencePort(name, item.dtype);
      this.fields.push(...sequenceInput(name, port, dataType));
      this.bridge.inputs[name] = port;
      return { name, ...item, sequence: true };
    }
    if (type?.kind === 'optional' && type.of?.kind === 'tensor') {
      // ONNX Runtime takes a tensor for it; it knows no way to give none.
      return tensorSpec({ ...value, type: type.of }, 'Input');
    }
    const spec = tensorSpec(value, 'Input');
    if (spec.dtype === 'BF16') {
      const wide = `${PREFIX}${name}`;
      this.hide.push(tagAt);
      this.fields.push(
        ...bytesField(11, valueInfo(wide, ONNX_FLOAT, type)),
        ...node('Cast', [wide], [name], intAttribute('to', ONNX_BFLOAT16)),
      );
      this.bridge.inputs[name] = { kind: 'bfloat16', value: wide };
    }
    return spec;
  }

  private output(value: OnnxValue): TensorSpec {
    const { name, type, tagAt } = value;
    if (type?.kind === 'sequence' && type.of?.kind === 'map') return this.zipMap(value);
    if (type?.kind === 'sequence') {
      const { dataType, ...item } = sequenceItem(type, `Output "${name}"`);
      this.needSequences(`Output "${name}"`);
      this.hide.push(tagAt);
      const port = sequencePort(name, item.dtype);
      this.fields.push(...sequenceOutput(name, port, dataType));
      this.bridge.outputs[name] = port;
      return { name, ...item, sequence: true };
    }
    const spec = tensorSpec(value, 'Output');
    if (spec.dtype === 'BF16') {
      const wide = `${PREFIX}${name}`;
      this.hide.push(tagAt);
      this.fields.push(
        ...node('Cast', [name], [wide], intAttribute('to', ONNX_FLOAT)),
        ...bytesField(12, valueInfo(wide, ONNX_FLOAT)),
      );
      this.bridge.outputs[name] = { kind: 'bfloat16', value: wide };
    }
    return spec;
  }

  /** The numbers that go into ZipMap are the answer; the labels are its attribute. */
  private zipMap({ name, tagAt }: OnnxValue): TensorSpec {
    const { nodes } = this.model.graph;
    const maker = nodes.find((node) => node.outputs.includes(name));
    const [numbers] = maker?.inputs ?? [];
    if (!maker || maker.domain !== 'ai.onnx.ml' || maker.opType !== 'ZipMap' || !numbers)
      throw new UnsupportedModel(
        `Output "${name}" is a sequence of maps that ${maker?.opType ?? 'a graph input'} makes; only those of ZipMap are supported.`,
      );
    const labels = zipMapLabels(maker);
    this.hide.push(tagAt);
    if (!nodes.some((node) => node !== maker && node.inputs.includes(name)))
      this.hide.push(maker.tagAt);
    if (!this.exposed.has(numbers)) {
      this.exposed.add(numbers);
      this.fields.push(...bytesField(12, valueInfo(numbers, ONNX_FLOAT)));
    }
    this.bridge.outputs[name] = { kind: 'map', value: numbers, labels };
    return { name, dtype: 'FP32', shape: [-1, labels.length] };
  }

  private needSequences(who: string): void {
    const opset = this.model.opsets.find(({ domain }) => domain === '')?.version ?? 0;
    if (opset < LEAST_OPSET_FOR_SEQUENCES)
      throw new UnsupportedModel(
        `${who} is a sequence in a model of opset ${opset}; sequences are supported from opset ${LEAST_OPSET_FOR_SEQUENCES} on. ` +
          'Export it again with a newer opset.',
      );
  }
}

function isPlain(tensor: OnnxTensor): boolean {
  const dtype = elementType(tensor.dataType)?.dtype;
  return !tensor.isExternal && dtype !== undefined && dtype !== 'BYTES' && dtype !== 'BF16';
}

function tensorSpec({ name, type }: OnnxValue, what: 'Input' | 'Output'): TensorSpec {
  if (!type) throw new DamagedModel(`${what} "${name}" has no type.`);
  if (type.kind !== 'tensor')
    throw new UnsupportedModel(
      `${what} "${name}" is a ${type.kind}; only tensors, sequences of tensors and ZipMap outputs are supported.`,
    );
  return { name, ...tensorType(type, `${what} "${name}"`) };
}

function tensorType(type: OnnxType & { kind: 'tensor' }, who: string): Omit<TensorSpec, 'name'> {
  const element = elementType(type.dataType);
  if (!element) throw new DamagedModel(`${who} has the unknown element type ${type.dataType}.`);
  if (!element.dtype)
    throw new UnsupportedModel(`${who} is of ${element.name}, which predictions cannot carry.`);
  return type.dims
    ? { dtype: element.dtype, shape: [...type.dims] }
    : { dtype: element.dtype, shape: [], anyShape: true };
}

function sequenceItem(
  type: OnnxType & { kind: 'sequence' },
  who: string,
): Omit<TensorSpec, 'name'> & { dataType: number } {
  if (type.of?.kind !== 'tensor')
    throw new UnsupportedModel(
      `${who} is a sequence of ${type.of?.kind ?? 'nothing'}; only sequences of tensors are supported.`,
    );
  const item = tensorType(type.of, who);
  if (item.dtype === 'BF16')
    throw new UnsupportedModel(`${who} is a sequence of bfloat16 tensors.`);
  return { ...item, dataType: type.of.dataType };
}

function zipMapLabels(maker: OnnxNode): (string | number)[] {
  for (const attribute of maker.attributes) {
    if (attribute.name !== 'classlabels_strings' && attribute.name !== 'classlabels_int64s')
      continue;
    const labels = labelsOf(attribute);
    if (labels.length > 0)
      return labels.map((label) =>
        typeof label === 'bigint' && Number.isSafeInteger(Number(label))
          ? Number(label)
          : String(label),
      );
  }
  throw new DamagedModel(`ZipMap "${maker.name}" has no labels.`);
}

/** Names of generated values: nothing that an exporter writes. */
const PREFIX = '@slipway/';

function sequencePort(name: string, dtype: DType): BridgedSequence {
  return {
    kind: 'sequence',
    dtype,
    flat: `${PREFIX}${name}/flat`,
    shapes: `${PREFIX}${name}/shapes`,
    ranks: `${PREFIX}${name}/ranks`,
  };
}

/** A Loop over the sequence `name` that collects the elements, shapes and ranks of its items. */
function sequenceOutput(name: string, port: BridgedSequence, dataType: number): number[] {
  const p = (suffix: string) => `${PREFIX}${name}/${suffix}`;
  const lists: [string, number][] = [
    ['flat', dataType],
    ['shapes', ONNX_INT64],
    ['ranks', ONNX_INT64],
  ];
  const body = [
    ...node('SequenceAt', [name, p('i')], [p('item')]),
    ...node('Reshape', [p('item'), p('all')], [p('flat.item')]),
    ...node('Shape', [p('item')], [p('shapes.item')]),
    ...node('Shape', [p('shapes.item')], [p('ranks.item')]),
    ...lists.flatMap(([list]) =>
      node('SequenceInsert', [p(`${list}.in`), p(`${list}.item`)], [p(`${list}.out`)]),
    ),
    ...node('Identity', [p('go')], [p('go.out')]),
    ...bytesField(2, 'items'),
    ...bytesField(11, scalarInfo(p('i'), ONNX_INT64)),
    ...bytesField(11, scalarInfo(p('go'), ONNX_BOOL)),
    ...lists.flatMap(([list, type]) => bytesField(11, sequenceInfo(p(`${list}.in`), type))),
    ...bytesField(12, scalarInfo(p('go.out'), ONNX_BOOL)),
    ...lists.flatMap(([list, type]) => bytesField(12, sequenceInfo(p(`${list}.out`), type))),
  ];
  // Each list begins with an empty tensor, because an empty sequence cannot be concatenated.
  return [
    ...int64Constant(p('all'), [-1]),
    ...node('SequenceLength', [name], [p('count')]),
    ...lists.flatMap(([list, type]) => [
      ...bytesField(5, [
        ...varintField(1, 0),
        ...varintField(2, type),
        ...bytesField(8, p(`${list}.empty`)),
      ]),
      ...node('SequenceConstruct', [p(`${list}.empty`)], [p(`${list}.first`)]),
    ]),
    ...node(
      'Loop',
      [p('count'), '', ...lists.map(([list]) => p(`${list}.first`))],
      lists.map(([list]) => p(`${list}.last`)),
      graphAttribute('body', body),
    ),
    ...lists.flatMap(([list, type]) => {
      const value = { flat: port.flat, shapes: port.shapes, ranks: port.ranks }[list] ?? '';
      return [
        ...node('ConcatFromSequence', [p(`${list}.last`)], [value], intAttribute('axis', 0)),
        ...bytesField(12, valueInfo(value, type)),
      ];
    }),
  ];
}

/** A Loop that cuts the items out of the elements, by their ranks and shapes, and puts them into the sequence `name`. */
function sequenceInput(name: string, port: BridgedSequence, dataType: number): number[] {
  const p = (suffix: string) => `${PREFIX}${name}/${suffix}`;
  const body = [
    ...node('Unsqueeze', [p('i'), p('zero')], [p('i1')]),
    ...node('Gather', [port.ranks, p('i1')], [p('rank')]),
    ...node('Add', [p('dim'), p('rank')], [p('dim.out')]),
    ...node('Slice', [port.shapes, p('dim'), p('dim.out')], [p('shape')]),
    ...node('ReduceProd', [p('shape')], [p('size0')], intAttribute('keepdims', 0)),
    ...node('Unsqueeze', [p('size0'), p('zero')], [p('size')]),
    ...node('Add', [p('at'), p('size')], [p('at.out')]),
    ...node('Slice', [port.flat, p('at'), p('at.out')], [p('elements')]),
    ...node('Reshape', [p('elements'), p('shape')], [p('item')], intAttribute('allowzero', 1)),
    ...node('SequenceInsert', [p('items'), p('item')], [p('items.out')]),
    ...node('Identity', [p('go')], [p('go.out')]),
    ...bytesField(2, 'items'),
    ...bytesField(11, scalarInfo(p('i'), ONNX_INT64)),
    ...bytesField(11, scalarInfo(p('go'), ONNX_BOOL)),
    ...bytesField(11, valueInfo(p('dim'), ONNX_INT64, oneElement)),
    ...bytesField(11, valueInfo(p('at'), ONNX_INT64, oneElement)),
    ...bytesField(11, sequenceInfo(p('items'), dataType)),
    ...bytesField(12, scalarInfo(p('go.out'), ONNX_BOOL)),
    ...bytesField(12, valueInfo(p('dim.out'), ONNX_INT64, oneElement)),
    ...bytesField(12, valueInfo(p('at.out'), ONNX_INT64, oneElement)),
    ...bytesField(12, sequenceInfo(p('items.out'), dataType)),
  ];
  const list = { kind: 'tensor', dataType, dims: [-1] } as const;
  return [
    ...bytesField(11, valueInfo(port.flat, dataType, list)),
    ...bytesField(11, valueInfo(port.shapes, ONNX_INT64, list)),
    ...bytesField(11, valueInfo(port.ranks, ONNX_INT64, list)),
    ...int64Constant(p('zero'), [0]),
    ...node('Size', [port.ranks], [p('count')]),
    ...node('SequenceEmpty', [], [p('empty')], intAttribute('dtype', dataType)),
    ...node(
      'Loop',
      [p('count'), '', p('zero'), p('zero'), p('empty')],
      [p('dim.last'), p('at.last'), name],
      graphAttribute('body', body),
    ),
  ];
}

const oneElement = { kind: 'tensor', dataType: ONNX_INT64, dims: [1] } as const;

/** Field 1 of GraphProto. */
function node(
  op: string,
  inputs: string[],
  outputs: string[],
  ...attributes: number[][]
): number[] {
  return bytesField(1, [
    ...inputs.flatMap((name) => bytesField(1, name)),
    ...outputs.flatMap((name) => bytesField(2, name)),
    ...bytesField(4, op),
    ...attributes.flat(),
  ]);
}

function intAttribute(name: string, value: number): number[] {
  return bytesField(5, [...bytesField(1, name), ...varintField(3, value), ...varintField(20, 2)]);
}

function graphAttribute(name: string, graph: number[]): number[] {
  return bytesField(5, [...bytesField(1, name), ...bytesField(6, graph), ...varintField(20, 5)]);
}

function int64Constant(name: string, values: number[]): number[] {
  return bytesField(5, [
    ...varintField(1, values.length),
    ...varintField(2, ONNX_INT64),
    ...values.flatMap((value) => varintField(7, value)),
    ...bytesField(8, name),
  ]);
}

/** A ValueInfoProto; the shape is that of `type`, where it has one. */
function valueInfo(name: string, dataType: number, type?: OnnxType): number[] {
  return [...bytesField(1, name), ...bytesField(2, tensorTypeField(dataType, type))];
}

function scalarInfo(name: string, dataType: number): number[] {
  return valueInfo(name, dataType, { kind: 'tensor', dataType, dims: [] });
}

function sequenceInfo(name: string, dataType: number): number[] {
  return [
    ...bytesField(1, name),
    ...bytesField(2, bytesField(4, bytesField(1, tensorTypeField(dataType)))),
  ];
}

function tensorTypeField(dataType: number, type?: OnnxType): number[] {
  const dims = type?.kind === 'tensor' ? type.dims : undefined;
  const shape = dims?.flatMap((dim) => bytesField(1, dim < 0 ? [] : varintField(1, dim)));
  return bytesField(1, [...varintField(1, dataType), ...(shape ? bytesField(2, shape) : [])]);
}
