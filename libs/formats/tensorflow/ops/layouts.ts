import type { GraphValue, TensorGraph } from '../../tensor-graph/tensor-graph.js';

/**
 * ONNX's windows want channels first and TensorFlow's mostly have them last. What such an operator answers is remembered in
 * both layouts, so that the next one, and what works element by element in between, goes on without moving anything: the
 * transposition back is written only where something needs it.
 */
const firstOf = new WeakMap<GraphValue, GraphValue>();

/** `[rows, …sizes, channels]` as `[rows, channels, …sizes]`. The value must have a known rank. */
export function channelsFirst(graph: TensorGraph, value: GraphValue): GraphValue {
  const known = firstOf.get(value);
  if (known) return known;
  const rank = value.shape?.length ?? 0;
  const order = Array.from({ length: rank }, (_, i) => (i === 0 ? 0 : i === 1 ? rank - 1 : i - 1));
  const made = graph.transpose(value, order);
  // What is captured by a loop is transposed where the loop stands, so it may be used again.
  if (!value.constant && made.scope === value.scope) firstOf.set(value, made);
  return made;
}

/** `[rows, channels, …sizes]` as `[rows, …sizes, channels]`. */
export function channelsLast(graph: TensorGraph, value: GraphValue): GraphValue {
  const rank = value.shape?.length ?? 0;
  const order = Array.from({ length: rank }, (_, i) => (i === 0 ? 0 : i === rank - 1 ? 1 : i + 1));
  const made = graph.transpose(value, order);
  if (made !== value) firstOf.set(made, value);
  return made;
}

/** What the value is with its channels first, where that has been made already. */
export function knownChannelsFirst(value: GraphValue): GraphValue | undefined {
  return firstOf.get(value);
}

/**
 * Values that an operator combines element by element, channels first, where one of them is so already and the others follow
 * without being moved while the model runs: constants and single numbers. Undefined where that cannot be.
 */
export function allChannelsFirst(
  graph: TensorGraph,
  values: GraphValue[],
): GraphValue[] | undefined {
  const leader = values.find((value) => firstOf.has(value));
  const rank = leader?.shape?.length;
  if (rank === undefined) return undefined;
  const moved: GraphValue[] = [];
  for (const value of values) {
    const known = firstOf.get(value);
    if (known && value.shape?.length === rank) moved.push(known);
    else if (value.shape?.every((size) => size === 1) && value.shape.length <= rank)
      moved.push(graph.reshape(value, []));
    else if (value.constant && value.shape && value.shape.length <= rank) {
      const missing = rank - value.shape.length;
      const sizes = [...Array.from({ length: missing }, () => 1), ...value.shape];
      moved.push(channelsFirst(graph, graph.reshape(value, sizes)));
    } else return undefined;
  }
  return moved;
}

/**
 * Networks in one dimension of space are said with windows in two, around which a dimension of size 1 is put and taken away:
 * what a value was before, and the place of that dimension.
 */
const flatOf = new WeakMap<GraphValue, { value: GraphValue; axis: number }>();

/** The value with one more dimension, of size 1. */
export function expanded(graph: TensorGraph, value: GraphValue, axis: number): GraphValue {
  const made = graph.op('Unsqueeze', [value, graph.integers([axis])]);
  const rank = made.shape?.length;
  if (rank !== undefined && !value.constant)
    flatOf.set(made, { value, axis: axis < 0 ? axis + rank : axis });
  return made;
}

/** What {@link expanded} made a value of. */
export function knownFlat(value: GraphValue): { value: GraphValue; axis: number } | undefined {
  return flatOf.get(value);
}
