import type { Part } from '../../document.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { layerNamed, LayerTensor } from '../layer.js';
import type { LayerCall } from '../layer-call.js';
import { all, type LayerRule } from '../layer-rule.js';

type Activation = (call: LayerCall, x: GraphValue) => GraphValue;

function unary(
  operator: string,
  attributes: Record<string, number | { float: number }> = {},
): Activation {
  return ({ graph }, x) => graph.op(operator, [x], attributes);
}

function times({ graph }: LayerCall, x: GraphValue, y: GraphValue): GraphValue {
  return graph.op('Mul', [x, y]);
}

const clip = (call: LayerCall, x: GraphValue, least: number, most: number) =>
  call.graph.op('Clip', [x, call.scalar(least, x.dtype), call.scalar(most, x.dtype)]);

/** Keras 3: relu6(x + 3) / 6; Keras 2 and TF.js: 0.2 x + 0.5 between 0 and 1. */
const hardSigmoid: Activation = (call, x) => {
  const { graph } = call;
  if (!call.layer.isKeras3) {
    const line = graph.op('Add', [
      times(call, x, call.scalar(0.2, x.dtype)),
      call.scalar(0.5, x.dtype),
    ]);
    return clip(call, line, 0, 1);
  }
  const relu6 = clip(call, graph.op('Add', [x, call.scalar(3, x.dtype)]), 0, 6);
  return graph.op('Div', [relu6, call.scalar(6, x.dtype)]);
};

/** x Φ(x). */
export const gelu: Activation = (call, x) => {
  const { graph } = call;
  const erf = graph.op('Erf', [graph.op('Div', [x, call.scalar(Math.SQRT2, x.dtype)])]);
  const cdf = graph.op('Add', [erf, call.scalar(1, x.dtype)]);
  return times(call, times(call, x, call.scalar(0.5, x.dtype)), cdf);
};

/** 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))). */
export const approximateGelu: Activation = (call, x) => {
  const { graph } = call;
  const cube = times(call, times(call, x, x), x);
  const inner = graph.op('Add', [x, times(call, cube, call.scalar(0.044715, x.dtype))]);
  const tanh = graph.op('Tanh', [times(call, inner, call.scalar(Math.sqrt(2 / Math.PI), x.dtype))]);
  const half = times(call, x, call.scalar(0.5, x.dtype));
  return times(call, half, graph.op('Add', [tanh, call.scalar(1, x.dtype)]));
};

const silu: Activation = (call, x) => times(call, x, call.graph.op('Sigmoid', [x]));

/** Of any axis and any number of dimensions. */
function softmax(operator: 'Softmax' | 'LogSoftmax'): Activation {
  return unary(operator, { axis: -1 });
}

const logSigmoid: Activation = (call, x) => {
  const { graph } = call;
  return graph.op('Neg', [graph.op('Softplus', [graph.op('Neg', [x])])]);
};

/** x where |x| > 0.5, else 0; soft: moved toward 0 by 0.5. */
const hardShrink: Activation = (call, x) => {
  const { graph } = call;
  const large = graph.op('Greater', [graph.op('Abs', [x]), call.scalar(0.5, x.dtype)]);
  return graph.op('Where', [large, x, call.scalar(0, x.dtype)]);
};
const softShrink: Activation = (call, x) => {
  const { graph } = call;
  const half = call.scalar(0.5, x.dtype);
  const zero = call.scalar(0, x.dtype);
  const low = graph.op('Where', [
    graph.op('Less', [x, call.scalar(-0.5, x.dtype)]),
    graph.op('Add', [x, half]),
    zero,
  ]);
  return graph.op('Where', [graph.op('Greater', [x, half]), graph.op('Sub', [x, half]), low]);
};

/** 0 up to −1, x from 1 on, a parabola in between. */
const sparsePlus: Activation = (call, x) => {
  const { graph } = call;
  const one = call.scalar(1, x.dtype);
  const next = graph.op('Add', [x, one]);
  const curve = times(call, times(call, next, next), call.scalar(0.25, x.dtype));
  const low = graph.op('Where', [
    graph.op('LessOrEqual', [x, call.scalar(-1, x.dtype)]),
    call.scalar(0, x.dtype),
    curve,
  ]);
  return graph.op('Where', [graph.op('GreaterOrEqual', [x, one]), x, low]);
};

