import type { DType } from '#program';
import { integerOf, integersOf, type Shape } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp, type TfValue } from '../op-rule.js';
import { asList, ends, isList, sizeAt, TensorList, zeros } from '../tensor-list.js';

/** Lists of tensors: TensorList of TensorFlow 2 and TensorArray of TensorFlow 1, whose list is what it calls flow. */
export const lists: Record<string, OpRule> = {
  ...all((op) => {
    const [element, count] = op.node.op === 'TensorListReserve' ? [0, 1] : [0, -1];
    const { graph } = op;
    return [
      TensorList.reserved(graph, {
        dtype: listType(op, 'element_dtype'),
        element: declared(op, element),
        count:
          count < 0 ? graph.scalar('INT64', 0) : graph.cast(scalar(op, op.tensor(count)), 'INT64'),
      }),
    ];
  }, 'TensorListReserve EmptyTensorList'),
  TensorListFromTensor: (op) => [TensorList.of(op.graph, op.tensor(0), declared(op, 1))],
  TensorListGetItem: (op) => [read(op, listAt(op, 0), op.tensor(1), declared(op, 2))],
  TensorListSetItem: (op) => [listAt(op, 0).set(op.graph, scalar(op, op.tensor(1)), op.tensor(2))],
  TensorListStack: (op) => {
    const list = listAt(op, 0);
    const items = list.stack(op.graph, declared(op, 1));
    return [
      items ?? op.unsupported('no element of its list is set, and their shape is not known.'),
    ];
  },
  TensorListLength: (op) => [op.graph.cast(listAt(op, 0).count, 'INT32')],
  TensorListGather: (op) => [gathered(op, listAt(op, 0), op.tensor(1), declared(op, 2))],
  ...all((op) => {
    const many = op.node.op === 'TensorListScatterV2' ? integerOf(op.tensor(3)) : -1;
    if (many === undefined) return op.unsupported('its number of elements depends on the request.');
    return [scattered(op, op.tensor(0), op.tensor(1), many)];
  }, 'TensorListScatter TensorListScatterV2'),
  TensorListScatterIntoExistingList: (op) => {
    const list = listAt(op, 0);
    const sizes = elementSizes(op, op.tensor(1));
    return [placed(op, list, list.rows(op.graph, sizes), op.tensor(1), op.tensor(2))];
  },
  TensorListPushBack: (op) => [pushed(op, listAt(op, 0), op.tensor(1))],
  TensorListPopBack: (op) => {
    const list = listAt(op, 0);
    const { graph } = op;
    const items = needed(op, list);
    const last = graph.op('Gather', [items, graph.scalar('INT64', -1)], { axis: 0 });
    const rest = graph.op('Slice', [items, ...ends(graph, 0, -1)]);
    return [TensorList.of(graph, rest, list.facts.element), last];
  },
  TensorListResize: (op) => [resized(op, listAt(op, 0), op.tensor(1))],
  ...all(
    (op) => concatenated(op, needed(op, listAt(op, 0))),
    'TensorListConcat TensorListConcatV2',
  ),
  TensorListConcatLists: (op) => {
    const { graph } = op;
    const [one, other] = [listAt(op, 0), listAt(op, 1)];
    if (!other.facts.items && integerOf(other.count) === 0) return [one];
    if (!one.facts.items && integerOf(one.count) === 0) return [other];
    const items = [needed(op, one), needed(op, other)];
    return [TensorList.of(graph, graph.op('Concat', items, { axis: 0 }), one.facts.element)];
  },
  TensorListElementShape: (op) => {
    const { element } = listAt(op, 0).facts;
    const dtype = op.dtype('shape_type', 'INT32');
    const { graph } = op;
    return [graph.cast(element ? graph.integers(element) : graph.scalar('INT64', -1), dtype)];
  },
  TensorListSplit: (op) => {
    const lengths = op.integersOf(2, 'lengths');
    const [length = 0] = lengths;
    if (lengths.some((other) => other !== length))
      return op.unsupported('elements of several sizes in one list.');
    const { graph } = op;
    const sizes = [graph.integers([lengths.length, length]), restOf(op, op.tensor(0), 1)];
    const target = graph.op('Concat', sizes, { axis: 0 });
    return [TensorList.of(graph, graph.op('Reshape', [op.tensor(0), target], { allowzero: 1 }))];
  },

  ...all((op) => {
    const shape = op.has('element_shape') ? op.shape('element_shape') : undefined;
    const count = op.graph.cast(scalar(op, op.tensor(0)), 'INT64');
    const list = TensorList.reserved(op.graph, {
      dtype: listType(op, 'dtype'),
      element: shape,
      count,
    });
    return [{ resource: 'tensor array' }, list];
  }, 'TensorArrayV3 TensorArrayV2'),
  TensorArrayReadV3: (op) => [read(op, listAt(op, 2), op.tensor(1))],
  TensorArrayWriteV3: (op) => [listAt(op, 3).set(op.graph, scalar(op, op.tensor(1)), op.tensor(2))],
  TensorArrayGatherV3: (op) => [
    gathered(
      op,
      listAt(op, 2),
      op.tensor(1),
      op.has('element_shape') ? op.shape('element_shape') : undefined,
    ),
  ],
  TensorArrayScatterV3: (op) => {
    const list = listAt(op, 3);
    const sizes = elementSizes(op, op.tensor(2));
    return [placed(op, list, list.rows(op.graph, sizes), op.tensor(2), op.tensor(1))];
  },
  TensorArraySizeV3: (op) => [op.graph.cast(listAt(op, 1).count, 'INT32')],
  TensorArrayConcatV3: (op) => concatenated(op, needed(op, listAt(op, 1))),
};

