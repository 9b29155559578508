import type { DType } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';

/** Sizes as TensorFlow has them (INT32 or INT64) for ONNX. */
export function sizes(op: TfOp, i: number): GraphValue {
  return op.graph.cast(op.tensor(i), 'INT64');
}

/** A tensor full of one value, which is a tensor without dimensions. */
function filled(op: TfOp, value: GraphValue, shape: GraphValue): GraphValue {
  return op.graph.op('Expand', [value, shape]);
}

function like(value: number): OpRule {
  return (op) => {
    const x = op.tensor(0);
    const text = x.dtype === 'BYTES' ? '' : value;
    return [filled(op, op.graph.scalar(x.dtype, text), op.graph.op('Shape', [x]))];
  };
}

/** Numbers from `start` to `stop`, both included, as `start + i · step` with the last one exact (TensorFlow's LinSpaceOp). */
const linSpace: OpRule = (op) => {
  const [start, stop] = [op.tensor(0), op.tensor(1)];
  const [count = 0] = op.integersOf(2, 'number of elements');
  const { dtype } = start;
  if (count < 1 || count > 1e7) return op.unsupported(`${count} numbers are not.`);
  if (count === 1) return [op.graph.op('Unsqueeze', [start, op.graph.integers([0])])];
  const places = Array.from({ length: count - 1 }, (_, i) => i);
  const data = dtype === 'FP64' ? Float64Array.from(places) : Float32Array.from(places);
  if (dtype !== 'FP64' && dtype !== 'FP32') return op.unsupported(`${dtype} is not.`);
  const range = op.graph.op('Sub', [stop, start]);
  const step = op.graph.op('Div', [range, op.graph.scalar(dtype, count - 1)]);
  const inner = op.graph.op('Mul', [op.graph.constant(dtype, [count - 1], data), step]);
  const last = op.graph.op('Unsqueeze', [stop, op.graph.integers([0])]);
  return [op.graph.op('Concat', [op.graph.op('Add', [inner, start]), last], { axis: 0 })];
};

const range: OpRule = (op) => {
  const inputs = op.tensors();
  const { dtype } = op.tensor(0);
  const carrier: DType =
    dtype === 'FP32' || dtype === 'FP64' || dtype === 'INT64' ? dtype : 'INT64';
  if (dtype.startsWith('FP') && carrier !== dtype) return op.unsupported(`${dtype} is not.`);
  const cast = inputs.map((input) => op.graph.cast(input, carrier));
  return [op.graph.cast(op.graph.op('Range', cast), dtype)];
};

/** Tensors made of few numbers, and tensors of another dtype. */
export const fills: Record<string, OpRule> = {
  Fill: (op) => [filled(op, op.tensor(1), sizes(op, 0))],
  ZerosLike: like(0),
  OnesLike: like(1),
  BroadcastTo: (op) => [filled(op, op.tensor(0), sizes(op, 1))],
  Cast: (op) => [op.graph.cast(op.tensor(0), op.dtype('DstT'))],
  LinSpace: linSpace,
  Range: range,
};
