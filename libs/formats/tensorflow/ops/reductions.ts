import { axisOf, integersOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, isFloat } from './carriers.js';
import { channelsLast, knownChannelsFirst } from './layouts.js';
import { sizes } from './fills.js';
import { joined, reshapedTo, sizesOf } from './size-lists.js';

type Reduce = (op: TfOp, x: GraphValue, operator: string) => GraphValue;

/** Reduces over the axes of the second input; over none where that is empty. */
function reduced(op: TfOp, x: GraphValue, operator: string): GraphValue {
  const keepdims = op.flag('keep_dims', op.flag('keepdims', false)) ? 1 : 0;
  const axes = sizes(op, 1);
  const listed = axes.shape?.length === 0 ? op.graph.reshape(axes, [1]) : axes;
  const known = integersOf(listed);
  if (known?.length === 0) return x;
  const first = knownChannelsFirst(x);
  if (first && known && x.shape) {
    const rank = x.shape.length;
    const moved = known.map((axis) => axisOf(axis, rank)).map((axis) => axisFirst(axis, rank));
    const channelsStay = !moved.includes(1);
    // What is left must be in the order of before: one dimension beside the rows, or all of them.
    if (channelsStay && (keepdims === 1 || moved.length >= rank - 2)) {
      const given = op.graph.integers(moved);
      const result = carried(op, operator, [first], { keepdims }, [given]);
      return keepdims === 1 ? channelsLast(op.graph, result) : result;
    }
  }
  return carried(op, operator, [x], { keepdims, noop_with_empty_axes: known ? 0 : 1 }, [listed]);
}

function axisFirst(axis: number, rank: number): number {
  return axis === 0 ? 0 : axis === rank - 1 ? 1 : axis + 1;
}

function reduction(operator: string, reduce: Reduce = reduced): OpRule {
  return (op) => [reduce(op, op.tensor(0), operator)];
}

/** The mean of integers is the sum divided, cut towards zero. */
const mean: Reduce = (op, x, operator) => {
  if (!isFloat(x.dtype) && x.dtype !== 'INT32' && x.dtype !== 'INT64')
    return op.unsupported(`means of ${x.dtype} are not.`);
  return reduced(op, x, operator);
};

/** How many elements are true, so that of none none is. */
function count(op: TfOp, x: GraphValue): GraphValue {
  return reduced(op, op.graph.cast(x, 'INT32'), 'ReduceSum');
}

const any: OpRule = (op) => [
  op.graph.op('Greater', [count(op, op.tensor(0)), op.graph.scalar('INT32', 0)]),
];

const every: OpRule = (op) => {
  const falses = count(op, op.graph.op('Not', [op.tensor(0)]));
  return [op.graph.op('Equal', [falses, op.graph.scalar('INT32', 0)])];
};

/** The first of the best; places in `output_type`. */
function best(operator: string): OpRule {
  return (op) => {
    const x = op.tensor(0);
    const axis = op.integersOf(1, 'axis')[0] ?? 0;
    const found = carried(op, operator, [x], { axis, keepdims: 0 });
    // ONNX Runtime gives those of no rows a wrong shape.
    const rank = x.shape?.length ?? 0;
    const at = axisOf(axis, rank);
    const isKnown = !found.shape?.includes(-1) || rank === 0;
    const target = [sizesOf(op, x, 0, at), sizesOf(op, x, at + 1)];
    const places = isKnown ? found : reshapedTo(op, found, joined(op, target));
    return [op.graph.cast(places, op.dtype('output_type', 'INT64'))];
  };
}

/** Sums, or products, of all up to each. */
const cumulativeSum: OpRule = (op) => {
  const attributes = {
    exclusive: op.flag('exclusive', false) ? 1 : 0,
    reverse: op.flag('reverse', false) ? 1 : 0,
  };
  return [carried(op, 'CumSum', [op.tensor(0)], attributes, [sizes(op, 1)])];
};

/**
 * Products of all up to each. ONNX has no such operator: each number is multiplied by the one before, then by that two before,
 * then four (W. D. Hillis, G. L. Steele: Data parallel algorithms, 1986), so the size must be known.
 */
const cumulativeProduct: OpRule = (op) => {
  const x = op.tensor(0);
  const axis = axisOf(op.integersOf(1, 'axis')[0] ?? 0, op.rank(0));
  const size = x.shape?.[axis] ?? -1;
  if (size < 0) return op.unsupported(`the size of its dimension ${axis} is not known.`);
  const reverse = op.flag('reverse', false);
  const slice = (value: GraphValue, start: number, end: number) =>
    op.graph.op('Slice', [value, ...[[start], [end], [axis]].map((n) => op.graph.integers(n))]);
  // What stands `distance` before each, with 1 where nothing does.
  const moved = (value: GraphValue, distance: number) => {
    const ones = (part: GraphValue) =>
      op.graph.op('Expand', [op.graph.scalar(x.dtype, 1), op.graph.op('Shape', [part])]);
    const kept = reverse ? slice(value, distance, size) : slice(value, 0, size - distance);
    const rest = ones(slice(value, 0, distance));
    return op.graph.op('Concat', reverse ? [kept, rest] : [rest, kept], { axis });
  };
  let result = op.flag('exclusive', false) && size > 0 ? moved(x, 1) : x;
  for (let distance = 1; distance < size; distance *= 2)
    result = carried(op, 'Mul', [result, moved(result, distance)]);
  return [result];
};

/** Reductions of tensors along axes. */
export const reductions: Record<string, OpRule> = {
  Sum: reduction('ReduceSum'),
  Mean: reduction('ReduceMean', mean),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  EuclideanNorm: reduction('ReduceL2'),
  ...all(any, 'Any'),
  All: every,
  ArgMax: best('ArgMax'),
  ArgMin: best('ArgMin'),
  Cumsum: cumulativeSum,
  Cumprod: cumulativeProduct,
};
