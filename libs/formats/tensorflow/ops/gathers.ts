import { axisOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { variableOf } from '../variable.js';
import { chosen, carried } from './carriers.js';
import { sizes } from './fills.js';
import { asScalar, sizesOf, upTo } from './size-lists.js';

/**
 * Places INT64 that are refused when they are negative, as TensorFlow does: ONNX counts such from the end, and what is beyond
 * all is an error in both.
 */
export function withoutNegatives(op: TfOp, places: GraphValue): GraphValue {
  const wide = op.graph.cast(places, 'INT64');
  const { constant } = wide;
  if (constant && !Array.from<unknown>(constant).some((place) => Number(place) < 0)) return wide;
  const negative = op.graph.op('Less', [wide, op.graph.scalar('INT64', 0)]);
  return op.graph.op('Where', [negative, op.graph.scalar('INT64', 2 ** 50), wide]);
}

/** Parts of `x` along an axis; rows of the first `batch` dimensions have places of their own. */
export function gathered(
  op: TfOp,
  x: GraphValue,
  places: GraphValue,
  { axis, batch = 0 }: { axis: number; batch?: number },
): GraphValue {
  const safe = withoutNegatives(op, places);
  if (batch === 0) return op.graph.op('Gather', [x, safe], { axis });
  const rank = x.shape?.length ?? op.unsupported('its number of dimensions is not known.');
  const at = axisOf(axis, rank);
  const placed = places.shape?.length ?? op.unsupported('its number of dimensions is not known.');
  if (at < batch) op.unsupported(`the axis ${at} is one of its ${batch} batch dimensions.`);
  // The axis goes next to the rows, and what stood between them goes behind the places in the end.
  const between = Array.from({ length: at - batch }, (_, i) => batch + i);
  const rest = Array.from({ length: rank - at - 1 }, (_, i) => at + 1 + i);
  const rows = Array.from({ length: batch }, (_, i) => i);
  const near = op.graph.transpose(x, [...rows, at, ...between, ...rest]);
  const deep = op.graph.op('Unsqueeze', [safe, op.graph.integers([-1])]);
  const result = op.graph.op('GatherND', [near, deep], { batch_dims: batch });
  const own = Array.from({ length: placed - batch }, (_, i) => batch + i);
  const moved = between.map((_, i) => placed + i);
  const last = rest.map((_, i) => placed + between.length + i);
  return op.graph.transpose(result, [...rows, ...moved, ...own, ...last]);
}

const gatherV2: OpRule = (op) => {
  const batch = op.integer('batch_dims', 0);
  const axis = op.integersOf(2, 'axis')[0] ?? 0;
  const placed = op.tensor(1).shape?.length ?? 0;
  const options = { axis, batch: batch < 0 ? axisOf(batch, placed) : batch };
  return [gathered(op, op.tensor(0), op.tensor(1), options)];
};

/** What is not a place is off everywhere. */
const oneHot: OpRule = (op) => {
  const [places, on, off] = [op.tensor(0), op.tensor(2), op.tensor(3)];
  const axis = op.integer('axis', -1);
  const range = op.graph.cast(upTo(op, asScalar(op, sizes(op, 1))), places.dtype);
  const rank = axis === -1 ? 0 : op.rank(0);
  const behind = axis === -1 ? 0 : rank - axis;
  const spread = op.graph.reshape(range, [-1, ...Array.from({ length: behind }, () => 1)]);
  const each = op.graph.op('Unsqueeze', [places, op.graph.integers([axis])]);
  return [chosen(op, carried(op, 'Equal', [each, spread]), on, off)];
};

/** The largest, and of equal ones those that come first. */
const topK: OpRule = (op) => {
  const x = op.tensor(0);
  const count = op.inputs.length > 1 ? sizes(op, 1) : op.graph.integers([op.integer('k')]);
  const carrier = x.dtype === 'UINT16' ? 'INT32' : x.dtype === 'UINT32' ? 'INT64' : x.dtype;
  if (carrier === 'UINT64' || carrier === 'BF16') return op.unsupported(`${carrier} is not.`);
  const inputs = [op.graph.cast(x, carrier), op.graph.reshape(count, [1])];
  const [values, places] = op.graph.ops('TopK', inputs, { attributes: { axis: -1, sorted: 1 } });
  if (!values || !places) return op.unsupported('it has no outputs.');
  const type = op.dtype('index_type', 'INT32');
  return [op.graph.cast(values, x.dtype), op.graph.cast(places, type)];
};

/** The places of what is true, or not 0. */
const where: OpRule = (op) => {
  const found = op.graph.op('NonZero', [op.graph.cast(op.tensor(0), 'BOOL')]);
  return [op.graph.transpose(found, [1, 0])];
};

/** How many of each row's sorted numbers a value is behind of. */
function bound(operator: string): OpRule {
  return (op) => {
    const sorted = op.graph.op('Unsqueeze', [op.tensor(0), op.graph.integers([1])]);
    const values = op.graph.op('Unsqueeze', [op.tensor(1), op.graph.integers([2])]);
    const before = op.graph.cast(carried(op, operator, [sorted, values]), 'INT32');
    const counts = op.graph.op('ReduceSum', [before, op.graph.integers([2])], { keepdims: 0 });
    return [op.graph.cast(counts, op.dtype('out_type', 'INT32'))];
  };
}

/** Elements moved along axes, with those that leave at one end coming in at the other. */
const roll: OpRule = (op) => {
  let result = op.tensor(0);
  const axes = op.integersOf(2, 'axes');
  const shifts = op.graph.reshape(sizes(op, 1), [-1]);
  axes.forEach((axis, i) => {
    const at = axisOf(axis, op.rank(0));
    const size = sizesOf(op, op.tensor(0), at, at + 1);
    const shift = op.graph.op('Gather', [shifts, op.graph.integers([i])], { axis: 0 });
    const start = op.graph.op('Sub', [size, op.graph.op('Mod', [shift, size])]);
    const part = (from: GraphValue, to: GraphValue) =>
      op.graph.op('Slice', [result, from, to, op.graph.integers([at])]);
    const parts = [part(start, size), part(op.graph.integers([0]), start)];
    const { dtype, shape } = result;
    result = op.graph.op('Concat', parts, { axis: at }, { dtype, shape });
  });
  return [result];
};

/** Parts of a variable. */
const resourceGather: OpRule = (op) => {
  const batch = op.integer('batch_dims', 0);
  return [gathered(op, variableOf(op, 0), op.tensor(1), { axis: batch, batch })];
};

/** What is taken from places, and places of what is sought. */
export const gathers: Record<string, OpRule> = {
  Gather: (op) => [gathered(op, op.tensor(0), op.tensor(1), { axis: 0 })],
  GatherV2: gatherV2,
  ResourceGather: resourceGather,
  ResourceGatherNd: (op) => {
    const places = withoutNegatives(op, op.tensor(1));
    return [op.graph.op('GatherND', [variableOf(op, 0), places])];
  },
  GatherNd: (op) => {
    const places = withoutNegatives(op, op.tensor(1));
    return [op.graph.op('GatherND', [op.tensor(0), places])];
  },
  OneHot: oneHot,
  TopK: topK,
  TopKV2: topK,
  Where: where,
  LowerBound: bound('Less'),
  UpperBound: bound('LessOrEqual'),
  Roll: roll,
};
