import { hasAttribute, integerOf, integersOf } from './onnx-attributes.js';
import type { OnnxNode, OnnxTensor } from './onnx-model.js';
import { ONNX_INT64 } from './onnx-types.js';
import { readTensorValues } from './onnx-values.js';

/** What is known of a value of a graph. */
export type Value =
  /** Its first dimension is the rows, and row i depends on row i of the inputs alone. -1 is an unknown dimension. */
  | { kind: 'rows'; dims: readonly number[] }
  /** `[1, rows]`: what ArrayFeatureExtractor makes of an index for each row. */
  | { kind: 'lying' }
  /** The same for every request; `integers` are its elements, where they are few and INT64. */
  | { kind: 'constant'; dims: readonly number[] | undefined; integers: number[] | undefined };

export interface RowCase {
  node: OnnxNode;
  /** Undefined where an optional input was left out. */
  inputs: (Value | undefined)[];
  opset: number;
}

type Rows = Value & { kind: 'rows' };

/** What the operator makes of rows, one value or one an output; undefined where it may mix rows. */
export type RowRule = (given: RowCase) => Value | (Value | undefined)[] | undefined;

const MOST_INTEGERS = 64;

/** The elements of a small INT64 tensor: a shape, axes, indices. */
export function integersOfTensor(tensor: OnnxTensor): number[] | undefined {
  const length = tensor.dims.reduce((product, dim) => product * dim, 1);
  if (tensor.dataType !== ONNX_INT64 || tensor.isExternal || length > MOST_INTEGERS)
    return undefined;
  const bytes = readTensorValues(tensor, 'INT64');
  if (bytes.length !== length * 8) return undefined;
  return Array.from({ length }, (_, i) => Number(bytes.readBigInt64LE(i * 8)));
}

function rows(dims: readonly number[]): Rows {
  return { kind: 'rows', dims: [-1, ...dims.slice(1)] };
}

function isRows(value: Value | undefined): value is Rows {
  return value?.kind === 'rows';
}

function areConstant(values: (Value | undefined)[]): boolean {
  return values.every((value) => value === undefined || value.kind === 'constant');
}

function unknownDims(rank: number): number[] {
  return Array.from({ length: rank }, () => -1);
}

/** An axis counted from the front; undefined where it is the rows or outside. */
function besideRows(axis: number, rank: number): number | undefined {
  const at = axis < 0 ? axis + rank : axis;
  return at > 0 && at < rank ? at : undefined;
}

/** The first input has the rows, the others are constant, each element stands for itself. */
const elementwise: RowRule = ({ inputs: [first, ...others] }) => {
  if (!areConstant(others)) return undefined;
  if (first?.kind === 'constant') return { ...first, integers: undefined };
  return first?.kind === 'lying' ? undefined : first;
};

/** Like `elementwise`; also for what lies. */
const cast: RowRule = (given) => {
  const [first] = given.inputs;
  return first?.kind === 'lying' ? first : elementwise(given);
};

/**
 * Values of one rank, whose rows meet, and constants that are broadcast to them: of a lower rank, or with one row for all.
 */
const broadcast: RowRule = ({ inputs }) => {
  const given = inputs.filter((value) => value !== undefined);
  const rank = given.find(isRows)?.dims.length;
  if (rank === undefined) {
    return areConstant(given)
      ? { kind: 'constant', dims: undefined, integers: undefined }
      : undefined;
  }
  const shapes: (readonly number[])[] = [];
  for (const value of given) {
    if (value.kind === 'lying' || !value.dims) return undefined;
    const meets = value.kind === 'rows' ? value.dims.length === rank : meetsRows(value.dims, rank);
    if (!meets) return undefined;
    shapes.push(value.dims);
  }
  return rows(
    Array.from({ length: rank }, (_, i) => {
      const dims = shapes.map((shape) => shape[shape.length - rank + i] ?? 1);
      return dims.find((dim) => dim !== 1 && dim !== -1) ?? Math.min(...dims);
    }),
  );
};

/** Whether a constant is the same for every row of a value of that rank. */
function meetsRows(dims: readonly number[], rank: number): boolean {
  return dims.length < rank || (dims.length === rank && dims[0] === 1);
}

/** A · B where A has the rows and B is constant, or both are stacks of matrices, one a row. */
const matMul: RowRule = ({ inputs: [a, b] }) => {
  if (!a || !b || a.kind === 'lying' || b.kind === 'lying' || !a.dims || !b.dims) return undefined;
  const [rankA, rankB] = [a.dims.length, b.dims.length];
  const width = b.dims.at(-1) ?? -1;
  if (isRows(a) && isRows(b)) {
    if (rankA !== rankB || rankA < 3) return undefined;
    return rows([...unknownDims(rankA - 2), a.dims.at(-2) ?? -1, width]);
  }
  if (isRows(a)) {
    if (rankA < 2 || rankB < 1) return undefined;
    if (rankB === 1) return rows(a.dims.slice(0, -1));
    if (rankB === 2) return rows([...a.dims.slice(0, -1), width]);
    return undefined;
  }
  return isRows(b) && rankB >= 3 && rankA === 2
    ? rows([...b.dims.slice(0, -2), a.dims[0] ?? -1, width])
    : undefined;
};

