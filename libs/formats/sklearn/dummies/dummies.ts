import { NdArray } from '../../pickle/records.js';
import { labelled, numbersAnswer, type Answer, type CompileEstimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { labelsOf, type Labels } from '../labels.js';
import { itemsOf } from '../python-values.js';
import type { Table } from '../table.js';

/**
 * Estimators that look at no column (sklearn/dummy.py, 0.22 to 1.8), and the members of OneVsRestClassifier for classes that
 * all or no rows had (`_ConstantPredictor`, sklearn/multiclass.py).
 */
export const dummies: Record<string, CompileEstimator> = {
  DummyClassifier: (fitted, graph) => {
    const strategy = fitted.text('strategy');
    // Until 0.23 the default was to warn and be stratified.
    if (['stratified', 'uniform', 'warn'].includes(strategy)) {
      return fitted.unsupported(`has strategy="${strategy}", whose answers are drawn by chance`);
    }
    const outputs = fitted.isNone('n_outputs_') ? 1 : fitted.integer('n_outputs_', 1, 100_000);
    const classes = several(fitted, 'classes_', outputs).map((item, i) =>
      labelsOf(item, fitted, `classes_[${i}]`),
    );
    const chosen = several(fitted, 'class_prior_', outputs).map((item, i) => {
      const priors = item instanceof NdArray ? item.numbers() : new Float64Array(0);
      return shareOf(fitted, strategy, { classes: classes[i], priors, output: i });
    });
    const shares = (input: Table, i: number) => constant(graph, fitted, input, chosen[i] ?? []);
    const labels = (input: Table, i: number): Answer => {
      const own = classes[i] ?? fitted.damaged('has no classes');
      return graph.predictLabels(own, graph.largest(shares(input, i)));
    };
    const [only] = classes;
    const common = featuresOf(fitted);
    if (outputs === 1 && only) {
      return {
        ...common,
        classes: only,
        predictIndex: (input) => graph.largest(shares(input, 0)),
        predict: (input) => labels(input, 0),
        predictProba: (input) => shares(input, 0),
      };
    }
    const dtype = only?.dtype ?? 'INT64';
    if (classes.some((own) => own.dtype !== dtype)) {
      fitted.unsupported('has outputs with labels of several types');
    }
    return {
      ...common,
      predict: (input) => {
        const parts = classes.map((_, i) => labels(input, i).value);
        return { value: graph.kernel('join-labels', parts), dtype, shape: [-1, outputs] };
      },
      predictProbas: (input) =>
        classes.map(({ values }, i): Answer => ({
          value: shares(input, i),
          dtype: 'FP64',
          shape: [-1, values.length],
        })),
    };
  },

  DummyRegressor: (fitted, graph) => {
    const values = fitted.vector('constant_');
    return {
      ...featuresOf(fitted),
      predict: (input) => {
        const value = constant(graph, fitted, input, values);
        if (values.length > 1) return numbersAnswer(value, values.length);
        return numbersAnswer(graph.kernel('as-vector', [value]));
      },
    };
  },

  _ConstantPredictor: (fitted, graph) => {
    const [always = NaN] = fitted.vector('y_', 1);
    const classes: Labels = { dtype: 'INT64', values: [0, 1] };
    const predictIndex = (input: Table) =>
      graph.largest(constant(graph, fitted, input, [1 - always, always]));
    return {
      ...labelled(graph, classes, predictIndex),
      predictProba: (input) => constant(graph, fitted, input, [1 - always, always]),
      decisionFunction: (input) =>
        numbersAnswer(graph.kernel('as-vector', [constant(graph, fitted, input, [always])])),
    };
  },
};

/** The attribute of each output; of one output it is not in a list. */
function several(fitted: Fitted, name: string, outputs: number) {
  const value = fitted.attribute(name);
  if (outputs === 1) return [value];
  const items = itemsOf(value) ?? fitted.wrong(name, 'a list');
  return items.length === outputs ? items : fitted.wrong(name, `of ${outputs} outputs`);
}

/** The probabilities of one output: the priors, or a 1 for the class that is always answered. */
function shareOf(
  fitted: Fitted,
  strategy: string,
  {
    classes,
    priors,
    output,
  }: { classes: Labels | undefined; priors: Float64Array; output: number },
): Float64Array {
  const values = classes?.values ?? [];
  if (priors.length !== values.length || values.length === 0) fitted.damaged('has no classes');
  const one = (at: number) => priors.map((_, i) => (i === at ? 1 : 0));
  switch (strategy) {
    case 'prior':
      return priors;
    case 'most_frequent':
      return one(priors.indexOf(Math.max(...priors)));
    case 'constant': {
      const given = fitted.attribute('constant');
      const labels = labelsOf(itemsOf(given) ?? [given], fitted, 'constant');
      const at = values.map(String).indexOf(String(labels.values[output]));
      return at < 0 ? fitted.damaged('has a constant that is no class') : one(at);
    }
    default:
      return fitted.unsupported(`has strategy="${strategy.slice(0, 100)}"`);
  }
}

/** The same numbers for every row, FP64 `[rows, numbers]`. */
function constant(
  graph: SklearnGraph,
  fitted: Fitted,
  input: Table,
  values: ArrayLike<number>,
): string {
  // Only to know how many rows there are.
  const first = graph.select(input, [0]);
  const rows =
    graph.isText(input, 0) === true
      ? graph.texts(input, 0, fitted)
      : graph.unchecked(first, fitted);
  return graph.kernel('constant-rows', [rows], { weights: { values: graph.fp64(values) } });
}
