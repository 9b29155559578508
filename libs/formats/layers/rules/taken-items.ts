import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { LayerTensor } from '../layer.js';
import type { Argument } from '../layer-call.js';
import type { Operation, OperationRule } from './operation.js';

/** `x[…]`: numbers, slices, new axes and an ellipsis. */
export const takeItem: OperationRule = (op) => {
  const key = op.argument(1, 'key', 'slice_spec');
  const { shapes } = op.call;
  const parts: Argument[] = Array.isArray(key) ? key : [key ?? null];
  let x = op.value(0, ['x', 'tensor']);
  const rank = op.call.rankOf(x);
  const named = parts.filter((part) => part !== null && !isEllipsis(part)).length;
  const gone: number[] = [];
  const added: number[] = [];
  let axis = 0;
  let place = 0;
  for (const part of parts) {
    if (part === null) {
      added.push(place++);
    } else if (isEllipsis(part)) {
      const skipped = rank - named;
      axis += skipped;
      place += skipped;
    } else if (typeof part === 'number') {
      x = shapes.slice(x, axis, part, part === -1 ? 2 ** 53 - 1 : part + 1);
      gone.push(axis++);
    } else {
      x = sliced(op, x, axis++, part);
      place += 1;
    }
  }
  if (axis > rank) return op.unsupported('it takes more axes than there are');
  if (gone.length > 0) x = shapes.squeeze(x, gone);
  return added.length > 0 ? shapes.unsqueeze(x, added) : x;
};

function isEllipsis(part: Argument): boolean {
  return (
    part === '...' || part === 'Ellipsis' || (isRecord(part) && part.class_name === '__ellipsis__')
  );
}

function isRecord(part: Argument): part is { [name: string]: Argument } {
  return (
    part !== null &&
    typeof part === 'object' &&
    !Array.isArray(part) &&
    !(part instanceof LayerTensor)
  );
}

function sliced(op: Operation, x: GraphValue, axis: number, part: Argument): GraphValue {
  if (!isRecord(part)) return op.unsupported('it takes elements by tensors');
  const slice = isRecord(part.config ?? null)
    ? (part.config as { [name: string]: Argument })
    : part;
  const bound = (name: string): number | undefined => {
    const value = slice[name] ?? null;
    if (value === null) return undefined;
    return typeof value === 'number' ? value : op.unsupported('it slices by tensors');
  };
  const step = bound('step') ?? 1;
  if (step === 0) return op.unsupported('its slice has the step 0');
  const most = 2 ** 53 - 1;
  const [start, stop] = [bound('start'), bound('stop')];
  if (start === undefined && stop === undefined && step === 1) return x;
  return op.call.shapes.slice(
    x,
    axis,
    start ?? (step > 0 ? 0 : -1),
    stop ?? (step > 0 ? most : -most),
    step,
  );
}