const squareplus: Activation = (call, x) => {
  const { graph } = call;
  const sum = graph.op('Add', [times(call, x, x), call.scalar(4, x.dtype)]);
  return times(call, graph.op('Add', [x, graph.op('Sqrt', [sum])]), call.scalar(0.5, x.dtype));
};

const mish: Activation = (call, x) => {
  const { graph } = call;
  return times(call, x, graph.op('Tanh', [graph.op('Softplus', [x])]));
};

const glu: Activation = (call, x) => {
  const size = call.sizeOf(x, -1);
  if (size % 2 !== 0) return call.unsupported('glu halves an axis of odd size');
  const [one, other] = call.graph.ops('Split', [x, call.graph.integers([size / 2, size / 2])], {
    attributes: { axis: -1 },
  });
  if (!one || !other) return call.unsupported('glu has no halves');
  return times(call, one, call.graph.op('Sigmoid', [other]));
};

/** By the names of Keras 2, Keras 3 and TF.js, with the defaults that they have as activations. */
const activations: Record<string, Activation> = {
  linear: (_, x) => x,
  elu: unary('Elu'),
  selu: unary('Selu'),
  gelu,
  gelu_new: approximateGelu,
  softplus: unary('Softplus'),
  softsign: unary('Softsign'),
  relu: unary('Relu'),
  relu6: (call, x) => clip(call, x, 0, 6),
  leaky_relu: unary('LeakyRelu', { alpha: { float: 0.2 } }),
  tanh: unary('Tanh'),
  sigmoid: unary('Sigmoid'),
  exponential: unary('Exp'),
  hard_sigmoid: hardSigmoid,
  silu,
  swish: silu,
  hard_silu: (call, x) => times(call, x, hardSigmoid(call, x)),
  hard_swish: (call, x) => times(call, x, hardSigmoid(call, x)),
  softmax: softmax('Softmax'),
  log_softmax: softmax('LogSoftmax'),
  mish,
  celu: unary('Celu'),
  glu,
  hard_tanh: (call, x) => clip(call, x, -1, 1),
  hard_shrink: hardShrink,
  soft_shrink: softShrink,
  log_sigmoid: logSigmoid,
  tanh_shrink: (call, x) => call.graph.op('Sub', [x, call.graph.op('Tanh', [x])]),
  sparse_plus: sparsePlus,
  sparse_sigmoid: (call, x) => {
    const line = times(
      call,
      call.graph.op('Add', [x, call.scalar(1, x.dtype)]),
      call.scalar(0.5, x.dtype),
    );
    return clip(call, line, 0, 1);
  },
  squareplus,
};

/** Those that do the same with each element, wherever the channels are. */
const MIXING = new Set(['softmax', 'log_softmax', 'glu']);

