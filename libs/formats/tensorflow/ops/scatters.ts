import type { DType } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, chosen, isFloat, unsupportedDType } from './carriers.js';
import { sizes } from './fills.js';
import { withoutNegatives } from './gathers.js';
import { asScalar, joined, productOf, reshapedTo, sizesOf } from './size-lists.js';

type Reduction = 'none' | 'add' | 'mul' | 'max' | 'min';

/**
 * Rows `[n, width]` put into, or combined with, the rows `places` `[n]` of `[rows, width]`, one after the other. (ONNX
 * Runtime's ScatterND combines in several threads and loses sums.)
 */
function scatteredRows(
  op: TfOp,
  rows: GraphValue,
  places: GraphValue,
  updates: GraphValue,
  reduction: Reduction,
): GraphValue {
  const each = op.graph.op('Unsqueeze', [places, op.graph.integers([1])]);
  const spread = op.graph.op('Expand', [each, op.graph.op('Shape', [updates])]);
  const small = rows.dtype === 'BOOL' && reduction !== 'none';
  if (small) unsupportedDType(op, rows.dtype);
  return op.graph.op('ScatterElements', [rows, spread, updates], { axis: 0, reduction });
}

/** A value full of one number. */
function filled(op: TfOp, dtype: DType, value: number | bigint, shape: GraphValue): GraphValue {
  const content = dtype === 'BYTES' ? '' : value;
  return op.graph.op('Expand', [op.graph.scalar(dtype, content), shape]);
}

/** Updates at places `[…, depth]` of a value, the depth of which must be known. */
function scattered(
  op: TfOp,
  value: GraphValue,
  places: GraphValue,
  updates: GraphValue,
  reduction: Reduction,
): GraphValue {
  const depth = places.shape?.at(-1) ?? -1;
  if (depth < 0) return op.unsupported('the depth of its places is not known.');
  const shape = sizesOf(op, value, 0);
  const width = productOf(op, sizesOf(op, value, depth));
  // Places in several dimensions become one number; where one of them passes its own dimension, that is beyond all.
  const zero = op.graph.scalar('INT64', 0);
  let place: GraphValue | undefined;
  let outside: GraphValue | undefined;
  for (let axis = 0; axis < depth; axis++) {
    const size = asScalar(op, sizesOf(op, value, axis, axis + 1));
    const column = op.graph.scalar('INT64', axis);
    const own = op.graph.op('Gather', [op.graph.cast(places, 'INT64'), column], { axis: -1 });
    const beyond = op.graph.op('GreaterOrEqual', [own, size]);
    const wrong = op.graph.op('Or', [beyond, op.graph.op('Less', [own, zero])]);
    outside = outside ? op.graph.op('Or', [outside, wrong]) : wrong;
    place = place ? op.graph.op('Add', [op.graph.op('Mul', [place, size]), own]) : own;
  }
  if (!place || !outside) return op.unsupported('places without dimensions are not.');
  place = op.graph.op('Where', [outside, op.graph.scalar('INT64', 2 ** 40), place]);
  const rows = reshapedTo(op, value, joined(op, [op.graph.integers([-1]), width]));
  const flat = op.graph.reshape(place, [-1]);
  const parts = reshapedTo(op, updates, joined(op, [op.graph.integers([-1]), width]));
  const result = scatteredRows(op, rows, flat, parts, reduction);
  return reshapedTo(op, result, shape);
}

const scatterNd: OpRule = (op) => {
  const updates = op.tensor(1);
  const shape = sizes(op, 2);
  const zeros = filled(op, updates.dtype, 0, shape);
  return [scattered(op, zeros, op.tensor(0), updates, 'add')];
};

function tensorScatter(reduction: Reduction): OpRule {
  return (op) => [scattered(op, op.tensor(0), op.tensor(1), op.tensor(2), reduction)];
}

const tensorScatterSub: OpRule = (op) => [
  scattered(op, op.tensor(0), op.tensor(1), carried(op, 'Neg', [op.tensor(2)]), 'add'),
];

/** The least or the largest number of a dtype that is finite. */
function extreme(op: TfOp, dtype: DType, largest: boolean): number | bigint {
  const sign = largest ? 1 : -1;
  const floats: Partial<Record<DType, number>> = {
    FP32: 3.4028234663852886e38,
    FP64: Number.MAX_VALUE,
    FP16: 65504,
  };
  if (isFloat(dtype)) return sign * (floats[dtype] ?? unsupportedDType(op, dtype));
  const bits = BigInt(/\d+$/.exec(dtype)?.[0] ?? unsupportedDType(op, dtype));
  if (dtype.startsWith('U')) return largest ? (1n << bits) - 1n : 0n;
  return largest ? (1n << (bits - 1n)) - 1n : -(1n << (bits - 1n));
}

/** How segments are combined, and what one without elements is where segments are not sorted. */
const SEGMENTS = { Sum: 'add', Prod: 'mul', Max: 'max', Min: 'min', Mean: 'add' } as const;
type Segment = keyof typeof SEGMENTS;

