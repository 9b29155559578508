import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, carrierOf, chosen, unsupportedDType } from './carriers.js';
import { elementwise } from './arithmetic.js';
import { allChannelsFirst, channelsLast } from './layouts.js';
import { rememberErfc } from './patterns.js';

type Rule = (op: TfOp, x: GraphValue) => GraphValue;

/** Computes in the layout that is there, and in float32 what ONNX Runtime has no float16 kernel of. */
function applied(rule: Rule): OpRule {
  return (op) => {
    const x = op.tensor(0);
    const [moved] = allChannelsFirst(op.graph, [x]) ?? [];
    return [moved ? channelsLast(op.graph, rule(op, moved)) : rule(op, x)];
  };
}

function operator(name: string): OpRule {
  return applied((op, x) => carried(op, name, [x]));
}

/** An operator of ONNX Runtime for float32 and a kernel of the Program for float64. */
function withKernel(name: string, kernel: string): OpRule {
  return applied((op, x) => {
    if (carrierOf(name, x.dtype)) return carried(op, name, [x]);
    if (x.dtype !== 'FP64') return unsupportedDType(op, x.dtype);
    const [result] = op.graph.kernel(kernel, [x], [{ dtype: 'FP64', shape: x.shape }]);
    return result ?? unsupportedDType(op, x.dtype);
  });
}

function number(op: TfOp, x: GraphValue, value: number): GraphValue {
  return op.graph.scalar(x.dtype, value);
}

function add(op: TfOp, x: GraphValue, y: GraphValue): GraphValue {
  return carried(op, 'Add', [x, y]);
}

function mul(op: TfOp, x: GraphValue, y: GraphValue): GraphValue {
  return carried(op, 'Mul', [x, y]);
}

/** log(1 + x) with the rounding of 1 + x taken back (W. Kahan; Hewlett-Packard HP-15C Advanced Functions Handbook, 1982). */
function log1p(op: TfOp, x: GraphValue): GraphValue {
  const one = number(op, x, 1);
  const sum = add(op, x, one);
  const rest = carried(op, 'Sub', [sum, one]);
  const scaled = mul(op, carried(op, 'Log', [sum]), carried(op, 'Div', [x, rest]));
  const infinite = op.graph.op('Equal', [sum, number(op, x, Infinity)]);
  const exact = chosen(op, infinite, sum, scaled);
  return chosen(op, op.graph.op('Equal', [rest, number(op, x, 0)]), x, exact);
}

/** exp(x) − 1, near zero with the rounding of exp(x) taken back (W. Kahan, as {@link log1p}). */
function expm1(op: TfOp, x: GraphValue): GraphValue {
  const one = number(op, x, 1);
  const power = carried(op, 'Exp', [x]);
  const rest = carried(op, 'Sub', [power, one]);
  const small = op.graph.op('Less', [carried(op, 'Abs', [x]), number(op, x, 0.5)]);
  const scaled = mul(op, rest, carried(op, 'Div', [x, carried(op, 'Log', [power])]));
  const near = chosen(op, op.graph.op('Equal', [power, one]), x, scaled);
  return chosen(op, small, near, rest);
}

function softplus(op: TfOp, x: GraphValue): GraphValue {
  const fading = carried(op, 'Exp', [carried(op, 'Neg', [carried(op, 'Abs', [x])])]);
  return add(op, carried(op, 'Max', [x, number(op, x, 0)]), log1p(op, fading));
}

function negativePart(op: TfOp, x: GraphValue, part: GraphValue): GraphValue {
  return chosen(op, op.graph.op('Less', [x, number(op, x, 0)]), part, x);
}

function relu(op: TfOp, x: GraphValue): GraphValue {
  return carrierOf('Relu', x.dtype) === x.dtype
    ? carried(op, 'Relu', [x])
    : carried(op, 'Max', [x, number(op, x, 0)]);
}

function relu6(op: TfOp, x: GraphValue): GraphValue {
  return carried(op, 'Clip', [x, number(op, x, 0), number(op, x, 6)]);
}

function leakyRelu(op: TfOp, x: GraphValue): GraphValue {
  const alpha = op.float('alpha', 0.2);
  if (x.dtype === 'FP32') return op.graph.op('LeakyRelu', [x], { alpha: { float: alpha } });
  return negativePart(op, x, mul(op, x, number(op, x, alpha)));
}

function elu(op: TfOp, x: GraphValue): GraphValue {
  if (x.dtype === 'FP32') return op.graph.op('Elu', [x]);
  return negativePart(op, x, expm1(op, x));
}

const SELU = { scale: 1.0507009873554805, alpha: 1.7580993408473766 };

function selu(op: TfOp, x: GraphValue): GraphValue {
  const negative = mul(op, expm1(op, x), number(op, x, SELU.alpha));
  return negativePart(op, mul(op, x, number(op, x, SELU.scale)), negative);
}

function softsign(op: TfOp, x: GraphValue): GraphValue {
  return carried(op, 'Div', [x, add(op, carried(op, 'Abs', [x]), number(op, x, 1))]);
}

function reciprocalRoot(op: TfOp, x: GraphValue): GraphValue {
  return carried(op, 'Reciprocal', [carried(op, 'Sqrt', [x])]);
}

function reciprocal(op: TfOp, x: GraphValue): GraphValue {
  if (carrierOf('Reciprocal', x.dtype)) return carried(op, 'Reciprocal', [x]);
  return carried(op, 'Div', [number(op, x, 1), x]);
}

