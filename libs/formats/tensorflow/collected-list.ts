import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import { asList, ends, mergedShape, sizeAt, TensorList } from './tensor-list.js';

/** A list of which every turn set the element `index`: that of the last turn is left, where there was one. */
export function lastSet(
  graph: TensorGraph,
  initial: TensorList,
  index: GraphValue,
  rows: GraphValue,
): TensorList {
  const last = graph.op('Slice', [rows, ...ends(graph, -1, 2 ** 31 - 1)]);
  const sizes = graph.op('Slice', [graph.op('Shape', [rows]), ...ends(graph, 1, 2 ** 31 - 1)]);
  const items = initial.rows(graph, sizes, rows.shape?.slice(1));
  const places = graph.op('Expand', [
    graph.op('Reshape', [graph.cast(index, 'INT64'), graph.integers([1, 1])]),
    graph.op('Concat', [asList(graph, sizeAt(graph, last, 0)), graph.integers([1])], { axis: 0 }),
  ]);
  const set = graph.op(
    'ScatterND',
    [items, places, last],
    {},
    {
      dtype: rows.dtype,
      shape: mergedShape(items.shape, rows.shape && [-1, ...rows.shape.slice(1)]),
    },
  );
  return new TensorList({ ...initial.facts, items: set, loose: false });
}

/** A list whose elements from `start` on are `rows`; what is before and behind stays as it was. Fails where they are too many. */
export function placedRows(
  graph: TensorGraph,
  initial: TensorList,
  start: number,
  rows: GraphValue,
): GraphValue {
  const { items, loose } = initial.facts;
  const sizesOf = (value: GraphValue) =>
    graph.op('Slice', [graph.op('Shape', [value]), ...ends(graph, 1, 2 ** 31 - 1)]);
  const sizes = sizesOf(items && !loose ? items : rows);
  const target = (count: GraphValue) =>
    graph.op('Concat', [asList(graph, count), sizes], { axis: 0 });
  const element = mergedShape(rows.shape?.slice(1), items?.shape?.slice(1));
  const shape = element && [-1, ...element];
  const known = { dtype: rows.dtype, shape };
  const count = sizeAt(graph, rows, 0);
  const own = graph.op('Reshape', [rows, target(count)], { allowzero: 1 }, known);
  const end = graph.op('Add', [count, graph.scalar('INT64', start)]);
  const old = initial.rows(graph, sizes, element);
  const behind = graph.op('Slice', [
    old,
    asList(graph, end),
    graph.integers([2 ** 31 - 1]),
    graph.integers([0]),
    graph.integers([1]),
  ]);
  const parts = [
    ...(start > 0 ? [graph.op('Slice', [old, ...ends(graph, 0, start)])] : []),
    own,
    behind,
  ];
  const all = graph.op('Concat', parts, { axis: 0 }, known);
  return graph.op('Reshape', [all, target(initial.count)], { allowzero: 1 }, known);
}
