import { labelled, numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { affine } from '../linear/linear.js';
import type { Table } from '../table.js';

/** Support vector machines of libsvm (sklearn/svm/_base.py and _classes.py, 0.22 to 1.8). */
export const supportVectorMachines: Record<string, CompileEstimator> = {
  SVC: classifier,
  NuSVC: classifier,
  SVR: regressor,
  NuSVR: regressor,
  OneClassSVM: (fitted, graph) => {
    const { common, scores } = machine(fitted, graph, [fitted.matrix('support_vectors_').rows]);
    const offset = fitted.vector('offset_', 1);
    const labels = { dtype: 'INT64' as const, values: [-1, 1] };
    const predictIndex = (input: Table) => graph.above(scores(input), 0, false);
    return {
      ...common,
      predict: (input) => graph.predictLabels(labels, predictIndex(input)),
      decisionFunction: (input) => numbersAnswer(scores(input)),
      scoreSamples: (input) =>
        numbersAnswer(
          graph.kernel('scale-columns', [scores(input)], { weights: { add: graph.fp64(offset) } }),
        ),
    };
  },
  // sklearn/linear_model/_stochastic_gradient.py
  SGDOneClassSVM: (fitted, graph) => {
    const coefficients = fitted.matrix('coef_', 1);
    const { columns: features } = coefficients;
    const offset = graph.fp64(fitted.vector('offset_', 1));
    const decision = (input: Table) =>
      graph.kernel(
        'scale-columns',
        [affine(graph, graph.matrix(input, { owner: fitted, features }), coefficients, [0])],
        { weights: { subtract: offset } },
      );
    const predictIndex = (input: Table) => graph.above(decision(input), 0, true);
    return {
      features,
      ...namesOf(fitted),
      predictIndex,
      predict: (input) =>
        graph.predictLabels({ dtype: 'INT64', values: [-1, 1] }, predictIndex(input)),
      decisionFunction: (input) => numbersAnswer(decision(input)),
      scoreSamples: (input) =>
        numbersAnswer(
          graph.kernel('scale-columns', [decision(input)], { weights: { add: offset } }),
        ),
    };
  },
};

interface Machine {
  common: Pick<Estimator, 'features' | 'names'>;
  /** libsvm's scores, one a pair of classes. */
  scores: (input: Table) => string;
}

function machine(fitted: Fitted, graph: SklearnGraph, counts: number[]): Machine {
  const support = fitted.matrix('support_vectors_');
  const { rows, columns } = support;
  const dualRows = Math.max(1, counts.length - 1);
  const dual = fitted.matrix(fitted.oneNamed('_dual_coef_', 'dual_coef_'), dualRows, rows);
  const intercept = fitted.vector(fitted.oneNamed('_intercept_', 'intercept_'));
  const kernel = fitted.attribute('kernel');
  if (typeof kernel !== 'string' || !['linear', 'poly', 'rbf', 'sigmoid'].includes(kernel)) {
    return fitted.unsupported('has a kernel that is not supported');
  }
  const attributes = {
    kernel,
    gamma: fitted.number('_gamma'),
    coef0: fitted.number('coef0'),
    degree: fitted.integer('degree', 0, 1000),
  };
  const known = new Map<Table, string>();
  return {
    common: { features: columns, ...namesOf(fitted) },
    scores: (input) => {
      const before = known.get(input);
      if (before !== undefined) return before;
      const value = graph.kernel(
        'support-vectors',
        [graph.matrix(input, { owner: fitted, features: columns })],
        {
          attributes,
          weights: {
            support: graph.fp64(support.data, [rows, columns]),
            dual: graph.fp64(dual.data, [dualRows, rows]),
            intercept: graph.fp64(intercept),
            counts: graph.int32(counts),
          },
        },
      );
      known.set(input, value);
      return value;
    },
  };
}

function regressor(fitted: Fitted, graph: SklearnGraph): Estimator {
  const { common, scores } = machine(fitted, graph, [fitted.matrix('support_vectors_').rows]);
  return { ...common, predict: (input) => numbersAnswer(scores(input)) };
}

function classifier(fitted: Fitted, graph: SklearnGraph): Estimator {
  const classes = fitted.labels('classes_');
  const { length: count } = classes.values;
  const counts = [...fitted.vector(fitted.oneNamed('_n_support', 'n_support_'), count)];
  const { common, scores } = machine(fitted, graph, counts);
  const negated = (input: Table) => graph.kernel('negate', [scores(input)]);
  const ofClasses = (input: Table) =>
    graph.kernel('pairs-to-classes', [negated(input)], { attributes: { classes: count } });
  const predictIndex = (input: Table) => {
    if (fitted.flagOr('break_ties', false) && count > 2) return graph.largest(ofClasses(input));
    return graph.kernel('pair-winner', [scores(input)], { attributes: { classes: count } });
  };
  const decisionFunction = (input: Table) => {
    // scikit-learn turns the sign of the only pair, so that positive is the second class.
    if (count === 2) return numbersAnswer(negated(input));
    if (fitted.textOr('decision_function_shape', 'ovr') === 'ovr') {
      return numbersAnswer(ofClasses(input), count);
    }
    return numbersAnswer(scores(input), (count * (count - 1)) / 2);
  };
  return {
    ...common,
    ...labelled(graph, classes, predictIndex),
    decisionFunction,
    ...probabilities(fitted, graph, scores, count),
  };
}

function probabilities(
  fitted: Fitted,
  graph: SklearnGraph,
  scores: (input: Table) => string,
  classes: number,
): Pick<Estimator, 'predictProba'> {
  const isWanted = fitted.attribute('probability');
  const a = fitted.named('_probA', 'probA_');
  if (isWanted !== true || a === undefined) return {};
  const pairs = (classes * (classes - 1)) / 2;
  const slopes = fitted.vector(a, pairs);
  const offsets = fitted.vector(fitted.oneNamed('_probB', 'probB_'), pairs);
  return {
    predictProba: (input) =>
      graph.kernel('pair-probabilities', [scores(input)], {
        attributes: { classes },
        weights: { a: graph.fp64(slopes), b: graph.fp64(offsets) },
      }),
  };
}
