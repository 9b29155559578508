import type { OnnxAttribute } from '../../onnx-file/onnx-messages.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { TfOp } from '../op-rule.js';
import { channelsFirst, channelsLast, expanded, knownFlat } from './layouts.js';

/** What an operator of TensorFlow says of its sliding window, without rows and channels. */
export interface Window {
  strides: number[];
  dilations: number[];
  padding: 'SAME' | 'VALID' | 'EXPLICIT';
  /** Of EXPLICIT: all that come before, then all that come after. */
  pads: number[];
  /** Channels come second. */
  channelsSecond: boolean;
}

/** Reads the attributes of a window in `spatial` dimensions. */
export function windowOf(op: TfOp, spatial: number): Window {
  const format = op.text('data_format', 'NHWC');
  const channelsSecond = format.startsWith('NC');
  if (format.includes('VECT')) op.unsupported(`the layout ${format} is not.`);
  const ones = Array.from({ length: spatial + 2 }, () => 1);
  const inner = (list: number[], name: string) => spatialPart(op, list, channelsSecond, name);
  const padding = op.text('padding');
  if (padding !== 'SAME' && padding !== 'VALID' && padding !== 'EXPLICIT')
    return op.unsupported(`the padding ${padding.slice(0, 40)} is not.`);
  const explicit = op.integers('explicit_paddings', []);
  const sides = padding === 'EXPLICIT' ? [0, 1] : [];
  return {
    strides: inner(op.integers('strides', ones), 'strides'),
    dilations: inner(op.integers('dilations', ones), 'dilations'),
    padding,
    pads: sides.flatMap((side) =>
      spatialPart(
        op,
        ones.map((_, axis) => explicit[axis * 2 + side] ?? op.unsupported('paddings are missing.')),
        channelsSecond,
        'paddings',
        0,
      ),
    ),
    channelsSecond,
  };
}

/** Leaves out what a list says of rows and channels, where the window must do nothing. */
export function spatialPart(
  op: TfOp,
  list: number[],
  channelsSecond: boolean,
  name: string,
  neutral = 1,
): number[] {
  const outer = channelsSecond ? [0, 1] : [0, list.length - 1];
  if (outer.some((axis) => list[axis] !== neutral))
    op.unsupported(`${name} over rows or channels are not.`);
  return list.filter((_, axis) => !outer.includes(axis));
}

/** What a window slides over. */
export interface Opened {
  /** With its channels second. */
  input: GraphValue;
  window: Window;
  kernel: number[];
  /** The dimension of size 1 that was left out. */
  left?: number;
}

/** The input of a window with its channels second, and without a dimension of size 1 in which the window does nothing. */
export function opened(op: TfOp, value: GraphValue, window: Window, kernel: number[]): Opened {
  if (window.channelsSecond) return { input: value, window, kernel };
  const flat = knownFlat(value);
  const place = (flat?.axis ?? 0) - 1;
  const spatial = kernel.length;
  const pads = window.pads.filter((_, i) => i % spatial === place);
  if (!flat || spatial !== 2 || kernel[place] !== 1 || pads.some((size) => size !== 0))
    return { input: channelsFirst(op.graph, value), window, kernel };
  const kept = (list: number[]) => list.filter((_, i) => i % spatial !== place);
  const [strides, dilations] = [kept(window.strides), kept(window.dilations)];
  return {
    input: channelsFirst(op.graph, flat.value),
    window: { ...window, strides, dilations, pads: kept(window.pads) },
    kernel: kept(kernel),
    left: flat.axis,
  };
}

/** What the window makes, in the layout of the node. */
export function closed(op: TfOp, value: GraphValue, { window, left }: Opened): GraphValue {
  if (window.channelsSecond) return value;
  const last = channelsLast(op.graph, value);
  return left === undefined ? last : expanded(op.graph, last, left);
}

/**
 * ONNX's attributes of the window. TensorFlow's SAME puts what is odd behind, like SAME_UPPER; that is left to ONNX Runtime only
 * where the request says the size, since it does not know dilations there, and windows smaller than their strides not for poolings.
 * `input` has its channels second.
 */
export function windowAttributes(
  op: TfOp,
  { input, window, kernel }: Opened,
): Record<string, OnnxAttribute> {
  const { strides, dilations, padding, pads } = window;
  const common = { kernel_shape: kernel, strides, dilations };
  if (padding === 'VALID') return common;
  if (padding === 'EXPLICIT') return { ...common, pads };
  const totals = kernel.map((size, i) => {
    const [stride = 1, dilation = 1, length = -1] = [
      strides[i],
      dilations[i],
      input.shape?.[i + 2],
    ];
    const reach = (size - 1) * dilation + 1;
    if (reach === 1 || stride === 1) return reach - 1;
    return length < 0
      ? -1
      : Math.max(0, (Math.ceil(length / stride) - 1) * stride + reach - length);
  });
  if (totals.includes(-1)) {
    if (dilations.some((dilation) => dilation > 1) || kernel.some((n, i) => n < (strides[i] ?? 1)))
      return op.unsupported('its size must be known with such strides and dilations.');
    return { ...common, auto_pad: 'SAME_UPPER' };
  }
  const before = totals.map((total) => Math.floor(total / 2));
  return { ...common, pads: [...before, ...totals.map((total, i) => total - (before[i] ?? 0))] };
}
