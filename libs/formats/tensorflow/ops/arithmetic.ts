import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, chosen, isFloat } from './carriers.js';
import { allChannelsFirst, channelsLast } from './layouts.js';
import { gelu, layerNormalisation } from './patterns.js';

/** An operator element by element, without moving what has its channels first. */
export function elementwise(op: TfOp, operator: string, inputs: GraphValue[]): GraphValue {
  const moved = allChannelsFirst(op.graph, inputs);
  if (!moved) return carried(op, operator, inputs);
  return channelsLast(op.graph, carried(op, operator, moved));
}

function same(operator: string, pattern?: typeof gelu): OpRule {
  return (op) => [
    pattern?.(op.graph, op.tensor(0), op.tensor(1)) ?? elementwise(op, operator, op.tensors()),
  ];
}

const floorMod: OpRule = (op) => {
  const [x, y] = [op.tensor(0), op.tensor(1)];
  if (!isFloat(x.dtype)) return [carried(op, 'Mod', [x, withoutMinusOne(op, y)])];
  const rest = carried(op, 'Mod', [x, y], { fmod: 1 });
  const zero = op.graph.scalar(x.dtype, 0);
  const apart = op.graph.op('Xor', [
    op.graph.op('Less', [rest, zero]),
    op.graph.op('Less', [y, zero]),
  ]);
  const whole = op.graph.op('Equal', [rest, zero]);
  const moves = op.graph.op('And', [apart, op.graph.op('Not', [whole])]);
  return [chosen(op, moves, op.graph.op('Add', [rest, y]), rest)];
};

/** The quotient of integers, cut towards zero. The least integer through −1, which traps, is the integer itself as in TensorFlow. */
function truncatedQuotient(op: TfOp, x: GraphValue, y: GraphValue): GraphValue {
  const safe = withoutMinusOne(op, y);
  const quotient = carried(op, 'Div', [x, safe]);
  if (safe === y) return quotient;
  const minusOne = op.graph.op('Equal', [y, op.graph.scalar(y.dtype, -1)]);
  return chosen(op, minusOne, carried(op, 'Neg', [x]), quotient);
}

/** A divisor that has 1 in place of −1: the processor traps when it divides the least integer by −1. */
function withoutMinusOne(op: TfOp, divisor: GraphValue): GraphValue {
  const { constant, dtype } = divisor;
  if (dtype.startsWith('U')) return divisor;
  if (constant && !Array.from<unknown>(constant).some((value) => Number(value) === -1))
    return divisor;
  const minusOne = op.graph.op('Equal', [divisor, op.graph.scalar(dtype, -1)]);
  return chosen(op, minusOne, op.graph.scalar(dtype, 1), divisor);
}

const floorDiv: OpRule = (op) => {
  const [x, y] = [op.tensor(0), op.tensor(1)];
  if (isFloat(x.dtype)) return [carried(op, 'Floor', [carried(op, 'Div', [x, y])])];
  const quotient = truncatedQuotient(op, x, y);
  if (x.dtype.startsWith('U')) return [quotient];
  const zero = op.graph.scalar(x.dtype, 0);
  const rest = carried(op, 'Mod', [x, withoutMinusOne(op, y)]);
  const apart = op.graph.op('Xor', [
    op.graph.op('Less', [x, zero]),
    op.graph.op('Less', [y, zero]),
  ]);
  const inexact = op.graph.op('Not', [op.graph.op('Equal', [rest, zero])]);
  const moves = op.graph.cast(op.graph.op('And', [apart, inexact]), x.dtype);
  return [carried(op, 'Sub', [quotient, moves])];
};

const quotient: OpRule = (op) => {
  const [x, y] = [op.tensor(0), op.tensor(1)];
  return [isFloat(x.dtype) ? elementwise(op, 'Div', [x, y]) : truncatedQuotient(op, x, y)];
};

const truncateMod: OpRule = (op) => {
  const [x, y] = [op.tensor(0), op.tensor(1)];
  return [carried(op, 'Mod', [x, isFloat(x.dtype) ? y : withoutMinusOne(op, y)], { fmod: 1 })];
};

/** Integers are multiplied, since ONNX Runtime computes their powers as doubles. */
const power: OpRule = (op) => {
  const [x, y] = [op.tensor(0), op.tensor(1)];
  if (isFloat(x.dtype)) return [elementwise(op, 'Pow', [x, y])];
  const exponent = y.constant && y.constant.length === 1 ? Number(y.constant[0]) : -1;
  if (y.shape?.length !== 0 || exponent < 0 || exponent > 64)
    return op.unsupported('powers of integers must have one constant exponent from 0 to 64.');
  if (exponent === 0) return [onesLike(op, x)];
  let [result, square]: [GraphValue | undefined, GraphValue] = [undefined, x];
  for (let rest = exponent; rest > 0; rest >>= 1) {
    if (rest & 1) result = result ? carried(op, 'Mul', [result, square]) : square;
    if (rest > 1) square = carried(op, 'Mul', [square, square]);
  }
  return [result ?? x];
};

function onesLike(op: TfOp, x: GraphValue): GraphValue {
  return op.graph.op('Expand', [op.graph.scalar(x.dtype, 1), op.graph.op('Shape', [x])]);
}

/** `rule` of x and y where x is not 0, else 0 (even where y makes the rest infinite or not a number). */
function zeroWhereZero(
  rule: (op: TfOp, x: GraphValue, y: GraphValue) => GraphValue,
  i: number,
): OpRule {
  return (op) => {
    const [x, y] = [op.tensor(0), op.tensor(1)];
    const zero = op.graph.scalar(x.dtype, 0);
    const isZero = op.graph.op('Equal', [i === 0 ? x : y, zero]);
    return [chosen(op, isZero, zero, rule(op, x, y))];
  };
}

/** Numbers between limits as TensorFlow's ClipByValue takes them: the least of the upper one and x, then the largest with the lower. */
const clip: OpRule = (op) => {
  const [x, low, high] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  return [elementwise(op, 'Max', [elementwise(op, 'Min', [x, high]), low])];
};

const addN: OpRule = (op) => [
  op.tensors().reduce((sum, next) => elementwise(op, 'Add', [sum, next])),
];

/** Arithmetic of two numbers, and of many. */
export const arithmetic: Record<string, OpRule> = {
  ...all(same('Add', layerNormalisation), 'Add AddV2'),
  Sub: same('Sub'),
  Mul: same('Mul', gelu),
  ...all(quotient, 'RealDiv Div TruncateDiv'),
  ...all(floorMod, 'FloorMod'),
  ...all(truncateMod, 'Mod TruncateMod'),
  FloorDiv: floorDiv,
  Pow: power,
  Maximum: same('Max'),
  Minimum: same('Min'),
  AddN: addN,
  AccumulateNV2: addN,
  ClipByValue: clip,
  SquaredDifference: (op) => {
    const difference = elementwise(op, 'Sub', op.tensors());
    return [elementwise(op, 'Mul', [difference, difference])];
  },
  DivNoNan: zeroWhereZero((op, x, y) => carried(op, 'Div', [x, y]), 1),
  MulNoNan: zeroWhereZero((op, x, y) => carried(op, 'Mul', [x, y]), 1),
  Xlogy: zeroWhereZero((op, x, y) => carried(op, 'Mul', [x, carried(op, 'Log', [y])]), 0),
  Xdivy: zeroWhereZero((op, x, y) => carried(op, 'Div', [x, y]), 0),
};
