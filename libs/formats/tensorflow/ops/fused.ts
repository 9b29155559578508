import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { isTensor, TfOp, type OpRule, type TfValue } from '../op-rule.js';
import type { TfAttribute } from '../tf-graph.js';
import { arithmetic } from './arithmetic.js';
import { convolutions } from './convolutions.js';
import { functions } from './functions.js';
import { linearAlgebra } from './linear-algebra.js';
import { normalisations } from './normalisations.js';

const utf8 = new TextDecoder();
const MOST_FUSED = 8;

/** A computation with its own name and other inputs, of the same node. */
function asOp(op: TfOp, name: string, inputs: TfValue[], more: [string, TfAttribute][] = []): TfOp {
  const attributes = new Map([...op.node.attributes, ...more]);
  return new TfOp({ ...op.node, op: name, attributes }, inputs, op.graph, op.lowering);
}

function applied(
  op: TfOp,
  rules: Record<string, OpRule>,
  name: string,
  inputs: TfValue[],
): TfValue {
  const [made] = rules[name]?.(asOp(op, name, inputs)) ?? [];
  return made ?? op.unsupported(`${name} in it is not.`);
}

/**
 * What optimisers of graphs make one operation of (`_FusedMatMul` and others; TensorFlow 2.21, `fused_eigen_output_kernels.h`): the
 * first two inputs go into the operation in the name, and what is listed in `fused_ops` follows, each with its own inputs.
 */
function fused(name: string, rules: Record<string, OpRule>): OpRule {
  return (op) => {
    const steps = op
      .list('fused_ops')
      .map((step) => (step.kind === 'bytes' ? utf8.decode(step.value) : ''));
    if (steps.length > MOST_FUSED) op.unsupported(`${steps.length} operations are fused in it.`);
    const rest = op.inputs.slice(2);
    let value = applied(op, rules, name, op.inputs.slice(0, 2));
    for (const step of steps) value = followed(op, step, value, rest);
    if (rest.length > 0)
      op.unsupported(`it has ${rest.length} more inputs than ${steps.join(', ')} take.`);
    return [value];
  };
}

function followed(op: TfOp, step: string, value: TfValue, rest: TfValue[]): TfValue {
  const next = (): TfValue => rest.shift() ?? op.unsupported(`${step} in it lacks an input.`);
  switch (step) {
    case 'BiasAdd':
      return applied(op, linearAlgebra, 'BiasAdd', [value, next()]);
    case 'FusedBatchNorm':
      return normalised(op, value, [next(), next(), next(), next()]);
    case 'Relu':
    case 'Relu6':
    case 'Elu':
    case 'Sigmoid':
    case 'Tanh':
      return applied(op, functions, step, [value]);
    case 'LeakyRelu':
      return leaky(op, value);
    case 'Prelu':
      return applied(op, fusedOps, 'Prelu', [value, next()]);
    case 'GeluExact':
      return exactGelu(op, value);
    case 'GeluApproximate':
      return approximateGelu(op, value);
    default:
      return op.unsupported(`${JSON.stringify(step)} is fused in it.`);
  }
}

function normalised(op: TfOp, value: TfValue, rest: TfValue[]): TfValue {
  const training: [string, TfAttribute] = ['is_training', { kind: 'flag', value: false }];
  const [made] =
    normalisations['FusedBatchNorm']?.(asOp(op, 'FusedBatchNorm', [value, ...rest], [training])) ??
    [];
  return made ?? op.unsupported('FusedBatchNorm in it is not.');
}

function leaky(op: TfOp, value: TfValue): TfValue {
  const alpha: [string, TfAttribute] = [
    'alpha',
    { kind: 'float', value: op.float('leakyrelu_alpha', 0.2) },
  ];
  const [made] = functions['LeakyRelu']?.(asOp(op, 'LeakyRelu', [value], [alpha])) ?? [];
  return made ?? op.unsupported('LeakyRelu in it is not.');
}

function scalar(op: TfOp, like: TfValue, value: number): GraphValue {
  return op.graph.scalar(isTensor(like) ? like.dtype : 'FP32', value);
}

function times(op: TfOp, x: TfValue, y: TfValue): TfValue {
  return applied(op, arithmetic, 'Mul', [x, y]);
}

/** x · ½ · (1 + f(…)) */
function gelu(op: TfOp, x: TfValue, shared: TfValue): TfValue {
  const sum = applied(op, arithmetic, 'AddV2', [shared, scalar(op, x, 1)]);
  return times(op, times(op, x, scalar(op, x, 0.5)), sum);
}

function exactGelu(op: TfOp, x: TfValue): TfValue {
  return gelu(op, x, applied(op, functions, 'Erf', [times(op, x, scalar(op, x, Math.SQRT1_2))]));
}

function approximateGelu(op: TfOp, x: TfValue): TfValue {
  const cube = times(op, times(op, x, x), x);
  const inner = applied(op, arithmetic, 'AddV2', [x, times(op, cube, scalar(op, x, 0.044715))]);
  const scaled = times(op, inner, scalar(op, x, Math.sqrt(2 / Math.PI)));
  return gelu(op, x, applied(op, functions, 'Tanh', [scaled]));
}

/** Operations that optimisers of graphs make of others, those of the converter of TF.js included. */
export const fusedOps: Record<string, OpRule> = {
  _FusedMatMul: fused('MatMul', linearAlgebra),
  _FusedConv2D: fused('Conv2D', convolutions),
  _FusedDepthwiseConv2dNative: fused('DepthwiseConv2dNative', convolutions),
  FusedDepthwiseConv2dNative: fused('DepthwiseConv2dNative', convolutions),
  /** Of TF.js: x where it is not negative, else x times the other input. */
  Prelu: (op) => {
    const zero = scalar(op, op.tensor(0), 0);
    const positive = applied(op, arithmetic, 'Maximum', [op.tensor(0), zero]);
    const negative = applied(op, arithmetic, 'Minimum', [op.tensor(0), zero]);
    return [applied(op, arithmetic, 'AddV2', [positive, times(op, negative, op.tensor(1))])];
  },
};
