import { axisOf, type Known } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule } from '../op-rule.js';

/** Indices of a sparse tensor of a rank. */
function indicesOf(rank: number): Known {
  return { dtype: 'INT64', shape: [-1, rank] };
}

const toDense: OpRule = (op) => {
  const [indices, shape, values, standard] = [
    op.tensor(0),
    op.tensor(1),
    op.tensor(2),
    op.tensor(3),
  ];
  const [rank = -1] = shape.shape ?? [];
  const sizes = shape.sizes ?? (rank < 0 ? undefined : Array.from({ length: rank }, () => -1));
  return op.graph.kernel(
    'sparse-to-dense',
    [indices, shape, values, standard],
    [{ dtype: values.dtype, shape: sizes }],
    { attributes: { checked: op.flag('validate_indices', true) } },
  );
};

const fillEmptyRows: OpRule = (op) => {
  const [indices, values, shape, standard] = [
    op.tensor(0),
    op.tensor(1),
    op.tensor(2),
    op.tensor(3),
  ];
  return op.graph.kernel(
    'fill-empty-rows',
    [indices, values, shape, standard],
    [
      indicesOf(indices.shape?.[1] ?? -1),
      { dtype: values.dtype, shape: [-1] },
      { dtype: 'BOOL', shape: [shape.sizes?.[0] ?? -1] },
      { dtype: 'INT64', shape: values.shape },
    ],
  );
};

const reshape: OpRule = (op) => {
  const inputs = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const [rank = -1] = inputs[2]?.shape ?? [];
  return op.graph.kernel('reshape-sparse', inputs, [
    indicesOf(rank),
    { dtype: 'INT64', shape: [rank] },
  ]);
};

const reduceSum: OpRule = (op) => {
  const [indices, values, shape, axes] = [op.tensor(0), op.tensor(1), op.tensor(2), op.tensor(3)];
  const keep = op.flag('keep_dims', false);
  const [rank = -1] = shape.shape ?? [];
  const named = new Set(op.integersOf(3, 'axes').map((axis) => axisOf(axis, rank)));
  const left = keep ? rank : named.size === 0 ? 0 : rank - named.size;
  const sizes = rank < 0 ? undefined : Array.from({ length: left }, () => -1);
  return op.graph.kernel(
    'sum-sparse',
    [indices, values, shape, axes],
    [{ dtype: values.dtype, shape: sizes }],
    { attributes: { keep } },
  );
};

const reorder: OpRule = (op) => {
  const [indices, values, shape] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  return op.graph.kernel(
    'sort-sparse',
    [indices, values, shape],
    [
      { dtype: 'INT64', shape: indices.shape },
      { dtype: values.dtype, shape: values.shape },
    ],
  );
};

const concat: OpRule = (op) => {
  const inputs = op.tensors();
  const count = inputs.length / 3;
  const [rank = -1] = inputs[2 * count]?.shape ?? [];
  const dtype = inputs[count]?.dtype ?? op.unsupported('it has no values.');
  return op.graph.kernel(
    'join-sparse',
    inputs,
    [indicesOf(rank), { dtype, shape: [-1] }, { dtype: 'INT64', shape: [rank] }],
    { attributes: { axis: op.integer('concat_dim') } },
  );
};

const matMul: OpRule = (op) => {
  const inputs = [op.tensor(0), op.tensor(1), op.tensor(2), op.tensor(3)];
  const [, values, shape, matrix] = inputs;
  if (values?.dtype !== 'FP32' && values?.dtype !== 'FP64')
    return op.unsupported('only floats are.');
  const [first, second] = [op.flag('adjoint_a', false), op.flag('adjoint_b', false)];
  const rows = shape?.sizes?.[first ? 1 : 0] ?? -1;
  const columns = matrix?.shape?.[second ? 0 : 1] ?? -1;
  return op.graph.kernel(
    'sparse-times-dense',
    inputs,
    [{ dtype: values.dtype, shape: [rows, columns] }],
    { attributes: { transposeFirst: first, transposeSecond: second } },
  );
};

const cross: OpRule = (op) => {
  const sparse = op.integer('N');
  const hashed = op.flag('hashed_output', false);
  const buckets = op.integer('num_buckets', 0);
  const inputs = op.tensors();
  const given = (value: GraphValue) => value.dtype === 'BYTES' || value.dtype === 'INT64';
  const features = [...inputs.slice(sparse, 2 * sparse), ...inputs.slice(3 * sparse)];
  if (!features.every(given)) op.unsupported('its features must be strings or int64.');
  if (hashed !== (op.dtype('out_type') === 'INT64')) op.unsupported('its output type is not.');
  if (hashed && op.dtype('internal_type') !== 'INT64') op.unsupported('its internal type is not.');
  const key = op.node.attributes.get('hash_key');
  const data = BigInt64Array.of(key?.kind === 'integer' ? key.value : 0n);
  return op.graph.kernel(
    'cross-features',
    inputs,
    [
      indicesOf(2),
      { dtype: hashed ? 'INT64' : 'BYTES', shape: [-1] },
      { dtype: 'INT64', shape: [2] },
    ],
    {
      attributes: { sparse, hashed, buckets },
      weights: hashed ? { key: { dtype: 'INT64', shape: [1], data } } : {},
    },
  );
};

/** Sparse tensors: indices, values and a shape. */
export const sparse: Record<string, OpRule> = {
  SparseToDense: toDense,
  SparseFillEmptyRows: fillEmptyRows,
  SparseReshape: reshape,
  SparseReduceSum: reduceSum,
  SparseReorder: reorder,
  SparseConcat: concat,
  SparseTensorDenseMatMul: matMul,
  SparseCross: cross,
};
