import { numbersAnswer, type Answer, type CompileEstimator, type Estimator } from '../estimator.js';
import { called, inputOf, membersOf } from '../ensembles/committees.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numberIn } from '../python-values.js';
import type { Table } from '../table.js';

/** One estimator an output, side by side or in a chain (sklearn/multioutput.py, 0.22 to 1.8). */
export const severalOutputs: Record<string, CompileEstimator> = {
  MultiOutputClassifier: (fitted, graph) => {
    const members = membersOf(fitted, graph);
    const hasShares = members.every((member) => member.predictProba && member.classes);
    return {
      ...inputOf(fitted, members),
      predict: (input) => sideBySide(fitted, graph, members, input),
      ...(hasShares && {
        predictProbas: (input: Table) =>
          members.map((member): Answer => ({
            value: called(member, 'predictProba', fitted)(input),
            dtype: 'FP64',
            shape: [-1, member.classes?.values.length ?? -1],
          })),
      }),
    };
  },

  MultiOutputRegressor: (fitted, graph) => {
    const members = membersOf(fitted, graph);
    return {
      ...inputOf(fitted, members),
      predict: (input) => sideBySide(fitted, graph, members, input),
    };
  },

  RegressorChain: (fitted, graph) => {
    const chain = chainOf(fitted, graph);
    return { ...chain.common, predict: (input) => chain.answer(input, 'predict') };
  },

  ClassifierChain: (fitted, graph) => {
    const chain = chainOf(fitted, graph);
    const { members } = chain;
    const width = members.length;
    return {
      ...chain.common,
      predict: (input) => chain.answer(input, 'predict'),
      ...(members.every((member) => member.predictProba) && {
        probabilities: width,
        predictProba: (input: Table) => chain.answer(input, 'predict_proba').value,
      }),
      ...(members.every((member) => member.decisionFunction) && {
        decisionFunction: (input: Table) => chain.answer(input, 'decision_function'),
      }),
    };
  },
};

function sideBySide(
  fitted: Fitted,
  graph: SklearnGraph,
  members: Estimator[],
  input: Table,
): Answer {
  const answers = members.map((member) => called(member, 'predict', fitted)(input));
  const dtype = answers[0]?.dtype ?? 'FP64';
  if (answers.some((answer) => answer.dtype !== dtype)) {
    fitted.unsupported('has outputs with labels of several types');
  }
  if (answers.some(({ shape }) => shape.length !== 1)) {
    fitted.unsupported('has members with several outputs each');
  }
  const value = graph.kernel(
    'join-labels',
    answers.map((answer) => answer.value),
  );
  return { value, dtype, shape: [-1, answers.length] };
}

/** What a member is asked for: by the others of the chain, and for the answer. */
type Method = 'predict' | 'predict_proba' | 'decision_function';

interface Chain {
  members: Estimator[];
  common: Partial<Estimator>;
  /** FP64 `[rows, outputs]` in the order of the outputs. */
  answer: (input: Table, method: Method) => Answer;
}

function chainOf(fitted: Fitted, graph: SklearnGraph): Chain {
  const members = membersOf(fitted, graph);
  const { length: count } = members;
  const order = fitted.list('order_').map((item) => numberIn(item) ?? -1);
  const places = members.map((_, output) => order.indexOf(output));
  if (order.length !== count || places.includes(-1)) fitted.damaged('has no order of its outputs');
  // Since 1.5 the others may see probabilities; before, and in chains of regressors, they see predictions.
  const seen = fitted.isNone('chain_method_')
    ? 'predict'
    : fitted.oneOf('chain_method_', ['predict', 'predict_proba', 'decision_function']);
  const features = (members[0]?.features ?? 0) || undefined;
  const augmented = new Map<Table, Table[]>();
  const tablesOf = (input: Table): Table[] => {
    const known = augmented.get(input);
    if (known) return known;
    const rows = graph.table(graph.matrix(input, { owner: fitted, features }), input.width);
    const tables = [rows];
    const parts = [rows];
    for (const member of members.slice(0, -1)) {
      const table = tables.at(-1) ?? rows;
      parts.push(graph.table(asMatrix(graph, columnOf(fitted, graph, member, seen, table)), 1));
      tables.push(graph.join(parts));
    }
    augmented.set(input, tables);
    return tables;
  };
  return {
    members,
    common: inputOf(fitted, members),
    answer: (input, method) => {
      const tables = tablesOf(input);
      const columns = places.map((place) => {
        const member = members[place];
        const table = tables[place];
        if (!member || !table) return fitted.damaged('has no order of its outputs');
        return columnOf(fitted, graph, member, method, table);
      });
      const value = graph.kernel('join-tables', columns);
      return { ...numbersAnswer(value, count), shape: [-1, count] };
    },
  };
}

function asMatrix(graph: SklearnGraph, value: string): string {
  return graph.kernel('as-matrix', [value]);
}

/** One column of numbers from a member: of probabilities those of the second class. */
function columnOf(
  fitted: Fitted,
  graph: SklearnGraph,
  member: Estimator,
  method: Method,
  table: Table,
): string {
  if (method === 'predict_proba') {
    if (member.classes?.values.length !== 2) {
      return fitted.unsupported('asks for probabilities of labels that are not two');
    }
    const value = called(member, 'predictProba', fitted)(table);
    return graph.unchecked(graph.select(graph.table(value, 2), [1]), fitted);
  }
  const answer = called(
    member,
    method === 'predict' ? 'predict' : 'decisionFunction',
    fitted,
  )(table);
  if (answer.dtype === 'BYTES' || answer.shape.length !== 1) {
    return fitted.unsupported('chains labels that are texts or several a row');
  }
  const attributes = { dtype: 'FP64' };
  return answer.dtype === 'FP64'
    ? answer.value
    : graph.kernel('cast', [answer.value], { attributes });
}
