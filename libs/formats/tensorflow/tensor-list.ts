import { dataOf, type DType } from '#program';
import { integerOf, type Shape } from '../tensor-graph/known.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import type { TfResource, TfValue } from './op-rule.js';

/** What is known of a list of tensors. */
export interface ListFacts {
  dtype: DType;
  /** The shape that the model declares for its elements; undefined: any. */
  element: Shape | undefined;
  /** How many elements it has: INT64 without dimensions. */
  count: GraphValue;
  /** The elements along a new first dimension. Absent: none was ever set, and what they are like is not known. */
  items?: GraphValue | undefined;
  /** Where `items` has no rows, no element was set yet, and the other sizes of `items` say nothing. */
  loose?: boolean;
}

/** How a list came from another: `item` was set at `index`. */
export interface ListWrite {
  from: TensorList;
  index: GraphValue;
  item: GraphValue;
}

/**
 * TensorFlow's list of tensors (TensorList, TensorArray): a value that rules hand on, held as one tensor of all elements.
 * Elements have one shape all of them: where a request gives them several, ONNX Runtime refuses to put them together.
 * An element that was never set is zero, as TensorFlow reads it.
 */
export class TensorList implements TfResource {
  readonly resource = 'list of tensors';
  /** Operations that looked at this list, so that what only collects can be told from what reads. */
  uses = 0;

  constructor(
    readonly facts: ListFacts,
    readonly written?: ListWrite,
  ) {}

  /** A list of `count` elements that are not set. */
  static reserved(
    graph: TensorGraph,
    given: { dtype: DType; element: Shape | undefined; count: GraphValue },
  ): TensorList {
    const { dtype, element, count } = given;
    if (!element || element.includes(-1)) return new TensorList(given);
    const items = zeros(graph, dtype, [count, graph.integers(element)], element);
    return new TensorList({ ...given, items });
  }

  /** A list of the rows of a tensor. */
  static of(graph: TensorGraph, items: GraphValue, element?: Shape): TensorList {
    return new TensorList({
      dtype: items.dtype,
      element: mergedShape(items.shape?.slice(1), element),
      count: sizeAt(graph, items, 0),
      items,
    });
  }

  get dtype(): DType {
    return this.facts.dtype;
  }

  get count(): GraphValue {
    return this.facts.count;
  }

  /** All elements; `like` is a value of the shape that they have. */
  all(graph: TensorGraph, like: GraphValue): GraphValue {
    return this.rows(graph, graph.op('Shape', [like]), like.shape);
  }

  /** All elements, of the given sizes (INT64). */
  rows(graph: TensorGraph, sizes: GraphValue, element?: Shape): GraphValue {
    const { dtype, items, loose, count } = this.facts;
    if (items && !loose) return items;
    if (!items) return zeros(graph, dtype, [count, sizes], element);
    const rows = graph.op('Slice', [graph.op('Shape', [items]), ...ends(graph, 0, 1)]);
    const target = graph.op('Concat', [rows, sizes], { axis: 0 });
    const set = graph.op('Reshape', [items, target], { allowzero: 1 });
    const missing = graph.op('Sub', [count, graph.op('Squeeze', [rows])]);
    return graph.op(
      'Concat',
      [set, zeros(graph, dtype, [missing, sizes])],
      { axis: 0 },
      {
        dtype,
        shape: element && [-1, ...element],
      },
    );
  }

  /** The list with one element set. */
  set(graph: TensorGraph, index: GraphValue, item: GraphValue): TensorList {
    const items = this.all(graph, item);
    const place = graph.op('Reshape', [graph.cast(index, 'INT64'), graph.integers([1, 1])]);
    const added = graph.op('Unsqueeze', [item, graph.integers([0])]);
    const set = graph.op(
      'ScatterND',
      [items, place, added],
      {},
      {
        dtype: this.dtype,
        shape: mergedShape(items.shape, item.shape && [-1, ...item.shape]),
      },
    );
    const write = { from: this, index, item };
    return new TensorList({ ...this.facts, items: set, loose: false }, write);
  }

