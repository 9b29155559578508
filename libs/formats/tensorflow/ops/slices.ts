import { integersOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { sizes } from './fills.js';

/** Beyond every end: ONNX cuts it to what is there. */
const BEYOND = Number.MAX_SAFE_INTEGER;

/** One entry of a strided slice. */
interface Entry {
  /** Its place in begin, end and strides. */
  place: number;
  axis: number;
  step: number;
  shrinks: boolean;
}

interface Specification {
  entries: Entry[];
  /** New dimensions, counted in the result before dimensions are taken out. */
  added: number[];
  /** Dimensions to take out, counted in the input. */
  shrunk: number[];
}

/** Reads the masks of StridedSlice (TensorFlow: strided_slice_op.cc, BuildDenseSpec). */
function specification(op: TfOp, strides: number[]): Specification {
  const [ellipsis, newAxis, shrink] = ['ellipsis_mask', 'new_axis_mask', 'shrink_axis_mask'].map(
    (name) => op.integer(name, 0),
  ) as [number, number, number];
  const set = (mask: number, place: number) => ((mask >> place) & 1) === 1;
  const at = strides.findIndex((_, place) => set(ellipsis, place));
  const isNew = (place: number) => set(newAxis, place) && place !== at;
  const after = at < 0 ? 0 : strides.filter((_, place) => place > at && !isNew(place)).length;
  const result: Specification = { entries: [], added: [], shrunk: [] };
  let [axis, written] = [0, 0];
  strides.forEach((step, place) => {
    if (place === at) {
      const skipped = Math.max(0, op.rank(0) - axis - after);
      axis += skipped;
      written += skipped;
    } else if (isNew(place)) result.added.push(written++);
    else {
      const shrinks = set(shrink, place);
      if (step === 0) op.unsupported('a stride of 0 is not.');
      result.entries.push({ place, axis, step: shrinks ? 1 : step, shrinks });
      if (shrinks) result.shrunk.push(axis);
      else written++;
      axis++;
    }
  });
  return result;
}

const stridedSlice: OpRule = (op) => {
  const x = op.tensor(0);
  const { entries, added, shrunk } = specification(op, op.integersOf(3, 'strides'));
  const [beginMask, endMask] = [op.integer('begin_mask', 0), op.integer('end_mask', 0)];
  const [begin, end] = [sizes(op, 1), sizes(op, 2)];
  const sliced = entries.filter(
    ({ place, step, shrinks }) =>
      shrinks || step !== 1 || ((beginMask >> place) & (endMask >> place) & 1) === 0,
  );
  let result = x;
  if (sliced.length > 0) {
    const starts = bounds(op, begin, sliced, ({ place, step, shrinks }) =>
      ((beginMask >> place) & 1) === 1 ? (step < 0 && !shrinks ? BEYOND : 0) : undefined,
    );
    const ends = bounds(op, end, sliced, ({ place, step, shrinks }) =>
      ((endMask >> place) & 1) === 1 && !shrinks ? (step < 0 ? -BEYOND : BEYOND) : undefined,
    );
    const shrinks = sliced.map((entry) => entry.shrinks);
    const nextEnds = shrinks.includes(true) ? nextPlaces(op, starts, ends, shrinks) : ends;
    result = op.graph.op('Slice', [
      x,
      starts,
      emptyBefore(op, { x, starts, ends: nextEnds, sliced }),
      op.graph.integers(sliced.map(({ axis }) => axis)),
      op.graph.integers(sliced.map(({ step }) => step)),
    ]);
  }
  if (shrunk.length > 0) result = op.graph.op('Squeeze', [result, op.graph.integers(shrunk)]);
  return [added.length > 0 ? op.graph.op('Unsqueeze', [result, op.graph.integers(added)]) : result];
};

/** The bounds of the entries, with what masks say in place of what is given. */
function bounds(
  op: TfOp,
  given: GraphValue,
  entries: Entry[],
  masked: (entry: Entry) => number | undefined,
): GraphValue {
  const known = integersOf(given);
  const fixed = entries.map((entry) => masked(entry) ?? known?.[entry.place]);
  if (fixed.every((bound) => bound !== undefined)) return op.graph.integers(fixed);
  const places = op.graph.integers(entries.map(({ place }) => place));
  const chosen = op.graph.op('Gather', [given, places], { axis: 0 });
  if (!entries.some((entry) => masked(entry) !== undefined)) return chosen;
  const parts = entries.map((entry, i) => {
    const bound = masked(entry);
    if (bound !== undefined) return op.graph.integers([bound]);
    return op.graph.op('Slice', [chosen, op.graph.integers([i]), op.graph.integers([i + 1])]);
  });
  return parts.length === 1 && parts[0] ? parts[0] : op.graph.op('Concat', parts, { axis: 0 });
}

/** Where single places are taken, the end is the next one; that after the last, −1, is beyond all. */
function nextPlaces(
  op: TfOp,
  starts: GraphValue,
  ends: GraphValue,
  shrinks: boolean[],
): GraphValue {
  const next = op.graph.op('Add', [starts, op.graph.integers([1])]);
  const isLast = op.graph.op('Equal', [starts, op.graph.integers([-1])]);
  const own = op.graph.op('Where', [isLast, op.graph.integers([BEYOND]), next]);
  if (!shrinks.includes(false)) return own;
  const flags = op.graph.constant('BOOL', [shrinks.length], Uint8Array.from(shrinks, Number));
  return op.graph.op('Where', [flags, own, ends]);
}

/**
 * The ends, so that what goes backwards from before the first element takes nothing, as in TensorFlow: ONNX starts at the first
 * one then.
 */
function emptyBefore(
  op: TfOp,
  given: { x: GraphValue; starts: GraphValue; ends: GraphValue; sliced: Entry[] },
): GraphValue {
  const { x, starts, ends, sliced } = given;
  const known = integersOf(starts);
  const open = sliced.map(({ step }, i) => step < 0 && (known?.[i] ?? -1) < 0);
  if (!open.includes(true)) return ends;
  const axes = op.graph.integers(sliced.map(({ axis }) => axis));
  const sizesOfAxes = op.graph.op('Gather', [op.graph.op('Shape', [x]), axes], { axis: 0 });
  const place = op.graph.op('Add', [starts, sizesOfAxes]);
  const before = op.graph.op('Less', [place, op.graph.scalar('INT64', 0)]);
  const flags = op.graph.constant('BOOL', [open.length], Uint8Array.from(open, Number));
  const nothing = op.graph.op('And', [before, flags]);
  return op.graph.op('Where', [nothing, op.graph.scalar('INT64', BEYOND), ends]);
}

/** `size` elements from `begin` on; a size of −1 takes all that follow. */
const slice: OpRule = (op) => {
  const x = op.tensor(0);
  const [begin, size] = [sizes(op, 1), sizes(op, 2)];
  const known = integersOf(size);
  const starts = integersOf(begin);
  const rank = Math.max(size.shape?.[0] ?? -1, begin.shape?.[0] ?? -1, x.shape?.length ?? -1);
  if (rank < 0) return op.unsupported('the number of dimensions is not known.');
  if (rank === 0) return [x];
  const axes = op.graph.integers(Array.from({ length: rank }, (_, axis) => axis));
  if (known && starts)
    return [
      op.graph.op('Slice', [
        x,
        begin,
        op.graph.integers(known.map((n, i) => (n < 0 ? BEYOND : n + (starts[i] ?? 0)))),
        axes,
      ]),
    ];
  const end = op.graph.op('Add', [begin, size]);
  const rest = op.graph.op('Equal', [size, op.graph.scalar('INT64', -1)]);
  const ends = op.graph.op('Where', [rest, op.graph.scalar('INT64', BEYOND), end]);
  // Sizes that are known say more than the bounds.
  const shape = size.sizes ?? Array.from({ length: rank }, () => -1);
  return [op.graph.op('Slice', [x, begin, ends, axes], {}, { dtype: x.dtype, shape })];
};

/** Parts of tensors. */
export const slices: Record<string, OpRule> = { StridedSlice: stridedSlice, Slice: slice };
