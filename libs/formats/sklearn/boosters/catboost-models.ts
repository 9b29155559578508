import { borderOf, checkDimensions, classLabels } from '../../catboost/add-outputs.js';
import {
  categoricalFeatures,
  columnNames,
  isMadeUp,
  numericFeatures,
} from '../../catboost/bind-features.js';
import { addScores, checkNumbers } from '../../catboost/compile-model.js';
import { lossOf } from '../../catboost/losses.js';
import type { CatboostModel } from '../../catboost/model.js';
import { readCbm } from '../../catboost/read-cbm.js';
import type { Answer, CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Labels } from '../labels.js';
import type { Table } from '../table.js';

/** CatBoost's estimators (catboost/core.py, 1.0 to 1.2). */
export const catboostModels: Record<string, CompileEstimator> = {
  CatBoost: raw,
  CatBoostRanker: raw,

  CatBoostRegressor: (fitted, graph) => {
    const scored = read(fitted, graph);
    const { model, margin, common, also } = scored;
    const { loss } = scored;
    if (loss.kind === 'exponent') {
      const predict = (input: Table) =>
        numbersAnswer(graph.kernel('fmath-exp', [margin(input)]), model.dimensions);
      return { ...common, predict, also };
    }
    if (loss.kind !== 'uncertainty') return raw(fitted, graph, scored);
    const columnOf = (value: string, column: number) =>
      graph.kernel('take-column', [value], { attributes: { column } });
    return {
      ...common,
      // The mean as it is, the variance from the logarithm of the deviation.
      predict: (input) => {
        const scores = margin(input);
        const variance = graph.kernel('fmath-exp', [columnOf(scores, 1)], {
          attributes: { scale: 2 },
        });
        return numbersAnswer(graph.kernel('join-columns', [columnOf(scores, 0), variance]), 2);
      },
      also,
    };
  },

  CatBoostClassifier: (fitted, graph) => {
    const { model, loss, common, margin, also } = read(fitted, graph);
    switch (loss.kind) {
      case 'binary': {
        const than = borderOf(model);
        return classifier(
          { graph, common, also, classes: labelsOf(model, 2) },
          {
            predictIndex: (input) => graph.above(margin(input), than),
            predictProba: (input) =>
              graph.kernel('both-classes', [graph.kernel('sigmoid', [margin(input)])]),
          },
        );
      }
      case 'classes': {
        const classes = labelsOf(model, model.dimensions);
        return classifier(
          { graph, common, also, classes },
          {
            predictIndex: (input) => graph.largest(margin(input)),
            predictProba: (input) => graph.kernel(loss.link, [margin(input)]),
          },
        );
      }
      case 'labels':
        return {
          ...common,
          predict: (input) => {
            const attributes = { dtype: 'INT64' };
            const value = graph.kernel('cast', [graph.above(margin(input))], { attributes });
            return { value, dtype: 'INT64', shape: [-1, model.dimensions] };
          },
          also: (input) => ({
            predict_proba: numbersAnswer(
              graph.kernel('sigmoid', [margin(input)]),
              model.dimensions,
            ),
            ...also(input),
          }),
        };
      default:
        return fitted.unsupported(
          `has the loss function ${model.info.loss ?? 'of its own'}, which is no classifier's`,
        );
    }
  },
};

function labelsOf(model: CatboostModel, count: number): Labels {
  return classLabels(model, count);
}

function classifier(
  {
    graph,
    classes,
    ...common
  }: { graph: SklearnGraph; classes: Labels } & { common: Partial<Estimator> } & Pick<
      Estimator,
      'also'
    >,
  { predictIndex, predictProba }: Required<Pick<Estimator, 'predictIndex' | 'predictProba'>>,
): Estimator {
  return {
    ...common.common,
    ...labelled(graph, classes, predictIndex),
    predictProba,
    ...(common.also && { also: common.also }),
  };
}

/** Raw scores, which is what all but classifiers answer. */
function raw(fitted: Fitted, graph: SklearnGraph, scored = read(fitted, graph)): Estimator {
  const { model, margin, common, also } = scored;
  return {
    ...common,
    predict: (input) => numbersAnswer(margin(input), model.dimensions),
    also,
  };
}

function read(fitted: Fitted, graph: SklearnGraph) {
  const model = readCbm(fitted.bytes('__model'));
  checkNumbers(model);
  const loss = lossOf(model.info.loss);
  checkDimensions(loss, model);
  const names = columnNames(model);
  const known = new Map<Table, { margin: string; leaf: string }>();
  const scores = (input: Table) => {
    if (input.width !== names.length) {
      fitted.damaged(`was fitted on ${names.length} columns and is given ${input.width}`);
    }
    const made =
      known.get(input) ?? addScores(graph, model, featuresOf(fitted, graph, model, input));
    known.set(input, made);
    return made;
  };
  const common: Pick<Estimator, 'features' | 'names'> = {
    features: names.length,
    ...(!isMadeUp(names) && { names }),
  };
  return {
    model,
    loss,
    common,
    margin: (input: Table) => scores(input).margin,
    also: (input: Table): Record<string, Answer> => {
      const { margin, leaf } = scores(input);
      return {
        margin: numbersAnswer(margin, model.dimensions),
        leaf: { value: leaf, dtype: 'INT32', shape: [-1, model.trees.length] },
      };
    },
  };
}

function featuresOf(fitted: Fitted, graph: SklearnGraph, model: CatboostModel, input: Table) {
  const narrow = (table: Table) => graph.kernel('narrow', [graph.unchecked(table, fitted)]);
  if (model.categories.length === 0) return numericFeatures(model, input.width, narrow(input));
  const texts = new Set(model.categories.map(({ column }) => column));
  graph.integersAsTexts = true;
  const columns = Array.from({ length: input.width }, (_, column) => graph.nameOf(input, column));
  return categoricalFeatures(graph, model, columns, (column) =>
    texts.has(column) ? graph.texts(input, column, fitted) : narrow(graph.select(input, [column])),
  );
}
