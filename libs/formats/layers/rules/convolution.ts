import { reshapedConstant, transposedConstant } from '../constants.js';
import { axisOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { LayerCall } from '../layer-call.js';
import { all, present, type LayerRule } from '../layer-rule.js';
import { activate } from './activations.js';

/** A window that slides over the sizes of a value with the channels first. */
export interface Window {
  kernel: number[];
  strides: number[];
  dilations: number[];
  padding: string;
}

/** How many sizes a layer's window has, by its name. */
export function windowRank(call: LayerCall): number {
  return Number(/([123])D/.exec(call.layer.className)?.[1] ?? 2);
}

/** The only input with the channels first, as ONNX has them. */
export function channelsFirst(call: LayerCall, rank: number): GraphValue {
  if (call.rank !== rank + 2)
    return call.unsupported(`its input has ${call.rank} dimensions, and it takes ${rank + 2}`);
  return call.layer.channelsFirst ? call.input : call.context.layouts.channelsFirst(call.input);
}

/** What was made with the channels first, as the layer answers it. */
export function answered(call: LayerCall, value: GraphValue): GraphValue {
  return call.layer.channelsFirst ? value : call.context.layouts.channelsLast(value);
}

/**
 * Paddings `[…before, …after]` of TensorFlow: SAME makes ⌈size / stride⌉ places, with the odd one behind. Where a size is not
 * known they are the same whatever it is, or ONNX's SAME_UPPER computes them.
 */
export function padsOf(
  call: LayerCall,
  value: GraphValue,
  { kernel, strides, dilations, padding }: Window,
): { pads: number[] } | { auto_pad: string } {
  const extents = kernel.map((size, i) => (size - 1) * (dilations[i] ?? 1) + 1);
  if (padding === 'valid') return { pads: [...extents, ...extents].map(() => 0) };
  if (padding === 'causal')
    return { pads: [...extents.map((extent) => extent - 1), ...extents.map(() => 0)] };
  if (padding !== 'same')
    return call.unsupported(`its padding is ${JSON.stringify(padding.slice(0, 40))}`);
  const totals = extents.map((extent, i) => {
    const stride = strides[i] ?? 1;
    const size = value.shape?.[i + 2] ?? -1;
    if (size < 0 && extent === 1) return 0;
    if (size < 0) return stride === 1 ? extent - 1 : undefined;
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
  });
  if (totals.includes(undefined)) {
    // ONNX Runtime takes less than nothing for the padding of a window that is smaller than its stride.
    if (extents.some((extent, i) => extent < (strides[i] ?? 1)))
      return call.unsupported(
        'its strides are larger than its window, over sizes that are not known',
      );
    if (dilations.some((dilation) => dilation > 1))
      return call.unsupported('it has strides and dilations over sizes that are not known');
    return { auto_pad: 'SAME_UPPER' };
  }
  const before = totals.map((total = 0) => Math.floor(total / 2));
  return { pads: [...before, ...totals.map((total = 0, i) => total - (before[i] ?? 0))] };
}

function windowOf(call: LayerCall, rank: number): Window {
  const { layer } = call;
  const window = {
    kernel: layer.integers('kernel_size', rank),
    strides: layer.integers('strides', rank, 1),
    dilations: layer.integers('dilation_rate', rank, 1),
    padding: layer.text('padding', 'valid').toLowerCase(),
  };
  if ([...window.kernel, ...window.strides, ...window.dilations].some((size) => size < 1))
    call.unsupported('a size of its window is below 1');
  return window;
}

/** TensorFlow's kernel `[…sizes, in, out]` as ONNX's `[out, in, …sizes]`. */
function convKernel(call: LayerCall, kernel: GraphValue, rank: number): GraphValue {
  const sizes = Array.from({ length: rank }, (_, i) => i);
  return transposedConstant(call.graph, kernel, [rank + 1, rank, ...sizes]);
}

interface ConvGiven {
  kernel: GraphValue;
  bias?: GraphValue | undefined;
  window: Window;
  group: number;
}

function conv(
  call: LayerCall,
  x: GraphValue,
  { kernel, bias, window, group }: ConvGiven,
): GraphValue {
  const { strides, dilations } = window;
  const sizes = kernel.shape?.slice(2) ?? [];
  if (sizes.some((size, i) => size !== window.kernel[i]))
    call.layer.config.damaged(
      `${call.layer.label}: its kernel is [${sizes.join(', ')}], not its kernel_size`,
    );
  const channels = x.shape?.[1] ?? -1;
  const wanted = (kernel.shape?.[1] ?? 1) * group;
  if (channels >= 0 && channels !== wanted)
    call.layer.config.damaged(
      `${call.layer.label} takes ${wanted} channels, and its input has ${channels}`,
    );
  return call.graph.op('Conv', bias ? [x, kernel, bias] : [x, kernel], {
    kernel_shape: window.kernel,
    strides,
    dilations,
    group,
    ...padsOf(call, x, window),
  });
}

const convolution: LayerRule = {
  weights: (layer) => ({ learned: present({ kernel: true, bias: layer.flag('use_bias', true) }) }),
  compute: (call) => {
    const rank = windowRank(call);
    const x = channelsFirst(call, rank);
    const y = conv(call, x, {
      kernel: convKernel(call, call.weightOf('kernel', rank + 2), rank),
      bias: call.hasWeight('bias') ? call.weightOf('bias', 1) : undefined,
      window: windowOf(call, rank),
      group: call.layer.integer('groups', 1),
    });
    return activated(call, y);
  },
};

/** The activation of a convolution, which may look along the channels. */
export function activated(call: LayerCall, first: GraphValue): GraphValue {
  return activate(call, answered(call, first), call.layer.has('activation'));
}

/** `[…sizes, in, multiplier]` as ONNX's `[in · multiplier, 1, …sizes]`, a group for each channel. */
function depthwiseKernel(call: LayerCall, kernel: GraphValue, rank: number): GraphValue {
  const sizes = Array.from({ length: rank }, (_, i) => i);
  const moved = transposedConstant(call.graph, kernel, [rank, rank + 1, ...sizes]);
  const [channels = 0, multiplier = 0, ...rest] = moved.shape ?? [];
  return reshapedConstant(call.graph, moved, [channels * multiplier, 1, ...rest]);
}

const depthwise: LayerRule = {
  // TF.js and Keras 2 call it so; Keras 3 calls it kernel, and saves by numbers.
  weights: (layer) => ({
    learned: present({ depthwise_kernel: true, bias: layer.flag('use_bias', true) }),
  }),
  compute: (call) => {
    const rank = windowRank(call);
    const kernel = call.weightOf('depthwise_kernel', rank + 2);
    const y = conv(call, channelsFirst(call, rank), {
      kernel: depthwiseKernel(call, kernel, rank),
      bias: call.hasWeight('bias') ? call.weightOf('bias', 1) : undefined,
      window: windowOf(call, rank),
      group: kernel.shape?.[rank] ?? 1,
    });
    return activated(call, y);
  },
};

const separable: LayerRule = {
  weights: (layer) => ({
    learned: present({
      depthwise_kernel: true,
      pointwise_kernel: true,
      bias: layer.flag('use_bias', true),
    }),
  }),
  compute: (call) => {
    const rank = windowRank(call);
    const kernel = call.weightOf('depthwise_kernel', rank + 2);
    const window = windowOf(call, rank);
    const deep = conv(call, channelsFirst(call, rank), {
      kernel: depthwiseKernel(call, kernel, rank),
      window,
      group: kernel.shape?.[rank] ?? 1,
    });
    const ones = window.kernel.map(() => 1);
    const y = conv(call, deep, {
      kernel: convKernel(call, call.weightOf('pointwise_kernel', rank + 2), rank),
      bias: call.hasWeight('bias') ? call.weightOf('bias', 1) : undefined,
      window: { kernel: ones, strides: ones, dilations: ones, padding: 'valid' },
      group: 1,
    });
    return activated(call, y);
  },
};

/**
 * The gradient of a convolution. Each size becomes `(size − 1) stride + c`, where `c` is the stride or what `output_padding`
 * says (`deconv_output_length`); what TensorFlow's SAME cuts off is the padding of that convolution.
 */
const transposed: LayerRule = {
  weights: (layer) => ({ learned: present({ kernel: true, bias: layer.flag('use_bias', true) }) }),
  compute: (call) => {
    const rank = windowRank(call);
    const { graph, layer } = call;
    const { kernel, strides, dilations, padding } = windowOf(call, rank);
    const extra = layer.has('output_padding') ? layer.integers('output_padding', rank) : undefined;
    const sides = kernel.map((size, i) => {
      const extent = (size - 1) * (dilations[i] ?? 1) + 1;
      const stride = strides[i] ?? 1;
      const same = padding === 'same';
      const more = extra?.[i];
      const made =
        more === undefined
          ? same
            ? stride
            : Math.max(extent, stride)
          : (same ? extent % 2 : extent) + more;
      const cut = Math.max(0, extent - made);
      const before = same ? Math.floor(cut / 2) : 0;
      return { before, after: cut - before, more: Math.max(0, made - extent) };
    });
    if (padding !== 'same' && padding !== 'valid')
      return call.unsupported(`its padding is ${JSON.stringify(padding.slice(0, 40))}`);
    const weight = call.weightOf('kernel', rank + 2);
    const sizes = Array.from({ length: rank }, (_, i) => i);
    const inputs = [
      channelsFirst(call, rank),
      transposedConstant(graph, weight, [rank + 1, rank, ...sizes]),
    ];
    if (call.hasWeight('bias')) inputs.push(call.weightOf('bias', 1));
    const y = graph.op('ConvTranspose', inputs, {
      kernel_shape: kernel,
      strides,
      dilations,
      pads: [...sides.map(({ before }) => before), ...sides.map(({ after }) => after)],
      output_padding: sides.map(({ more }) => more),
    });
    return activated(call, y);
  },
};

export const convolutionLayers: Record<string, LayerRule> = {
  ...all(convolution, 'Conv1D Conv2D Conv3D Convolution1D Convolution2D Convolution3D'),
  ...all(transposed, 'Conv1DTranspose Conv2DTranspose Conv3DTranspose'),
  ...all(depthwise, 'DepthwiseConv1D DepthwiseConv2D'),
  ...all(separable, 'SeparableConv1D SeparableConv2D'),
};

/** A convolution inside of another layer: the channels last or first as that layer has them, kernels as Keras has them. */
export function innerConvolution(
  call: LayerCall,
  x: GraphValue,
  kernel: GraphValue,
  window: Window,
): GraphValue {
  const rank = window.kernel.length;
  const isFirst = call.layer.channelsFirst;
  const sizes = Array.from({ length: rank }, (_, i) => i);
  const first = isFirst
    ? x
    : call.graph.transpose(x, [0, axisOf(-1, rank + 2), ...sizes.map((i) => i + 1)]);
  const y = conv(call, first, { kernel: convKernel(call, kernel, rank), window, group: 1 });
  return isFirst ? y : call.graph.transpose(y, [0, ...sizes.map((i) => i + 2), 1]);
}
