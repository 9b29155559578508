import type { DType } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, carrierOf, chosen, isFloat, unsupportedDType } from './carriers.js';

function comparison(operator: string): OpRule {
  return (op) => [carried(op, operator, op.tensors())];
}

function logical(operator: string): OpRule {
  return (op) => [op.graph.op(operator, op.tensors())];
}

/** Bits moved to the right keep the sign of what is signed: the floor of the quotient. ONNX Runtime moves unsigned ones only. */
const rightShift: OpRule = (op) => {
  const [x, count] = [op.tensor(0), op.tensor(1)];
  const unsigned = unsignedOf(x.dtype);
  const bits = shifted(op, 'RIGHT', x, count);
  if (unsigned === x.dtype) return [bits];
  // The complement of a negative number has zeros in front.
  const turned = op.graph.op('BitwiseNot', [x]);
  const negative = op.graph.op('Less', [x, op.graph.scalar(x.dtype, 0)]);
  const moved = op.graph.op('BitwiseNot', [shifted(op, 'RIGHT', turned, count)]);
  return [chosen(op, negative, moved, bits)];
};

function unsignedOf(dtype: DType): DType {
  return dtype === 'INT8' || dtype === 'INT16' || dtype === 'INT32' || dtype === 'INT64'
    ? (`U${dtype}` as const)
    : dtype;
}

/** Counts beyond the size of the dtype are undefined in C; TensorFlow takes the nearest count that is defined. */
function shifted(op: TfOp, direction: string, x: GraphValue, count: GraphValue): GraphValue {
  const unsigned = unsignedOf(x.dtype);
  const carrier =
    unsigned === 'UINT16' ? 'UINT32' : isFloat(unsigned) ? unsupportedDType(op, x.dtype) : unsigned;
  const bits = Number(/\d+$/.exec(x.dtype)?.[0] ?? 0);
  const limits = [op.graph.scalar(x.dtype, 0), op.graph.scalar(x.dtype, bits - 1)] as const;
  const within = carried(op, 'Min', [carried(op, 'Max', [count, limits[0]]), limits[1]]);
  const wide = op.graph.cast(op.graph.cast(x, unsigned), carrier);
  const moved = op.graph.op('BitShift', [wide, op.graph.cast(within, carrier)], { direction });
  return op.graph.cast(op.graph.cast(moved, unsigned), x.dtype);
}

/** The old Select: a condition of one dimension chooses whole rows. */
const select: OpRule = (op) => {
  const [condition, yes, no] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const rank = condition.shape?.length ?? op.unsupported('its condition has no known rank.');
  const own = yes.shape?.length ?? (rank === 0 ? 0 : op.rank(1));
  if (rank === 0 || rank === own) return [chosen(op, condition, yes, no)];
  if (rank !== 1)
    return op.unsupported(`its condition has ${rank} dimensions and its values ${own}.`);
  const axes = Array.from({ length: own - 1 }, (_, i) => i + 1);
  const rows = op.graph.op('Unsqueeze', [condition, op.graph.integers(axes)]);
  return [chosen(op, rows, yes, no)];
};

const isInf: OpRule = (op) => [carried(op, 'IsInf', [op.tensor(0)])];
const isNan: OpRule = (op) => [carried(op, 'IsNaN', [op.tensor(0)])];

/** Shapes that do not broadcast compare as different where the node says so. */
function equality(operator: string | undefined): OpRule {
  return (op) => {
    const equal = carried(op, 'Equal', op.tensors());
    return [operator ? op.graph.op(operator, [equal]) : equal];
  };
}

/** |x − y| < tolerance. */
const approximatelyEqual: OpRule = (op) => {
  const distance = carried(op, 'Abs', [carried(op, 'Sub', op.tensors())]);
  const tolerance = op.graph.scalar(distance.dtype, op.float('tolerance', 1e-5));
  return [carried(op, 'Less', [distance, tolerance])];
};

/** Comparisons, choices, logic and bits. */
export const comparisons: Record<string, OpRule> = {
  Equal: equality(undefined),
  NotEqual: equality('Not'),
  ApproximateEqual: approximatelyEqual,
  Greater: comparison('Greater'),
  GreaterEqual: comparison('GreaterOrEqual'),
  Less: comparison('Less'),
  LessEqual: comparison('LessOrEqual'),
  LogicalAnd: logical('And'),
  LogicalOr: logical('Or'),
  LogicalNot: logical('Not'),
  ...all((op) => [chosen(op, op.tensor(0), op.tensor(1), op.tensor(2))], 'SelectV2'),
  Select: select,
  IsNan: isNan,
  IsInf: isInf,
  IsFinite: (op) => {
    const odd = op.graph.op('Or', [...isInf(op), ...isNan(op)] as GraphValue[]);
    return [op.graph.op('Not', [odd])];
  },
  BitwiseAnd: comparison('BitwiseAnd'),
  BitwiseOr: comparison('BitwiseOr'),
  BitwiseXor: comparison('BitwiseXor'),
  Invert: comparison('BitwiseNot'),
  LeftShift: (op) => [shifted(op, 'LEFT', op.tensor(0), op.tensor(1))],
  RightShift: rightShift,
  Bitcast: (op) => {
    const [x, type] = [op.tensor(0), op.dtype('type')];
    if (unsignedOf(x.dtype) !== unsignedOf(type) || carrierOf('BitwiseNot', type) === undefined)
      return op.unsupported(`the bits of ${x.dtype} as ${type} are not.`);
    return [op.graph.cast(x, type)];
  },
};
