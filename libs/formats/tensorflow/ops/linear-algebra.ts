import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried } from './carriers.js';
import { elementwise } from './arithmetic.js';
import { channelsLast, knownChannelsFirst } from './layouts.js';

/** The last two dimensions exchanged. */
function turned(op: TfOp, i: number): GraphValue {
  const rank = op.rank(i);
  const order = Array.from({ length: rank }, (_, axis) => axis);
  return op.graph.transpose(op.tensor(i), [...order.slice(0, -2), rank - 1, rank - 2]);
}

/** Products of matrices; a flag may turn each of both. */
function product(left: string, right: string): OpRule {
  return (op) => {
    const x = op.flag(left, false) ? turned(op, 0) : op.tensor(0);
    const y = op.flag(right, false) ? turned(op, 1) : op.tensor(1);
    return [carried(op, 'MatMul', [x, y])];
  };
}

/** A number for each channel: those of the last dimension, or of the second where channels come first. */
export function addBias(
  op: TfOp,
  x: GraphValue,
  bias: GraphValue,
  channelsSecond: boolean,
): GraphValue {
  const rank = x.shape?.length ?? op.unsupported('its number of dimensions is not known.');
  const spread = (value: GraphValue) =>
    op.graph.reshape(value, [-1, ...Array.from({ length: rank - 2 }, () => 1)]);
  if (channelsSecond && rank > 2) return carried(op, 'Add', [x, spread(bias)]);
  const first = knownChannelsFirst(x);
  if (first && rank > 2) return channelsLast(op.graph, carried(op, 'Add', [first, spread(bias)]));
  return elementwise(op, 'Add', [x, bias]);
}

const biasAdd: OpRule = (op) => [
  addBias(op, op.tensor(0), op.tensor(1), op.text('data_format', 'NHWC').startsWith('NC')),
];

/** Products of matrices and what goes with them. */
export const linearAlgebra: Record<string, OpRule> = {
  MatMul: product('transpose_a', 'transpose_b'),
  ...all(product('adj_x', 'adj_y'), 'BatchMatMul BatchMatMulV2 BatchMatMulV3'),
  ...all(biasAdd, 'BiasAdd BiasAddV1'),
};
