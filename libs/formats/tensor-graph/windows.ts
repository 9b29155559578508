import type { OpFacts } from './infer.js';
import type { Known } from './known.js';

/** Shapes of ONNX's convolutions and poolings: `[rows, channels, …sizes]`. */
export function windowShape(op: OpFacts): Known[] {
  const { dtype, shape } = op.input(0);
  if (!shape) return [{ dtype }];
  const [rows = -1, ownChannels = -1, ...sizes] = shape;
  const weights = op.optional(1)?.shape;
  const kernel = op.list('kernel_shape') ?? weights?.slice(2) ?? [];
  const window: Window = {
    kernel,
    strides: op.list('strides') ?? kernel.map(() => 1),
    dilations: op.list('dilations') ?? kernel.map(() => 1),
    pads: op.list('pads') ?? [...kernel, ...kernel].map(() => 0),
    same: op.text('auto_pad')?.startsWith('SAME') ?? false,
    ceil: op.integer('ceil_mode', 0) === 1,
  };
  const given = op.list('output_shape');
  const extra = op.list('output_padding');
  const transposed = extra !== undefined || isTransposed(op);
  const groups = op.integer('group', 1);
  const channels = !weights
    ? ownChannels
    : transposed
      ? times(weights[1] ?? -1, groups)
      : (weights[0] ?? -1);
  const spatial = transposed
    ? (given ??
      sizes.map((size, i) => spread(size, window, i) + (size < 0 ? 0 : (extra?.[i] ?? 0))))
    : sizes.map((size, i) => slid(size, window, i));
  return [{ dtype, shape: [rows, channels, ...spatial] }];
}

interface Window {
  kernel: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  pads: readonly number[];
  same: boolean;
  ceil: boolean;
}

function isTransposed(op: OpFacts): boolean {
  return op.operator === 'ConvTranspose';
}

function times(one: number, other: number): number {
  return one < 0 || other < 0 ? -1 : one * other;
}

/** How often a window fits. */
function slid(size: number, window: Window, axis: number): number {
  const [kernel = -1, stride = 1, dilation = 1] = [
    window.kernel[axis],
    window.strides[axis],
    window.dilations[axis],
  ];
  if (size < 0 || kernel < 0) return -1;
  if (window.same) return Math.ceil(size / stride);
  const padded = size + (window.pads[axis] ?? 0) + (window.pads[axis + window.kernel.length] ?? 0);
  const steps = (padded - (kernel - 1) * dilation - 1) / stride;
  return (window.ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
}

/** What a transposed window makes of so many places. */
function spread(size: number, window: Window, axis: number): number {
  const [kernel = -1, stride = 1, dilation = 1] = [
    window.kernel[axis],
    window.strides[axis],
    window.dilations[axis],
  ];
  if (size < 0 || kernel < 0) return -1;
  if (window.same) return size * stride;
  const pads = (window.pads[axis] ?? 0) + (window.pads[axis + window.kernel.length] ?? 0);
  return (size - 1) * stride + (kernel - 1) * dilation + 1 - pads;
}
