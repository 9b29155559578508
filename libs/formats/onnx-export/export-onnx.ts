import {
  COLUMN_PREFIX,
  KernelArguments,
  type KernelNode,
  type Program,
  type ProgramNode,
  type Signature,
  type TableBinding,
  WeightsReader,
} from '#program';
import { UnsupportedModel } from '../importer.js';
import { categoryKernels } from './category-kernels.js';
import { GraphWriter, type Table } from './graph-writer.js';
import type { KernelWriter } from './kernel-writer.js';
import { numberKernels } from './number-kernels.js';
import { tableKernels } from './table-kernels.js';
import { ForestGraph, readForest, spreadOblivious } from './write-forest.js';

const PRODUCER = 'slipway';

/** How each kernel is written; one that is not here has no words in ONNX yet. */
const WRITERS = new Map<string, KernelWriter>(
  Object.entries({ ...numberKernels, ...tableKernels, ...categoryKernels }),
);

/**
 * Writes a Program of trees and kernels as an ONNX model (ONNX 1.16: opset 21, ai.onnx.ml 5) with the inputs and outputs of its
 * signature. What is float64 in the Program is so in the graph; sums may be added in another order, and exponentials rounded
 * otherwise, so that answers differ in the last places.
 *
 * A graph takes the dtypes of the signature and no others, its texts are never missing, and it refuses less: numbers that are
 * not finite (`check-finite`, and the binding's `finite`) are computed with. Unknown categories are refused where the Program
 * refuses them.
 *
 * @throws UnsupportedModel that names the first node that cannot be written
 */
export function exportOnnx(program: Program, weights: Uint8Array): Uint8Array {
  const { signature, nodes } = program;
  const graph = new GraphWriter(
    new Set([...signature.inputs, ...signature.outputs].map(({ name }) => name)),
  );
  const needed = neededNodes(program);
  for (const [i, node] of nodes.entries()) if (needed.has(node)) checkNode(node, i);
  const values = inputsOf(program, graph);
  const reader = new WeightsReader(weights);
  for (const [i, node] of nodes.entries())
    if (needed.has(node)) writeNode(node, i, { graph, values, reader });
  for (const output of signature.outputs) {
    const value = values.get(output.name);
    if (!value || output.shape.length > 2)
      throw unsupported(`the output "${output.name}" has ${output.shape.length} dimensions`);
    graph.output(output, value);
  }
  try {
    return graph.toModel(PRODUCER);
  } catch (error) {
    if (error instanceof RangeError) throw new UnsupportedModel(error.message);
    throw error;
  }
}

interface Writing {
  graph: GraphWriter;
  values: Map<string, Table>;
  reader: WeightsReader;
}

function unsupported(reason: string): UnsupportedModel {
  return new UnsupportedModel(`It is not written as ONNX: ${reason}.`);
}

/** The nodes that lead to an output. */
function neededNodes({ signature, nodes }: Program): Set<ProgramNode> {
  const wanted = new Set(signature.outputs.map(({ name }) => name));
  const needed = new Set<ProgramNode>();
  for (const node of nodes.toReversed()) {
    const [outputs, inputs] = [node.outputs, node.inputs].map((names) => Object.values(names));
    if (!outputs?.some((name) => wanted.has(name))) continue;
    needed.add(node);
    for (const name of inputs ?? []) wanted.add(name);
  }
  return needed;
}

function checkNode(node: ProgramNode, at: number): void {
  if (node.kind === 'onnx') throw unsupported(`node ${at} is an ONNX graph of its own`);
  if (node.kind === 'loop' || node.kind === 'branch')
    throw unsupported(`node ${at} is a ${node.kind} around kernels`);
  if (node.kind === 'kernel' && !WRITERS.has(node.kernel))
    throw unsupported(`node ${at}, the kernel "${node.kernel}", has no form in ONNX`);
}

function inputsOf({ signature, binding }: Program, graph: GraphWriter): Map<string, Table> {
  checkInputs(signature);
  if (binding.kind === 'tensors')
    return new Map(signature.inputs.map((input) => [input.name, graph.input(input)]));
  const { matrix, ignored = [] }: TableBinding = binding;
  const read = signature.inputs.filter(({ name }) => !ignored.includes(name));
  if (!matrix)
    return new Map(read.map((input) => [COLUMN_PREFIX + input.name, graph.input(input)]));
  const columns = read.map((input) => graph.as(graph.input(input), matrix.dtype));
  return new Map([['X', graph.join(columns)]]);
}

function checkInputs({ inputs, outputs }: Signature): void {
  const names = new Set(outputs.map(({ name }) => name));
  for (const { name, shape, sequence, anyShape } of inputs) {
    if (names.has(name)) throw unsupported(`an input and an output are both called "${name}"`);
    if (sequence || anyShape || shape.length === 0 || shape.length > 2)
      throw unsupported(`the input "${name}" is no table`);
  }
}

function writeNode(node: ProgramNode, at: number, writing: Writing): void {
  if (node.kind === 'kernel') return writeKernel(node, at, writing);
  if (node.kind === 'onnx' || node.kind === 'loop' || node.kind === 'branch') return;
  const { graph, values, reader } = writing;
  const pointer = `/nodes/${at}`;
  const [rows] = inputTables(node.inputs, values);
  const arrays =
    node.kind === 'forest'
      ? readForest(node.forest, reader, pointer)
      : spreadOblivious(node.forest, reader, pointer);
  if (typeof arrays === 'string') throw unsupported(`node ${at}, a forest, ${arrays}`);
  if (!rows) return;
  const forest =
    node.kind === 'forest'
      ? node.forest
      : {
          columns: node.forest.columns,
          comparison: '<=' as const,
          inputDtype: 'FP32' as const,
          sumDtype: 'FP64' as const,
        };
  const trees = new ForestGraph(graph, rows, forest, arrays);
  const [scores, leaf] = node.outputs;
  if (scores !== '') values.set(scores, trees.scores());
  if (leaf !== '') values.set(leaf, trees.leaves());
}

function writeKernel(node: KernelNode, at: number, { graph, values, reader }: Writing): void {
  const given = new KernelArguments(node, reader, `/nodes/${at}`);
  const write = WRITERS.get(node.kernel);
  const [output = ''] = node.outputs;
  if (write) values.set(output, write(graph, given, inputTables(node.inputs, values)));
}

function inputTables(names: string[], values: Map<string, Table>): Table[] {
  return names.map((name) => {
    const table = values.get(name);
    if (!table) throw unsupported(`the value "${name}" is not there`);
    return table;
  });
}
