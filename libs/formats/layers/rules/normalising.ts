import { dataOf } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { Layer } from '../layer.js';
import type { LayerCall } from '../layer-call.js';
import { present, type LayerRule } from '../layer-rule.js';

/** The axes of a configuration, one or several, in their order. */
function axesOf(call: LayerCall, absent: number[]): number[] {
  const part = call.layer.has('axis');
  const given = !part
    ? absent
    : Array.isArray(part.value)
      ? part.list().map((axis) => axis.integer(-64, 64))
      : [part.integer(-64, 64)];
  return given.map((axis) => call.axis(axis, call.rank));
}

function scaleNames(layer: Layer): string[] {
  return present({ gamma: layer.flag('scale', true), beta: layer.flag('center', true) });
}

const batchNormalization: LayerRule = {
  passesMask: true,
  weights: (layer) => {
    if (layer.flag('renorm', false)) layer.unsupported('it renormalises');
    return { learned: scaleNames(layer), fixed: ['moving_mean', 'moving_variance'] };
  },
  compute: (call) => {
    const { graph, input, rank } = call;
    const [axis = -1, ...others] = axesOf(call, [-1]);
    if (others.length > 0) return call.unsupported('it has several axes');
    const mean = call.weightOf('moving_mean', 1);
    const size = mean.shape ?? [];
    const weights = [
      call.hasWeight('gamma') ? call.weightOf('gamma', 1) : call.filled(size, 1),
      call.hasWeight('beta') ? call.weightOf('beta', 1) : call.filled(size, 0),
      mean,
      call.weightOf('moving_variance', 1),
    ];
    const epsilon = { float: call.layer.number('epsilon', 1e-3) };
    const normalise = (x: GraphValue) =>
      graph.op('BatchNormalization', [x, ...weights], { epsilon });
    // ONNX looks along the second axis.
    if (rank === 2 && axis === 1) return normalise(input);
    if (axis === 1) return normalise(input);
    if (axis === rank - 1 && rank > 2) {
      const { layouts } = call.context;
      return layouts.channelsLast(normalise(layouts.channelsFirst(input)));
    }
    const rest = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis);
    const order = [rest[0] ?? 0, axis, ...rest.slice(1)];
    const back = order.map((_, i) => order.indexOf(i));
    return graph.transpose(normalise(graph.transpose(input, order)), back);
  },
};

const layerNormalization: LayerRule = {
  passesMask: true,
  weights: (layer) => ({ learned: scaleNames(layer) }),
  compute: (call) => {
    const { graph, input, rank, shapes } = call;
    const axes = axesOf(call, [-1]).toSorted((a, b) => a - b);
    const epsilon = call.layer.number('epsilon', 1e-3);
    const sizes = axes.map((axis) => call.sizeOf(input, axis));
    const [first = rank - 1] = axes;
    const trailing = axes.every((axis, i) => axis === first + i) && axes.at(-1) === rank - 1;
    const squares = call.layer.flag('rms_scaling', false);
    if (trailing && !squares) {
      const scale = call.hasWeight('gamma') ? call.weight('gamma') : call.filled(sizes, 1);
      const inputs = [input, scale];
      if (call.hasWeight('beta')) inputs.push(call.weight('beta'));
      return graph.op('LayerNormalization', inputs, { axis: first, epsilon: { float: epsilon } });
    }
    const mean = shapes.reduce('ReduceMean', input, axes, true);
    const centred = graph.op('Sub', [input, mean]);
    const variance = shapes.reduce('ReduceMean', graph.op('Mul', [centred, centred]), axes, true);
    const deviation = graph.op('Sqrt', [graph.op('Add', [variance, call.scalar(epsilon)])]);
    const normal = graph.op('Div', [squares ? input : centred, deviation]);
    return scaled(call, normal, axes, rank, squares);
  },
};

function scaled(
  call: LayerCall,
  x: GraphValue,
  axes: number[],
  rank: number,
  withoutOffset = false,
): GraphValue {
  const { graph } = call;
  let y = x;
  if (call.hasWeight('gamma'))
    y = graph.op('Mul', [y, call.along(call.weight('gamma'), axes, rank)]);
  if (call.hasWeight('beta') && !withoutOffset)
    y = graph.op('Add', [y, call.along(call.weight('beta'), axes, rank)]);
  return y;
}

