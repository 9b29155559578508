import { NdArray, PyDict, PyObject, PyTuple, type PyValue } from '../../pickle/records.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numberIn } from '../python-values.js';
import type { Table } from '../table.js';

type Attributes = Record<string, string | number | boolean>;
type Weights = Record<string, ReturnType<SklearnGraph['fp64']>>;

/** What a fitted object knows of its points, for the kernels of libs/program/kernels/neighbours.ts. */
export interface Search {
  features: number;
  count: number;
  /** Adds a kernel that searches for the neighbours of each row. */
  kernel(name: string, input: Table, attributes: Attributes, weights?: Weights): string;
}

interface Manner {
  /** Classes are counted at once (ArgKminClassMode, since 1.3), which keeps one heap a row, but not by Euclid's metric. */
  direct?: boolean;
}

/** The points of an estimator of sklearn/neighbors (`_fit_X`, `_tree`, `effective_metric_`). */
export function searchOf(fitted: Fitted, graph: SklearnGraph, { direct }: Manner = {}): Search {
  const metric = fitted.attribute('effective_metric_');
  const params = fitted.isNone('effective_metric_params_')
    ? null
    : fitted.attribute('effective_metric_params_');
  const rows = fitted.has('n_samples_fit_') ? fitted.integer('n_samples_fit_', 1) : undefined;
  const columns = fitted.has('n_features_in_') ? fitted.integer('n_features_in_', 1) : undefined;
  const points = fitted.matrix('_fit_X', rows, columns);
  const given = metricOf(fitted, metric, params, points.columns);
  const tree = fitted.isNone('_tree') ? undefined : fitted.attribute('_tree');
  const isEuclidean = metric === 'euclidean' || metric === 'sqeuclidean';
  const pours = (!direct || isEuclidean) && fitted.since(1, 1) && !UNSORTED.has(metric);
  return searchIn(fitted, graph, { points, given, tree, pours });
}

/** Metrics for which scikit-learn partitions all distances, so that any of equals may stay. */
const UNSORTED: ReadonlySet<PyValue> = new Set<PyValue>(['hamming', 'cosine', 'correlation']);

export interface Known {
  points: Matrix;
  given: GivenMetric;
  /** The tree as the pickle has it; absent where every point is looked at. */
  tree: PyValue | undefined;
  pours: boolean;
}

export function searchIn(fitted: Fitted, graph: SklearnGraph, known: Known): Search {
  const { points, given, tree, pours } = known;
  const { rows: count, columns: features, data } = points;
  const nodes = tree === undefined ? undefined : treeOf(fitted, tree, points);
  const kind = nodes?.kind ?? (pours ? 'merged' : 'none');
  return {
    features,
    count,
    kernel: (name, input, attributes, weights = {}) =>
      graph.kernel(name, [graph.matrix(input, { owner: fitted, features })], {
        attributes: { tree: kind, ...given.attributes, ...attributes },
        weights: {
          points: graph.fp64(data, [count, features]),
          ...mapped(given.weights, (numbers) => graph.fp64(numbers)),
          ...mapped(nodes?.integers ?? {}, (numbers) => graph.int32(numbers)),
          ...mapped(nodes?.numbers ?? {}, (numbers) => graph.fp64(numbers)),
          ...weights,
        },
      }),
  };
}

function mapped<T, U>(record: Record<string, T>, of: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value)]));
}

export interface GivenMetric {
  attributes: Attributes;
  weights: Record<string, Float64Array>;
}

const NAMES: Record<string, string> = {
  euclidean: 'euclidean',
  l2: 'euclidean',
  manhattan: 'manhattan',
  cityblock: 'manhattan',
  l1: 'manhattan',
  chebyshev: 'chebyshev',
  infinity: 'chebyshev',
  sqeuclidean: 'sqeuclidean',
  canberra: 'canberra',
  braycurtis: 'braycurtis',
  hamming: 'hamming',
  cosine: 'cosine',
  correlation: 'correlation',
};

