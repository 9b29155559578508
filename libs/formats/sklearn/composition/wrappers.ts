import { PyDict, PyGlobal, PyObject, type PyValue } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';

/** What changes values by functions: FunctionTransformer and TransformedTargetRegressor (0.22 to 1.8). */
export const wrappers: Record<string, CompileEstimator> = {
  FunctionTransformer: (fitted, graph) => {
    const apply = functionOf(fitted, 'func');
    const common = featuresOf(fitted);
    if (!apply) return { ...common, transform: (input) => input };
    // A function without validation sees whatever is there.
    return {
      ...common,
      transform: (input) => {
        const rows = fitted.flagOr('validate', false)
          ? graph.matrix(input, { owner: fitted })
          : graph.unchecked(input, fitted);
        return graph.table(graph.kernel(apply, [rows]), input.width);
      },
    };
  },

  TransformedTargetRegressor: (fitted, graph) => {
    const inner = graph.compile(fitted.fitted('regressor_'));
    const back = inverseOf(fitted.fitted('transformer_'), graph);
    return {
      ...featuresOf(fitted),
      ...(inner.features !== undefined && { features: inner.features }),
      ...(inner.names && { names: inner.names }),
      ...(inner.readsTexts && { readsTexts: true as const }),
      predict: (input) => {
        const answer = inner.predict?.(input) ?? fitted.damaged('has no regressor');
        return { ...answer, value: back(answer.value) };
      },
    };
  },
};

/** Functions of numpy that depend on nothing but each number, as kernels. */
const FUNCTIONS: Record<string, string> = {
  log: 'log',
  log1p: 'log1p',
  log2: 'log2',
  log10: 'log10',
  exp: 'exp',
  expm1: 'expm1',
  sqrt: 'sqrt',
  cbrt: 'cbrt',
  square: 'square',
  abs: 'abs',
  absolute: 'abs',
  fabs: 'abs',
  negative: 'negate',
  reciprocal: 'reciprocal',
  sin: 'sin',
  cos: 'cos',
  tan: 'tan',
  arcsin: 'asin',
  arccos: 'acos',
  arctan: 'atan',
  sinh: 'sinh',
  cosh: 'cosh',
  tanh: 'tanh',
  arcsinh: 'asinh',
  arccosh: 'acosh',
  arctanh: 'atanh',
  floor: 'floor',
  ceil: 'ceil',
  trunc: 'trunc',
  rint: 'round-even',
  sign: 'sign',
};

/** The kernel of a function; undefined is the identity. */
function functionOf(fitted: Fitted, attribute: string): string | undefined {
  if (fitted.isNone(attribute)) return undefined;
  if (!fitted.isNone('kw_args')) {
    const given = fitted.attribute('kw_args');
    if (!(given instanceof PyDict) || given.entries.length > 0) {
      fitted.unsupported('calls its function with arguments of its own');
    }
  }
  const value = fitted.attribute(attribute);
  const id = idOf(value);
  // HistGradientBoosting checks its numeric columns with a function that changes nothing.
  if (id === 'functools.partial:sklearn.utils.validation.check_array') return undefined;
  const [, name = ''] = /^numpy:(\w+)$/.exec(id) ?? [];
  return (
    FUNCTIONS[name] ?? fitted.unsupported(`calls ${id.slice(0, 200)}, which cannot be run here`)
  );
}

/** What a function is called: a global, or a ufunc of numpy, which pickles as the call of a function that finds it. */
function idOf(value: PyValue): string {
  if (value instanceof PyGlobal) {
    return /^numpy(\.(_core|core)\.(umath|_multiarray_umath|fromnumeric))?$/.test(value.module)
      ? `numpy:${value.name}`
      : value.id;
  }
  if (!(value instanceof PyObject) || !(value.class instanceof PyGlobal)) return 'a function';
  const [first] = value.args.items;
  if (value.class.name === '_ufunc_reconstruct') {
    const [, name] = value.args.items;
    return typeof name === 'string' ? `numpy:${name}` : 'a function';
  }
  if (value.class.id === 'functools.partial' && first instanceof PyGlobal) {
    return `${value.class.id}:${first.id}`;
  }
  return value.class.id;
}

/** What undoes the transformation of the target. */
function inverseOf(transformer: Fitted, graph: SklearnGraph): (value: string) => string {
  switch (transformer.class) {
    case 'FunctionTransformer': {
      const apply = functionOf(transformer, 'inverse_func');
      return (value) => (apply ? graph.kernel(apply, [value]) : value);
    }
    case 'StandardScaler':
    case 'RobustScaler': {
      const center = transformer.class === 'StandardScaler' ? 'mean_' : 'center_';
      const shifts = transformer.flagOr(
        transformer.class === 'StandardScaler' ? 'with_mean' : 'with_centering',
        true,
      );
      const weights = {
        ...(!transformer.isNone('scale_') && {
          multiply: graph.fp64(transformer.vector('scale_')),
        }),
        ...(shifts &&
          !transformer.isNone(center) && { add: graph.fp64(transformer.vector(center)) }),
      };
      return (value) => graph.kernel('scale-columns', [value], { weights });
    }
    case 'MinMaxScaler': {
      const weights = {
        subtract: graph.fp64(transformer.vector('min_')),
        divide: graph.fp64(transformer.vector('scale_')),
      };
      return (value) => graph.kernel('scale-columns', [value], { weights });
    }
    case 'MaxAbsScaler': {
      const weights = { multiply: graph.fp64(transformer.vector('scale_')) };
      return (value) => graph.kernel('scale-columns', [value], { weights });
    }
    default:
      return transformer.unsupported('cannot be undone here');
  }
}