function initial(op: TfOp, kind: Segment, dtype: DType): number | bigint {
  if (kind === 'Max') return extreme(op, dtype, false);
  if (kind === 'Min') return extreme(op, dtype, true);
  return kind === 'Prod' ? 1 : 0;
}

/**
 * Combines the elements that belong to the same segment. `ids` has the first dimensions of the data; `count` is a list of one.
 * Elements whose id is negative belong to none, and such that reach `count` are an error.
 */
function segmented(
  op: TfOp,
  kind: Segment,
  { data, ids, count }: { data: GraphValue; ids: GraphValue; count: GraphValue },
): GraphValue {
  const rank = ids.shape?.length ?? op.unsupported('the dimensions of its ids are not known.');
  const wide = op.graph.cast(ids, 'INT64');
  const tail = sizesOf(op, data, rank);
  const width = productOf(op, tail);
  // The row behind all takes what belongs to none.
  const more = op.graph.op('Add', [count, op.graph.integers([1])]);
  const flat = op.graph.reshape(wide, [-1]);
  const isNone = op.graph.op('Less', [flat, op.graph.scalar('INT64', 0)]);
  const isBeyond = op.graph.op('GreaterOrEqual', [flat, count]);
  const within = op.graph.op('Where', [isBeyond, op.graph.scalar('INT64', 2 ** 40), flat]);
  const places = op.graph.op('Where', [isNone, count, within]);
  const rows = filled(op, data.dtype, initial(op, kind, data.dtype), joined(op, [more, width]));
  const parts = reshapedTo(op, data, joined(op, [op.graph.integers([-1]), width]));
  const made = scatteredRows(op, rows, places, parts, SEGMENTS[kind]);
  const kept = op.graph.op('Slice', [made, op.graph.integers([0]), count, op.graph.integers([0])]);
  return reshapedTo(op, kept, joined(op, [count, tail]));
}

/** How many elements each segment has, with a 1 for each further dimension of the data. */
function segmentSizes(op: TfOp, ids: GraphValue, count: GraphValue, rest: number): GraphValue {
  const ones = op.graph.op('Expand', [op.graph.scalar('INT64', 1), op.graph.op('Shape', [ids])]);
  const counts = segmented(op, 'Sum', { data: ones, ids, count });
  return op.graph.reshape(counts, [-1, ...Array.from({ length: rest }, () => 1)]);
}

function unsortedSegments(kind: Segment): OpRule {
  return (op) => {
    const count = op.graph.reshape(sizes(op, 2), [1]);
    return [segmented(op, kind, { data: op.tensor(0), ids: op.tensor(1), count })];
  };
}

/** Ids that ascend: as many segments as the last one says, and 0 in those without elements (1 for products). */
function sortedSegments(kind: Segment): OpRule {
  return (op) => {
    const [data, given] = [op.tensor(0), op.tensor(1)];
    const ids = withoutNegatives(op, given);
    const none = op.graph.integers([-1]);
    const last = op.graph.op('ReduceMax', [joined(op, [none, op.graph.cast(given, 'INT64')])], {
      keepdims: 1,
    });
    const count = op.graph.op('Add', [last, op.graph.integers([1])]);
    const result = segmented(op, kind, { data, ids, count });
    if (kind === 'Sum' || kind === 'Prod') return [result];
    const counts = segmentSizes(op, ids, count, op.rank(0) - 1);
    const isEmpty = op.graph.op('Equal', [counts, op.graph.scalar('INT64', 0)]);
    const zero = op.graph.scalar(data.dtype, 0);
    if (kind !== 'Mean') return [chosen(op, isEmpty, zero, result)];
    const divisor = op.graph.op('Max', [counts, op.graph.scalar('INT64', 1)]);
    return [carried(op, 'Div', [result, op.graph.cast(divisor, data.dtype)])];
  };
}

/** Counts, or sums of weights, of the numbers below `size`; larger ones count nowhere. Rows count for themselves. */
function bincount(op: TfOp, x: GraphValue, size: GraphValue, isBinary: boolean): GraphValue {
  const weights = op.tensor(2);
  const rank = x.shape?.length ?? op.unsupported('its number of dimensions is not known.');
  if (rank > 2) return op.unsupported(`${rank} dimensions are not.`);
  const numbers = withoutNegatives(op, x);
  const isWeighted = !weights.shape?.includes(0);
  if (!weights.shape || (isWeighted && weights.shape.length !== rank))
    return op.unsupported('it is not known whether it has weights.');
  const one = op.graph.scalar(weights.dtype, 1);
  const ones = op.graph.op('Expand', [one, op.graph.op('Shape', [x])]);
  const given = isWeighted && !isBinary ? weights : ones;
  const isCounted = op.graph.op('Less', [numbers, size]);
  // A negative number is an error, as in TensorFlow: it stays beyond the row that takes what is too large.
  const negative = op.graph.op('Less', [op.graph.cast(x, 'INT64'), op.graph.scalar('INT64', 0)]);
  const elsewhere = op.graph.op('Where', [negative, op.graph.scalar('INT64', 2 ** 40), size]);
  const places = op.graph.op('Where', [isCounted, numbers, elsewhere]);
  const more = op.graph.op('Add', [size, op.graph.integers([1])]);
  const rows = rank === 2 ? sizesOf(op, x, 0, 1) : op.graph.integers([]);
  const table = filled(op, weights.dtype, 0, joined(op, [rows, more]));
  const counts = op.graph.op('ScatterElements', [table, places, given], {
    axis: rank === 2 ? 1 : 0,
    reduction: isBinary ? 'max' : 'add',
  });
  const axes = op.graph.integers([rank === 2 ? 1 : 0]);
  return op.graph.op('Slice', [counts, op.graph.integers([0]), size, axes]);
}

