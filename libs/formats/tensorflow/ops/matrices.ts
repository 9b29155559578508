import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, chosen } from './carriers.js';
import { asScalar, joined, sizesOf, upTo } from './size-lists.js';

/** The numbers of the rows as a column, and those of the columns as a row. */
function places(op: TfOp, rows: GraphValue, columns: GraphValue): [GraphValue, GraphValue] {
  const column = op.graph.op('Unsqueeze', [upTo(op, asScalar(op, rows)), op.graph.integers([1])]);
  return [column, upTo(op, asScalar(op, columns))];
}

/** The elements near the diagonal; the others become 0. */
const band: OpRule = (op) => {
  const x = op.tensor(0);
  const rank = op.rank(0);
  const [row, column] = places(op, sizesOf(op, x, rank - 2, rank - 1), sizesOf(op, x, rank - 1));
  const below = op.graph.op('Sub', [row, column]);
  const within = (side: GraphValue, i: number) => {
    const limit = op.graph.cast(op.tensor(i), 'INT64');
    const free = op.graph.op('Less', [limit, op.graph.scalar('INT64', 0)]);
    return op.graph.op('Or', [free, op.graph.op('LessOrEqual', [side, limit])]);
  };
  const inside = op.graph.op('And', [within(below, 1), within(op.graph.op('Neg', [below]), 2)]);
  return [chosen(op, inside, x, op.graph.scalar(x.dtype, 0))];
};

/** Which diagonal is meant: 0 is the main one, 1 that above. Several at once are refused. */
function diagonalOf(op: TfOp, i: number): number {
  if (op.inputs.length <= i) return 0;
  const [first = 0, last = first] = op.integersOf(i, 'diagonal');
  return first === last ? first : op.unsupported('several diagonals are not.');
}

const diagonalPart: OpRule = (op) => {
  const x = op.tensor(0);
  const rank = op.rank(0);
  const k = diagonalOf(op, 1);
  const [rows, columns] = [sizesOf(op, x, rank - 2, rank - 1), sizesOf(op, x, rank - 1)];
  const below = op.graph.op('Sub', [rows, op.graph.integers([Math.max(0, -k)])]);
  const beside = op.graph.op('Sub', [columns, op.graph.integers([Math.max(0, k)])]);
  const count = upTo(op, asScalar(op, op.graph.op('Min', [below, beside])));
  const step = op.graph.op('Add', [columns, op.graph.integers([1])]);
  const start =
    k >= 0 ? op.graph.integers([k]) : op.graph.op('Mul', [columns, op.graph.integers([-k])]);
  const chosenPlaces = op.graph.op('Add', [op.graph.op('Mul', [count, step]), start]);
  const flat = op.graph.op(
    'Reshape',
    [x, joined(op, [sizesOf(op, x, 0, rank - 2), op.graph.integers([-1])])],
    {},
  );
  return [op.graph.op('Gather', [flat, chosenPlaces], { axis: -1 })];
};

/** A matrix that is `padding` but on its main diagonal. */
const diagonal: OpRule = (op) => {
  const x = op.tensor(0);
  if (diagonalOf(op, 1) !== 0) return op.unsupported('another diagonal than the main one is not.');
  const extents = [2, 3].flatMap((i) => (op.inputs.length > i ? op.integersOf(i, 'sizes') : [-1]));
  const own = x.shape?.at(-1) ?? -1;
  if (extents.some((size) => size !== -1 && size !== own))
    return op.unsupported('another size than that of the diagonal is not.');
  const size = sizesOf(op, x, op.rank(0) - 1);
  const [row, column] = places(op, size, size);
  const padding = op.inputs.length > 4 ? op.tensor(4) : op.graph.scalar(x.dtype, 0);
  const rows = op.graph.op('Unsqueeze', [x, op.graph.integers([-1])]);
  return [chosen(op, op.graph.op('Equal', [row, column]), rows, padding)];
};

/** A matrix with another main diagonal. */
const setDiagonal: OpRule = (op) => {
  const [x, given] = [op.tensor(0), op.tensor(1)];
  if (diagonalOf(op, 2) !== 0) return op.unsupported('another diagonal than the main one is not.');
  const rank = op.rank(0);
  const [height = -1, width = -1] = x.shape?.slice(-2) ?? [];
  const [row, column] = places(op, sizesOf(op, x, rank - 2, rank - 1), sizesOf(op, x, rank - 1));
  const axis = width >= 0 && (width <= height || height < 0) ? -2 : -1;
  const spread = op.graph.op('Unsqueeze', [given, op.graph.integers([axis])]);
  return [chosen(op, op.graph.op('Equal', [row, column]), spread, x)];
};

/** The old Diag and DiagPart of vectors and square matrices. */
const diagonalVector: OpRule = (op) =>
  op.rank(0) === 1 ? diagonal(op) : op.unsupported('more than one dimension is not.');
const diagonalOfMatrix: OpRule = (op) =>
  op.rank(0) === 2 ? diagonalPart(op) : op.unsupported('more than two dimensions are not.');

/** The product of vectors in space. */
const cross: OpRule = (op) => {
  const [x, y] = [op.tensor(0), op.tensor(1)];
  const turned = (value: GraphValue, order: number[]) =>
    op.graph.op('Gather', [value, op.graph.integers(order)], { axis: -1 });
  const products = [
    [turned(x, [1, 2, 0]), turned(y, [2, 0, 1])],
    [turned(x, [2, 0, 1]), turned(y, [1, 2, 0])],
  ].map((factors) => carried(op, 'Mul', factors));
  return [carried(op, 'Sub', products)];
};

/** Parts of matrices. */
export const matrices: Record<string, OpRule> = {
  ...all(band, 'MatrixBandPart BatchMatrixBandPart'),
  ...all(diagonalPart, 'MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3'),
  ...all(diagonal, 'MatrixDiag MatrixDiagV2 MatrixDiagV3'),
  ...all(setDiagonal, 'MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3'),
  Diag: diagonalVector,
  DiagPart: diagonalOfMatrix,
  Cross: cross,
};
