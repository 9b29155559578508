import { PyFloat, PyObject, type PyValue } from '../../pickle/records.js';
import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { itemsOf, numberIn } from '../python-values.js';
import type { Table } from '../table.js';
import { indicate } from './imputers.js';

/** What fills a column from other columns and rows (sklearn/impute/_knn.py and _iterative.py, 0.22 to 1.8). */
export const multivariateImputers: Record<string, CompileEstimator> = {
  KNNImputer: (fitted, graph) => {
    const known = fitted.matrix('_fit_X');
    const { rows: count, columns: features } = known;
    const mask = fitted.vector('_mask_fit_X', count * features);
    const data = known.data.map((x, i) => (mask[i] === 1 ? NaN : x));
    if (fitted.text('metric') !== 'nan_euclidean') fitted.unsupported('has a metric of its own');
    const weights = fitted.oneOf('weights', ['uniform', 'distance']);
    // Columns that were missing in every row.
    const empty = Array.from({ length: features }, (_, column) => {
      for (let row = 0; row < count; row++) if (mask[row * features + column] !== 1) return false;
      return true;
    });
    const keepsEmpty = fitted.flagOr('keep_empty_features', false);
    const kept = [...empty.keys()].filter((column) => keepsEmpty || !empty[column]);
    const own = missingIn(fitted);
    return {
      ...featuresOf(fitted),
      features,
      transform: (input) => {
        const rows = withNaN(graph, fitted, input, own);
        const value = graph.kernel('nearest-fill', [rows], {
          attributes: { neighbors: fitted.integer('n_neighbors', 1), weights },
          weights: { rows: graph.fp64(data, [count, features]) },
        });
        const all = zeroed(graph, graph.table(value, features), empty);
        return withIndicator(graph, fitted, graph.select(all, kept), input);
      },
    };
  },

  IterativeImputer: (fitted, graph) => {
    if (fitted.flagOr('sample_posterior', false)) {
      return fitted.unsupported('has sample_posterior=True, whose answers are drawn by chance');
    }
    const initial = graph.compile(fitted.fitted('initial_imputer_'));
    const statistics = itemsOf(fitted.fitted('initial_imputer_').attribute('statistics_')) ?? [];
    const empty = fitted.isNone('_is_empty_feature')
      ? statistics.map((item) => item instanceof PyFloat && Number.isNaN(item.value))
      : Array.from(fitted.vector('_is_empty_feature', statistics.length), Boolean);
    const keepsEmpty = fitted.flagOr('keep_empty_features', false);
    const kept = [...empty.keys()].filter((column) => keepsEmpty || !empty[column]);
    const steps = fitted.integer('n_iter_', 0) === 0 ? [] : stepsOf(fitted, graph, kept.length);
    const own = missingIn(fitted);
    const features = statistics.length;
    return {
      ...featuresOf(fitted),
      features,
      transform: (input) => {
        const asked = graph.table(withNaN(graph, fitted, input, own), features);
        const first = initial.transform?.(input) ?? fitted.damaged('has no initial imputer');
        // A constant is filled into columns too that were missing in every row.
        const filled = first.width === kept.length ? first : graph.select(first, kept);
        const columns = kept.map((_, i) => columnOf(graph, fitted, filled, i));
        for (const { column, neighbors, estimator, limits } of steps) {
          const source = kept[column] ?? -1;
          if (empty[source]) continue;
          const table = graph.join(neighbors.map((i) => graph.table(columns[i] ?? '', 1)));
          const predicted =
            estimator.predict?.(table) ?? fitted.damaged('has a step without predict');
          columns[column] = graph.kernel(
            'fill-where',
            [columns[column] ?? '', predicted.value, columnOf(graph, fitted, asked, source)],
            { weights: { limits: graph.fp64(limits) } },
          );
        }
        const table = graph.join(columns.map((value) => graph.table(value, 1)));
        return withIndicator(graph, fitted, table, input);
      },
    };
  },
};

/** The number that stands for a missing value; undefined is NaN. */
function missingIn(fitted: Fitted): number | undefined {
  const value = numberIn(fitted.attribute('missing_values'));
  return value === undefined || Number.isNaN(value) ? undefined : value;
}

/** The input as numbers with NaN for what is missing. */
function withNaN(
  graph: SklearnGraph,
  fitted: Fitted,
  input: Table,
  missing: number | undefined,
): string {
  const rules = { owner: fitted, missing: missing === undefined ? 'pass' : 'refuse' } as const;
  const rows = graph.matrix(input, rules);
  if (missing === undefined) return rows;
  const weights = { fill: graph.fp64(new Float64Array(input.width).fill(NaN)) };
  return graph.kernel('fill-missing', [rows], { attributes: { nan: false, missing }, weights });
}

/** Columns that were missing in every row become 0. */
function zeroed(graph: SklearnGraph, table: Table, empty: boolean[]): Table {
  if (!empty.includes(true)) return table;
  const none = graph.kernel(
    'constant-rows',
    [table.blocks[0]?.kind === 'numbers' ? table.blocks[0].value : ''],
    {
      weights: { values: graph.fp64([0]) },
    },
  );
  return graph.join(
    empty.map((isEmpty, column) =>
      isEmpty ? graph.table(none, 1) : graph.select(table, [column]),
    ),
  );
}

function withIndicator(graph: SklearnGraph, fitted: Fitted, table: Table, input: Table): Table {
  if (fitted.isNone('indicator_')) return table;
  return graph.join([table, indicate(graph, fitted.fitted('indicator_'), input)]);
}

function columnOf(graph: SklearnGraph, fitted: Fitted, table: Table, column: number): string {
  return graph.kernel('as-vector', [graph.unchecked(graph.select(table, [column]), fitted)]);
}

interface Step {
  column: number;
  neighbors: number[];
  estimator: Estimator;
  limits: [number, number];
}

function stepsOf(fitted: Fitted, graph: SklearnGraph, width: number): Step[] {
  const lowest = limitsOf(fitted, '_min_value', 'min_value', -Infinity);
  const highest = limitsOf(fitted, '_max_value', 'max_value', Infinity);
  const at = (limits: Float64Array, column: number) => limits[limits.length === 1 ? 0 : column];
  return fitted.list('imputation_sequence_').map((item, i) => {
    const where = `imputation_sequence_[${i}]`;
    const [index, list, estimator] = partsOf(item);
    const column = numberIn(index) ?? -1;
    const neighbors = itemsOf(list)?.map((neighbor) => numberIn(neighbor) ?? -1) ?? [];
    if ([column, ...neighbors].some((c) => !Number.isInteger(c) || c < 0 || c >= width)) {
      fitted.damaged(`has columns in ${where} that there are not`);
    }
    return {
      column,
      neighbors,
      estimator: graph.compile(fitted.inner(estimator, where)),
      limits: [at(lowest, column) ?? -Infinity, at(highest, column) ?? Infinity],
    };
  });
}

function limitsOf(fitted: Fitted, name: string, plain: string, otherwise: number): Float64Array {
  if (!fitted.isNone(name)) return fitted.vector(name);
  return fitted.isNone(plain) ? Float64Array.of(otherwise) : fitted.vector(plain);
}

/** A named tuple of the column, its neighbours and the estimator. */
function partsOf(item: PyValue): PyValue[] {
  if (!(item instanceof PyObject)) return itemsOf(item) ?? [];
  const [first] = item.args.items;
  return item.args.items.length === 1 ? (itemsOf(first) ?? []) : item.args.items;
}
