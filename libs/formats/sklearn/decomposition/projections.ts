import { PyGlobal } from '../../pickle/records.js';
import { inverseOf, logDeterminant, product } from '../dense.js';
import { numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import { featuresOf, namesOf } from '../features.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { affine, transposed } from '../linear/linear.js';
import type { Table } from '../table.js';

/** Linear projections (sklearn/decomposition, random_projection.py, neighbors/_nca.py and cross_decomposition, 0.22 to 1.8). */
export const projections: Record<string, CompileEstimator> = {
  PCA: principal,
  IncrementalPCA: principal,
  TruncatedSVD: (fitted, graph) => projection(fitted, graph, fitted.matrix('components_')),
  NeighborhoodComponentsAnalysis: (fitted, graph) =>
    projection(fitted, graph, fitted.matrix('components_')),
  GaussianRandomProjection: (fitted, graph) =>
    projection(fitted, graph, fitted.matrix('components_')),
  SparseRandomProjection: (fitted, graph) =>
    projection(fitted, graph, fitted.matrix('components_')),
  FastICA: (fitted, graph) => {
    const components = fitted.matrix('components_');
    const whitens = fitted.has('whiten') && fitted.attribute('whiten') !== false;
    const steps = whitens ? { subtract: fitted.vector('mean_', components.columns) } : {};
    return projection(fitted, graph, components, steps);
  },
  FactorAnalysis: factorAnalysis,
  SparsePCA: sparsePrincipal,
  MiniBatchSparsePCA: sparsePrincipal,

  FeatureAgglomeration: (fitted, graph) => {
    const labels = fitted.vector('labels_');
    const { length: features } = labels;
    const pooling = fitted.attribute('pooling_func');
    const name = pooling instanceof PyGlobal ? pooling.id : '';
    const [, how] = /^numpy(?:\.\w+)*\.a?(mean|max|min|median|sum)$/.exec(name) ?? [];
    if (how === undefined) return fitted.unsupported('pools by a function that is not supported');
    const width = new Set(labels).size;
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const attributes = { how, width };
        const weights = { groups: graph.int32(labels) };
        return graph.table(graph.kernel('pool-columns', [rows], { attributes, weights }), width);
      },
    };
  },
};

/** Rows before they are projected. */
type Steps = Partial<Record<'subtract' | 'divide', Float64Array>>;

/** The rows, moved and scaled, as a value FP64 `[rows, columns]`. */
export function centred(
  graph: SklearnGraph,
  input: Table,
  { owner, features, steps }: { owner: Fitted; features: number; steps: Steps },
): string {
  const rows = graph.matrix(input, { owner, features });
  const given = Object.entries(steps).map(([name, data]) => [name, graph.fp64(data)] as const);
  if (given.length === 0) return rows;
  return graph.kernel('scale-columns', [rows], { weights: Object.fromEntries(given) });
}

/** `rows · componentsᵀ` as `[rows, components]`. */
export function projected(graph: SklearnGraph, rows: string, components: Matrix): string {
  const value = affine(graph, rows, components, new Float64Array(components.rows));
  return components.rows === 1 ? graph.kernel('as-matrix', [value]) : value;
}

export function projection(
  fitted: Fitted,
  graph: SklearnGraph,
  components: Matrix,
  steps: Steps = {},
): Estimator {
  const { rows: width, columns: features } = components;
  return {
    features,
    ...namesOf(fitted),
    transform: (input) => {
      const rows = centred(graph, input, { owner: fitted, features, steps });
      return graph.table(projected(graph, rows, components), width);
    },
  };
}

function principal(fitted: Fitted, graph: SklearnGraph): Estimator {
  const components = fitted.matrix('components_');
  const { rows: width, columns: features } = components;
  const mean = fitted.isNone('mean_')
    ? new Float64Array(features)
    : fitted.vector('mean_', features);
  const variances = fitted.vector('explained_variance_', width);
  const whitens = fitted.flagOr('whiten', false);
  // Since 1.5 the mean is taken off behind the projection, and variances of nothing are not divided by.
  const late = fitted.since(1, 5);
  const scales = variances.map((x) => {
    const scale = Math.sqrt(x);
    return late && scale < Number.EPSILON ? Number.EPSILON : scale;
  });
  const meanMatrix = { rows: 1, columns: features, data: mean };
  const moved = product(meanMatrix, {
    rows: features,
    columns: width,
    data: transposed(components),
  });
  return {
    features,
    ...namesOf(fitted),
    transform: (input) => {
      const steps = late ? {} : { subtract: mean };
      const rows = centred(graph, input, { owner: fitted, features, steps });
      const value = projected(graph, rows, components);
      const weights = {
        ...(late && { subtract: graph.fp64(moved.data) }),
        ...(whitens && { divide: graph.fp64(scales) }),
      };
      if (Object.keys(weights).length === 0) return graph.table(value, width);
      return graph.table(graph.kernel('scale-columns', [value], { weights }), width);
    },
    ...principalScores(fitted, graph, { components, mean, variances, whitens }),
  };
}

interface Principal {
  components: Matrix;
  mean: Float64Array;
  variances: Float64Array;
  whitens: boolean;
}