/** Each element once, in the order in which they come, where each stands among those, and how many of each there are. */
function unique(hasCounts: boolean): OpRule {
  return (op) => {
    const x = op.tensor(0);
    const axes = op.node.op.includes('V2') ? op.integersOf(1, 'axis') : [];
    const rank = op.rank(0);
    if (axes.length > 0 && rank !== 1) return op.unsupported('rows as elements are not.');
    const wide = ['INT8', 'INT64', 'FP32', 'FP64', 'BYTES'].includes(x.dtype);
    const carrier: DType = wide ? x.dtype : isFloat(x.dtype) ? 'FP32' : 'INT64';
    if (x.dtype === 'UINT64' || x.dtype === 'BF16') return unsupportedDType(op, x.dtype);
    const known = [
      { dtype: carrier, shape: [-1] },
      { dtype: 'INT64' as const, shape: [-1] },
      { dtype: 'INT64' as const, shape: x.shape },
      { dtype: 'INT64' as const, shape: [-1] },
    ];
    const options = { attributes: { sorted: 0, axis: 0 }, outputs: known };
    const [values, , places, counts] = op.graph.ops('Unique', [op.graph.cast(x, carrier)], options);
    if (!values || !places || !counts) return op.unsupported('it has no outputs.');
    const type = op.dtype('out_idx', 'INT32');
    return [
      op.graph.cast(values, x.dtype),
      op.graph.cast(places, type),
      ...(hasCounts ? [op.graph.cast(counts, type)] : []),
    ];
  };
}

/** How many numbers fall in each of equal parts of a range; what lies outside belongs to the first or the last. */
const histogram: OpRule = (op) => {
  const { graph } = op;
  const [x, range] = [graph.reshape(op.tensor(0), [-1]), op.tensor(1)];
  const count = graph.reshape(sizes(op, 2), [1]);
  const limit = (i: number) => graph.op('Gather', [range, graph.scalar('INT64', i)], { axis: 0 });
  const low = limit(0);
  const parts = graph.cast(count, 'FP64');
  const width = graph.cast(carried(op, 'Sub', [limit(1), low]), 'FP64');
  const above = carried(op, 'Sub', [carried(op, 'Max', [x, low]), low]);
  const step = graph.op('Div', [width, parts]);
  const place = graph.op('Div', [graph.cast(above, 'FP64'), step]);
  const last = graph.op('Sub', [parts, graph.scalar('FP64', 1)]);
  const ids = graph.cast(graph.op('Min', [place, last]), 'INT64');
  const one = graph.scalar(op.dtype('dtype', 'INT32'), 1);
  const ones = graph.op('Expand', [one, graph.op('Shape', [x])]);
  return [segmented(op, 'Sum', { data: ones, ids, count })];
};

const kinds = Object.keys(SEGMENTS) as Segment[];

/** What is put at places, and sums, counts and other combinations of what belongs together. */
export const scatters: Record<string, OpRule> = {
  ScatterNd: scatterNd,
  TensorScatterUpdate: tensorScatter('none'),
  TensorScatterAdd: tensorScatter('add'),
  TensorScatterMax: tensorScatter('max'),
  TensorScatterMin: tensorScatter('min'),
  TensorScatterSub: tensorScatterSub,
  ...Object.fromEntries(kinds.map((kind) => [`Segment${kind}`, sortedSegments(kind)])),
  ...Object.fromEntries(
    kinds
      .filter((kind) => kind !== 'Mean')
      .map((kind) => [`UnsortedSegment${kind}`, unsortedSegments(kind)]),
  ),
  DenseBincount: (op) => [
    bincount(
      op,
      op.tensor(0),
      op.graph.reshape(sizes(op, 1), [1]),
      op.flag('binary_output', false),
    ),
  ],
  Bincount: (op) => {
    const flat = op.graph.reshape(op.tensor(0), [-1]);
    return [bincount(op, flat, op.graph.reshape(sizes(op, 1), [1]), false)];
  },
  HistogramFixedWidth: histogram,
  ...all(unique(false), 'Unique UniqueV2'),
  ...all(unique(true), 'UniqueWithCounts UniqueWithCountsV2'),
};
