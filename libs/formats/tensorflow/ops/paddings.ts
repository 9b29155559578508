import { integersOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { carrierOf, unsupportedDType } from './carriers.js';
import { sizes } from './fills.js';
import { channelsLast, knownChannelsFirst } from './layouts.js';

/**
 * A value with elements around it. `pads` INT64 are what comes before in each dimension, then what comes after; they are not
 * below 0. `value` fills; absent: zeros, or what `mode` says.
 */
export function padded(
  op: TfOp,
  x: GraphValue,
  pads: GraphValue,
  { value, mode = 'constant' }: { value?: GraphValue; mode?: string } = {},
): GraphValue {
  if (integersOf(pads)?.every((size) => size === 0)) return x;
  const carrier = carrierOf('Pad', x.dtype) ?? unsupportedDType(op, x.dtype);
  const filling = value && [op.graph.cast(value, carrier)];
  const result = op.graph.op('Pad', [op.graph.cast(x, carrier), pads, ...(filling ?? [])], {
    mode,
  });
  return op.graph.cast(result, x.dtype);
}

function padding(mode: (op: TfOp) => string, valued = false): OpRule {
  return (op) => {
    const x = op.tensor(0);
    const table = sizes(op, 1);
    const value = valued ? op.tensor(2) : undefined;
    const options = { mode: mode(op), ...(value && { value }) };
    const pairs = integersOf(table);
    const first = knownChannelsFirst(x);
    if (first && pairs) {
      const rank = pairs.length / 2;
      const order = Array.from({ length: rank }, (_, i) =>
        i === 0 ? 0 : i === 1 ? rank - 1 : i - 1,
      );
      const moved = [0, 1].flatMap((side) => order.map((axis) => pairs[axis * 2 + side] ?? 0));
      return [channelsLast(op.graph, padded(op, first, op.graph.integers(moved), options))];
    }
    // A pair a dimension in TensorFlow, all that come before and then all that come after in ONNX.
    const turned = op.graph.transpose(table, [1, 0]);
    return [padded(op, x, op.graph.reshape(turned, [-1]), options)];
  };
}

/** REFLECT leaves the edge out when it mirrors, SYMMETRIC repeats it. */
const mirror: OpRule = (op) => {
  const mode = op.text('mode');
  if (mode === 'REFLECT') return padding(() => 'reflect')(op);
  if (mode !== 'SYMMETRIC') return op.unsupported(`the mode ${mode.slice(0, 40)} is not.`);
  const pairs = op.integersOf(1, 'paddings');
  let result = op.tensor(0);
  // The mirrored parts are slices of the tensor, turned around.
  for (let axis = 0; axis < pairs.length / 2; axis++) {
    const [before = 0, after = 0] = pairs.slice(axis * 2);
    const at = op.graph.integers([axis]);
    const part = (start: number, end: number) =>
      op.graph.op('Slice', [
        result,
        op.graph.integers([start]),
        op.graph.integers([end]),
        at,
        op.graph.integers([-1]),
      ]);
    const parts = [
      ...(before > 0 ? [part(before - 1, -Number.MAX_SAFE_INTEGER)] : []),
      result,
      ...(after > 0 ? [part(-1, -1 - after)] : []),
    ];
    if (parts.length > 1) result = op.graph.op('Concat', parts, { axis });
  }
  return [result];
};

/** Tensors with elements around them. */
export const paddings: Record<string, OpRule> = {
  Pad: padding(() => 'constant'),
  PadV2: padding(() => 'constant', true),
  MirrorPad: mirror,
};