/**
 * Log likelihoods under a normal distribution whose precision has the components as eigenvectors: `get_precision` of
 * sklearn/decomposition/_base.py without its matrix of columns × columns.
 */
function principalScores(
  fitted: Fitted,
  graph: SklearnGraph,
  { components, mean, variances, whitens }: Principal,
): Pick<Estimator, 'scoreSamples'> {
  const { rows: width, columns: features } = components;
  const noise = fitted.isNone('noise_variance_') ? NaN : fitted.number('noise_variance_');
  const isWhole = width === features;
  // Without noise and with fewer components than columns scikit-learn inverts what has no inverse.
  if (!(noise > 0) && !(isWhole && noise === 0)) return {};
  const eigenvalues = variances.map((x) => (whitens ? x : 1) * Math.max(x - noise, 0) + noise);
  const rest = noise > 0 ? 1 / noise : 0;
  const shares = eigenvalues.map((x) => 1 / x - rest);
  if (shares.some((x) => !Number.isFinite(x))) return {};
  const logs = eigenvalues.reduce((sum, x) => sum + Math.log(x), 0);
  const others = isWhole ? 0 : (features - width) * Math.log(noise);
  const constant = -0.5 * (features * Math.log(2 * Math.PI) + logs + others);
  return {
    scoreSamples: (input) => {
      const steps = { subtract: mean };
      const rows = centred(graph, input, { owner: fitted, features, steps });
      const squares = graph.kernel('square', [projected(graph, rows, components)]);
      const row = (data: Float64Array) => ({ rows: 1, columns: data.length, data });
      const along = affine(graph, squares, row(shares), [0]);
      const all = affine(
        graph,
        graph.kernel('square', [rows]),
        row(new Float64Array(features).fill(rest)),
        [0],
      );
      const sum = graph.kernel('combine', [all, along], { attributes: { divisor: 1 } });
      const weights = { multiply: graph.fp64([-0.5]), add: graph.fp64([constant]) };
      return numbersAnswer(graph.kernel('scale-columns', [sum], { weights }));
    },
  };
}

/** Most columns for which a matrix of columns × columns is made. */
const MOST_SQUARE = 256;

function factorAnalysis(fitted: Fitted, graph: SklearnGraph): Estimator {
  const components = fitted.matrix('components_');
  const { rows: width, columns: features } = components;
  const noise = fitted.vector('noise_variance_', features);
  const mean = fitted.vector('mean_', features);
  const scaled = {
    ...components,
    data: components.data.map((x, i) => x / (noise[i % features] ?? NaN)),
  };
  const across = { rows: features, columns: width, data: transposed(components) };
  const inner = product(scaled, across);
  for (let i = 0; i < width; i++) inner.data[i * width + i] = (inner.data[i * width + i] ?? 0) + 1;
  const inverse = inverseOf(inner) ?? fitted.damaged('has components_ that cannot be inverted');
  const estimator: Estimator = {
    features,
    ...namesOf(fitted),
    transform: (input) => {
      const rows = centred(graph, input, { owner: fitted, features, steps: { subtract: mean } });
      const before = projected(graph, rows, scaled);
      const turned = { rows: width, columns: width, data: transposed(inverse) };
      return graph.table(projected(graph, before, turned), width);
    },
  };
  if (features > MOST_SQUARE) return estimator;
  const outer = product(
    { rows: features, columns: width, data: transposed(scaled) },
    product(inverse, scaled),
  );
  const precision: Matrix = { rows: features, columns: features, data: outer.data.map((x) => -x) };
  for (let i = 0; i < features; i++) {
    const at = i * features + i;
    precision.data[at] = (precision.data[at] ?? NaN) + 1 / (noise[i] ?? NaN);
  }
  const constant = -0.5 * (features * Math.log(2 * Math.PI) - logDeterminant(precision));
  return {
    ...estimator,
    scoreSamples: (input) => {
      const rows = graph.matrix(input, { owner: fitted, features });
      const form = graph.kernel('quadratic-forms', [rows], {
        weights: {
          centre: graph.fp64(mean),
          matrix: graph.fp64(precision.data, [features, features]),
        },
      });
      const weights = { multiply: graph.fp64([-0.5]), add: graph.fp64([constant]) };
      return numbersAnswer(graph.kernel('scale-columns', [form], { weights }));
    },
  };
}

/** Ridge regression of each row on the components, which is a projection of its own. */
function sparsePrincipal(fitted: Fitted, graph: SklearnGraph): Estimator {
  const components = fitted.matrix('components_');
  const { rows: width, columns: features } = components;
  const across = { rows: features, columns: width, data: transposed(components) };
  const gram = product(components, across);
  const alpha = fitted.number('ridge_alpha');
  for (let i = 0; i < width; i++)
    gram.data[i * width + i] = (gram.data[i * width + i] ?? 0) + alpha;
  const inverse = inverseOf(gram) ?? fitted.unsupported('has components that are not independent');
  const mean = fitted.vector('mean_', features);
  return {
    ...featuresOf(fitted),
    ...projection(fitted, graph, product(inverse, components), { subtract: mean }),
  };
}
