import { labelled, numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Labels } from '../labels.js';
import { affine } from '../linear/linear.js';
import { itemsOf } from '../python-values.js';
import { pairwiseSum } from '../sums.js';
import type { Table } from '../table.js';

/** Estimators that vote (sklearn/ensemble/_weight_boosting.py, _bagging.py and _voting.py, 0.22 to 1.8). */
export const committees: Record<string, CompileEstimator> = {
  AdaBoostClassifier: (fitted, graph) => {
    const members = membersOf(fitted, graph);
    const classes = fitted.labels('classes_');
    const { length: count } = classes.values;
    if (count < 2) return fitted.unsupported('has one class');
    const weights = [...fitted.vector('estimator_weights_').subarray(0, members.length)];
    const attributes = { divisor: pairwiseSum(weights, 0, weights.length) };
    const isReal = fitted.textOr('algorithm', 'SAMME') === 'SAMME.R';
    const sums = (input: Table): string => {
      const rows = checked(graph, fitted, input);
      if (isReal) {
        const parts = members.map((member) =>
          graph.kernel('samme-r', [called(member, 'predictProba', fitted)(rows)]),
        );
        return graph.kernel('combine', parts, { attributes });
      }
      const indices = members.map((member) => indexIn(graph, member, classes, rows, fitted));
      // Since 1.3 the other classes lose what the chosen one wins.
      const others = weights.map((weight) =>
        fitted.since(1, 3) ? (-1 / (count - 1)) * weight : 0,
      );
      const votes = graph.kernel('votes', indices, {
        attributes: { weights, others, classes: count },
      });
      return graph.kernel('divide', [votes], { attributes });
    };
    const decision = once((input) => {
      if (count > 2) return sums(input);
      const difference = { rows: 1, columns: 2, data: Float64Array.of(-1, 1) };
      return affine(graph, sums(input), difference, [0]);
    });
    const scale = (value: string, factor: number, width: number) =>
      graph.kernel('scale-columns', [value], {
        weights: { divide: graph.fp64(new Float64Array(width).fill(factor)) },
      });
    const predictIndex = (input: Table) =>
      count === 2 ? graph.above(decision(input)) : graph.largest(decision(input));
    return {
      ...featuresOf(fitted),
      ...labelled(graph, classes, predictIndex),
      decisionFunction: (input) => numbersAnswer(decision(input), count === 2 ? 1 : count),
      predictProba: (input) => {
        const scores = decision(input);
        if (count > 2) return graph.kernel('softmax', [scale(scores, count - 1, count)]);
        const both = graph.kernel('join-tables', [graph.kernel('negate', [scores]), scores]);
        return graph.kernel('softmax', [scale(both, 2, 2)]);
      },
    };
  },

  AdaBoostRegressor: (fitted, graph) => {
    const members = membersOf(fitted, graph);
    const weights = [...fitted.vector('estimator_weights_').subarray(0, members.length)];
    return {
      ...featuresOf(fitted),
      predict: (input) => {
        const rows = checked(graph, fitted, input);
        const parts = members.map((member) => called(member, 'predict', fitted)(rows).value);
        return numbersAnswer(graph.kernel('weighted-median', parts, { attributes: { weights } }));
      },
    };
  },

  BaggingClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const members = baggedOf(fitted, graph);
    const { length: count } = classes.values;
    const attributes = { divisor: members.length };
    const hasScores = members.every(({ member }) => member.decisionFunction);
    const predictProba = once((input) => {
      if (!members.every(({ member }) => member.predictProba)) {
        const indices = members.map(({ member, part }) =>
          indexOf(graph, member, count, part(input), fitted),
        );
        const weights = members.map(() => 1);
        const votes = graph.kernel('votes', indices, { attributes: { weights, classes: count } });
        return graph.kernel('divide', [votes], { attributes });
      }
      const parts = members.map(({ member, part }) =>
        placed(graph, called(member, 'predictProba', fitted)(part(input)), member, count, fitted),
      );
      return graph.kernel('combine', parts, { attributes });
    });
    const predictIndex = (input: Table) => graph.largest(predictProba(input));
    return {
      ...featuresOf(fitted),
      ...labelled(graph, classes, predictIndex),
      predictProba,
      ...(hasScores && {
        decisionFunction: (input) => {
          const parts = members.map(
            ({ member, part }) => called(member, 'decisionFunction', fitted)(part(input)).value,
          );
          const value = graph.kernel('combine', parts, { attributes });
          return numbersAnswer(value, count === 2 ? 1 : count);
        },
      }),
    };
  },

  BaggingRegressor: (fitted, graph) => {
    const members = baggedOf(fitted, graph);
    return {
      ...featuresOf(fitted),
      predict: (input) => {
        const answers = members.map(({ member, part }) =>
          called(member, 'predict', fitted)(part(input)),
        );
        const value = graph.kernel(
          'combine',
          answers.map((answer) => answer.value),
          { attributes: { divisor: members.length } },
        );
        return { value, dtype: 'FP64', shape: answers[0]?.shape ?? [-1] };
      },
    };
  },

  VotingClassifier: (fitted, graph) => {
    const members = membersOf(fitted, graph);
    const classes = votedClasses(fitted);
    const weights = weightsOf(fitted, members.length);
    const { length: count } = classes.values;
    const isSoft = fitted.text('voting') === 'soft';
    const predictProba = once((input) => {
      const parts = members.map((member) => called(member, 'predictProba', fitted)(input));
      return graph.kernel('combine', parts, { attributes: average(weights, parts.length) });
    });
    const predictIndex = (input: Table) => {
      if (isSoft) return graph.largest(predictProba(input));
      const indices = members.map((member) => indexOf(graph, member, count, input, fitted));
      const attributes = { weights: weights ?? members.map(() => 1), classes: count };
      return graph.largest(graph.kernel('votes', indices, { attributes }));
    };
    const votes = isSoft
      ? fitted.flagOr('flatten_transform', true) &&
        ((input: Table) =>
          graph.join(
            members.map((member) =>
              graph.table(called(member, 'predictProba', fitted)(input), count),
            ),
          ))
      : (input: Table) =>
          graph.join(
            members.map((member) => {
              const index = indexOf(graph, member, count, input, fitted);
              return graph.table(
                graph.kernel('cast', [index], { attributes: { dtype: 'FP64' } }),
                1,
              );
            }),
          );
    return {
      ...inputOf(fitted, members),
      ...labelled(graph, classes, predictIndex),
      ...(isSoft && { predictProba }),
      ...(votes && { transform: votes }),
    };
  },

  VotingRegressor: (fitted, graph) => {
    const members = membersOf(fitted, graph);
    const weights = weightsOf(fitted, members.length);
    return {
      ...inputOf(fitted, members),
      predict: (input) => {
        const parts = members.map((member) => called(member, 'predict', fitted)(input).value);
        return numbersAnswer(
          graph.kernel('combine', parts, { attributes: average(weights, parts.length) }),
        );
      },
      transform: (input) =>
        graph.join(
          members.map((member) => graph.table(called(member, 'predict', fitted)(input).value, 1)),
        ),
    };
  },
};