/** TensorFlow's sign of what is not a number is that again. */
function sign(op: TfOp, x: GraphValue): GraphValue {
  const result = carried(op, 'Sign', [x]);
  if (!carrierOf('IsNaN', x.dtype)) return result;
  return chosen(op, carried(op, 'IsNaN', [x]), x, result);
}

/**
 * 1 − erf(x), by W. J. Cody's and Press's Chebyshev fit where that loses digits (Numerical Recipes in C, 2nd edition, 6.2: a
 * fractional error below 1.2e−7 everywhere).
 */
const ERFC = [
  0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
  1.00002368, -1.26551223,
];

function erfc(op: TfOp, x: GraphValue): GraphValue {
  if (x.dtype === 'FP64') {
    const [result] = op.graph.kernel('erfc', [x], [{ dtype: 'FP64', shape: x.shape }]);
    return result ?? unsupportedDType(op, x.dtype);
  }
  if (x.dtype === 'FP16') return op.graph.cast(erfc(op, op.graph.cast(x, 'FP32')), 'FP16');
  const one = number(op, x, 1);
  const size = carried(op, 'Abs', [x]);
  const t = carried(op, 'Reciprocal', [add(op, one, mul(op, size, number(op, x, 0.5)))]);
  const series = ERFC.slice(1).reduce(
    (sum, next) => add(op, mul(op, sum, t), number(op, x, next)),
    number(op, x, ERFC[0] ?? 0),
  );
  const power = carried(op, 'Sub', [series, mul(op, x, x)]);
  const tail = mul(op, t, carried(op, 'Exp', [power]));
  const centre = carried(op, 'Sub', [one, carried(op, 'Erf', [x])]);
  const result = chosen(op, op.graph.op('Greater', [x, number(op, x, 0.5)]), tail, centre);
  rememberErfc(result, x);
  return result;
}

/** The angle of the point x, y, from −π to π, also where zeros have signs. */
const angle: OpRule = (op) => {
  const [y, x] = [op.tensor(0), op.tensor(1)];
  const kernel = (value: GraphValue) =>
    op.graph.kernel('atan', [value], [{ dtype: 'FP64', shape: value.shape }])[0];
  if (!carrierOf('Atan', x.dtype) && x.dtype !== 'FP64') return unsupportedDType(op, x.dtype);
  const slope = carried(op, 'Div', [y, x]);
  const base = x.dtype === 'FP64' ? kernel(slope) : carried(op, 'Atan', [slope]);
  const [zero, one] = [number(op, x, 0), number(op, x, 1)];
  const isNegative = (value: GraphValue) =>
    op.graph.op('Less', [
      chosen(op, op.graph.op('Equal', [value, zero]), carried(op, 'Div', [one, value]), value),
      zero,
    ]);
  const half = chosen(op, isNegative(y), number(op, x, -Math.PI), number(op, x, Math.PI));
  const turn = chosen(op, isNegative(x), half, zero);
  const isOrigin = op.graph.op('And', [
    op.graph.op('Equal', [x, zero]),
    op.graph.op('Equal', [y, zero]),
  ]);
  const whole = add(op, base ?? slope, turn);
  // Of the origin only the signs of its zeros say an angle: that of y where x is not below zero.
  return [chosen(op, isOrigin, add(op, chosen(op, isNegative(x), zero, y), turn), whole)];
};

/** Functions of one number. */
export const functions: Record<string, OpRule> = {
  Abs: operator('Abs'),
  Neg: operator('Neg'),
  Sign: applied(sign),
  Floor: operator('Floor'),
  Ceil: operator('Ceil'),
  // Halves go to the even neighbour in both.
  ...all(
    applied((op, x) => (carrierOf('Round', x.dtype) ? carried(op, 'Round', [x]) : x)),
    'Round Rint',
  ),
  Exp: operator('Exp'),
  Expm1: applied(expm1),
  Log: operator('Log'),
  Log1p: applied(log1p),
  Sqrt: operator('Sqrt'),
  Rsqrt: applied(reciprocalRoot),
  Square: (op) => [elementwise(op, 'Mul', [op.tensor(0), op.tensor(0)])],
  ...all(applied(reciprocal), 'Reciprocal Inv'),
  Sigmoid: operator('Sigmoid'),
  Tanh: operator('Tanh'),
  Sin: operator('Sin'),
  Cos: operator('Cos'),
  Tan: withKernel('Tan', 'tan'),
  Asin: withKernel('Asin', 'asin'),
  Acos: withKernel('Acos', 'acos'),
  Atan: withKernel('Atan', 'atan'),
  Sinh: withKernel('Sinh', 'sinh'),
  Cosh: withKernel('Cosh', 'cosh'),
  Asinh: withKernel('Asinh', 'asinh'),
  Acosh: withKernel('Acosh', 'acosh'),
  Atanh: withKernel('Atanh', 'atanh'),
  Erf: withKernel('Erf', 'erf'),
  Erfc: applied(erfc),
  Atan2: angle,
  Relu: applied(relu),
  Relu6: applied(relu6),
  LeakyRelu: applied(leakyRelu),
  Elu: applied(elu),
  Selu: applied(selu),
  Softplus: applied(softplus),
  Softsign: applied(softsign),
  ...all((op) => [carried(op, 'Softmax', [op.tensor(0)], { axis: -1 })], 'Softmax'),
  ...all((op) => [carried(op, 'LogSoftmax', [op.tensor(0)], { axis: -1 })], 'LogSoftmax'),
};
