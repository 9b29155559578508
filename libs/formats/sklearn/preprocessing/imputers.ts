import { PyFloat, PyGlobal, type PyValue } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { itemsOf, numberIn } from '../python-values.js';
import type { Table } from '../table.js';

/** What fills missing values, and says where they were (sklearn/impute/_base.py, 0.22 to 1.8). */
export const imputers: Record<string, CompileEstimator> = {
  SimpleImputer: (fitted, graph) => {
    const statistics =
      itemsOf(fitted.attribute('statistics_')) ?? fitted.wrong('statistics_', 'an array');
    const common = featuresOf(fitted);
    const features = common.features ?? statistics.length;
    if (statistics.length !== features) fitted.damaged('has not a statistic for each column');
    const keepsAll =
      fitted.text('strategy') === 'constant' || fitted.flagOr('keep_empty_features', false);
    const kept = [...statistics.keys()].filter(
      (column) => keepsAll || !isMissing(statistics[column] ?? null),
    );
    const indicator = fitted.isNone('indicator_') ? undefined : fitted.fitted('indicator_');
    return {
      ...common,
      features,
      transform: (input) => {
        if (input.width !== features) fitted.damaged(`is given ${input.width} columns`);
        const filled = fill(
          graph,
          fitted,
          graph.select(input, kept),
          kept.map((c) => statistics[c] ?? null),
        );
        if (!indicator) return filled;
        return graph.join([filled, indicate(graph, indicator, input)]);
      },
    };
  },

  MissingIndicator: (fitted, graph) => ({
    ...featuresOf(fitted),
    transform: (input) => indicate(graph, fitted, input),
  }),
};

function isMissing(value: PyValue): boolean {
  return value === null || (value instanceof PyFloat && Number.isNaN(value.value));
}

/** What counts as missing: NaN (also None and pandas' NA), a number or a text. */
function missingOf(
  fitted: Fitted,
): { nan: true } | { nan: false; missing: number } | { text: string } {
  const value = fitted.attribute('missing_values');
  if (isMissing(value) || (value instanceof PyGlobal && value.name === 'NA')) return { nan: true };
  if (typeof value === 'string') return { text: value };
  const missing = numberIn(value);
  return missing === undefined || Number.isNaN(missing) ? { nan: true } : { nan: false, missing };
}

/** Fills each column with its statistic: columns whose statistic is a text are texts. */
function fill(graph: SklearnGraph, fitted: Fitted, input: Table, statistics: PyValue[]): Table {
  const missing = missingOf(fitted);
  const tables: Table[] = [];
  for (let column = 0; column < statistics.length;) {
    const statistic = statistics[column];
    if (typeof statistic === 'string') {
      const attributes = {
        fill: statistic,
        null: 'nan' in missing,
        ...('text' in missing && { missing: missing.text }),
      };
      const texts = graph.texts(input, column, fitted);
      const value = graph.kernel('fill-text', [texts], { attributes });
      tables.push({ width: 1, blocks: [{ kind: 'texts', value, width: 1 }] });
      column += 1;
      continue;
    }
    const first = column;
    while (column < statistics.length && typeof statistics[column] !== 'string') column += 1;
    const chosen = Array.from({ length: column - first }, (_, i) => first + i);
    if ('text' in missing) return fitted.unsupported('looks for a text among numbers');
    const rows = graph.matrix(graph.select(input, chosen), {
      owner: fitted,
      missing: missing.nan ? 'pass' : 'refuse',
    });
    const numbers = statistics.slice(first, column).map((item) => numberIn(item ?? null) ?? NaN);
    const value = graph.kernel('fill-missing', [rows], {
      attributes: missing,
      weights: { fill: graph.fp64(numbers) },
    });
    tables.push(graph.table(value, chosen.length));
  }
  return graph.join(tables);
}

/** A column for each feature that had missing values in training. */
export function indicate(graph: SklearnGraph, indicator: Fitted, input: Table): Table {
  const features = indicator.vector('features_');
  if (features.some((column) => !(column >= 0 && column < input.width))) {
    indicator.damaged('has features that there are not');
  }
  const missing = missingOf(indicator);
  const refuses =
    indicator.textOr('features', 'missing-only') === 'missing-only' &&
    indicator.flagOr('error_on_new', false);
  if (refuses) {
    if ('text' in missing) indicator.unsupported('looks for a text among numbers');
    else return strictly(graph, indicator, { input, features, missing });
  }
  const tables = Array.from(features, (column): Table => {
    if (graph.isText(input, column) === true) {
      return graph.table(graph.kernel('is-null', [graph.texts(input, column, indicator)]), 1);
    }
    if ('text' in missing) return indicator.unsupported('looks for a text among numbers');
    const rows = graph.matrix(graph.select(input, [column]), {
      owner: indicator,
      missing: missing.nan ? 'pass' : 'refuse',
    });
    return graph.table(graph.kernel('is-missing', [rows], { attributes: missing }), 1);
  });
  return graph.join(tables);
}

/** Where numbers are missing, and none may be missing in other columns (error_on_new). */
function strictly(
  graph: SklearnGraph,
  indicator: Fitted,
  {
    input,
    features,
    missing,
  }: {
    input: Table;
    features: Float64Array;
    missing: { nan: true } | { nan: false; missing: number };
  },
): Table {
  const rows = graph.matrix(input, { owner: indicator, missing: missing.nan ? 'pass' : 'refuse' });
  const checked = graph.kernel('refuse-new-missing', [rows], {
    attributes: { ...missing, owner: indicator.class },
    weights: { columns: graph.int32(features) },
  });
  const chosen = graph.select(graph.table(checked, input.width), features);
  const value = graph.unchecked(chosen, indicator);
  return graph.table(graph.kernel('is-missing', [value], { attributes: missing }), features.length);
}