/** The same table is answered with the same value. */
export function once(make: (input: Table) => string): (input: Table) => string {
  const known = new Map<Table, string>();
  return (input) => {
    const value = known.get(input) ?? make(input);
    known.set(input, value);
    return value;
  };
}

export function membersOf(fitted: Fitted, graph: SklearnGraph): Estimator[] {
  const members = fitted.fittedList('estimators_').map((member) => graph.compile(member));
  return members.length > 0 ? members : fitted.damaged('has no members');
}

type Method = 'predict' | 'predictProba' | 'predictIndex' | 'decisionFunction';

/** A method that a member must have. */
export function called<M extends Method>(
  member: Estimator,
  method: M,
  fitted: Fitted,
): NonNullable<Estimator[M]> {
  const found: Estimator[M] = member[method];
  return found ?? fitted.damaged(`has a member without ${method}`);
}

export function inputOf(fitted: Fitted, members: Estimator[]): Partial<Estimator> {
  const [first] = members;
  if (first?.readsTexts) return { readsTexts: true };
  const own = featuresOf(fitted);
  const features = own.features ?? first?.features;
  const names = own.names ?? first?.names;
  return { ...(features !== undefined && { features }), ...(names && { names }) };
}

/** The table as numbers that scikit-learn has checked, so that members share them. */
function checked(graph: SklearnGraph, fitted: Fitted, input: Table): Table {
  return graph.table(graph.matrix(input, { owner: fitted }), input.width);
}

