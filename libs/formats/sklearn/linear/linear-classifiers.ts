import { labelled, numbersAnswer, type CompileEstimator, type Estimator } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Labels } from '../labels.js';
import { indicators } from '../indicators.js';
import { linearModel, type LinearModel } from './linear.js';

/** Linear classifiers (sklearn/linear_model and sklearn/svm, 0.22 to 1.8). */
export const linearClassifiers: Record<string, CompileEstimator> = {
  LogisticRegression: logistic,
  LogisticRegressionCV: logistic,
  SGDClassifier: (fitted, graph) => {
    const model = linearModel(fitted, graph);
    const estimator = classifier(fitted, graph, model);
    const loss = fitted.text('loss');
    if (loss === 'log_loss' || loss === 'log') return { ...estimator, ...oneVsRest(graph, model) };
    if (loss === 'modified_huber') return { ...estimator, ...clipped(graph, model) };
    return estimator;
  },
  LinearSVC: plain,
  RidgeClassifier: ridge,
  RidgeClassifierCV: ridge,
  Perceptron: plain,
  PassiveAggressiveClassifier: plain,
};

function plain(fitted: Fitted, graph: SklearnGraph): Estimator {
  return classifier(fitted, graph, linearModel(fitted, graph));
}

/** Of several labels a row each is 1 where its score is above 0. */
function ridge(fitted: Fitted, graph: SklearnGraph): Estimator {
  const binarizer = fitted.fitted('_label_binarizer');
  if (!binarizer.textOr('y_type_', 'multiclass').startsWith('multilabel')) {
    return plain(fitted, graph);
  }
  const { common, outputs, scores } = linearModel(fitted, graph);
  if (!fitted.since(1, 1))
    fitted.unsupported('has several labels a row, before they were understood');
  return {
    ...common,
    predict: (input) => indicators(graph, scores(input), 0, outputs),
    decisionFunction: (input) => numbersAnswer(scores(input), outputs),
  };
}

function logistic(fitted: Fitted, graph: SklearnGraph): Estimator {
  const model = linearModel(fitted, graph);
  const estimator = classifier(fitted, graph, model);
  const multiClass = fitted.textOr('multi_class', 'auto');
  const binary = (estimator.classes?.values.length ?? 0) <= 2;
  const isAuto = ['auto', 'deprecated'].includes(multiClass);
  const isOneVsRest =
    ['ovr', 'warn'].includes(multiClass) ||
    (isAuto && (binary || fitted.textOr('solver', 'lbfgs') === 'liblinear'));
  if (isOneVsRest) return { ...estimator, ...oneVsRest(graph, model) };
  return {
    ...estimator,
    predictProba: (input) => {
      const scores = model.scores(input);
      if (model.outputs > 1) return graph.kernel('softmax', [scores]);
      const negative = graph.kernel('negate', [scores]);
      return graph.kernel('softmax', [graph.kernel('join-tables', [negative, scores])]);
    },
  };
}

/** The classes, those of a label binarizer where the classifier has none of its own. */
function classesOf(fitted: Fitted): Labels {
  if (!fitted.isNone('classes_')) return fitted.labels('classes_');
  return fitted.fitted('_label_binarizer').labels('classes_');
}

/** `LinearClassifierMixin` of sklearn/linear_model/_base.py. */
export function classifier(fitted: Fitted, graph: SklearnGraph, model: LinearModel): Estimator {
  const classes = classesOf(fitted);
  const { length: count } = classes.values;
  if (model.outputs !== (count <= 2 ? 1 : count)) {
    fitted.damaged(`has ${model.outputs} scores for ${count} classes`);
  }
  const predictIndex: Estimator['predictIndex'] = (input) =>
    model.outputs === 1 ? graph.above(model.scores(input)) : graph.largest(model.scores(input));
  return {
    ...model.common,
    ...labelled(graph, classes, predictIndex),
    decisionFunction: (input) => numbersAnswer(model.scores(input), model.outputs),
  };
}

/** `_predict_proba_lr`: a sigmoid a class, divided by their sum. */
function oneVsRest(graph: SklearnGraph, model: LinearModel): Pick<Estimator, 'predictProba'> {
  return {
    predictProba: (input) => {
      const sigmoid = graph.kernel('sigmoid', [model.scores(input)]);
      return model.outputs === 1
        ? graph.kernel('both-classes', [sigmoid])
        : graph.kernel('share-rows', [sigmoid], { attributes: { zero: 'nan' } });
    },
  };
}

/** The modified Huber loss of SGDClassifier: (clip(score, −1, 1) + 1) / 2. */
function clipped(graph: SklearnGraph, model: LinearModel): Pick<Estimator, 'predictProba'> {
  const all = (value: number) => graph.fp64(new Float64Array(model.outputs).fill(value));
  return {
    predictProba: (input) => {
      const limits = { low: all(-1), high: all(1) };
      const clip = graph.kernel('scale-columns', [model.scores(input)], { weights: limits });
      const weights = { add: all(0.5), multiply: all(0.5) };
      const half = graph.kernel('scale-columns', [clip], { weights });
      return model.outputs === 1
        ? graph.kernel('both-classes', [half])
        : graph.kernel('share-rows', [half], { attributes: { zero: 'uniform' } });
    },
  };
}
