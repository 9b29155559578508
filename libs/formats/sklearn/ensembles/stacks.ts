import type { CompileEstimator, Estimator } from '../estimator.js';
import { numbersAnswer } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numbersTable, type Table } from '../table.js';
import { called, inputOf, membersOf, once } from './committees.js';

/** Estimators on the answers of others (sklearn/ensemble/_stacking.py, sklearn/calibration.py, sklearn/multiclass.py). */
export const stacks: Record<string, CompileEstimator> = {
  StackingClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const { common, final, stacked } = stackOf(fitted, graph);
    const { predictProba, decisionFunction } = final;
    const predictIndex = (input: Table) => called(final, 'predictIndex', fitted)(stacked(input));
    return {
      ...common,
      classes,
      predictIndex,
      predict: (input) => graph.predictLabels(classes, predictIndex(input)),
      ...(predictProba && { predictProba: (input: Table) => predictProba(stacked(input)) }),
      ...(decisionFunction && {
        decisionFunction: (input: Table) => decisionFunction(stacked(input)),
      }),
      transform: stacked,
    };
  },

  StackingRegressor: (fitted, graph) => {
    const { common, final, stacked } = stackOf(fitted, graph);
    return {
      ...common,
      predict: (input) => called(final, 'predict', fitted)(stacked(input)),
      transform: stacked,
    };
  },

  OneVsRestClassifier: (fitted, graph) => {
    const binarizer = fitted.fitted('label_binarizer_');
    const kind = binarizer.textOr('y_type_', 'multiclass');
    if (kind.startsWith('multilabel')) fitted.unsupported('has several labels a row');
    const classes = binarizer.labels('classes_');
    const members = membersOf(fitted, graph);
    const single = members.length === 1;
    const scores = once((input) => {
      const parts = members.map((member) => binaryScore(graph, member, input, fitted));
      return single ? (parts[0] ?? '') : graph.kernel('join-tables', parts);
    });
    const hasScores = members.every((member) => member.decisionFunction);
    const predictIndex = (input: Table) =>
      single
        ? graph.above(scores(input), hasScores ? 0 : 0.5)
        : graph.kernel('last-largest-column', [scores(input)]);
    const hasShares = members.every((member) => member.predictProba);
    const shares = (input: Table) => {
      const parts = members.map((member) => secondColumn(graph, member, input, fitted));
      if (single) return graph.kernel('both-classes', parts);
      // Since 1.6 a row without any share stays as it is.
      const zero = fitted.since(1, 6) ? 'stay' : 'nan';
      return graph.kernel('share-rows', [graph.kernel('join-tables', parts)], {
        attributes: { zero },
      });
    };
    return {
      ...inputOf(fitted, members),
      classes,
      predictIndex,
      predict: (input) => graph.predictLabels(classes, predictIndex(input)),
      ...(hasShares && { predictProba: shares }),
      ...(hasScores && {
        decisionFunction: (input: Table) => numbersAnswer(scores(input), members.length),
      }),
    };
  },

  OneVsOneClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const { length: count } = classes.values;
    const members = membersOf(fitted, graph);
    if (!fitted.isNone('pairwise_indices_')) fitted.unsupported('has a precomputed kernel');
    if (members.length !== (count * (count - 1)) / 2) fitted.damaged('has not a member a pair');
    const join = (parts: string[]) => graph.kernel('join-tables', parts);
    const decision = once((input) => {
      const scores = join(members.map((member) => binaryScore(graph, member, input, fitted)));
      const wins = join(
        members.map((member) =>
          graph.kernel('cast', [called(member, 'predictIndex', fitted)(input)], {
            attributes: { dtype: 'FP64' },
          }),
        ),
      );
      const value = graph.kernel('pairs-to-classes', [scores, wins], {
        attributes: { classes: count },
      });
      if (count > 2) return value;
      const second = graph.select(numbersTable(value, 2), [1]);
      return graph.kernel('as-vector', [graph.unchecked(second, fitted)]);
    });
    const threshold = members[0]?.decisionFunction ? 0 : 0.5;
    const predictIndex = (input: Table) =>
      count === 2 ? graph.above(decision(input), threshold) : graph.largest(decision(input));
    return {
      ...inputOf(fitted, members),
      classes,
      predictIndex,
      predict: (input) => graph.predictLabels(classes, predictIndex(input)),
      decisionFunction: (input) => numbersAnswer(decision(input), count === 2 ? 1 : count),
    };
  },

  CalibratedClassifierCV: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const all = classes.values.map(String);
    const parts = fitted
      .fittedList('calibrated_classifiers_')
      .map((part) => calibratedOf(part, graph, all));
    if (parts.length === 0) fitted.damaged('has no members');
    const predictProba = once((input) =>
      graph.kernel(
        'combine',
        parts.map(({ probabilities }) => probabilities(input)),
        { attributes: { divisor: parts.length } },
      ),
    );
    const predictIndex = (input: Table) => graph.largest(predictProba(input));
    return {
      ...inputOf(
        fitted,
        parts.map(({ inner }) => inner),
      ),
      classes,
      predictProba,
      predictIndex,
      predict: (input) => graph.predictLabels(classes, predictIndex(input)),
    };
  },
};

interface Stack {
  common: Partial<Estimator>;
  final: Estimator;
  stacked: (input: Table) => Table;
}