interface Bagged {
  member: Estimator;
  /** The columns that the member was fitted on. */
  part: (input: Table) => Table;
}

function baggedOf(fitted: Fitted, graph: SklearnGraph): Bagged[] {
  const columns = fitted.vectors('estimators_features_');
  const members = membersOf(fitted, graph);
  if (columns.length !== members.length) fitted.damaged('has not the columns of each member');
  return members.map((member, i) => {
    const own = columns[i] ?? new Float64Array(0);
    return {
      member,
      part: (input) => {
        if (own.some((column) => !(column >= 0 && column < input.width))) {
          fitted.damaged('has columns of members that there are not');
        }
        return graph.select(input, own);
      },
    };
  });
}

/** The index of a member's prediction among `count` classes; members were fitted on the numbers of the classes. */
function indexOf(
  graph: SklearnGraph,
  member: Estimator,
  count: number,
  input: Table,
  fitted: Fitted,
): string {
  const labels: Labels = { dtype: 'INT64', values: Array.from({ length: count }, (_, i) => i) };
  return indexIn(graph, member, labels, input, fitted);
}

/** The index of a member's prediction among the classes of all. */
function indexIn(
  graph: SklearnGraph,
  member: Estimator,
  { values }: Labels,
  input: Table,
  fitted: Fitted,
): string {
  const index = called(member, 'predictIndex', fitted)(input);
  const places = placesOf(member, values, fitted);
  if (places.every((place, i) => place === i)) return index;
  const weights = { labels: graph.fp64(places) };
  const numbers = graph.kernel('number-labels', [index], { weights });
  return graph.kernel('cast', [numbers], { attributes: { dtype: 'INT32' } });
}

function placesOf(member: Estimator, values: Labels['values'], fitted: Fitted): number[] {
  const all = values.map(String);
  const places = member.classes?.values.map((label) => all.indexOf(String(label)));
  if (!places || places.includes(-1)) return fitted.damaged('has a member of other classes');
  return places;
}

/** Probabilities of a member that may not know all classes, in the columns of all. */
function placed(
  graph: SklearnGraph,
  value: string,
  member: Estimator,
  width: number,
  fitted: Fitted,
): string {
  const places = placesOf(
    member,
    Array.from({ length: width }, (_, i) => i),
    fitted,
  );
  if (places.length === width) return value;
  const weights = { columns: graph.int32(places) };
  return graph.kernel('place-columns', [value], { attributes: { width }, weights });
}

function votedClasses(fitted: Fitted): Labels {
  if (!fitted.isNone('classes_')) return fitted.labels('classes_');
  return fitted.fitted('le_').labels('classes_');
}

/** `weights` without those of members that were dropped. */
function weightsOf(fitted: Fitted, count: number): number[] | undefined {
  if (fitted.isNone('weights')) return undefined;
  const dropped = fitted
    .list('estimators')
    .map((item) => [null, 'drop'].some((none) => itemsOf(item)?.[1] === none));
  const weights = [...fitted.vector('weights')].filter((_, i) => !dropped[i]);
  return weights.length === count ? weights : fitted.damaged('has not a weight for each member');
}

function average(weights: number[] | undefined, count: number) {
  const divisor = weights ? pairwiseSum(weights, 0, weights.length) : count;
  return { divisor, ...(weights && { weights }) };
}
