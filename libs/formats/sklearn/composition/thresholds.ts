import { PyDict, PyGlobal } from '../../pickle/records.js';
import type { CompileEstimator, Estimator } from '../estimator.js';
import { called } from '../ensembles/committees.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { labelsOf, type Labels } from '../labels.js';
import type { Table } from '../table.js';
import { behind } from './pipelines.js';

/**
 * Classifiers that another one stands in: with a threshold of its own (sklearn/model_selection/_classification_threshold.py,
 * 1.5 to 1.8), self-taught (sklearn/semi_supervised/_self_training.py, 0.24 to 1.8) or frozen (sklearn/frozen, 1.6 to 1.8).
 */
export const thresholds: Record<string, CompileEstimator> = {
  FixedThresholdClassifier: (fitted, graph) => {
    const isAuto = fitted.attribute('threshold') === 'auto';
    const positive = fitted.isNone('pos_label') ? undefined : labelIn(fitted, 'pos_label');
    return thresholded(fitted, graph, isAuto ? undefined : fitted.number('threshold'), positive);
  },
  TunedThresholdClassifierCV: (fitted, graph) =>
    thresholded(fitted, graph, fitted.number('best_threshold_'), positiveOf(fitted)),
  SelfTrainingClassifier: (fitted, graph) => {
    const name = fitted.oneNamed('estimator_', 'base_estimator_');
    return standIn(graph.compile(fitted.fitted(name)));
  },
  FrozenEstimator: (fitted, graph) => standIn(graph.compile(fitted.fitted('estimator'))),
};

/** All that another estimator is, its columns too. */
function standIn(inner: Estimator): Estimator {
  return { ...columnsOf(inner), ...behind(inner, (input) => input) };
}

function columnsOf({ features, names, readsTexts }: Estimator): Partial<Estimator> {
  return {
    ...(features !== undefined && { features }),
    ...(names && { names }),
    ...(readsTexts && { readsTexts }),
  };
}

function thresholded(
  fitted: Fitted,
  graph: SklearnGraph,
  threshold: number | undefined,
  positive: string | undefined,
): Estimator {
  const own = fitted.named('estimator_', 'estimator');
  const inner = graph.compile(fitted.fitted(own ?? 'estimator_'));
  const { classes } = inner;
  if (classes?.values.length !== 2) return fitted.unsupported('is not of two classes');
  const place = positive === undefined ? 1 : classes.values.map(String).indexOf(positive);
  if (place < 0) fitted.unsupported('has a pos_label that is no class');
  const wanted = fitted.textOr('response_method', 'auto');
  const usesShares = wanted === 'predict_proba' || (wanted === 'auto' && inner.predictProba);
  const limit = threshold ?? (usesShares ? 0.5 : 0);
  const scores = (input: Table): string => {
    if (usesShares) {
      const value = called(inner, 'predictProba', fitted)(input);
      const column = graph.select(graph.table(value, 2), [place]);
      return graph.kernel('as-vector', [graph.unchecked(column, fitted)]);
    }
    const { value } = called(inner, 'decisionFunction', fitted)(input);
    return place === 1 ? value : graph.kernel('negate', [value]);
  };
  const above = (input: Table) => graph.above(scores(input), limit, true);
  const predictIndex = (input: Table) =>
    place === 1 ? above(input) : swapped(graph, above(input));
  return {
    ...columnsOf(inner),
    ...behind(inner, (input) => input),
    predictIndex,
    predict: (input) => graph.predictLabels(classes, predictIndex(input)),
  };
}

/** 0 for 1 and 1 for 0. */
function swapped(graph: SklearnGraph, index: string): string {
  const numbers = graph.kernel('number-labels', [index], {
    weights: { labels: graph.fp64([1, 0]) },
  });
  return graph.kernel('cast', [numbers], { attributes: { dtype: 'INT32' } });
}

/** Scores whose default is that the class 1 is the positive one, and those that know no positive class. */
const POSITIVE_IS_ONE = /^(f1|fbeta|precision|recall|jaccard)_score$/;
const WITHOUT_POSITIVE =
  /^((balanced_)?accuracy_score|matthews_corrcoef|cohen_kappa_score|zero_one_loss)$/;

/** The positive class of the score that the threshold was tuned by. */
function positiveOf(fitted: Fitted): string | undefined {
  const scorer = fitted.fitted('_curve_scorer');
  const given = scorer.isNone('_kwargs') ? undefined : scorer.attribute('_kwargs');
  const own = given instanceof PyDict ? given.get('pos_label') : undefined;
  if (own !== undefined && own !== null) return textOf(labelsOf([own], fitted, 'pos_label'));
  const score = scorer.attribute('_score_func');
  const name = score instanceof PyGlobal ? score.name : '';
  if (POSITIVE_IS_ONE.test(name)) return '1';
  if (WITHOUT_POSITIVE.test(name)) return undefined;
  return fitted.unsupported('was tuned by a score that is not known here');
}

function labelIn(fitted: Fitted, name: string): string {
  return textOf(labelsOf([fitted.attribute(name)], fitted, name));
}

function textOf({ values }: Labels): string {
  return String(values[0]);
}