/** The name of an activation of a configuration in the way of Keras; undefined where it is a layer. */
export function activationName(part: Part | undefined): string | undefined {
  if (!part || part.value === null) return 'linear';
  if (typeof part.value === 'string')
    return part.value.replaceAll(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
  const className = part.field('class_name').text();
  const config = part.optional('config');
  if (
    /^(function|builtin_function|__function__)$/.test(className) &&
    typeof config?.value === 'string'
  )
    return config.value;
  return undefined;
}

/** The value after the activation of a configuration, which may be a layer of its own. */
export function activate(call: LayerCall, x: GraphValue, part: Part | undefined): GraphValue {
  const name = activationName(part);
  if (name === undefined && part) {
    const layer = layerNamed(part, call.layer.dialect);
    const [answer] = call.context.apply(layer, [new LayerTensor(x)], {}, call.graph);
    return answer?.value ?? call.unsupported('its activation answers nothing');
  }
  const activation = Object.hasOwn(activations, name ?? '') ? activations[name ?? ''] : undefined;
  if (!activation)
    return call.unsupported(`the activation ${JSON.stringify(name?.slice(0, 60))} is not`);
  if (MIXING.has(name ?? '')) return activation(call, x);
  return call.context.layouts.elementwise([x], ([value = x]) => activation(call, value));
}

function onElements(compute: (call: LayerCall, x: GraphValue) => GraphValue): LayerRule {
  return {
    passesMask: true,
    compute: (call) =>
      call.context.layouts.elementwise([call.input], ([x = call.input]) => compute(call, x)),
  };
}

export const activationLayers: Record<string, LayerRule> = {
  Activation: {
    passesMask: true,
    compute: (call) => activate(call, call.input, call.layer.has('activation')),
  },
  ELU: onElements((call, x) =>
    call.graph.op('Elu', [x], { alpha: { float: call.layer.number('alpha', 1) } }),
  ),
  LeakyReLU: onElements((call, x) => {
    const slope = call.layer.number('negative_slope', call.layer.number('alpha', 0.3));
    return call.graph.op('LeakyRelu', [x], { alpha: { float: slope } });
  }),
  ThresholdedReLU: onElements((call, x) => {
    const { graph } = call;
    const theta = call.scalar(call.layer.number('theta', 1), x.dtype);
    return times(call, x, graph.cast(graph.op('Greater', [x, theta]), x.dtype));
  }),
  ReLU: onElements(relu),
  PReLU: {
    passesMask: true,
    weights: () => ({ learned: ['alpha'] }),
    compute: (call) => {
      // Its weights have the shape of one row, in Keras's order.
      const { graph, input } = call;
      const alpha = call.weight('alpha');
      const positive = graph.op('Relu', [input]);
      const negative = graph.op('Neg', [graph.op('Relu', [graph.op('Neg', [input])])]);
      return graph.op('Add', [positive, times(call, alpha, negative)]);
    },
  },
  Softmax: { passesMask: true, compute: softmaxLayer },
  ...all(
    { passesMask: true, compute: (call) => call.tensor.value },
    'Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout GaussianNoise AlphaDropout ActivityRegularization Identity',
  ),
};

/** `max_value`, `negative_slope` and `threshold` (`backend.relu`). */
function relu(call: LayerCall, x: GraphValue): GraphValue {
  const { graph, layer } = call;
  const slope = layer.number('negative_slope', 0);
  const threshold = layer.number('threshold', 0);
  const most = layer.has('max_value')?.number();
  const edge = call.scalar(threshold, x.dtype);
  let positive =
    threshold === 0
      ? graph.op('Relu', [x])
      : times(call, x, graph.cast(graph.op('Greater', [x, edge]), x.dtype));
  if (most !== undefined) positive = clip(call, positive, 0, most);
  if (slope === 0) return positive;
  // Below the threshold the line goes on from there.
  const below = graph.op('Relu', [graph.op('Sub', [edge, x])]);
  return graph.op('Sub', [positive, times(call, below, call.scalar(slope, x.dtype))]);
}

function softmaxLayer(call: LayerCall): GraphValue {
  const { graph, layer } = call;
  const axes = layer.has('axis');
  const list = Array.isArray(axes?.value)
    ? axes.list().map((axis) => axis.integer(-64, 64))
    : [axes?.integer(-64, 64) ?? -1];
  const { mask } = call;
  const masked = mask ? maskedScores(call, call.input, mask) : call.input;
  const answer = softmaxOver(call, masked, list);
  if (!mask || !layer.isKeras3Since(16)) return answer;
  return graph.op('Where', [mask, answer, call.scalar(0)]);
}

/** Keras 3 puts a large negative number where the mask is false, Keras 2 adds it. */
function maskedScores(call: LayerCall, x: GraphValue, mask: GraphValue): GraphValue {
  const { graph } = call;
  const low = call.scalar(x.dtype === 'FP16' ? -3e4 : -1e9, x.dtype);
  if (call.layer.isKeras3 || call.layer.flag('robust_masking', false))
    return graph.op('Where', [graph.cast(mask, 'BOOL'), x, low]);
  const kept = graph.cast(mask, x.dtype);
  const gone = graph.op('Sub', [call.scalar(1, x.dtype), kept]);
  return graph.op('Add', [x, times(call, gone, low)]);
}

/** exp(x − logsumexp(x)) over several axes. */
export function softmaxOver(call: LayerCall, x: GraphValue, axes: readonly number[]): GraphValue {
  const { graph } = call;
  const [axis = -1, ...others] = axes;
  if (others.length === 0) return graph.op('Softmax', [x], { axis });
  const most = call.shapes.reduce('ReduceMax', x, axes, true);
  const exponents = graph.op('Exp', [graph.op('Sub', [x, most])]);
  return graph.op('Div', [exponents, call.shapes.reduce('ReduceSum', exponents, axes, true)]);
}
