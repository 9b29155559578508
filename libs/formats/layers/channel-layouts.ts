import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';

/**
 * Keras has the channels last, ONNX has them first. A value that was made with the channels first is remembered beside the
 * one that Keras sees, so that between two convolutions nothing is moved: what nobody needs is never written.
 */
export class ChannelLayouts {
  private readonly first = new Map<GraphValue, GraphValue>();

  constructor(private readonly graph: TensorGraph) {}

  /** `[rows, …sizes, channels]` as `[rows, channels, …sizes]`. */
  channelsFirst(value: GraphValue): GraphValue {
    const known = this.first.get(value);
    if (known) return known;
    const rank = rankOf(value);
    const sizes = Array.from({ length: rank - 2 }, (_, i) => i + 1);
    const made = this.graph.transpose(value, [0, rank - 1, ...sizes]);
    this.first.set(value, made);
    return made;
  }

  /** `[rows, channels, …sizes]` as `[rows, …sizes, channels]`. */
  channelsLast(first: GraphValue): GraphValue {
    const rank = rankOf(first);
    const sizes = Array.from({ length: rank - 2 }, (_, i) => i + 2);
    const value = this.graph.transpose(first, [0, ...sizes, 1]);
    this.first.set(value, first);
    return value;
  }

  has(value: GraphValue): boolean {
    return this.first.has(value);
  }

  /** Does the same with each element, in the layout that is there already. */
  elementwise(
    values: readonly GraphValue[],
    compute: (values: GraphValue[]) => GraphValue,
  ): GraphValue {
    const [one] = values;
    const alike = values.every((value) => this.has(value) && rankOf(value) === rankOf(one));
    if (!one || !alike) return compute([...values]);
    return this.channelsLast(compute(values.map((value) => this.channelsFirst(value))));
  }
}

function rankOf(value: GraphValue | undefined): number {
  if (!value?.shape) throw new Error('channels of a value without a known number of dimensions');
  return value.shape.length;
}
