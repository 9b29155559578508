import { dataOf } from '#program';
import { axisOf } from '../tensor-graph/known.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';

/** Moves elements about where sizes may be known only when a request comes. */
export class Shapes {
  constructor(private readonly graph: TensorGraph) {}

  /** The size of an axis: INT64 `[1]`. */
  size(value: GraphValue, axis: number): GraphValue {
    const { graph } = this;
    const known = value.shape?.[axisOf(axis, value.shape.length)] ?? -1;
    if (known >= 0) return graph.integers([known]);
    const shape = graph.op('Shape', [value]);
    return graph.op('Gather', [shape, graph.integers([axis])], { axis: 0 });
  }

  /** All sizes one after the other: INT64 `[rank]`. */
  join(sizes: readonly (number | GraphValue)[]): GraphValue {
    const { graph } = this;
    const parts: GraphValue[] = [];
    let known: number[] = [];
    for (const size of [...sizes, undefined]) {
      if (typeof size === 'number') {
        known.push(size);
        continue;
      }
      if (known.length > 0) parts.push(graph.integers(known));
      known = [];
      if (size) parts.push(size);
    }
    const [only, ...others] = parts;
    return only && others.length === 0 ? only : graph.op('Concat', parts, { axis: 0 });
  }

  /** Reshapes to sizes; one of them may be −1. Sizes that are not known are `INT64 [1]`. */
  reshape(value: GraphValue, sizes: readonly (number | GraphValue)[]): GraphValue {
    return this.graph.op('Reshape', [value, this.join(sizes)], { allowzero: 0 });
  }

  /** The size as a number where it is known, else as a value. */
  sizeOrValue(value: GraphValue, axis: number): number | GraphValue {
    const known = value.shape?.[axisOf(axis, value.shape.length)] ?? -1;
    return known >= 0 ? known : this.size(value, axis);
  }

  unsqueeze(value: GraphValue, axes: readonly number[]): GraphValue {
    return this.graph.op('Unsqueeze', [value, this.graph.integers(axes)]);
  }

  squeeze(value: GraphValue, axes: readonly number[]): GraphValue {
    return this.graph.op('Squeeze', [value, this.graph.integers(axes)]);
  }

  expand(value: GraphValue, sizes: readonly (number | GraphValue)[]): GraphValue {
    return this.graph.op('Expand', [value, this.join(sizes)]);
  }

  slice(
    value: GraphValue,
    axis: number,
    start: number,
    end: number = 2 ** 53 - 1,
    step = 1,
  ): GraphValue {
    const { graph } = this;
    const places = [[start], [end], [axis], [step]].map((list) => graph.integers(list));
    return graph.op('Slice', [value, ...places]);
  }

  /** The elements of an axis in reverse. */
  reverse(value: GraphValue, axis: number): GraphValue {
    return this.slice(value, axis, -1, -(2 ** 53 - 1), -1);
  }

  /** INT64 `[count]`: 0, 1, 2, … */
  range(count: GraphValue): GraphValue {
    const { graph } = this;
    const end = count.shape?.length === 0 ? count : this.squeeze(count, [0]);
    return graph.op('Range', [graph.scalar('INT64', 0), end, graph.scalar('INT64', 1)]);
  }

  /** A tensor of one element everywhere, in the dtype of another value. */
  filled(like: GraphValue, sizes: readonly (number | GraphValue)[], element: number): GraphValue {
    const { graph } = this;
    const scalar = graph.constant(like.dtype, [], dataOf(like.dtype, [element]));
    return this.expand(scalar, sizes);
  }

  /** Sums and the like over axes. */
  reduce(
    operator: string,
    value: GraphValue,
    axes: readonly number[],
    keepdims: boolean,
  ): GraphValue {
    return this.graph.op(operator, [value, this.graph.integers(axes)], {
      keepdims: keepdims ? 1 : 0,
    });
  }
}