const gemm: RowRule = ({ node, inputs: [a, b, c] }) => {
  if (!isRows(a) || a.dims.length !== 2 || b?.kind !== 'constant' || !areConstant([c])) {
    return undefined;
  }
  if (integerOf(node, 'transA', 0) !== 0) return undefined;
  if (c && (c.kind !== 'constant' || !c.dims || !meetsRows(c.dims, 2))) return undefined;
  const width = b.dims?.[integerOf(node, 'transB', 0) ? 0 : 1];
  return width === undefined ? undefined : rows([-1, width]);
};

/** Pictures, volumes, signals: `[rows, channels, …]`; the weights are constant. */
const spatial: RowRule = ({ node, inputs: [x, ...others] }) => {
  if (!isRows(x) || x.dims.length < 3 || !areConstant(others)) return undefined;
  // The indices of MaxPool count over all rows; statistics of a training run are over all rows as well.
  if (node.outputs.slice(1).some((name) => name !== '')) return undefined;
  return [rows([-1, ...unknownDims(x.dims.length - 1)])];
};

const normalization: RowRule = ({ node, inputs: [x, ...others] }) => {
  if (!isRows(x) || x.dims.length < 2 || !areConstant(others)) return undefined;
  if (integerOf(node, 'training_mode', 0) !== 0) return undefined;
  return node.outputs.slice(1).some((name) => name !== '') ? undefined : [x];
};

/** Operators along an axis, which is not that of the rows. */
function along(otherwise: number, after: (dims: number[], axis: number) => number[]): RowRule {
  return ({ node, inputs: [x, ...others] }) => {
    if (!isRows(x) || !areConstant(others)) return undefined;
    const axis = besideRows(integerOf(node, 'axis', otherwise), x.dims.length);
    if (axis === undefined) return undefined;
    const made = rows(after([...x.dims], axis));
    return node.outputs.map(() => made);
  };
}

/** One scale for all, or one for each place along an axis. */
const quantize: RowRule = (given) => {
  const [x, scale, zero] = given.inputs;
  if (scale?.kind !== 'constant' || !scale.dims || !areConstant([zero])) return undefined;
  if (x?.kind === 'constant') return { ...x, integers: undefined };
  if (scale.dims.every((dim) => dim === 1)) return isRows(x) ? x : undefined;
  return scale.dims.length === 1 ? along(1, (dims) => dims)(given) : undefined;
};

const softmax: RowRule = (given) => along(given.opset < 13 ? 1 : -1, (dims) => dims)(given);

const layerNormalization: RowRule = (given) => {
  const [x, ...others] = given.inputs;
  if (given.node.outputs.slice(1).some((name) => name !== '') || !isRows(x)) return undefined;
  // Scale and bias are broadcast to all of it, the rows too.
  const rank = x.dims.length;
  for (const value of others) {
    if (value && (value.kind !== 'constant' || !value.dims || !meetsRows(value.dims, rank)))
      return undefined;
  }
  return along(-1, (dims) => dims)(given);
};

function forgetAxis(dims: number[], axis: number): number[] {
  return dims.with(axis, -1);
}

const concat: RowRule = ({ node, inputs }) => {
  const [first] = inputs;
  if (!isRows(first)) return undefined;
  const rank = first.dims.length;
  const axis = besideRows(integerOf(node, 'axis', 0), rank);
  if (axis === undefined) return undefined;
  let length = 0;
  for (const value of inputs) {
    if (!isRows(value) || value.dims.length !== rank) return undefined;
    const own = value.dims[axis] ?? -1;
    length = own < 0 || length < 0 ? -1 : length + own;
  }
  return rows(first.dims.with(axis, length));
};

