import { integerOf, type Known } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import {
  all,
  isTensor,
  type OpRule,
  type TfOp,
  type TfResource,
  type TfValue,
} from '../op-rule.js';

/** Where the rows of a ragged tensor begin, from the outermost to the innermost dimension, and its values. */
export interface RaggedVariant extends TfResource {
  readonly resource: 'ragged tensor';
  readonly splits: readonly GraphValue[];
  readonly values: GraphValue;
}

const texts = new TextDecoder();

export function textsOf(op: TfOp, name: string): string[] {
  return op.list(name).flatMap((item) => (item.kind === 'bytes' ? [texts.decode(item.value)] : []));
}

const toTensor: OpRule = (op) => {
  const partitions = textsOf(op, 'row_partition_types');
  const [shape, values, standard] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const parts = partitions.map((_, i) => op.tensor(3 + i));
  const known = partitions.every((kind, i) =>
    i === 0
      ? kind === 'FIRST_DIM_SIZE' || kind === 'ROW_SPLITS'
      : kind === 'ROW_SPLITS' || kind === 'VALUE_ROWIDS',
  );
  if (!known || partitions.length === 0)
    op.unsupported(`its partitions ${partitions.join(', ')} are not.`);
  const outer = partitions.length + (partitions[0] === 'FIRST_DIM_SIZE' ? 0 : 1);
  const inner = values.shape?.slice(1);
  const sizes = inner && [
    ...Array.from({ length: outer }, (_, axis) => shape.sizes?.[axis] ?? -1),
    ...inner,
  ];
  return op.graph.kernel(
    'ragged-to-dense',
    [shape, values, standard, ...parts],
    [{ dtype: values.dtype, shape: sizes }],
    { attributes: { partitions } },
  );
};

const bincount: OpRule = (op) => {
  const isRagged = op.node.op === 'RaggedBincount';
  const inputs = op.tensors();
  const [values, size, weights] = isRagged ? inputs.slice(1) : inputs;
  if (!values || !size || !weights) return op.unsupported('it lacks inputs.');
  const count = integerOf(size) ?? -1;
  const rows = isRagged ? [sizeBefore(inputs[0])] : values.shape?.slice(0, -1);
  const output: Known = { dtype: weights.dtype, shape: rows && [...rows, count] };
  return op.graph.kernel(isRagged ? 'count-ragged-values' : 'count-values', inputs, [output], {
    attributes: { binary: op.flag('binary_output', false) },
  });
};

/** How many rows splits have. */
function sizeBefore(splits: GraphValue | undefined): number {
  const [size = -1] = splits?.shape ?? [];
  return size > 0 ? size - 1 : -1;
}

/** Bincount of whatever shape; its weights may be none. */
const flatBincount: OpRule = (op) => {
  const [values, size, weights] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const flat = [op.graph.reshape(values, [-1]), size, op.graph.reshape(weights, [-1])];
  const output: Known = { dtype: weights.dtype, shape: [integerOf(size) ?? -1] };
  return op.graph.kernel('count-values', flat, [output], { attributes: { binary: false } });
};

const range: OpRule = (op) => {
  const inputs = op.tensors();
  const [starts] = inputs;
  if (!starts) return op.unsupported('it lacks inputs.');
  const [splits, values] = op.graph.kernel('ragged-ranges', inputs, [
    { dtype: 'INT64', shape: [-1] },
    { dtype: starts.dtype, shape: [-1] },
  ]);
  if (!splits || !values) return op.unsupported('it has no outputs.');
  return [op.graph.cast(splits, op.dtype('Tsplits', 'INT64')), values];
};

const gather: OpRule = (op) => {
  const rank = op.integer('PARAMS_RAGGED_RANK');
  const inputs = op.tensors();
  const [splits, values, indices] = [inputs.slice(0, rank), inputs[rank], inputs[rank + 1]];
  if (!values || !indices) return op.unsupported('it lacks inputs.');
  if (indices.shape?.length !== 1) return op.unsupported('its indices must have one dimension.');
  const dtype = op.dtype('Tsplits', 'INT64');
  const made = op.graph.kernel('take-ragged', inputs, [
    ...splits.map((): Known => ({ dtype: 'INT64', shape: [-1] })),
    { dtype: values.dtype, shape: values.shape && [-1, ...values.shape.slice(1)] },
  ]);
  return made.map((value, i) => (i < rank ? op.graph.cast(value, dtype) : value));
};

function raggedOf(op: TfOp, value: TfValue | undefined): RaggedVariant {
  if (value && !isTensor(value) && value.resource === 'ragged tensor')
    return value as RaggedVariant;
  return op.unsupported('its input is no ragged tensor that the model made itself.');
}