function listAt(op: TfOp, i: number): TensorList {
  const value: TfValue | undefined = op.inputs[i];
  if (!value || !isList(value)) return op.unsupported(`its input ${i} is no list of tensors.`);
  value.uses++;
  return value;
}

function listType(op: TfOp, name: string): DType {
  return op.dtype(name);
}

function scalar(op: TfOp, value: GraphValue): GraphValue {
  return value.shape?.length === 0 ? value : op.graph.reshape(value, []);
}

/** The shape that an input says, as far as it is known. */
function declared(op: TfOp, i: number): Shape | undefined {
  const input = op.tensor(i);
  if (input.shape?.length === 0) return undefined;
  return integersOf(input) ?? input.sizes;
}

function read(op: TfOp, list: TensorList, index: GraphValue, element?: Shape): GraphValue {
  return (
    list.get(op.graph, scalar(op, index), element) ??
    op.unsupported('it reads an element that is not set, and whose shape is not known.')
  );
}

function needed(op: TfOp, list: TensorList): GraphValue {
  return (
    list.stack(op.graph) ??
    op.unsupported('no element of its list is set, and their shape is not known.')
  );
}

function gathered(op: TfOp, list: TensorList, places: GraphValue, element?: Shape): GraphValue {
  const { graph } = op;
  const items =
    list.stack(graph, element) ??
    op.unsupported('no element of its list is set, and their shape is not known.');
  return graph.op('Gather', [items, graph.cast(places, 'INT64')], { axis: 0 });
}

/** The sizes of a tensor from an axis on. */
function restOf(op: TfOp, value: GraphValue, axis: number): GraphValue {
  const { graph } = op;
  return graph.op('Slice', [graph.op('Shape', [value]), ...ends(graph, axis, 2 ** 31 - 1)]);
}

function elementSizes(op: TfOp, rows: GraphValue): GraphValue {
  return restOf(op, rows, 1);
}

function placed(
  op: TfOp,
  list: TensorList,
  items: GraphValue,
  rows: GraphValue,
  places: GraphValue,
): TensorList {
  const { graph } = op;
  const at = graph.op('Unsqueeze', [graph.cast(places, 'INT64'), graph.integers([1])]);
  const set = graph.op(
    'ScatterND',
    [items, at, rows],
    {},
    {
      dtype: items.dtype,
      shape: items.shape,
    },
  );
  return new TensorList({ ...list.facts, items: set, loose: false });
}

function scattered(op: TfOp, rows: GraphValue, places: GraphValue, many: number): TensorList {
  const { graph } = op;
  const most = graph.op('ReduceMax', [graph.cast(places, 'INT64')], { keepdims: 0 });
  const count =
    many >= 0 ? graph.scalar('INT64', many) : graph.op('Add', [most, graph.scalar('INT64', 1)]);
  const items = zeros(graph, rows.dtype, [count, elementSizes(op, rows)], rows.shape?.slice(1));
  const list = new TensorList({
    dtype: rows.dtype,
    element: rows.shape?.slice(1),
    count,
  });
  return placed(op, list, items, rows, places);
}

function pushed(op: TfOp, list: TensorList, item: GraphValue): TensorList {
  const { graph } = op;
  const added = graph.op('Unsqueeze', [item, graph.integers([0])]);
  const empty = !list.facts.items && integerOf(list.count) === 0;
  const items = empty ? added : graph.op('Concat', [list.all(graph, item), added], { axis: 0 });
  const count = graph.op('Add', [list.count, graph.scalar('INT64', 1)]);
  return new TensorList({ ...list.facts, count, items, loose: false });
}

function resized(op: TfOp, list: TensorList, size: GraphValue): TensorList {
  const { graph } = op;
  const count = graph.cast(scalar(op, size), 'INT64');
  const { items, loose } = list.facts;
  if (!items) return new TensorList({ ...list.facts, count });
  if (loose) return op.unsupported('the elements of its list may not be set.');
  const kept = graph.op('Slice', [
    items,
    graph.integers([0]),
    asList(graph, count),
    graph.integers([0]),
    graph.integers([1]),
  ]);
  const missing = graph.op('Max', [
    graph.op('Sub', [count, sizeAt(graph, items, 0)]),
    graph.scalar('INT64', 0),
  ]);
  const fill = zeros(graph, items.dtype, [missing, elementSizes(op, items)], items.shape?.slice(1));
  return new TensorList({
    ...list.facts,
    count,
    items: graph.op('Concat', [kept, fill], { axis: 0 }),
  });
}

/** All elements one behind the other along their first dimension, and how long each is. */
function concatenated(op: TfOp, items: GraphValue): GraphValue[] {
  const { graph } = op;
  const rest = restOf(op, items, 2);
  const target = graph.op('Concat', [graph.integers([-1]), rest], { axis: 0 });
  const all = graph.op('Reshape', [items, target]);
  const count = asList(graph, sizeAt(graph, items, 0));
  const lengths = graph.op('Expand', [sizeAt(graph, items, 1), count]);
  return [all, lengths];
}