/** A shape that says 0 ("as it was") for the rows, or -1 where the others are known to take up a row exactly. */
const reshape: RowRule = ({ node, inputs: [x, shape] }) => {
  if (shape?.kind !== 'constant' || !shape.integers || integerOf(node, 'allowzero', 0) !== 0)
    return undefined;
  const [first, ...others] = shape.integers;
  if (x?.kind === 'constant') {
    const dims = shape.integers.every((dim) => dim > 0) ? shape.integers : undefined;
    return { kind: 'constant', dims, integers: undefined };
  }
  if (x?.kind === 'lying') {
    return first === -1 && others.every((dim) => dim === 1) ? rows(shape.integers) : undefined;
  }
  if (!isRows(x)) return undefined;
  const own = x.dims.slice(1);
  const size = own.includes(-1) ? undefined : own.reduce((product, dim) => product * dim, 1);
  const dims = others.map((dim, i) => (dim === 0 ? (own[i] ?? -1) : dim));
  if (first === 0) {
    const known = dims.filter((dim) => dim >= 0).reduce((product, dim) => product * dim, 1);
    const rest = size !== undefined && known > 0 && size % known === 0 ? size / known : -1;
    return rows([-1, ...dims.map((dim) => (dim === -1 ? rest : dim))]);
  }
  if (first !== -1 || dims.includes(-1) || size === undefined || size === 0) return undefined;
  const wanted = dims.reduce((product, dim) => product * dim, 1);
  return wanted === size ? rows([-1, ...dims]) : undefined;
};

const flatten: RowRule = ({ node, inputs: [x] }) => {
  if (!isRows(x) || integerOf(node, 'axis', 1) !== 1) return undefined;
  const own = x.dims.slice(1);
  return rows([-1, own.includes(-1) ? -1 : own.reduce((product, dim) => product * dim, 1)]);
};

const transpose: RowRule = ({ node, inputs: [x] }) => {
  const order = integersOf(node, 'perm');
  if (!isRows(x) || order?.[0] !== 0 || order.length !== x.dims.length) return undefined;
  return rows(order.map((axis) => x.dims[axis] ?? -1));
};

/** The axes of an operator, from its attribute or from a constant that came as input. */
function axesOf({ node, inputs }: RowCase): number[] | undefined {
  const [, axes] = inputs;
  if (hasAttribute(node, 'axes')) return integersOf(node, 'axes');
  return axes?.kind === 'constant' ? axes.integers : undefined;
}

const squeeze: RowRule = (given) => {
  const [x] = given.inputs;
  const axes = axesOf(given);
  if (!isRows(x) || !axes) return undefined;
  const places = axes.map((axis) => besideRows(axis, x.dims.length));
  if (places.includes(undefined)) return undefined;
  return rows(x.dims.filter((_, i) => !places.includes(i)));
};

const unsqueeze: RowRule = (given) => {
  const [x] = given.inputs;
  const axes = axesOf(given);
  if (!isRows(x) || !axes) return undefined;
  const rank = x.dims.length + axes.length;
  const places = axes.map((axis) => besideRows(axis, rank));
  if (places.includes(undefined)) return undefined;
  const own = x.dims[Symbol.iterator]();
  return rows(
    Array.from({ length: rank }, (_, i) => (places.includes(i) ? 1 : (own.next().value ?? -1))),
  );
};

const reduce: RowRule = (given) => {
  const { node, inputs } = given;
  const [x] = inputs;
  const axes = axesOf(given);
  if (!isRows(x) || !axes?.length) return undefined;
  const places = axes.map((axis) => besideRows(axis, x.dims.length));
  if (places.includes(undefined)) return undefined;
  return integerOf(node, 'keepdims', 1)
    ? rows(x.dims.map((dim, i) => (places.includes(i) ? 1 : dim)))
    : rows(x.dims.filter((_, i) => !places.includes(i)));
};

const argMax: RowRule = (given) =>
  along(0, (dims, axis) =>
    integerOf(given.node, 'keepdims', 1) ? dims.with(axis, 1) : dims.toSpliced(axis, 1),
  )(given);

const slice: RowRule = ({ node, inputs: [x, starts, ends, axes, steps] }) => {
  if (!isRows(x) || !areConstant([starts, ends, axes, steps])) return undefined;
  const listed =
    axes?.kind === 'constant' ? axes.integers : starts ? undefined : integersOf(node, 'axes');
  const places = listed?.map((axis) => besideRows(axis, x.dims.length));
  if (!places || places.includes(undefined)) return undefined;
  return rows(x.dims.map((dim, i) => (places.includes(i) ? -1 : dim)));
};

const pad: RowRule = ({ inputs: [x, pads, ...others] }) => {
  if (!isRows(x) || pads?.kind !== 'constant' || !areConstant(others)) return undefined;
  const rank = x.dims.length;
  const { integers } = pads;
  // Before and behind the first axis nothing is added; with axes as input the places would mean others.
  if (integers?.length !== 2 * rank || others.length > 1) return undefined;
  return integers[0] === 0 && integers[rank] === 0 ? rows(unknownDims(rank)) : undefined;
};

/** Columns of the rows, or entries of a constant table, one for each index. */
const gather: RowRule = ({ node, inputs: [data, indices] }) => {
  if (isRows(data) && indices?.kind === 'constant' && indices.dims) {
    const axis = besideRows(integerOf(node, 'axis', 0), data.dims.length);
    return axis === undefined ? undefined : rows(data.dims.toSpliced(axis, 1, ...indices.dims));
  }
  if (data?.kind !== 'constant' || !data.dims || !isRows(indices)) return undefined;
  return integerOf(node, 'axis', 0) === 0
    ? rows([...indices.dims, ...data.dims.slice(1)])
    : undefined;
};

