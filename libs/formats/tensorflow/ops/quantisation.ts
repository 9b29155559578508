import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { carried } from './carriers.js';

/**
 * Numbers rounded as a quantised model would hold them, between limits that are moved so that 0 is exact
 * (TensorFlow 2: fake_quant_ops_functor.h, Nudge and FakeQuantWithMinMax…Functor).
 */
function fakeQuantised(op: TfOp, x: GraphValue, low: GraphValue, high: GraphValue): GraphValue {
  const { graph } = op;
  const least = graph.scalar('FP32', op.flag('narrow_range', false) ? 1 : 0);
  const most = graph.scalar('FP32', 2 ** op.integer('num_bits', 8) - 1);
  const scale = graph.op('Div', [graph.op('Sub', [high, low]), graph.op('Sub', [most, least])]);
  const zero = graph.op('Sub', [least, graph.op('Div', [low, scale])]);
  // Halves go away from zero here, and what is negative is cut to the least step anyway.
  const half = graph.scalar('FP32', 0.5);
  const floor = graph.op('Floor', [zero]);
  const isMore = graph.op('GreaterOrEqual', [graph.op('Sub', [zero, floor]), half]);
  const rounded = graph.op('Add', [floor, graph.cast(isMore, 'FP32')]);
  const nudged = graph.op('Min', [graph.op('Max', [rounded, least]), most]);
  const nudgedLow = graph.op('Mul', [graph.op('Sub', [least, nudged]), scale]);
  const nudgedHigh = graph.op('Mul', [graph.op('Sub', [most, nudged]), scale]);
  const inside = graph.op('Min', [graph.op('Max', [x, nudgedLow]), nudgedHigh]);
  const inverse = graph.op('Div', [graph.scalar('FP32', 1), scale]);
  const steps = graph.op('Mul', [graph.op('Sub', [inside, nudgedLow]), inverse]);
  const whole = graph.op('Floor', [graph.op('Add', [steps, half])]);
  const result = graph.op('Add', [graph.op('Mul', [whole, scale]), nudgedLow]);
  // Limits that are both 0 make everything 0.
  const none = graph.op('Equal', [
    graph.op('Or', [notZero(op, low), notZero(op, high)]),
    graph.scalar('BOOL', false),
  ]);
  return graph.op('Where', [none, graph.scalar('FP32', 0), result]);
}

function notZero(op: TfOp, x: GraphValue): GraphValue {
  return op.graph.cast(x, 'BOOL');
}

function float(op: TfOp, value: number): GraphValue {
  return op.graph.scalar('FP32', value);
}

const withArguments: OpRule = (op) => {
  const [low, high] = [op.float('min', -6), op.float('max', 6)];
  return [fakeQuantised(op, op.tensor(0), float(op, low), float(op, high))];
};

const withVariables: OpRule = (op) => [fakeQuantised(op, op.tensor(0), op.tensor(1), op.tensor(2))];

/**
 * The numbers that integers of a quantised tensor stand for (dequantize_op.cc), from one range for all. Modes: MIN_COMBINED,
 * MIN_FIRST and SCALED.
 */
const dequantise: OpRule = (op) => {
  const [x, low, high] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const mode = op.text('mode', 'MIN_COMBINED');
  const { dtype } = x;
  if (dtype !== 'UINT8' && dtype !== 'INT8') return op.unsupported(`${dtype} is not.`);
  if (op.integer('axis', -1) !== -1) return op.unsupported('a range for each channel is not.');
  const wide = op.graph.cast(x, 'FP32');
  const signed = dtype === 'INT8';
  if (mode === 'SCALED') {
    const narrow = op.flag('narrow_range', false);
    const positive = op.graph.op('Div', [high, float(op, signed ? 127 : 255)]);
    if (!signed) return [carried(op, 'Mul', [wide, positive])];
    const negative = op.graph.op('Div', [low, float(op, narrow ? -127 : -128)]);
    return [carried(op, 'Mul', [wide, op.graph.op('Max', [negative, positive])])];
  }
  if (mode !== 'MIN_COMBINED') return op.unsupported(`the mode ${mode.slice(0, 40)} is not.`);
  const shifted = signed ? carried(op, 'Add', [wide, float(op, 128)]) : wide;
  const scale = op.graph.op('Div', [op.graph.op('Sub', [high, low]), float(op, 255)]);
  return [carried(op, 'Add', [carried(op, 'Mul', [shifted, scale]), low])];
};

/** Numbers as quantised models hold them. */
export const quantisation: Record<string, OpRule> = {
  FakeQuantWithMinMaxArgs: withArguments,
  FakeQuantWithMinMaxVars: withVariables,
  FakeQuantWithMinMaxVarsPerChannel: withVariables,
  Dequantize: dequantise,
};
