import type { DType, KernelNode, TensorSpec } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { ProgramBuilder } from '../program-builder.js';
import { integerOf, integersOf } from './onnx-attributes.js';
import type { GraphPorts } from './onnx-bridging.js';
import { linearOperators } from './onnx-ml-linear.js';
import { treeOperators } from './onnx-ml-trees.js';
import type { OnnxGraph, OnnxModel, OnnxNode } from './onnx-model.js';
import { elementType } from './onnx-types.js';
import { readTensorValues } from './onnx-values.js';

/** A value of a graph that is compiled: labels `[rows]`, or numbers `[rows]` or `[rows, width]`. */
export interface MlValue {
  /** What the program calls it. */
  value: string;
  dtype: DType;
  rank: 1 | 2;
  width: number;
}

/** Adds what a node does to the program; it may leave the graph to ONNX Runtime. */
export type CompileOperator = (node: OnnxNode, graph: MlGraph) => void;

/** Something that the kernels do not do exactly as ONNX says: the graph is ONNX Runtime's. */
class LeftToRuntime extends Error {}

/**
 * Compiles a graph to forests and kernels where all of it is trees, linear models and what commonly stands around them, in
 * forms of which it is known what ONNX says (contracts of ai.onnx.ml 1 to 5); undefined where not.
 */
export function compileMlGraph(
  model: OnnxModel & { graph: OnnxGraph },
  ports: GraphPorts,
  importer: string,
): ReturnType<ProgramBuilder['finish']> | undefined {
  const { graph, functions } = model;
  if (functions.length > 0 || graph.sparseInitializers.length > 0) return undefined;
  if (!graph.nodes.some(({ domain }) => domain === ML)) return undefined;
  try {
    return new MlGraph(graph, ports).compile(importer);
  } catch (error) {
    // ONNX Runtime took the model: what the packing of trees refuses is a form that it knows and we do not.
    const left = [LeftToRuntime, DamagedModel, UnsupportedModel].some(
      (kind) => error instanceof kind,
    );
    if (left) return undefined;
    throw error;
  }
}

const ML = 'ai.onnx.ml';

const operators = new Map<string, CompileOperator>(
  Object.entries({ ...treeOperators, ...linearOperators, ...commonOperators() }),
);

/** A graph while it is compiled. */
export class MlGraph {
  readonly builder = new ProgramBuilder();
  private readonly values = new Map<string, MlValue>();

  constructor(
    private readonly graph: OnnxGraph,
    private readonly ports: GraphPorts,
  ) {}

  compile(importer: string): ReturnType<ProgramBuilder['finish']> {
    const { inputs, outputs } = this.ports;
    for (const spec of inputs) this.values.set(spec.name, this.input(spec));
    for (const node of this.graph.nodes) {
      // What ZipMap names is named where it is answered.
      if (node.domain === ML && node.opType === 'ZipMap') continue;
      const compile = operators.get(node.domain ? `${node.domain}.${node.opType}` : node.opType);
      const names = node.attributes.map(({ name }) => name);
      if (!compile || new Set(names).size !== names.length) return this.leave();
      compile(node, this);
    }
    for (const spec of outputs) this.output(spec);
    return this.builder.finish({
      importer,
      format: 'onnx',
      inputs,
      binding: { kind: 'tensors' },
      defaultOutputs: outputs.map(({ name }) => name),
    });
  }

  leave(): never {
    throw new LeftToRuntime();
  }

  /** An input of a node. */
  valueOf(node: OnnxNode, index = 0): MlValue {
    return this.values.get(node.inputs[index] ?? '') ?? this.leave();
  }

  /** A matrix of floats or doubles that a node takes. */
  rowsOf(node: OnnxNode, index = 0): MlValue & { dtype: 'FP32' | 'FP64' } {
    const { dtype, ...value } = this.valueOf(node, index);
    if ((dtype !== 'FP32' && dtype !== 'FP64') || value.rank !== 2) return this.leave();
    return { ...value, dtype };
  }

  /** A matrix of floats that a node takes. */
  narrowRowsOf(node: OnnxNode, index = 0): MlValue {
    const rows = this.rowsOf(node, index);
    return rows.dtype === 'FP32' ? rows : this.leave();
  }

  /** Names an output of a node; one that has no name is not made. */
  set(node: OnnxNode, index: number, make: () => MlValue): void {
    const name = node.outputs[index] ?? '';
    if (name !== '') this.values.set(name, make());
  }

  kernel(
    name: string,
    inputs: string[],
    given?: Pick<KernelNode, 'attributes' | 'weights'>,
  ): string {
    return this.builder.kernel(name, inputs, given);
  }

  floats(data: ArrayLike<number>, shape?: number[]) {
    return this.builder.weights.add('FP32', Float32Array.from(data), shape);
  }

  /** The same numbers as FP32. */
  narrow({ value, dtype, ...rest }: MlValue): MlValue {
    if (dtype === 'FP32') return { value, dtype, ...rest };
    const cast = this.kernel('cast', [value], { attributes: { dtype: 'FP32' } });
    return { value: cast, dtype: 'FP32', ...rest };
  }

  /** The labels of classes whose index is given. */
  labels(index: string, labels: string[] | number[]): MlValue {
    const [first] = labels;
    if (!labels.every((label) => typeof label === 'string' || Number.isSafeInteger(label))) {
      this.leave();
    }
    const dtype = typeof first === 'string' ? 'BYTES' : 'INT64';
    const value = this.kernel('class-labels', [index], { attributes: { dtype, labels } });
    return { value, dtype, rank: 1, width: 1 };
  }

