import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { itemsOf, numberIn } from '../python-values.js';

/** Transformers of single numbers and rows (sklearn/preprocessing/_data.py and _polynomial.py, 0.22 to 1.8). */
export const scalers: Record<string, CompileEstimator> = {
  StandardScaler: (fitted, graph) =>
    scaler(fitted, graph, {
      ...(fitted.flag('with_mean') && given(fitted, 'subtract', 'mean_')),
      ...(fitted.flag('with_std') && given(fitted, 'divide', 'scale_')),
    }),
  RobustScaler: (fitted, graph) =>
    scaler(fitted, graph, {
      ...(fitted.flag('with_centering') && given(fitted, 'subtract', 'center_')),
      ...(fitted.flag('with_scaling') && given(fitted, 'divide', 'scale_')),
    }),
  MaxAbsScaler: (fitted, graph) => {
    const scales = given(fitted, 'divide', 'scale_');
    const width = scales['divide']?.length ?? 0;
    const ones = (one: number) => new Float64Array(width).fill(one);
    const clips = fitted.flagOr('clip', false);
    return scaler(fitted, graph, { ...scales, ...(clips && { low: ones(-1), high: ones(1) }) });
  },
  MinMaxScaler: (fitted, graph) => {
    const multiply = fitted.vector('scale_');
    const steps: Steps = { multiply, add: fitted.vector('min_', multiply.length) };
    if (fitted.flagOr('clip', false)) {
      const [low, high] = fitted.vector('feature_range', 2);
      steps['low'] = multiply.map(() => low ?? 0);
      steps['high'] = multiply.map(() => high ?? 1);
    }
    return scaler(fitted, graph, steps);
  },

  Normalizer: (fitted, graph) => {
    const norm = fitted.oneOf('norm', ['l1', 'l2', 'max']);
    return rowKernel(fitted, graph, 'normalise-rows', { norm });
  },
  Binarizer: (fitted, graph) =>
    rowKernel(fitted, graph, 'binarise', { than: fitted.number('threshold') }),

  PolynomialFeatures: (fitted, graph) => {
    const common = featuresOf(fitted);
    const features = common.features ?? fitted.integer('n_input_features_', 1, 100_000);
    const products = productsOf(fitted, features);
    const starts = [0];
    const columns: number[] = [];
    for (const product of products) {
      columns.push(...product);
      starts.push(columns.length);
    }
    const { length: width } = products;
    return {
      ...common,
      features,
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const weights = { starts: graph.int32(starts), columns: graph.int32(columns) };
        return graph.table(graph.kernel('products', [rows], { weights }), width);
      },
    };
  },
};

type Steps = Record<string, Float64Array>;

function given(fitted: Fitted, step: string, attribute: string): Steps {
  return fitted.isNone(attribute) ? {} : { [step]: fitted.vector(attribute) };
}

function scaler(fitted: Fitted, graph: SklearnGraph, steps: Steps): Estimator {
  const common = featuresOf(fitted);
  const [any] = Object.values(steps);
  const features = common.features ?? any?.length;
  if (Object.values(steps).some(({ length }) => length !== features)) {
    fitted.damaged('has scales of another number of columns than it takes');
  }
  return {
    ...common,
    ...(features !== undefined && { features }),
    transform: (input) => {
      // Missing values go through all scalers.
      const rows = graph.matrix(input, { owner: fitted, features, missing: 'pass' });
      if (!any) return graph.table(rows, input.width);
      const weights = Object.fromEntries(
        Object.entries(steps).map(([name, data]) => [name, graph.fp64(data)]),
      );
      return graph.table(graph.kernel('scale-columns', [rows], { weights }), input.width);
    },
  };
}

function rowKernel(
  fitted: Fitted,
  graph: SklearnGraph,
  kernel: string,
  attributes: Record<string, string | number>,
): Estimator {
  const common = featuresOf(fitted);
  return {
    ...common,
    transform: (input) => {
      const rows = graph.matrix(input, { owner: fitted, features: common.features });
      return graph.table(graph.kernel(kernel, [rows], { attributes }), input.width);
    },
  };
}

const MOST_PRODUCTS = 200_000;

/** All products of columns in scikit-learn's order: by degree, then as itertools' combinations come. */
function productsOf(fitted: Fitted, features: number): number[][] {
  const [least, most] = degreesOf(fitted);
  const once = fitted.flag('interaction_only');
  const products: number[][] = [];
  const extend = (product: number[], from: number, missing: number): void => {
    if (missing === 0) {
      products.push(product);
      if (products.length > MOST_PRODUCTS) {
        fitted.unsupported(`makes more than ${MOST_PRODUCTS} columns`);
      }
      return;
    }
    for (let column = from; column < features; column++) {
      extend([...product, column], once ? column + 1 : column, missing - 1);
    }
  };
  if (fitted.flag('include_bias')) products.push([]);
  for (let degree = Math.max(1, least); degree <= most; degree++) extend([], 0, degree);
  return products;
}

function degreesOf(fitted: Fitted): [number, number] {
  const degree = fitted.attribute('degree');
  const single = numberIn(degree);
  const [least, most] =
    single === undefined ? (itemsOf(degree) ?? []).map((item) => numberIn(item)) : [0, single];
  if (least === undefined || most === undefined || most > 30) {
    return fitted.unsupported('has a degree that is not supported');
  }
  return [least, most];
}
