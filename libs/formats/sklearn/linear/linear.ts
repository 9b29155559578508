import type { Fitted, Matrix } from '../fitted.js';
import { namesOf } from '../features.js';
import { NdArray } from '../../pickle/records.js';
import type { Estimator } from '../estimator.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';

/** `X · coef_ᵀ + intercept_` of a fitted object. */
export interface LinearModel {
  common: Pick<Estimator, 'features' | 'names'>;
  outputs: number;
  /** Whether `coef_` has two dimensions, so that the answers have them too. */
  isMatrix: boolean;
  /** FP64 `[rows]` for one output, else `[rows, outputs]`. */
  scores: (input: Table) => string;
}

export function linearModel(fitted: Fitted, graph: SklearnGraph): LinearModel {
  const coefficients = fitted.matrix('coef_');
  const { rows: outputs, columns: features } = coefficients;
  const given = fitted.isNone('intercept_') ? Float64Array.of(0) : fitted.vector('intercept_');
  const intercept = given.length === 1 ? repeat(given[0] ?? 0, outputs) : given;
  if (intercept.length !== outputs)
    fitted.damaged('has another number of intercepts than of outputs');
  const declared = fitted.isNone('n_features_in_') ? features : fitted.integer('n_features_in_');
  if (declared !== features)
    fitted.damaged(`has coefficients of ${features} columns, not ${declared}`);
  const array = fitted.attribute('coef_');
  const known = new Map<Table, string>();
  return {
    common: { features, ...namesOf(fitted) },
    outputs,
    isMatrix: !(array instanceof NdArray) || array.shape.length === 2,
    scores: (input) => {
      const value =
        known.get(input) ??
        affine(graph, graph.matrix(input, { owner: fitted, features }), coefficients, intercept);
      known.set(input, value);
      return value;
    },
  };
}

function repeat(value: number, count: number): Float64Array {
  return new Float64Array(count).fill(value);
}

/** `rows · coefficientsᵀ + intercept`. */
export function affine(
  graph: SklearnGraph,
  rows: string,
  coefficients: Matrix,
  intercept: ArrayLike<number>,
): string {
  const { columns, rows: outputs } = coefficients;
  return graph.kernel('affine', [rows], {
    weights: {
      coefficients: graph.fp64(transposed(coefficients), [columns, outputs]),
      intercept: graph.fp64(intercept),
    },
  });
}

export function transposed({ rows, columns, data }: Matrix): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = data[row * columns + column] ?? NaN;
    }
  }
  return result;
}