function stackOf(fitted: Fitted, graph: SklearnGraph): Stack {
  const members = membersOf(fitted, graph);
  const methods = fitted.strings('stack_method_');
  const final = graph.compile(fitted.fitted('final_estimator_'));
  const passes = fitted.flagOr('passthrough', false);
  const known = new Map<Table, Table>();
  return {
    common: { ...inputOf(fitted, members), ...featuresOf(fitted) },
    final,
    stacked: (input) => {
      const before = known.get(input);
      if (before) return before;
      const tables = members.map((member, i) =>
        answersOf(graph, member, methods[i] ?? '', input, fitted),
      );
      const table = graph.join(passes ? [...tables, input] : tables);
      known.set(input, table);
      return table;
    },
  };
}

/** What the final estimator sees of a member. */
function answersOf(
  graph: SklearnGraph,
  member: Estimator,
  method: string,
  input: Table,
  fitted: Fitted,
): Table {
  switch (method) {
    case 'predict_proba': {
      const value = called(member, 'predictProba', fitted)(input);
      const table = graph.table(value, member.classes?.values.length ?? 1);
      // Of two classes the first says nothing new.
      return table.width === 2 ? graph.select(table, [1]) : table;
    }
    case 'decision_function': {
      const { value, shape } = called(member, 'decisionFunction', fitted)(input);
      return graph.table(value, shape[1] ?? 1);
    }
    case 'predict': {
      const { value, dtype, shape } = called(member, 'predict', fitted)(input);
      if (dtype === 'BYTES') return fitted.unsupported('stacks labels that are texts');
      const attributes = { dtype: 'FP64' };
      const numbers = dtype === 'FP64' ? value : graph.kernel('cast', [value], { attributes });
      return graph.table(numbers, shape[1] ?? 1);
    }
    default:
      return fitted.unsupported(`stacks the answers of ${method.slice(0, 100)}`);
  }
}

/** The score of a classifier of two classes: `decision_function`, else the probability of the second. */
function binaryScore(graph: SklearnGraph, member: Estimator, input: Table, fitted: Fitted): string {
  if (member.decisionFunction) return member.decisionFunction(input).value;
  if (member.predictProba) return secondColumn(graph, member, input, fitted);
  return called(member, 'predict', fitted)(input).value;
}

function secondColumn(
  graph: SklearnGraph,
  member: Estimator,
  input: Table,
  fitted: Fitted,
): string {
  const value = called(member, 'predictProba', fitted)(input);
  if (member.classes?.values.length !== 2)
    fitted.damaged('has a member that is not of two classes');
  const column = graph.unchecked(graph.select(graph.table(value, 2), [1]), fitted);
  return graph.kernel('as-vector', [column]);
}

interface Calibrated {
  inner: Estimator;
  probabilities: (input: Table) => string;
}

/** `_CalibratedClassifier`: the scores of a classifier through a sigmoid or steps, one a class. */
function calibratedOf(part: Fitted, graph: SklearnGraph, all: string[]): Calibrated {
  const inner = graph.compile(part.fitted(part.oneNamed('estimator', 'base_estimator')));
  const calibrators = part.fittedList(part.oneNamed('calibrators', 'calibrators_'));
  const binary = all.length === 2;
  const places = inner.classes?.values.map((label) => all.indexOf(String(label))) ?? [];
  if (places.includes(-1) || calibrators.length !== (binary ? 1 : places.length)) {
    part.damaged('has not a calibrator a class');
  }
  return {
    inner,
    probabilities: (input) => {
      const scores = binary
        ? binaryScore(graph, inner, input, part)
        : inner.decisionFunction
          ? inner.decisionFunction(input).value
          : called(inner, 'predictProba', part)(input);
      const value = calibrate(graph, scores, calibrators);
      if (binary) return graph.kernel('both-classes', [value]);
      const wide =
        places.length === all.length
          ? value
          : graph.kernel('place-columns', [value], {
              attributes: { width: all.length },
              weights: { columns: graph.int32(places) },
            });
      return graph.kernel('share-rows', [wide], { attributes: { zero: 'uniform' } });
    },
  };
}

/** 1 / (1 + e^(a·x + b)), or a line through points, column by column. */
function calibrate(graph: SklearnGraph, scores: string, calibrators: Fitted[]): string {
  if (calibrators.every((one) => one.class === '_SigmoidCalibration')) {
    const weights = {
      multiply: graph.fp64(calibrators.map((one) => one.number('a_'))),
      add: graph.fp64(calibrators.map((one) => one.number('b_'))),
    };
    const exponent = graph.kernel('scale-columns', [scores], { weights });
    return graph.kernel('sigmoid', [exponent], { attributes: { scale: -1 } });
  }
  const xs = calibrators.map((one) => [
    ...(one.class === 'IsotonicRegression'
      ? one.vector(one.oneNamed('X_thresholds_', '_necessary_X_'))
      : one.unsupported('is a way to calibrate that is not supported')),
  ]);
  const ys = calibrators.map((one, i) => [
    ...one.vector(one.oneNamed('y_thresholds_', '_necessary_y_'), xs[i]?.length),
  ]);
  const starts = [0];
  for (const { length } of xs) starts.push((starts.at(-1) ?? 0) + length);
  const weights = {
    starts: graph.int32(starts),
    x: graph.fp64(xs.flat()),
    y: graph.fp64(ys.flat()),
  };
  return graph.kernel('interpolate', [scores], { weights });
}
