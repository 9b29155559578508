import type { KernelArguments } from '#program';
import type { GraphWriter, Table } from './graph-writer.js';

/** Writes what a kernel does as nodes of ONNX. What a request of the kernel is refused for is not always refused there. */
export type KernelWriter = (graph: GraphWriter, given: KernelArguments, inputs: Table[]) => Table;

export function only(inputs: Table[]): Table {
  const [input] = inputs;
  if (!input || inputs.length !== 1) throw new Error('a kernel of one input has another number');
  return input;
}

/** An operator on each number of a table, with a second operand where it takes one. */
export function each(graph: GraphWriter, table: Table, operator: string, operand?: string): Table {
  const name = graph.op(operator, operand === undefined ? [table.name] : [table.name, operand]);
  return { ...table, name };
}

/** The table with other numbers where the condition holds. */
export function replaced(graph: GraphWriter, table: Table, condition: string, by: string): Table {
  return { ...table, name: graph.op('Where', [condition, by, table.name]) };
}

/** A weight of one dimension as a row. */
export function vector(
  graph: GraphWriter,
  given: KernelArguments,
  name: string,
  dtype: Table['dtype'] = 'FP64',
): string {
  const { data } = given.floats(name, 1);
  return graph.constant(dtype, [1, data.length], data);
}

/**
 * log(1 + x) without loss where x is small (Goldberg, What every computer scientist should know about floating-point
 * arithmetic, 1991, theorem 4): ONNX has only the logarithm.
 */
export function log1p(graph: GraphWriter, table: Table): Table {
  const { dtype } = table;
  const one = graph.scalar(dtype, 1);
  const sum = graph.op('Add', [table.name, one]);
  const rounded = graph.op('Sub', [sum, one]);
  const log = graph.op('Log', [sum]);
  const mended = graph.op('Mul', [log, graph.op('Div', [table.name, rounded])]);
  const lost = graph.op('Equal', [sum, one]);
  const infinite = graph.op('IsInf', [table.name]);
  const large = graph.op('Where', [infinite, log, mended]);
  return { ...table, name: graph.op('Where', [lost, table.name, large]) };
}
