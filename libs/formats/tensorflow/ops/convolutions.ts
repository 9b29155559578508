import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried } from './carriers.js';
import { sizes } from './fills.js';
import { channelsFirst } from './layouts.js';
import { closed, opened, windowAttributes, windowOf, type Opened, type Window } from './windows.js';

/** The sizes of a filter, all of which must be known. */
function filterShape(op: TfOp, i: number, spatial: number): number[] {
  const { shape } = op.tensor(i);
  if (shape?.length !== spatial + 2 || shape.includes(-1))
    return op.unsupported('the sizes of its filter are not known.');
  return [...shape];
}

/** Filters `[…kernel, in, out]` as ONNX has them: `[out, in, …kernel]`. */
function filterOf(op: TfOp, filter: GraphValue, spatial: number): GraphValue {
  const kernel = Array.from({ length: spatial }, (_, axis) => axis);
  return op.graph.transpose(filter, [spatial + 1, spatial, ...kernel]);
}

function convolution(spatial: number): OpRule {
  return (op) => {
    const window = windowOf(op, spatial);
    const shape = filterShape(op, 1, spatial);
    const [each = 1, made = 1] = shape.slice(spatial);
    const over = opened(op, op.tensor(0), window, shape.slice(0, spatial));
    const { input, kernel } = over;
    const channels = input.shape?.[1] ?? -1;
    const group = channels < 0 ? 1 : channels / each;
    if (!Number.isInteger(group) || made % group !== 0)
      return op.unsupported(`${channels} channels are no groups of ${each}.`);
    const attributes = { ...windowAttributes(op, over), group };
    const turned = filterOf(op, op.tensor(1), spatial);
    const filter =
      kernel.length < spatial ? op.graph.reshape(turned, [made, each, ...kernel]) : turned;
    return [closed(op, carried(op, 'Conv', [input, filter], attributes), over)];
  };
}

/** Each channel has filters of its own: `[height, width, channels, filters of each]`. */
const depthwise: OpRule = (op) => {
  const window = windowOf(op, 2);
  const [height = 1, width = 1, channels = 1, each = 1] = filterShape(op, 1, 2);
  const turned = op.graph.transpose(op.tensor(1), [2, 3, 0, 1]);
  const over = opened(op, op.tensor(0), window, [height, width]);
  const filter = op.graph.reshape(turned, [channels * each, 1, ...over.kernel]);
  const attributes = { ...windowAttributes(op, over), group: channels };
  return [closed(op, carried(op, 'Conv', [over.input, filter], attributes), over)];
};

/**
 * The gradient of a convolution by its input, which is the transposed convolution: inputs are the sizes of what comes out, the
 * filter `[…kernel, out, in]`, and what goes in. The padding is that of the convolution whose gradient it is.
 */