/** A ragged tensor as one value, which only the compiler sees. */
const toVariant: OpRule = (op) => {
  const rank = op.integer('RAGGED_RANK');
  if (op.flag('batched_input', false)) op.unsupported('a batch of variants is not.');
  const inputs = op.tensors();
  const values = inputs[rank] ?? op.unsupported('it lacks inputs.');
  const made: RaggedVariant = { resource: 'ragged tensor', splits: inputs.slice(0, rank), values };
  return [made];
};

const fromVariant: OpRule = (op) => {
  const { splits, values } = raggedOf(op, op.inputs[0]);
  if (splits.length !== op.integer('output_ragged_rank'))
    op.unsupported('its ragged rank is another one than that of its input.');
  return [...splits, values];
};

/** How many of the last segment there are: as many as the last row says. */
const AS_NAMED = -1;

function segments(combine: string, sorted: boolean): OpRule {
  return (op) => {
    const [rows, ids] = [op.tensor(0), op.tensor(1)];
    const count = sorted ? op.graph.scalar('INT64', AS_NAMED) : op.tensor(2);
    const rank = ids.shape?.length;
    if (rank === undefined) return op.unsupported('the rank of its segments is not known.');
    const inner = rows.shape?.slice(rank);
    const shape = inner && [sorted ? -1 : (integerOf(count) ?? -1), ...inner];
    return op.graph.kernel('combine-segments', [rows, ids, count], [{ dtype: rows.dtype, shape }], {
      attributes: { combine, sorted },
    });
  };
}

/** Segments of rows that are chosen by their places. */
function chosenSegments(combine: string): OpRule {
  return (op) => {
    const [rows, chosen, ids] = [op.tensor(0), op.tensor(1), op.tensor(2)];
    const given = op.node.op.endsWith('WithNumSegments');
    const count = given ? op.tensor(3) : op.graph.scalar('INT64', AS_NAMED);
    const shape = rows.shape && [given ? (integerOf(count) ?? -1) : -1, ...rows.shape.slice(1)];
    return op.graph.kernel(
      'combine-chosen-segments',
      [rows, chosen, ids, count],
      [{ dtype: rows.dtype, shape }],
      { attributes: { combine, sorted: true } },
    );
  };
}

const unique: OpRule = (op) => {
  const values = op.tensor(0);
  const index = op.dtype('out_idx', 'INT32');
  if (op.node.op.endsWith('V2')) {
    const axes = op.integersOf(1, 'axis');
    if (axes.length > 1 || axes.some((axis) => axis !== 0))
      op.unsupported('only whole tensors of one dimension are.');
  }
  if (op.rank(0) !== 1) op.unsupported('its input must have one dimension.');
  const [different, which, counts] = op.graph.kernel(
    'unique-values',
    [values],
    [
      { dtype: values.dtype, shape: [-1] },
      { dtype: 'INT64', shape: values.shape },
      { dtype: 'INT64', shape: [-1] },
    ],
  );
  if (!different || !which || !counts) return op.unsupported('it has no outputs.');
  const outputs = [different, op.graph.cast(which, index)];
  return op.node.op.includes('WithCounts') ? [...outputs, op.graph.cast(counts, index)] : outputs;
};

/** Ragged tensors, rows put together by segments, and values counted. */
export const ragged: Record<string, OpRule> = {
  RaggedTensorToTensor: toTensor,
  RaggedRange: range,
  RaggedGather: gather,
  RaggedTensorToVariant: toVariant,
  RaggedTensorFromVariant: fromVariant,
  Bincount: flatBincount,
  ...all(bincount, 'DenseBincount RaggedBincount'),
  ...all(unique, 'Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2'),
  UnsortedSegmentSum: segments('sum', false),
  UnsortedSegmentMax: segments('max', false),
  UnsortedSegmentMin: segments('min', false),
  UnsortedSegmentProd: segments('product', false),
  SegmentSum: segments('sum', true),
  SegmentMean: segments('mean', true),
  SegmentMax: segments('max', true),
  SegmentMin: segments('min', true),
  SegmentProd: segments('product', true),
  ...all(chosenSegments('sum'), 'SparseSegmentSum SparseSegmentSumWithNumSegments'),
  ...all(chosenSegments('mean'), 'SparseSegmentMean SparseSegmentMeanWithNumSegments'),
  ...all(chosenSegments('sqrtn'), 'SparseSegmentSqrtN SparseSegmentSqrtNWithNumSegments'),
};