  /** One element. `element` is the shape that the reader declares. */
  get(graph: TensorGraph, index: GraphValue, element?: Shape): GraphValue | undefined {
    const { dtype, items } = this.facts;
    const shape = mergedShape(mergedShape(items?.shape?.slice(1), element), this.facts.element);
    if (items)
      return graph.op(
        'Gather',
        [items, graph.cast(index, 'INT64')],
        { axis: 0 },
        {
          dtype,
          shape,
        },
      );
    if (!shape || shape.includes(-1)) return undefined;
    return graph.op('Expand', [zero(graph, dtype), graph.integers(shape)]);
  }

  /** All elements along a new first dimension; undefined where none was set and their shape is not known. */
  stack(graph: TensorGraph, element?: Shape): GraphValue | undefined {
    const { dtype, items, loose, count } = this.facts;
    const shape = mergedShape(mergedShape(items?.shape?.slice(1), element), this.facts.element);
    if (shape && !shape.includes(-1) && (!items || loose))
      return this.rows(graph, graph.integers(shape), shape);
    if (!items) return undefined;
    if (!loose)
      return shape && items.shape?.includes(-1) ? known(graph, items, [-1, ...shape]) : items;
    // Fails where no element was set, as TensorFlow does, which does not know then what they would be like.
    const sizes = graph.op('Slice', [graph.op('Shape', [items]), ...ends(graph, 1, LAST)]);
    const target = graph.op('Concat', [asList(graph, count), sizes], { axis: 0 });
    return graph.op(
      'Reshape',
      [items, target],
      { allowzero: 1 },
      {
        dtype,
        shape: shape && [-1, ...shape],
      },
    );
  }
}

export function isList(value: TfValue): value is TensorList {
  return value instanceof TensorList;
}

/** Larger than any size. */
const LAST = 2 ** 31 - 1;

/** What Slice takes for `[start, end)` of the first dimension. */
export function ends(graph: TensorGraph, start: number, end: number): GraphValue[] {
  return [[start], [end], [0], [1]].map((list) => graph.integers(list));
}

/** A size of a tensor: INT64 without dimensions. */
export function sizeAt(graph: TensorGraph, value: GraphValue, axis: number): GraphValue {
  const size = value.shape?.[axis] ?? -1;
  if (size >= 0) return graph.scalar('INT64', size);
  return graph.op('Gather', [graph.op('Shape', [value]), graph.scalar('INT64', axis)], { axis: 0 });
}

/** INT64 of one dimension and one element. */
export function asList(graph: TensorGraph, value: GraphValue): GraphValue {
  return graph.op('Reshape', [graph.cast(value, 'INT64'), graph.integers([1])]);
}

export function zero(graph: TensorGraph, dtype: DType): GraphValue {
  return graph.constant(dtype, [], dtype === 'BYTES' ? [''] : dataOf(dtype, [0]));
}

/** Zeros of `[count, ...sizes]`; `element` is what is known of the sizes. */
export function zeros(
  graph: TensorGraph,
  dtype: DType,
  [count, sizes]: [count: GraphValue, sizes: GraphValue],
  element: Shape | undefined = sizes.sizes,
): GraphValue {
  const target = graph.op('Concat', [asList(graph, count), sizes], { axis: 0 });
  const rows = integerOf(count) ?? -1;
  return graph.op(
    'Expand',
    [zero(graph, dtype), target],
    {},
    {
      dtype,
      shape: element && [rows, ...element],
    },
  );
}

/** What two shapes of the same value say together. */
export function mergedShape(one: Shape | undefined, other: Shape | undefined): Shape | undefined {
  if (!one || !other) return one ?? other;
  if (one.length !== other.length) return one;
  return one.map((size, axis) => (size < 0 ? (other[axis] ?? -1) : size));
}

/** The same value of which more is known. */
function known(graph: TensorGraph, value: GraphValue, shape: Shape): GraphValue {
  return graph.op(
    'Identity',
    [value],
    {},
    {
      dtype: value.dtype,
      shape: mergedShape(value.shape, shape),
    },
  );
}