/** A matrix of rows: to these operators a single dimension is one row. */
function table(width: (given: RowCase) => (number | undefined)[]): RowRule {
  return (given) => {
    const [x, ...others] = given.inputs;
    if (!isRows(x) || x.dims.length !== 2 || !areConstant(others)) return undefined;
    return width(given).map((columns) => rows(columns === undefined ? [-1] : [-1, columns]));
  };
}

const sameTable: RowRule = (given) => {
  const [x] = given.inputs;
  return table(() => [isRows(x) ? x.dims[1] : -1])(given);
};

const features: RowRule = ({ inputs }) =>
  inputs.every((value) => isRows(value) && value.dims.length === 2) ? rows([-1, -1]) : undefined;

const arrayFeatures: RowRule = ({ inputs: [x, indices] }) => {
  if (isRows(x) && x.dims.length >= 2 && indices?.kind === 'constant') {
    return rows(forgetAxis([...x.dims], x.dims.length - 1));
  }
  const isList = x?.kind === 'constant' && x.dims?.length === 1;
  const onePerRow = isRows(indices) && indices.dims.slice(1).every((dim) => dim === 1);
  return isList && onePerRow ? { kind: 'lying' } : undefined;
};

const constant: RowRule = ({ node }) => {
  const [tensor] = node.attributes.flatMap(({ tensors }) => tensors);
  if (tensor && node.attributes.length === 1)
    return { kind: 'constant', dims: tensor.dims, integers: integersOfTensor(tensor) };
  const integers = integersOf(node, 'value_ints');
  const dims = integers ? [integers.length] : undefined;
  return { kind: 'constant', dims, integers };
};

const UNARY =
  'Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity ' +
  'IsInf IsNaN LeakyRelu Log Mish Neg Not QuickGelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus ' +
  'Softsign Sqrt Tan Tanh ThresholdedRelu';

const BROADCAST =
  'Add And Clip Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor';

const SPATIAL =
  'AveragePool Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalMaxPool LRN LpPool MaxPool SpaceToDepth';

const REDUCE =
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare';

function named(names: string, rule: RowRule): [string, RowRule][] {
  return names.split(' ').map((name) => [name, rule]);
}

/** By operator; those outside of ai.onnx have their domain in front. */
export const rowRules: ReadonlyMap<string, RowRule> = new Map([
  ...named(UNARY, elementwise),
  ...named(BROADCAST, broadcast),
  ...named(SPATIAL, spatial),
  ...named(REDUCE, reduce),
  ...named('BatchNormalization InstanceNormalization', normalization),
  ...named('Softmax LogSoftmax Hardmax', softmax),
  ...named('ArgMax ArgMin', argMax),
  ...named('TopK LpNormalization', along(-1, forgetAxis)),
  ['Split', along(0, forgetAxis)],
  ...named('QuantizeLinear DequantizeLinear', quantize),
  ...named('LayerNormalization RMSNormalization', layerNormalization),
  ['Cast', cast],
  ['Identity', cast],
  ['MatMul', matMul],
  ['Gemm', gemm],
  ['Concat', concat],
  ['Reshape', reshape],
  ['Flatten', flatten],
  ['Transpose', transpose],
  ['Squeeze', squeeze],
  ['Unsqueeze', unsqueeze],
  ['Slice', slice],
  ['Pad', pad],
  ['Gather', gather],
  ['Constant', constant],
  ['TfIdfVectorizer', table(() => [-1])],
  ['com.microsoft.Gelu', elementwise],
  ['ai.onnx.ml.ArrayFeatureExtractor', arrayFeatures],
  ['ai.onnx.ml.FeatureVectorizer', features],
  ['ai.onnx.ml.LabelEncoder', elementwise],
  [
    'ai.onnx.ml.OneHotEncoder',
    ({ inputs: [x] }) => (isRows(x) ? rows([...x.dims, -1]) : undefined),
  ],
  ...named(
    'ai.onnx.ml.Binarizer ai.onnx.ml.Imputer ai.onnx.ml.Normalizer ai.onnx.ml.Scaler',
    sameTable,
  ),
  ...named(
    'ai.onnx.ml.LinearClassifier ai.onnx.ml.SVMClassifier ai.onnx.ml.TreeEnsembleClassifier',
    table(() => [undefined, -1]),
  ),
  ...named(
    'ai.onnx.ml.LinearRegressor ai.onnx.ml.SVMRegressor ai.onnx.ml.TreeEnsembleRegressor ai.onnx.ml.TreeEnsemble',
    table(() => [-1]),
  ),
]);
