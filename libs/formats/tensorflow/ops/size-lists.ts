import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { TfOp } from '../op-rule.js';

/** Some sizes of a value, as a list INT64; `to` absent: up to the last. The value may have any number of dimensions. */
export function sizesOf(op: TfOp, value: GraphValue, from: number, to?: number): GraphValue {
  const known = value.shape?.slice(from, to);
  if (known && !known.includes(-1)) return op.graph.integers(known);
  const shape = op.graph.op('Shape', [value]);
  const end = op.graph.integers([to ?? Number.MAX_SAFE_INTEGER]);
  return op.graph.op('Slice', [shape, op.graph.integers([from]), end]);
}

/** Lists one after the other. */
export function joined(op: TfOp, lists: GraphValue[]): GraphValue {
  const filled = lists.filter(({ shape }) => shape?.[0] !== 0);
  const [only] = filled;
  if (!only) return op.graph.integers([]);
  return filled.length === 1 ? only : op.graph.op('Concat', filled, { axis: 0 });
}

/** The product of a list, as a list of one. */
export function productOf(op: TfOp, list: GraphValue): GraphValue {
  if (list.sizes && !list.sizes.includes(-1))
    return op.graph.integers([list.sizes.reduce((product, size) => product * size, 1)]);
  return op.graph.op('ReduceProd', [list], { keepdims: 1 });
}

/** The value in sizes that may be known only when a request comes. */
export function reshapedTo(op: TfOp, value: GraphValue, list: GraphValue): GraphValue {
  const known = list.sizes;
  if (known && !known.includes(0) && known.filter((size) => size < 0).length <= 1)
    return op.graph.reshape(value, known);
  return op.graph.op('Reshape', [value, list], { allowzero: 1 });
}

/** A list as a single number. */
export function asScalar(op: TfOp, list: GraphValue): GraphValue {
  return op.graph.reshape(list, []);
}

/** The numbers from 0 up to a single number INT64, without it. */
export function upTo(op: TfOp, count: GraphValue): GraphValue {
  const [zero, one] = [op.graph.scalar('INT64', 0), op.graph.scalar('INT64', 1)];
  return op.graph.op('Range', [zero, count, one]);
}
