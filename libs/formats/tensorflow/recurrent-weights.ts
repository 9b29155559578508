import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import type { Term } from './linear-form.js';

/** What goes into a gate of a recurrent cell: products with the input of the step and with the state, and biases of both. */
export interface Gate {
  input?: Term;
  recurrent?: Term;
  bias: Term[];
  recurrentBias: Term[];
}

function size(term: Term, axis: 0 | 1): number {
  const range = axis === 0 ? term.rows : term.columns;
  return range ? range[1] - range[0] : (term.weight.shape?.[axis] ?? -1);
}

/** Whether the weights of a gate are as large as they must be. */
export function isOf(
  gate: { input: Term; recurrent: Term; bias: Term[]; recurrentBias: Term[] },
  units: number,
  inputs: number,
): boolean {
  const biases = [...gate.bias, ...gate.recurrentBias].every(({ weight, columns }) => {
    const { shape } = weight;
    const width = columns ? columns[1] - columns[0] : (shape?.at(-1) ?? 1);
    const outer = shape?.slice(0, -1).every((n) => n === 1) ?? false;
    return (
      weight.dtype === 'FP32' && shape !== undefined && outer && (width === units || width === 1)
    );
  });
  return (
    biases &&
    size(gate.input, 1) === units &&
    size(gate.recurrent, 1) === units &&
    size(gate.input, 0) === inputs &&
    size(gate.recurrent, 0) === units
  );
}

export function part(graph: TensorGraph, { weight, rows, columns }: Term): GraphValue {
  let value = weight;
  const last = (weight.shape?.length ?? 1) - 1;
  const cut = ([from, to]: [number, number], axis: number) => {
    if (from === 0 && to === value.shape?.[axis]) return value;
    const bounds = [[from], [to], [axis]].map((list) => graph.integers(list));
    return graph.op('Slice', [value, ...bounds]);
  };
  if (columns) value = cut(columns, last);
  return rows ? cut(rows, 0) : value;
}

export function joined(graph: TensorGraph, parts: GraphValue[]): GraphValue {
  const [first] = parts;
  return parts.length === 1 && first ? first : graph.op('Concat', parts, { axis: 0 });
}

export function summed(graph: TensorGraph, terms: Term[], units: number): GraphValue {
  const parts = terms.map((term) =>
    graph.op('Expand', [graph.reshape(part(graph, term), [-1]), graph.integers([units])]),
  );
  const [first, ...others] = parts;
  if (!first) return graph.constant('FP32', [units], new Float32Array(units));
  return others.reduce((sum, added) => graph.op('Add', [sum, added]), first);
}
