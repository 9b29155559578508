import { addLink, addTrees, checkModel, isMadeUp, levelsOf } from '../../lightgbm/compile-model.js';
import type { LightgbmModel } from '../../lightgbm/model.js';
import { readText } from '../../lightgbm/read-text.js';
import { numberIn, itemsOf } from '../python-values.js';
import type { Answer, CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';
import { codedColumns } from './coded-columns.js';

/** LightGBM's Booster and its estimators for scikit-learn (lightgbm/sklearn.py and basic.py, 2.3 to 4.6). */
export const lightgbmModels: Record<string, CompileEstimator> = {
  LGBMModel: regressor,
  LGBMRegressor: regressor,
  LGBMRanker: regressor,

  LGBMClassifier: (fitted, graph) => {
    const { model, common, link, also } = read(fitted, graph);
    const columns = model.treesPerIteration;
    // With an objective of its author's own it answers raw scores.
    if (!fitted.isNone('_objective') && typeof fitted.attribute('_objective') !== 'string') {
      return { ...common, predict: (input) => numbersAnswer(link(input), columns), also };
    }
    const classes = fitted.isNone('_le')
      ? fitted.labels('_classes')
      : fitted.fitted('_le').labels('classes_');
    const { length: count } = classes.values;
    if (columns > 1 && count !== columns) {
      fitted.damaged(`has ${count} classes and a model of ${columns}`);
    }
    const predictProba = (input: Table) =>
      columns === 1 ? graph.kernel('both-classes', [link(input)]) : link(input);
    const predictIndex = (input: Table) => graph.largest(predictProba(input));
    return {
      ...common,
      ...labelled(graph, classes, predictIndex),
      predictProba,
      also,
    };
  },

  Booster: (fitted, graph) => {
    const { model, objective, common, link, also } = read(fitted, graph);
    const columns = model.treesPerIteration;
    const probabilities = (input: Table) =>
      columns === 1 ? graph.kernel('both-classes', [link(input)]) : link(input);
    return {
      ...common,
      predict: (input) => numbersAnswer(link(input), columns),
      also: (input) => ({
        ...(objective.classifier && {
          predict_proba: numbersAnswer(probabilities(input), Math.max(columns, 2)),
        }),
        ...also(input),
      }),
    };
  },
};

function regressor(fitted: Fitted, graph: SklearnGraph): Estimator {
  const { model, common, link, also } = read(fitted, graph);
  return {
    ...common,
    predict: (input) => numbersAnswer(link(input), model.treesPerIteration),
    also,
  };
}

function read(fitted: Fitted, graph: SklearnGraph) {
  const booster = fitted.class === 'Booster' ? fitted : fitted.fitted('_Booster');
  const model = modelOf(booster);
  const objective = checkModel(model);
  const rows = rowsOf(fitted, graph, model);
  const known = new Map<Table, { margin: string; leaf: string; link: string }>();
  const values = (input: Table) => {
    const before = known.get(input);
    if (before) return before;
    const { margin, leaf } = addTrees(graph, rows(input), model);
    const made = { margin, leaf, link: addLink(graph, margin, model, objective) };
    known.set(input, made);
    return made;
  };
  const { features, featureNames } = model;
  const common: Pick<Estimator, 'features' | 'names'> = {
    features,
    ...(!isMadeUp(featureNames) && { names: featureNames }),
  };
  return {
    model,
    objective,
    common,
    link: (input: Table) => values(input).link,
    also: (input: Table): Record<string, Answer> => {
      const { margin, leaf } = values(input);
      return {
        margin: numbersAnswer(margin, model.treesPerIteration),
        leaf: { value: leaf, dtype: 'INT32', shape: [-1, model.trees.length] },
      };
    },
  };
}

/** The model that predicts: up to the best iteration after early stopping, as `Booster.predict` does. */
export function modelOf(booster: Fitted): LightgbmModel {
  const handle = booster.oneNamed('_handle', 'handle');
  const text = booster.text(handle);
  booster.budget.spend(Math.ceil(text.length / 8));
  const model = readText(text);
  if (model.pandasCategories.length === 0) model.pandasCategories = categoriesOf(booster);
  const best = booster.isNone('best_iteration') ? 0 : booster.integer('best_iteration');
  return best > 0
    ? { ...model, trees: model.trees.slice(0, best * model.treesPerIteration) }
    : model;
}

/** Levels of the pandas columns that the Booster keeps beside its model. */
function categoriesOf(booster: Fitted): unknown[][] {
  if (booster.isNone('pandas_categorical')) return [];
  return booster.list('pandas_categorical').map((list, i) => {
    const items = itemsOf(list) ?? booster.wrong(`pandas_categorical[${i}]`, 'a list');
    return items.map((item) => (typeof item === 'boolean' ? item : (numberIn(item) ?? item)));
  });
}

/** What LightGBM reads of a table: FP64 `[rows, columns]`, categories of pandas as their codes. */
function rowsOf(
  fitted: Fitted,
  graph: SklearnGraph,
  model: LightgbmModel,
): (input: Table) => string {
  const levels = levelsOf(model);
  const { features } = model;
  const texts = new Map(
    [...levels]
      .filter(([, list]) => typeof list[0] === 'string')
      .map(([column, list]) => [column, list.map(String)]),
  );
  return (input) => {
    if (input.width !== features) {
      fitted.damaged(`was fitted on ${features} columns and is given ${input.width}`);
    }
    // Pandas makes what is none of the levels a missing value.
    const table =
      texts.size > 0
        ? codedColumns(graph, input, fitted, (column) => texts.get(column), 'missing')
        : input;
    let rows = graph.unchecked(table, fitted);
    for (const [column, list] of levels) {
      if (typeof list[0] === 'string') continue;
      rows = graph.kernel('number-codes', [rows], {
        attributes: { column },
        weights: { levels: graph.fp64(list.map(Number)) },
      });
    }
    return rows;
  };
}
