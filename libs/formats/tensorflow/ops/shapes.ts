import { axisOf, integersOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { channelsLast, expanded, knownChannelsFirst, knownFlat } from './layouts.js';
import { sizes } from './fills.js';

/** An axis that must be constant, counted from the front. */
function axisAt(op: TfOp, i: number, rank: number): number {
  const [axis] = op.integersOf(i, 'axis');
  if (axis === undefined || axis < -rank || axis >= rank)
    return op.unsupported(`there is no axis ${axis} in ${rank} dimensions.`);
  return axisOf(axis, rank);
}

function shapeOf(op: TfOp, value: GraphValue): GraphValue {
  return op.graph.cast(op.graph.op('Shape', [value]), op.dtype('out_type', 'INT32'));
}

/** Where one size is left and the others are known and not 0, ONNX finds it, and nothing needs to be computed for it. */
const reshape: OpRule = (op) => {
  const [x, wanted] = [op.tensor(0), op.tensor(1)];
  const known = wanted.sizes;
  const isFree = (size: number) => size < 0;
  if (known && known.filter(isFree).length <= 1 && !known.includes(0))
    return [op.graph.reshape(x, known)];
  return [op.graph.op('Reshape', [x, sizes(op, 1)], { allowzero: 1 })];
};

const expandDims: OpRule = (op) => {
  const [axis] = op.integersOf(1, 'axis');
  return [expanded(op.graph, op.tensor(0), axis ?? 0)];
};

const squeeze: OpRule = (op) => {
  const axes = op.integers('squeeze_dims', op.integers('axis', []));
  const given = axes.length > 0 ? [op.graph.integers(axes)] : [];
  const flat = knownFlat(op.tensor(0));
  const [axis = 0] = axes;
  if (flat && axes.length === 1 && axisOf(axis, op.rank(0)) === flat.axis) return [flat.value];
  return [op.graph.op('Squeeze', [op.tensor(0), ...given])];
};

/** Tensors one after the other along a new axis. */
export function stacked(op: TfOp, values: GraphValue[], axis: number): GraphValue {
  const at = op.graph.integers([axis]);
  const parts = values.map((value) => op.graph.op('Unsqueeze', [value, at]));
  return parts.length === 1 && parts[0] ? parts[0] : op.graph.op('Concat', parts, { axis });
}

const unpack: OpRule = (op) => {
  const x = op.tensor(0);
  const rank = op.rank(0);
  const axis = axisOf(op.integer('axis', 0), rank);
  const count = op.integer('num');
  if (count < 0 || count > 100_000) return op.unsupported(`${count} parts are not.`);
  if (count === 0) return [];
  const parts =
    count === 1 ? [x] : op.graph.ops('Split', [x], { attributes: { axis, num_outputs: count } });
  return parts.map((part) => op.graph.op('Squeeze', [part, op.graph.integers([axis])]));
};

/** Concatenation; along channels that come first already, or beside them, nothing is moved. */
function concatenated(op: TfOp, values: GraphValue[], axis: number): GraphValue {
  const [first, ...others] = values;
  if (!first) return op.unsupported('it has no inputs.');
  if (others.length === 0) return first;
  const rank = first.shape?.length;
  const moved = values.map(knownChannelsFirst);
  if (rank !== undefined && rank > 2 && moved.every((value) => value !== undefined)) {
    const last = axisOf(axis, rank);
    const to = last === 0 ? 0 : last === rank - 1 ? 1 : last + 1;
    return channelsLast(op.graph, op.graph.op('Concat', moved, { axis: to }));
  }
  return op.graph.op('Concat', values, { axis });
}

const concat: OpRule = (op) => {
  const values = op.tensors();
  const axis = op.integersOf(values.length - 1, 'axis')[0] ?? 0;
  return [concatenated(op, values.slice(0, -1), axis)];
};

const split: OpRule = (op) => {
  const x = op.tensor(1);
  const count = op.integer('num_split');
  if (count === 1) return [x];
  const axis = axisAt(op, 0, op.rank(1));
  return op.graph.ops('Split', [x], { attributes: { axis, num_outputs: count } });
};

/** One size may be −1: what the others leave. */
const splitV: OpRule = (op) => {
  const x = op.tensor(0);
  const axis = axisAt(op, 2, op.rank(0));
  const parts = op.integersOf(1, 'sizes');
  const whole = x.shape?.[axis] ?? -1;
  const rest = whole - parts.reduce((sum, size) => sum + Math.max(0, size), 0);
  if (parts.length === 1) return [x];
  if (!parts.includes(-1) || whole >= 0) {
    const known = parts.map((size) => (size === -1 ? rest : size));
    if (known.some((size) => size < 0)) return op.unsupported('its sizes do not fit.');
    return op.graph.ops('Split', [x, op.graph.integers(known)], { attributes: { axis } });
  }
  const [start, end] = [op.graph.integers([0]), op.graph.op('Shape', [x])];
  const size = op.graph.op('Gather', [end, op.graph.integers([axis])], { axis: 0 });
  const free = parts.indexOf(-1);
  const sum = (list: number[]) => list.reduce((total, part) => total + part, 0);
  const before = sum(parts.slice(0, free));
  const after = sum(parts.slice(free + 1));
  const freeEnd = op.graph.op('Sub', [size, op.graph.integers([after])]);
  return parts.map((_, i) => {
    const bounds: [GraphValue, GraphValue] =
      i < free
        ? [
            op.graph.integers([sum(parts.slice(0, i))]),
            op.graph.integers([sum(parts.slice(0, i + 1))]),
          ]
        : i === free
          ? [before === 0 ? start : op.graph.integers([before]), freeEnd]
          : [
              op.graph.op('Sub', [size, op.graph.integers([sum(parts.slice(i))])]),
              op.graph.op('Sub', [size, op.graph.integers([sum(parts.slice(i + 1))])]),
            ];
    return op.graph.op('Slice', [x, ...bounds, op.graph.integers([axis])]);
  });
};

const transpose: OpRule = (op) => {
  const x = op.tensor(0);
  const rank = op.rank(0);
  const order = op.integersOf(1, 'order of dimensions').map((axis) => axisOf(axis, rank));
  if (order.length !== rank) return op.unsupported('its order has another number of dimensions.');
  // What the windows left in the other layout needs no second transposition.
  const first = knownChannelsFirst(x);
  if (first && order.every((axis, i) => axis === (i === 0 ? 0 : i === 1 ? rank - 1 : i - 1)))
    return [first];
  return [op.graph.transpose(x, order)];
};

function reversed(op: TfOp, x: GraphValue, axes: number[]): GraphValue {
  if (axes.length === 0) return x;
  const each = (value: number) => op.graph.integers(axes.map(() => value));
  // Beyond every end: ONNX cuts it to what is there.
  const [last, before] = [each(Number.MAX_SAFE_INTEGER), each(-Number.MAX_SAFE_INTEGER)];
  return op.graph.op('Slice', [x, last, before, op.graph.integers(axes), each(-1)]);
}

/** The old Reverse says of each dimension whether it is turned. */
const reverseFlagged: OpRule = (op) => {
  const axes = op.integersOf(1, 'dimensions').flatMap((flag, axis) => (flag ? [axis] : []));
  return [reversed(op, op.tensor(0), axes)];
};

/** Shapes together as numpy broadcasts them: missing sizes in front are 1, and a 1 gives way. */
const broadcastArgs: OpRule = (op) => {
  const [one, other] = [sizes(op, 0), sizes(op, 1)];
  const lengths = [one, other].map(({ shape }) => shape?.[0] ?? -1);
  const longest = Math.max(...lengths);
  if (lengths.includes(-1)) return op.unsupported('its shapes have no known number of dimensions.');
  const [left, right] = [one, other].map((value, i) => {
    const missing = longest - (lengths[i] ?? 0);
    if (missing === 0) return value;
    const ones = op.graph.integers(Array.from({ length: missing }, () => 1));
    return op.graph.op('Concat', [ones, value], { axis: 0 });
  }) as [GraphValue, GraphValue];
  const isOne = op.graph.op('Equal', [left, op.graph.scalar('INT64', 1)]);
  return [op.graph.cast(op.graph.op('Where', [isOne, right, left]), op.tensor(0).dtype)];
};

/** Where each place stands in the permutation. */
const invertPermutation: OpRule = (op) => {
  const order = sizes(op, 0);
  const known = integersOf(order);
  if (known) {
    const inverse = op.graph.integers(known.map((_, place) => known.indexOf(place)));
    return [op.graph.cast(inverse, op.tensor(0).dtype)];
  }
  const places = op.graph.op('Unsqueeze', [order, op.graph.integers([1])]);
  const [zero, one] = [op.graph.scalar('INT64', 0), op.graph.scalar('INT64', 1)];
  const count = op.graph.op('Range', [zero, op.graph.op('Size', [order]), one]);
  return [op.graph.cast(op.graph.op('ScatterND', [order, places, count]), op.tensor(0).dtype)];
};

/** Shapes and what only moves elements about. */
export const shapes: Record<string, OpRule> = {
  Shape: (op) => [shapeOf(op, op.tensor(0))],
  ShapeN: (op) => op.tensors().map((value) => shapeOf(op, value)),
  Size: (op) => [op.graph.cast(op.graph.op('Size', [op.tensor(0)]), op.dtype('out_type', 'INT32'))],
  Rank: (op) => {
    const rank = op.graph.op('Size', [op.graph.op('Shape', [op.tensor(0)])]);
    return [op.graph.cast(rank, 'INT32')];
  },
  Reshape: reshape,
  ExpandDims: expandDims,
  Squeeze: squeeze,
  Pack: (op) => [stacked(op, op.tensors(), op.integer('axis', 0))],
  Unpack: unpack,
  ConcatV2: concat,
  Concat: (op) => [concatenated(op, op.tensors().slice(1), op.integersOf(0, 'axis')[0] ?? 0)],
  ParallelConcat: (op) => [concatenated(op, op.tensors(), 0)],
  Split: split,
  SplitV: splitV,
  ...all(transpose, 'Transpose ConjugateTranspose'),
  ReverseV2: (op) => [reversed(op, op.tensor(0), op.integersOf(1, 'axes'))],
  Reverse: reverseFlagged,
  Tile: (op) => [op.graph.op('Tile', [op.tensor(0), sizes(op, 1)])],
  BroadcastArgs: broadcastArgs,
  InvertPermutation: invertPermutation,
};
