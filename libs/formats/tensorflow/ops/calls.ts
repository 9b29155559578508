import { all, type OpRule } from '../op-rule.js';

/** Operations that pass values on, and calls of functions. */
export const calls: Record<string, OpRule> = {
  ...all(
    (op) => op.inputs.slice(0, 1),
    'Identity StopGradient PreventGradient CheckNumerics EnsureShape Snapshot PlaceholderWithDefault',
  ),
  IdentityN: (op) => op.inputs,
  NoOp: () => [],
  ...all(
    (op) => op.lowering.call(op.graph, op.lowering.function(op.function('f')), op.inputs),
    'PartitionedCall StatefulPartitionedCall',
  ),
};
