import type { CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { indicators } from '../indicators.js';
import { labelsOf } from '../labels.js';
import { numbersTable, type Table } from '../table.js';
import { called, inputOf, membersOf, once } from './committees.js';

/** Estimators on the answers of others (sklearn/ensemble/_stacking.py, sklearn/calibration.py, sklearn/multiclass.py). */
export const stacks: Record<string, CompileEstimator> = {
  StackingClassifier: (fitted, graph) => {
    if (severalOutputs(fitted)) return stackedLabels(fitted, graph);
    const classes = fitted.labels('classes_');
    const { common, final, stacked } = stackOf(fitted, graph);
    const { predictProba, decisionFunction } = final;
    const predictIndex = (input: Table) => called(final, 'predictIndex', fitted)(stacked(input));
    return {
      ...common,
      ...labelled(graph, classes, predictIndex),
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
    const classes = binarizer.labels('classes_');
    const members = membersOf(fitted, graph);
    if (kind.startsWith('multilabel')) return labelByLabel(fitted, graph, members);
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
      ...labelled(graph, classes, predictIndex),
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
      ...labelled(graph, classes, predictIndex),
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
      ...labelled(graph, classes, predictIndex),
      predictProba,
    };
  },
};

/** A classifier a label: any number of them may hold, each 0 or 1 in a column of its own. */
function labelByLabel(fitted: Fitted, graph: SklearnGraph, members: Estimator[]): Estimator {
  const { length: width } = members;
  const hasScores = members.every((member) => member.decisionFunction);
  const hasShares = members.every((member) => member.predictProba);
  const scores = once((input) =>
    graph.kernel(
      'join-tables',
      members.map((member) => binaryScore(graph, member, input, fitted)),
    ),
  );
  return {
    ...inputOf(fitted, members),
    probabilities: width,
    predict: (input) => indicators(graph, scores(input), hasScores ? 0 : 0.5, width),
    ...(hasShares && {
      predictProba: (input: Table) =>
        graph.kernel(
          'join-tables',
          members.map((member) => secondColumn(graph, member, input, fitted)),
        ),
    }),
    ...(hasScores && {
      decisionFunction: (input: Table) => ({
        ...numbersAnswer(scores(input), width),
        shape: [-1, width],
      }),
    }),
  };
}

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
      if (member.predictProbas) {
        const parts = member.predictProbas(input).map(({ value, shape: [, width = 1] }) =>
          graph.select(
            graph.table(value, width),
            Array.from({ length: width - 1 }, (_, i) => i + 1),
          ),
        );
        return graph.join(parts);
      }
      const value = called(member, 'predictProba', fitted)(input);
      const table = graph.table(value, member.probabilities ?? member.classes?.values.length ?? 1);
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
export function binaryScore(
  graph: SklearnGraph,
  member: Estimator,
  input: Table,
  fitted: Fitted,
): string {
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

function severalOutputs(fitted: Fitted): boolean {
  return Array.isArray(fitted.attribute('classes_'));
}

/** A stack whose rows have several labels; probabilities are those of the first class, as scikit-learn has it. */
function stackedLabels(fitted: Fitted, graph: SklearnGraph): Estimator {
  const { common, final, stacked } = stackOf(fitted, graph);
  const all = fitted.list('classes_').map((item, i) => labelsOf(item, fitted, `classes_[${i}]`));
  const plain = all.every(
    ({ dtype, values }) => dtype === 'INT64' && values.every((v, i) => Number(v) === i),
  );
  if (!plain) fitted.unsupported('has outputs whose labels are not 0, 1, …');
  const { predictProbas, probabilities, predictProba } = final;
  return {
    ...common,
    predict: (input) => called(final, 'predict', fitted)(stacked(input)),
    transform: stacked,
    ...(predictProbas && {
      probabilities: all.length,
      predictProba: (input: Table) => {
        const columns = predictProbas(stacked(input)).map(({ value, shape }) =>
          graph.unchecked(graph.select(graph.table(value, shape[1] ?? 1), [0]), fitted),
        );
        return graph.kernel('join-tables', columns);
      },
    }),
    ...(predictProba && {
      ...(probabilities !== undefined && { probabilities }),
      predictProba: (input: Table) => predictProba(stacked(input)),
    }),
  };
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
  const [only] = calibrators;
  if (only?.class === '_TemperatureScaling') {
    return { inner, probabilities: (input) => cooled(graph, { part, inner, only }, input) };
  }
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

/** What keeps the logarithm of a probability finite (`_convert_to_logits`). */
const LOGIT_EPSILON = 1e-12;

/** `_TemperatureScaling` (since 1.8): the softmax of the logits times a number. */
function cooled(
  graph: SklearnGraph,
  { part, inner, only }: { part: Fitted; inner: Estimator; only: Fitted },
  input: Table,
): string {
  const { length: count } = inner.classes?.values ?? [];
  const times = (value: string, width: number) => {
    const weights = { multiply: graph.fp64(new Float64Array(width).fill(only.number('beta_'))) };
    return graph.kernel('softmax', [graph.kernel('scale-columns', [value], { weights })]);
  };
  const score = inner.decisionFunction?.(input);
  const scores = score?.value ?? called(inner, 'predictProba', part)(input);
  if (score && score.shape.length === 1) {
    const both = graph.kernel('join-tables', [graph.kernel('negate', [scores]), scores]);
    return times(both, 2);
  }
  if (score) return times(scores, count);
  const weights = { add: graph.fp64(new Float64Array(count).fill(LOGIT_EPSILON)) };
  const shares =
    count === 2 ? graph.kernel('both-classes', [secondColumn(graph, inner, input, part)]) : scores;
  const above = graph.kernel('scale-columns', [shares], { weights });
  return times(graph.kernel('log', [above]), count);
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