function transposedConvolution(spatial: number): OpRule {
  return (op) => {
    const window = windowOf(op, spatial);
    const shape = filterShape(op, 1, spatial);
    const filter = filterOf(op, op.tensor(1), spatial);
    const kernel = shape.slice(0, spatial);
    const over: Opened = {
      input: window.channelsSecond ? op.tensor(2) : channelsFirst(op.graph, op.tensor(2)),
      window,
      kernel,
    };
    const { input } = over;
    const [made = 1, each = 1] = shape.slice(spatial);
    const wanted = sizes(op, 0);
    const listed = outputSizes(op, wanted, window, spatial);
    const channels = channelsOf(wanted, window) ?? made;
    if (channels !== made) return op.unsupported('several groups are not.');
    const { strides, dilations } = window;
    const common = { kernel_shape: kernel, strides, dilations };
    const reach = kernel.map((size, i) => (size - 1) * (dilations[i] ?? 1) + 1);
    const whole = reach.map((size, i) => {
      const length = input.shape?.[i + 2] ?? -1;
      return length < 0 ? -1 : (length - 1) * (strides[i] ?? 1) + size;
    });
    const given = input.shape?.[1] ?? -1;
    if (given >= 0 && given !== each) op.unsupported('its channels do not fit its filter.');
    const isKnown = listed.every((size) => size >= 0) && !whole.includes(-1);
    if (window.padding !== 'EXPLICIT' && !isKnown) {
      const extra = strides.map((stride) => stride - 1);
      const result = carried(op, 'ConvTranspose', [input, filter], {
        ...common,
        output_padding: extra,
      });
      const cut = cutOut(op, result, { wanted, window, extra });
      return [closed(op, cut, over)];
    }
    const totals = whole.map((size, i) => {
      const over = size - (listed[i] ?? size);
      if (window.padding === 'EXPLICIT')
        return (window.pads[i] ?? 0) + (window.pads[i + spatial] ?? 0);
      return window.padding === 'SAME' ? Math.max(0, over) : 0;
    });
    const before = totals.map((total, i) =>
      window.padding === 'EXPLICIT' ? (window.pads[i] ?? 0) : Math.floor(total / 2),
    );
    const missing = whole.map((size, i) =>
      (listed[i] ?? -1) < 0 ? 0 : (listed[i] ?? 0) - (size - (totals[i] ?? 0)),
    );
    if (!isKnown || missing.some((size, i) => size < 0 || size >= (strides[i] ?? 1)))
      return op.unsupported('the sizes of what comes out do not fit.');
    const result = carried(op, 'ConvTranspose', [input, filter], {
      ...common,
      pads: [...before, ...totals.map((total, i) => total - (before[i] ?? 0))],
      output_padding: missing,
    });
    return [closed(op, result, over)];
  };
}

function channelsOf({ sizes: known }: GraphValue, { channelsSecond }: Window): number | undefined {
  const size = known && known.length > 2 ? known.at(channelsSecond ? 1 : -1) : undefined;
  return size === undefined || size < 0 ? undefined : size;
}

/** The sizes in space that come out, −1 where they are not known; some operations are told those alone. */
function outputSizes(op: TfOp, wanted: GraphValue, window: Window, spatial: number): number[] {
  const known = wanted.sizes;
  if (!known) return Array.from({ length: spatial }, () => -1);
  if (known.length === spatial) return [...known];
  if (known.length !== spatial + 2) return op.unsupported('the sizes of its output do not fit.');
  return window.channelsSecond ? known.slice(2) : known.slice(1, -1);
}

/**
 * What the padding leaves of a transposed convolution whose sizes only the request says: half of what is too much is cut off in
 * front. It has `extra` zeros behind.
 */
function cutOut(
  op: TfOp,
  value: GraphValue,
  { wanted, window, extra }: { wanted: GraphValue; window: Window; extra: number[] },
): GraphValue {
  const spatial = extra.length;
  const part = (list: GraphValue, from: number) =>
    op.graph.op('Slice', [list, op.graph.integers([from]), op.graph.integers([from + spatial])]);
  const size = part(wanted, wanted.shape?.[0] === spatial ? 0 : window.channelsSecond ? 2 : 1);
  const zero = op.graph.scalar('INT64', 0);
  let start: GraphValue = op.graph.integers(extra.map(() => 0));
  if (window.padding === 'SAME') {
    const own = part(op.graph.op('Shape', [value]), 2);
    const whole = op.graph.op('Sub', [own, op.graph.integers(extra)]);
    const over = op.graph.op('Max', [op.graph.op('Sub', [whole, size]), zero]);
    start = op.graph.op('Div', [over, op.graph.scalar('INT64', 2)]);
  }
  const axes = op.graph.integers(extra.map((_, i) => i + 2));
  const end = op.graph.op('Add', [start, size]);
  return op.graph.op('Slice', [value, start, end, axes]);
}

/** Convolutions and what is their transpose. */
export const convolutions: Record<string, OpRule> = {
  Conv2D: convolution(2),
  Conv3D: convolution(3),
  DepthwiseConv2dNative: depthwise,
  Conv2DBackpropInput: transposedConvolution(2),
  ...all(transposedConvolution(3), 'Conv3DBackpropInputV2 Conv3DBackpropInput'),
};