const groupNormalization: LayerRule = {
  passesMask: true,
  weights: (layer) => ({ learned: scaleNames(layer) }),
  compute: (call) => {
    const { graph, input, rank, shapes } = call;
    const [axis = -1, ...others] = axesOf(call, [-1]);
    if (others.length > 0 || axis === 0)
      return call.unsupported('its axis is that of the rows, or several');
    const channels = call.sizeOf(input, axis);
    const given = call.layer.integer('groups', 32);
    const groups = given === -1 ? channels : given;
    if (groups < 1 || channels % groups !== 0)
      return call.unsupported(`${channels} channels make no ${groups} groups`);
    const rest = Array.from({ length: rank - 1 }, (_, i) => i + 1).filter((i) => i !== axis);
    const order = [0, axis, ...rest];
    const first = graph.transpose(input, order);
    const grouped = shapes.reshape(first, [shapes.sizeOrValue(input, 0), groups, -1]);
    const normal = graph.op(
      'InstanceNormalization',
      [grouped, call.filled([groups], 1), call.filled([groups], 0)],
      { epsilon: { float: call.layer.number('epsilon', 1e-3) } },
    );
    const sizes = order.map((from) => shapes.sizeOrValue(input, from));
    const back = graph.transpose(
      shapes.reshape(normal, sizes),
      order.map((_, i) => order.indexOf(i)),
    );
    return scaled(call, back, [axis], rank);
  },
};

const rmsNormalization: LayerRule = {
  passesMask: false,
  weights: () => ({ learned: ['scale'] }),
  compute: (call) => {
    const { graph, input, rank, shapes } = call;
    const axes = axesOf(call, [-1]);
    const mean = shapes.reduce('ReduceMean', graph.op('Mul', [input, input]), axes, true);
    const epsilon = call.scalar(call.layer.number('epsilon', 1e-6));
    const root = graph.op('Sqrt', [graph.op('Add', [mean, epsilon])]);
    const normal = graph.op('Div', [input, root]);
    return graph.op('Mul', [normal, call.along(call.weight('scale'), axes, rank)]);
  },
};

const unitNormalization: LayerRule = {
  passesMask: true,
  compute: (call) => {
    const { graph, input, shapes } = call;
    const axes = axesOf(call, [-1]);
    const sum = shapes.reduce('ReduceSum', graph.op('Mul', [input, input]), axes, true);
    return graph.op('Div', [input, graph.op('Sqrt', [graph.op('Max', [sum, call.scalar(1e-12)])])]);
  },
};

/** What a feature's mean and variance were when the layer was adapted, or what its configuration says. */
const normalization: LayerRule = {
  passesMask: true,
  weights: (layer) => (layer.has('mean') ? {} : { fixed: ['mean', 'variance', 'count'] }),
  compute: (call) => {
    const { graph, input, rank, layer } = call;
    const part = layer.config.optional('axis');
    const axes = (part && part.value === null ? [] : axesOf(call, [-1])).toSorted((a, b) => a - b);
    const [mean, variance] = ['mean', 'variance'].map((name) => statistic(call, name, axes, rank));
    if (!mean || !variance) return call.unsupported('it has no mean and variance');
    const deviation = graph.op('Max', [graph.op('Sqrt', [variance]), call.scalar(1e-7)]);
    if (layer.flag('invert', false))
      return graph.op('Add', [mean, graph.op('Mul', [input, deviation])]);
    return graph.op('Div', [graph.op('Sub', [input, mean]), deviation]);
  },
};

/** Along the axes that are kept; a configuration may say one number for all of them, or fewer dimensions, counted from the last. */
function statistic(call: LayerCall, name: string, axes: number[], rank: number): GraphValue {
  const part = call.layer.has(name);
  if (!part) return call.along(call.weight(name), axes, rank);
  const sizes: number[] = [];
  let level = part;
  while (Array.isArray(level.value)) {
    const list = level.list();
    sizes.push(list.length);
    const [first] = list;
    if (!first || sizes.length > rank) return part.damaged('is no array of numbers');
    level = first;
  }
  const flat = (value: unknown): number[] =>
    Array.isArray(value) ? value.flatMap(flat) : [Number(value)];
  const data = flat(part.value);
  const { dtype } = call.layer;
  const made = call.graph.constant(dtype, [data.length], dataOf(dtype, data));
  // Keras 2 writes it with all dimensions, those that are not kept being 1.
  if (sizes.length === rank) return call.graph.reshape(made, sizes);
  const kept = axes.slice(axes.length - sizes.length);
  if (sizes.length > axes.length)
    return part.damaged('has more dimensions than the axes that are kept');
  return call.along(call.graph.reshape(made, sizes), kept, rank);
}

export const normalisingLayers: Record<string, LayerRule> = {
  BatchNormalization: batchNormalization,
  BatchNormalizationV1: batchNormalization,
  SyncBatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  RMSNormalization: rmsNormalization,
  UnitNormalization: unitNormalization,
  Normalization: normalization,
};