/** A metric by scikit-learn's name and its parameters (a dict or None). */
export function metricOf(
  fitted: Fitted,
  metric: PyValue,
  params: PyValue,
  columns: number,
): GivenMetric {
  const parameter = (name: string): PyValue =>
    params instanceof PyDict ? (params.get(name) ?? null) : null;
  const numbers = (name: string): Float64Array => {
    const value = parameter(name);
    const own = value instanceof NdArray && 'biuf'.includes(value.dtype.kind);
    if (!own || value.size !== columns) return fitted.damaged(`has ${name} of another length`);
    return value.numbers();
  };
  if (typeof metric !== 'string') return fitted.unsupported('has a metric that is a function');
  const name = NAMES[metric];
  if (name !== undefined) return { attributes: { metric: name }, weights: {} };
  if (metric === 'haversine' && columns === 2) return { attributes: { metric }, weights: {} };
  if (metric === 'seuclidean') {
    return { attributes: { metric }, weights: { variances: numbers('V') } };
  }
  if (metric === 'minkowski' || metric === 'p') {
    const p = numberIn(parameter('p')) ?? (fitted.isNone('p') ? 2 : fitted.number('p'));
    const weights: GivenMetric['weights'] =
      parameter('w') === null ? {} : { columnWeights: numbers('w') };
    if (parameter('w') !== null) return { attributes: { metric: 'minkowski', p }, weights };
    if (p === 1) return { attributes: { metric: 'manhattan' }, weights: {} };
    if (p === 2) return { attributes: { metric: 'euclidean' }, weights: {} };
    if (p === Infinity) return { attributes: { metric: 'chebyshev' }, weights: {} };
    return { attributes: { metric: 'minkowski', p }, weights };
  }
  return fitted.unsupported(`has the metric "${metric.slice(0, 100)}", which is not supported`);
}

interface Tree {
  kind: 'kd' | 'ball';
  integers: Record<string, Float64Array>;
  numbers: Record<string, Float64Array>;
}

/** The state of a KDTree or BallTree (`__getstate__` of sklearn/neighbors/_binary_tree.pxi). */
function treeOf(fitted: Fitted, tree: PyValue, points: Matrix): Tree {
  const { made, state } = pickledTree(fitted, tree);
  const [data, order, nodes, bounds] = state;
  const arrays = [data, order, nodes, bounds].every((item) => item instanceof NdArray);
  if (!arrays || !(order instanceof NdArray) || !(nodes instanceof NdArray)) {
    return fitted.damaged('has a tree without nodes');
  }
  if (!(data instanceof NdArray) || !(bounds instanceof NdArray)) return fitted.damaged('tree');
  for (const array of [data, order, nodes, bounds]) fitted.budget.spend(array.size);
  if (data.size !== points.data.length) fitted.damaged('has a tree of other points');
  const field = (name: string) => nodes.field(name).numbers();
  const isBall = made.startsWith('BallTree');
  return {
    kind: isBall ? 'ball' : 'kd',
    integers: {
      order: order.numbers(),
      starts: field('idx_start'),
      ends: field('idx_end'),
      leaves: field('is_leaf'),
    },
    numbers: { bounds: bounds.numbers(), ...(isBall && { radii: field('radius') }) },
  };
}

/** The class of a pickled tree, and its state. */
export function pickledTree(fitted: Fitted, tree: PyValue): { made: string; state: PyValue[] } {
  const [global] = tree instanceof PyObject ? tree.args.items : [];
  const state = tree instanceof PyObject ? tree.state : undefined;
  const made = global !== null && typeof global === 'object' && 'name' in global ? global.name : '';
  if (
    !(state instanceof PyTuple) ||
    typeof made !== 'string' ||
    !/^(KD|Ball)Tree(64)?$/.test(made)
  ) {
    return fitted.unsupported('has a tree that is not supported');
  }
  return { made, state: state.items };
}