  /** The integers of an initializer, such as a shape. */
  integers(name: string | undefined): number[] {
    const tensor = this.graph.initializers.find((candidate) => candidate.name === name);
    if (!tensor || tensor.isExternal || elementType(tensor.dataType)?.dtype !== 'INT64') {
      return this.leave();
    }
    const { buffer } = Uint8Array.from(readTensorValues(tensor, 'INT64'));
    return Array.from(new BigInt64Array(buffer), Number);
  }

  isConstant(name: string | undefined): boolean {
    return this.graph.initializers.some((candidate) => candidate.name === name);
  }

  /** The floats of an initializer that is a number or a row of them. */
  row(name: string | undefined): Float32Array {
    const tensor = this.graph.initializers.find((candidate) => candidate.name === name);
    if (!tensor || tensor.isExternal || elementType(tensor.dataType)?.dtype !== 'FP32') {
      return this.leave();
    }
    const [rows = 1, ...rest] = tensor.dims.toReversed().slice(1);
    if (rows !== 1 || rest.length > 0) this.leave();
    return new Float32Array(Uint8Array.from(readTensorValues(tensor, 'FP32')).buffer);
  }

  private input({ name, dtype, shape, sequence, optional, anyShape }: TensorSpec): MlValue {
    const [rows, width = 0, ...rest] = shape;
    const plain = !sequence && !optional && !anyShape && rest.length === 0;
    if (!plain || rows !== -1 || width < 1 || name.startsWith('value/')) this.leave();
    if (dtype !== 'FP32' && dtype !== 'FP64') this.leave();
    return { value: name, dtype, rank: 2, width };
  }

  private output(spec: TensorSpec): void {
    const bridged = this.ports.bridge.outputs[spec.name];
    const value = this.values.get(bridged?.kind === 'map' ? bridged.value : spec.name);
    const isInput = this.ports.inputs.some(({ name }) => name === value?.value);
    if (!value || value.dtype !== spec.dtype || isInput || spec.sequence) return this.leave();
    // Some exporters declare one row where there are as many as in the inputs.
    const shape = value.rank === 1 ? [-1] : [-1, value.width];
    const told = { name: spec.name, dtype: spec.dtype, shape };
    if (bridged?.kind !== 'map') return this.builder.output(told, value.value);
    const texts = bridged.labels.filter((label) => typeof label === 'string');
    const numbers = bridged.labels.filter((label) => typeof label === 'number');
    if (value.rank !== 2 || value.width !== bridged.labels.length) this.leave();
    if (texts.length > 0 && numbers.length > 0) this.leave();
    const attributes = { labels: texts.length > 0 ? texts : numbers };
    this.builder.output(told, this.kernel('onnx-named-columns', [value.value], { attributes }));
  }
}

/** Operators of ai.onnx that exporters put around models. */
function commonOperators(): Record<string, CompileOperator> {
  return {
    Identity: (node, graph) => graph.set(node, 0, () => graph.valueOf(node)),

    Cast: (node, graph) => {
      const value = graph.valueOf(node);
      const { dtype } = elementType(integerOf(node, 'to', 0)) ?? {};
      graph.set(node, 0, () => {
        if (dtype === value.dtype) return value;
        const floats = (type: DType | undefined) => type === 'FP32' || type === 'FP64';
        if (!dtype || !floats(dtype) || !floats(value.dtype)) return graph.leave();
        const cast = graph.kernel('cast', [value.value], { attributes: { dtype } });
        return { ...value, value: cast, dtype };
      });
    },

    Reshape: (node, graph) => {
      const value = graph.valueOf(node);
      const [rows, ...rest] = graph.integers(node.inputs[1]);
      if (rows !== -1 || rest.length > 1) graph.leave();
      graph.set(node, 0, () => {
        if (rest.length === 0 && value.rank === 1) return value;
        if (rest[0] !== value.width) return graph.leave();
        if (value.rank === 2) return value;
        return { ...value, value: graph.kernel('as-matrix', [value.value]), rank: 2 };
      });
    },

    Concat: (node, graph) => {
      const axis = integerOf(node, 'axis', 0);
      if (axis !== 1 && axis !== -1) graph.leave();
      joinColumns(node, graph);
    },

    'ai.onnx.ml.FeatureVectorizer': (node, graph) => {
      const widths = integersOf(node, 'inputdimensions') ?? [];
      const fit = node.inputs.every((_, i) => graph.narrowRowsOf(node, i).width === widths[i]);
      if (!fit || widths.length !== node.inputs.length) graph.leave();
      joinColumns(node, graph);
    },

    Exp: (node, graph) => {
      const rows = graph.narrowRowsOf(node);
      graph.set(node, 0, () => ({ ...rows, value: graph.kernel('exp', [rows.value]) }));
    },

    ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div'].map((how) => [how, arithmetic(how)])),
  };
}

/** A matrix and a constant: one number, or one for each column. */
function arithmetic(how: string): CompileOperator {
  return (node, graph) => {
    const turned = (how === 'Add' || how === 'Mul') && graph.isConstant(node.inputs[0]);
    const rows = graph.narrowRowsOf(node, turned ? 1 : 0);
    const operand = graph.row(node.inputs[turned ? 0 : 1]);
    if (operand.length !== 1 && operand.length !== rows.width) graph.leave();
    graph.set(node, 0, () => {
      const weights = { operand: graph.floats(operand) };
      const value = graph.kernel('onnx-arithmetic', [rows.value], { attributes: { how }, weights });
      return { ...rows, value };
    });
  };
}

function joinColumns(node: OnnxNode, graph: MlGraph): void {
  const parts = node.inputs.map((_, i) => graph.narrowRowsOf(node, i));
  graph.set(node, 0, () => ({
    value: graph.kernel(
      'onnx-join',
      parts.map(({ value }) => value),
    ),
    dtype: 'FP32',
    rank: 2,
    width: parts.reduce((sum, { width }) => sum + width, 0),
  }));
}
