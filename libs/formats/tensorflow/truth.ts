import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import { zero } from './tensor-list.js';

/** A condition as TensorFlow takes it: numbers that are not zero, texts that are not empty, tensors that have elements. */
export function truth(graph: TensorGraph, value: GraphValue): GraphValue {
  if (value.shape && value.shape.length > 0) {
    const count = graph.op('Size', [value]);
    return graph.op('Greater', [count, graph.scalar('INT64', 0)]);
  }
  if (value.dtype === 'BOOL') return value;
  return graph.op('Not', [graph.op('Equal', [value, zero(graph, value.dtype)])]);
}
