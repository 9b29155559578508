import { PyDict, PyGlobal, PyObject, type PyValue } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numberIn } from '../python-values.js';

/** What changes values by functions: FunctionTransformer and TransformedTargetRegressor (0.22 to 1.8). */
export const wrappers: Record<string, CompileEstimator> = {
  FunctionTransformer: (fitted, graph) => {
    const apply = functionOf(fitted, graph, 'func', 'kw_args');
    const common = featuresOf(fitted);
    if (!apply) return { ...common, transform: (input) => input };
    // A function without validation sees whatever is there.
    return {
      ...common,
      transform: (input) => {
        const rows = fitted.flagOr('validate', false)
          ? graph.matrix(input, { owner: fitted })
          : graph.unchecked(input, fitted);
        return graph.table(apply(rows, input.width), input.width);
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
        return { ...answer, value: back(answer.value, answer.shape[1] ?? 1) };
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
  fix: 'trunc',
  exp2: 'exp2',
  deg2rad: 'to-radians',
  radians: 'to-radians',
  rad2deg: 'to-degrees',
  degrees: 'to-degrees',
  isfinite: 'is-finite',
  isinf: 'is-infinite',
};

/** What a function makes of a value with so many columns. */
type Apply = (value: string, width: number) => string;

/** Functions that are no single kernel, and those that take arguments by name. */
const COMPOSED: Record<string, (graph: SklearnGraph, given: Given) => Apply> = {
  positive: () => (value) => value,
  isnan: (graph) => (value) => graph.kernel('is-missing', [value], { attributes: { nan: true } }),
  clip: (graph, given) => {
    const low = given.number('a_min') ?? given.number('min') ?? -Infinity;
    const high = given.number('a_max') ?? given.number('max') ?? Infinity;
    return clipped(graph, low, high);
  },
  round: rounded,
  around: rounded,
  round_: rounded,
  nan_to_num: (graph, given) => {
    const nan = given.number('nan') ?? 0;
    const most = Number.MAX_VALUE;
    const clip = clipped(graph, given.number('neginf') ?? -most, given.number('posinf') ?? most);
    return (value, width) => {
      const weights = { fill: graph.fp64(new Float64Array(width).fill(nan)) };
      const filled = graph.kernel('fill-missing', [value], { attributes: { nan: true }, weights });
      return clip(filled, width);
    };
  },
};

/** The arguments of a function by name: numbers that somebody must ask for. */
class Given {
  private readonly asked = new Set(['copy', 'out']);

  constructor(
    private readonly entries: readonly [PyValue, PyValue][],
    private readonly fitted: Fitted,
  ) {}

  number(name: string): number | undefined {
    this.asked.add(name);
    const value = this.entries.find(([key]) => key === name)?.[1] ?? null;
    return value === null
      ? undefined
      : (numberIn(value) ??
          this.fitted.unsupported(`calls its function with ${name} that is no number`));
  }

  /** Refuses arguments that nobody asked for. */
  check(): void {
    const other = this.entries.find(([key]) => typeof key !== 'string' || !this.asked.has(key));
    if (other) this.fitted.unsupported('calls its function with arguments that are not supported');
  }
}

function clipped(graph: SklearnGraph, low: number, high: number): Apply {
  return (value, width) => {
    const all = (limit: number) => graph.fp64(new Float64Array(width).fill(limit));
    return graph.kernel('scale-columns', [value], { weights: { low: all(low), high: all(high) } });
  };
}

/** numpy.round: times a power of ten, to the even one, divided by it. */
function rounded(graph: SklearnGraph, given: Given): Apply {
  const decimals = given.number('decimals') ?? 0;
  const power = 10 ** Math.abs(decimals);
  const [before, after] = decimals < 0 ? ['divide', 'multiply'] : ['multiply', 'divide'];
  return (value, width) => {
    const all = () => graph.fp64(new Float64Array(width).fill(power));
    const scaled = graph.kernel('scale-columns', [value], { weights: { [before ?? '']: all() } });
    const whole = graph.kernel('round-even', [scaled]);
    return graph.kernel('scale-columns', [whole], { weights: { [after ?? '']: all() } });
  };
}

/** What a function does; undefined is the identity. `named` is the attribute with the arguments it gets. */
function functionOf(
  fitted: Fitted,
  graph: SklearnGraph,
  attribute: string,
  named: string,
): Apply | undefined {
  if (fitted.isNone(attribute)) return undefined;
  const own = fitted.isNone(named) ? undefined : fitted.attribute(named);
  const given = new Given(own instanceof PyDict ? own.entries : [], fitted);
  if (own !== undefined && !(own instanceof PyDict)) fitted.wrong(named, 'a dict');
  const id = idOf(fitted.attribute(attribute));
  // HistGradientBoosting checks its numeric columns with a function that changes nothing.
  if (id === 'functools.partial:sklearn.utils.validation.check_array') return undefined;
  const [, name = ''] = /^numpy:(\w+)$/.exec(id) ?? [];
  const kernel = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  const composed = Object.hasOwn(COMPOSED, name) ? COMPOSED[name]?.(graph, given) : undefined;
  given.check();
  if (kernel !== undefined) return (value) => graph.kernel(kernel, [value]);
  return composed ?? fitted.unsupported(`calls ${id.slice(0, 200)}, which cannot be run here`);
}

/** What a function is called: a global, or a ufunc of numpy, which pickles as the call of a function that finds it. */
function idOf(value: PyValue): string {
  if (value instanceof PyGlobal) {
    return /^numpy(\.(_core|core|lib)\.(umath|_multiarray_umath|fromnumeric|type_check|_type_check_impl|ufunclike|_ufunclike_impl))?$/.test(
      value.module,
    )
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
function inverseOf(transformer: Fitted, graph: SklearnGraph): Apply {
  switch (transformer.class) {
    case 'FunctionTransformer': {
      const apply = functionOf(transformer, graph, 'inverse_func', 'inv_kw_args');
      return (value, width) => (apply ? apply(value, width) : value);
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
