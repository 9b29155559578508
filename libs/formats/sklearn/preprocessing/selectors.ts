import { behind } from '../composition/pipelines.js';
import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { pairwiseSum } from '../sums.js';
import { importancesOf } from './importances.js';

/** Selection of columns (sklearn/feature_selection, 0.22 to 1.8). */
export const selectors: Record<string, CompileEstimator> = {
  VarianceThreshold: (fitted, graph) => {
    const threshold = fitted.number('threshold');
    return selector(
      fitted,
      graph,
      where(fitted.vector('variances_'), (x) => x > threshold),
    );
  },
  SelectKBest: (fitted, graph) => selector(fitted, graph, univariate(fitted, 'k_best', 'k')),
  SelectPercentile: (fitted, graph) =>
    selector(fitted, graph, univariate(fitted, 'percentile', 'percentile')),
  SelectFpr: (fitted, graph) => selector(fitted, graph, univariate(fitted, 'fpr', 'alpha')),
  SelectFwe: (fitted, graph) => selector(fitted, graph, univariate(fitted, 'fwe', 'alpha')),
  SelectFdr: (fitted, graph) => selector(fitted, graph, univariate(fitted, 'fdr', 'alpha')),
  GenericUnivariateSelect: (fitted, graph) => {
    const mode = fitted.oneOf('mode', ['percentile', 'k_best', 'fpr', 'fdr', 'fwe']);
    return selector(fitted, graph, univariate(fitted, mode, 'param'));
  },
  RFE: eliminated,
  RFECV: eliminated,
  SelectFromModel: (fitted, graph) => {
    const inner = fitted.fitted('estimator_');
    const importances = importancesOf(fitted, inner);
    const threshold = thresholdOf(fitted, inner, importances);
    const chosen = where(importances, (x) => x >= threshold);
    if (fitted.isNone('max_features')) {
      return selector(fitted, graph, chosen, importances.length);
    }
    const count = fitted.integer(fitted.oneNamed('max_features_', 'max_features'), 0);
    // The most important, of equals the first.
    const order = [...importances.keys()].toSorted(
      (a, b) => (importances[b] ?? 0) - (importances[a] ?? 0) || a - b,
    );
    const kept = new Set(order.slice(0, count));
    return selector(
      fitted,
      graph,
      chosen.filter((column) => kept.has(column)),
      importances.length,
    );
  },
  SequentialFeatureSelector: (fitted, graph) =>
    selector(fitted, graph, where(fitted.vector('support_'), Boolean)),
};

/** The columns that a test of each chooses; `parameter` is what it chooses by. */
function univariate(
  fitted: Fitted,
  mode: 'percentile' | 'k_best' | 'fpr' | 'fdr' | 'fwe',
  parameter: string,
): number[] {
  if (mode === 'k_best') {
    const scores = cleanScores(fitted);
    if (fitted.attribute(parameter) === 'all') return [...scores.keys()];
    return best(scores, fitted.integer(parameter, 0));
  }
  if (mode === 'percentile') return percentile(cleanScores(fitted), fitted.number(parameter));
  const values = fitted.vector('pvalues_');
  const alpha = fitted.number(parameter);
  if (mode === 'fpr') return where(values, (p) => p < alpha);
  if (mode === 'fwe') return where(values, (p) => p < alpha / values.length);
  const sorted = values.toSorted();
  const passed = sorted.filter((p, i) => p <= (alpha / sorted.length) * (i + 1));
  const limit = Math.max(-1, ...passed);
  return where(values, (p) => p <= limit);
}

function percentile(scores: Float64Array, percent: number): number[] {
  if (percent === 100) return [...scores.keys()];
  if (percent === 0) return [];
  const threshold = percentileOf(scores, 100 - percent);
  const above = where(scores, (x) => x > threshold);
  const ties = where(scores, (x) => x === threshold);
  const most = Math.floor((scores.length * percent) / 100);
  const chosen = [...above, ...ties.slice(0, Math.max(0, most - above.length))];
  return chosen.toSorted((a, b) => a - b);
}

/** The columns that were not eliminated, and what the estimator fitted on them says. */
function eliminated(fitted: Fitted, graph: SklearnGraph): Estimator {
  const chosen = selector(fitted, graph, where(fitted.vector('support_'), Boolean));
  const { transform } = chosen;
  const inner = graph.compile(fitted.fitted('estimator_'));
  return { ...behind(inner, transform), ...chosen };
}

function thresholdOf(fitted: Fitted, inner: Fitted, importances: Float64Array): number {
  if (fitted.isNone('threshold')) {
    const isLasso =
      /Lasso/.test(inner.class) ||
      (inner.isNone('penalty') === false && inner.attribute('penalty') === 'l1');
    return isLasso ? 1e-5 : meanOf(importances);
  }
  const given = fitted.attribute('threshold');
  if (typeof given !== 'string') return fitted.number('threshold');
  const [, factor = '1', name] = /^(?:\s*([\d.eE+-]+)\s*\*)?\s*(mean|median)\s*$/.exec(given) ?? [];
  if (name === undefined) return fitted.unsupported('has a threshold that is not supported');
  const middle = name === 'mean' ? meanOf(importances) : medianOf(importances);
  return Number(factor) * middle;
}

function meanOf(numbers: Float64Array): number {
  return pairwiseSum(numbers, 0, numbers.length) / numbers.length;
}

function medianOf(numbers: Float64Array): number {
  const sorted = numbers.toSorted();
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? NaN) + upper) / 2;
}

function where(numbers: Float64Array, holds: (x: number) => boolean): number[] {
  return [...numbers.keys()].filter((i) => holds(numbers[i] ?? NaN));
}

/** Scores with the lowest number there is in place of NaN. */
function cleanScores(fitted: Fitted): Float64Array {
  return fitted.vector('scores_').map((x) => (Number.isNaN(x) ? -Number.MAX_VALUE : x));
}

/** The indices of the `count` largest, of equals the last, as a stable sort has them. */
function best(scores: Float64Array, count: number): number[] {
  const order = [...scores.keys()].toSorted((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0) || a - b);
  return order.slice(Math.max(0, order.length - count)).toSorted((a, b) => a - b);
}

/** numpy.percentile with linear interpolation. */
function percentileOf(numbers: Float64Array, percent: number): number {
  const sorted = numbers.toSorted();
  const at = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(at);
  const [low = NaN, high = low] = sorted.subarray(below, below + 2);
  const part = at - below;
  return part >= 0.5 ? high - (high - low) * (1 - part) : low + (high - low) * part;
}

function selector(fitted: Fitted, graph: SklearnGraph, columns: number[], features?: number) {
  const common = { ...(features !== undefined && { features }), ...featuresOf(fitted) };
  if (columns.length === 0) return fitted.unsupported('selects no column at all');
  return {
    ...common,
    transform: (input: Parameters<SklearnGraph['select']>[0]) => {
      if (columns.some((column) => column >= input.width)) {
        fitted.damaged(`selects columns of more than the ${input.width} that there are`);
      }
      // Missing values go through; texts do not.
      const rows = graph.unchecked(input, fitted);
      return graph.select(graph.table(rows, input.width), columns);
    },
  };
}
