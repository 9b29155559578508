import type { CompileEstimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';

/** Selection of columns (sklearn/feature_selection, 0.22 to 1.8). */
export const selectors: Record<string, CompileEstimator> = {
  VarianceThreshold: (fitted, graph) => {
    const threshold = fitted.number('threshold');
    return selector(fitted, graph, where(fitted.vector('variances_'), (x) => x > threshold));
  },
  SelectKBest: (fitted, graph) => {
    const scores = cleanScores(fitted);
    if (fitted.attribute('k') === 'all') return selector(fitted, graph, where(scores, () => true));
    return selector(fitted, graph, best(scores, fitted.integer('k', 0)));
  },
  SelectPercentile: (fitted, graph) => {
    const scores = cleanScores(fitted);
    const percentile = fitted.number('percentile');
    if (percentile === 100) return selector(fitted, graph, where(scores, () => true));
    if (percentile === 0) return selector(fitted, graph, []);
    const threshold = percentileOf(scores, 100 - percentile);
    const above = where(scores, (x) => x > threshold);
    const ties = where(scores, (x) => x === threshold);
    const most = Math.floor((scores.length * percentile) / 100);
    const chosen = [...above, ...ties.slice(0, Math.max(0, most - above.length))];
    return selector(fitted, graph, chosen.toSorted((a, b) => a - b));
  },
  SelectFpr: (fitted, graph) => {
    const alpha = fitted.number('alpha');
    return selector(fitted, graph, where(fitted.vector('pvalues_'), (p) => p < alpha));
  },
  SelectFwe: (fitted, graph) => {
    const values = fitted.vector('pvalues_');
    const limit = fitted.number('alpha') / values.length;
    return selector(fitted, graph, where(values, (p) => p < limit));
  },
  SelectFdr: (fitted, graph) => {
    const values = fitted.vector('pvalues_');
    const alpha = fitted.number('alpha');
    const sorted = values.toSorted();
    const passed = sorted.filter((p, i) => p <= (alpha / sorted.length) * (i + 1));
    const limit = Math.max(-1, ...passed);
    return selector(fitted, graph, where(values, (p) => p <= limit));
  },
  RFE: (fitted, graph) => selector(fitted, graph, where(fitted.vector('support_'), Boolean)),
  RFECV: (fitted, graph) => selector(fitted, graph, where(fitted.vector('support_'), Boolean)),
  SequentialFeatureSelector: (fitted, graph) =>
    selector(fitted, graph, where(fitted.vector('support_'), Boolean)),
};

function where(numbers: Float64Array, holds: (x: number) => boolean): number[] {
  return [...numbers.keys()].filter((i) => holds(numbers[i] ?? NaN));
}

/** Scores with the lowest number there is in place of NaN. */
function cleanScores(fitted: Fitted): Float64Array {
  return fitted.vector('scores_').map((x) => (Number.isNaN(x) ? -Number.MAX_VALUE : x));
}

/** The indices of the `count` largest, of equals the last, as a stable sort has them. */
function best(scores: Float64Array, count: number): number[] {
  const order = [...scores.keys()].toSorted(
    (a, b) => (scores[a] ?? 0) - (scores[b] ?? 0) || a - b,
  );
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

function selector(fitted: Fitted, graph: SklearnGraph, columns: number[]) {
  const common = featuresOf(fitted);
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
