import { NdArray, PyObject, PyTuple, type PyValue } from '../../pickle/records.js';
import { numbersAnswer, type CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';

const EXTRAPOLATIONS = ['error', 'constant', 'linear', 'continue', 'periodic'] as const;
const MOST_COLUMNS = 200_000;

/** Curves of single columns (sklearn/preprocessing/_polynomial.py, 1.0 to 1.8, and sklearn/isotonic.py, 0.22 to 1.8). */
export const splines: Record<string, CompileEstimator> = {
  SplineTransformer: (fitted, graph) => {
    const degree = fitted.integer('degree', 0, 50);
    const extrapolation = fitted.oneOf('extrapolation', EXTRAPOLATIONS);
    const bias = fitted.flag('include_bias');
    const parts = fitted
      .list('bsplines_')
      .map((item, i) => splineOf(fitted, item, `bsplines_[${i}]`));
    const { length: features } = parts;
    const [first] = parts;
    if (!first) return fitted.damaged('has no splines');
    if (parts.some((part) => part.knots.length !== first.knots.length)) {
      fitted.damaged('has splines of several sizes');
    }
    if (parts.some((part) => part.coefficients.length !== first.coefficients.length)) {
      fitted.damaged('has splines of several sizes');
    }
    const bases = first.knots.length - degree - 1;
    const count = first.coefficients.length / bases;
    if (!Number.isInteger(count) || bases <= degree) fitted.damaged('has splines without knots');
    const width = features * (count - (bias ? 0 : 1));
    if (width < 1 || width > MOST_COLUMNS) fitted.unsupported(`makes ${width} columns`);
    const missing = fitted.textOr('handle_missing', 'error') === 'zeros' ? 'pass' : 'refuse';
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features, missing });
        const value = graph.kernel('splines', [rows], {
          attributes: { degree, extrapolation, bias },
          weights: {
            knots: graph.fp64(joined(parts.map(({ knots }) => knots)), [
              features,
              bases + degree + 1,
            ]),
            coefficients: graph.fp64(joined(parts.map(({ coefficients }) => coefficients)), [
              features,
              bases,
              count,
            ]),
          },
        });
        return graph.table(value, width);
      },
    };
  },

  IsotonicRegression: (fitted, graph) => {
    const name = fitted.oneNamed('X_thresholds_', '_necessary_X_');
    const thresholds = fitted.attribute(name);
    const isNarrow = thresholds instanceof NdArray && thresholds.dtype.itemSize < 8;
    if (isNarrow) fitted.unsupported('was fitted on float32, which is not supported');
    const x = fitted.vector(name);
    const y = fitted.vector(fitted.oneNamed('y_thresholds_', '_necessary_y_'), x.length);
    const beyond = fitted.oneOf('out_of_bounds', ['nan', 'clip', 'raise']);
    return {
      features: 1,
      ...namesOf(fitted),
      predict: (input) =>
        numbersAnswer(
          graph.kernel('isotonic-line', [graph.matrix(input, { owner: fitted, features: 1 })], {
            attributes: { beyond },
            weights: { x: graph.fp64(x), y: graph.fp64(y) },
          }),
        ),
    };
  },
};

interface Spline {
  knots: Float64Array;
  coefficients: Float64Array;
}

/** A `scipy.interpolate.BSpline`; since SciPy 1.15 its arrays are private, since 1.18 they are another object's. */
function splineOf(owner: Fitted, item: PyValue, name: string): Spline {
  const state = item instanceof PyObject ? item.state : undefined;
  const spline = owner.inner(state instanceof PyTuple ? state.items[0] : item, name);
  if (!/^_?BSpline$/.test(spline.class)) spline.unsupported('is no spline that is supported');
  return {
    knots: spline.vector(spline.oneNamed('t', '_t')),
    coefficients: spline.vector(spline.oneNamed('c', '_c')),
  };
}

function joined(parts: Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}
