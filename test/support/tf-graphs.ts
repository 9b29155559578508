import { dataOf, type DType, type Tensor, type TensorData } from '#program';
import { TensorGraph, type GraphValue } from '../../libs/formats/tensor-graph/tensor-graph.js';
import { writeGraph, type GraphSignature } from '../../libs/formats/tensor-graph/write-graph.js';
import { Lowering } from '../../libs/formats/tensorflow/lowering.js';
import { isTensor } from '../../libs/formats/tensorflow/op-rule.js';
import { opRules } from '../../libs/formats/tensorflow/ops/op-rules.js';
import type {
  TfAttribute,
  TfFunction,
  TfNode,
  TfRef,
  TfType,
} from '../../libs/formats/tensorflow/tf-graph.js';
import type { ProgramRunner } from './program-runner.js';

/** A number that is no integer attribute, however it looks: `{ float: 1 }`. */
export type AttributeLiteral =
  | number
  | string
  | boolean
  | { float: number }
  | { type: TfType }
  | { shape: number[] | undefined }
  | { tensor: TensorLiteral }
  | { function: string }
  | AttributeLiteral[];

export interface TensorLiteral {
  dtype: DType;
  shape: number[];
  data: ArrayLike<number | bigint | string | boolean>;
}

/** Operation, inputs (`node`, `node:1`) and attributes. */
export type NodeLiteral =
  | [operation: string, inputs: string[]]
  | [operation: string, inputs: string[], attributes: Record<string, AttributeLiteral>];

export interface FunctionLiteral {
  inputs: string[];
  nodes: Record<string, NodeLiteral>;
  outputs: string[];
  attributes?: Record<string, AttributeLiteral>;
}

/** A graph of TensorFlow as tests write it down; `inputs` are what a request sends, and −1 is a size that may be any. */
export interface GraphLiteral {
  inputs: Record<string, { dtype: DType; shape: number[] }>;
  nodes: Record<string, NodeLiteral>;
  functions?: Record<string, FunctionLiteral>;
  outputs: string[];
}

/** A `Const` node. */
export function constantNode(
  dtype: DType,
  shape: number[],
  data: ArrayLike<number | bigint | string | boolean>,
): NodeLiteral {
  return ['Const', [], { dtype: { type: dtype }, value: { tensor: { dtype, shape, data } } }];
}

export function nodesOf(literals: Record<string, NodeLiteral>): Map<string, TfNode> {
  return new Map(
    Object.entries(literals).map(([name, [op, inputs, attributes]]) => [
      name,
      { name, op, inputs: inputs.map(refOf), attributes: attributesOf(attributes) },
    ]),
  );
}

export function functionsOf(literals: Record<string, FunctionLiteral> = {}) {
  return new Map(
    Object.entries(literals).map(([name, { inputs, nodes, outputs, attributes }]) => {
      const made: TfFunction = {
        name,
        inputs,
        nodes: nodesOf(nodes),
        outputs: outputs.map(refOf),
        attributes: attributesOf(attributes),
      };
      return [name, made] as const;
    }),
  );
}

/** Lowers a graph; the values of its outputs are those of the signature. */
export function lowered(literal: GraphLiteral): { graph: TensorGraph; entry: GraphSignature } {
  const graph = new TensorGraph();
  const inputs = Object.entries(literal.inputs).map(([name, spec]) => ({
    spec: { name, ...spec },
    value: graph.input(spec),
  }));
  const given = new Map(inputs.map(({ spec, value }): [string, GraphValue] => [spec.name, value]));
  const lowering = new Lowering({ functions: functionsOf(literal.functions), rules: opRules });
  const values = lowering.lower(graph, {
    nodes: nodesOf(literal.nodes),
    given,
    wanted: literal.outputs.map(refOf),
  });
  const outputs = values.map((value, i) => {
    if (!isTensor(value)) throw new Error(`${literal.outputs[i]} is a ${value.resource}`);
    const { dtype, shape } = value;
    const name = literal.outputs[i] ?? '';
    const spec = {
      name,
      dtype,
      shape: [...(shape ?? [])],
      ...(!shape && { anyShape: true as const }),
    };
    return { spec, value };
  });
  return { graph, entry: { inputs, outputs } };
}

/** Lowers a graph, makes a Program of it and runs that; answers the outputs in their order. */
export async function runGraph(
  runner: ProgramRunner,
  literal: GraphLiteral,
  given: Record<string, TensorLiteral>,
): Promise<Tensor[]> {
  await loadGraph(runner, literal);
  return runLoaded(runner, literal, given);
}

/** The first half of {@link runGraph}: for graphs that answer several requests. */
export async function loadGraph(runner: ProgramRunner, literal: GraphLiteral): Promise<void> {
  const { graph, entry } = lowered(literal);
  const facts = { importer: 'test@1', format: 'test', signatures: entry };
  await runner.load(writeGraph(graph.nodes, facts));
}

/** The second half of {@link runGraph}. */
export async function runLoaded(
  runner: ProgramRunner,
  { outputs }: GraphLiteral,
  given: Record<string, TensorLiteral>,
): Promise<Tensor[]> {
  const inputs = Object.entries(given).map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    data: dataOf(dtype, data),
  }));
  return runner.run(inputs, outputs);
}

/** The elements as ordinary numbers; integers of 64 bits too. */
export function numbersOf(tensor: { data: TensorData } | undefined): number[] {
  return Array.from<unknown>(tensor?.data ?? []).map(Number);
}

function refOf(text: string): TfRef {
  const [node = '', output = '0'] = text.split(':');
  return { node, output: Number(output) };
}

function attributesOf(literals: Record<string, AttributeLiteral> = {}): Map<string, TfAttribute> {
  return new Map(Object.entries(literals).map(([name, literal]) => [name, attributeOf(literal)]));
}

function attributeOf(literal: AttributeLiteral): TfAttribute {
  if (typeof literal === 'boolean') return { kind: 'flag', value: literal };
  if (typeof literal === 'string')
    return { kind: 'bytes', value: new TextEncoder().encode(literal) };
  if (typeof literal === 'number')
    return Number.isInteger(literal)
      ? { kind: 'integer', value: BigInt(literal) }
      : { kind: 'float', value: literal };
  if (Array.isArray(literal)) return { kind: 'list', value: literal.map(attributeOf) };
  if ('float' in literal) return { kind: 'float', value: literal.float };
  if ('type' in literal) return { kind: 'type', value: literal.type };
  if ('shape' in literal) return { kind: 'shape', value: literal.shape };
  if ('function' in literal) return { kind: 'function', value: literal.function };
  const { dtype, shape, data } = literal.tensor;
  return { kind: 'tensor', value: { dtype, shape, data: dataOf(dtype, data) } };
}
