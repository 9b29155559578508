import type { DType } from '#program';
import { canNameInputs } from '../../column-names.js';
import {
  addLink,
  addMargin,
  refusesInfinity,
  readModel,
  type Values,
  type XgboostModel,
} from '../../xgboost/compile-model.js';
import { leafWidth } from '../../xgboost/read-model.js';
import { isSince } from '../../xgboost/objectives.js';
import { readSnapshot, type Snapshot } from '../../xgboost/read-document.js';
import type { Answer, CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Labels } from '../labels.js';
import type { Table } from '../table.js';
import { codedColumns } from './coded-columns.js';

/** XGBoost's Booster and its estimators for scikit-learn (xgboost/sklearn.py and core.py, 0.90 to 3.4). */
export const xgboostModels: Record<string, CompileEstimator> = {
  XGBClassifier: classifier,
  XGBRFClassifier: classifier,
  XGBModel: regressor,
  XGBRegressor: regressor,
  XGBRFRegressor: regressor,
  XGBRanker: regressor,

  Booster: (fitted, graph) => {
    const boosted = read(fitted, graph);
    const { model, link, margin } = boosted;
    const { columns } = model.facts;
    const probabilities = (input: Table): string => {
      if (columns === 1) return graph.kernel('both-classes', [link(input)]);
      if (model.objective.link !== 'arg-max') return link(input);
      return graph.kernel('softmax', [margin(input).margin]);
    };
    return {
      ...boosted.common,
      predict: (input) => boosted.answer(link(input)),
      also: (input) => ({
        ...(model.objective.classifier && {
          predict_proba: single(probabilities(input), Math.max(columns, 2), true),
        }),
        ...boosted.also(input),
      }),
    };
  },
};

function regressor(fitted: Fitted, graph: SklearnGraph): Estimator {
  const { common, answer, link, also } = read(fitted, graph);
  return { ...common, predict: (input) => answer(link(input)), also };
}

function classifier(fitted: Fitted, graph: SklearnGraph): Estimator {
  const boosted = read(fitted, graph);
  const { model, common, link, margin, also } = boosted;
  const { columns } = model.facts;
  const classes = labelsOf(fitted, columns);
  const { length: count } = classes.values;
  if (columns > 1 && count === 2) return severalLabels(boosted, graph);
  if (columns > 1 && count !== columns) {
    fitted.damaged(`has ${count} classes and a model of ${columns}`);
  }
  const isMax = model.objective.link === 'arg-max';
  const predictIndex = (input: Table): string => {
    if (columns === 1) return graph.above(link(input), 0.5);
    return graph.largest(isMax ? margin(input).margin : link(input));
  };
  const probabilities = (input: Table): string => {
    if (columns === 1) return graph.kernel('both-classes', [link(input)]);
    return isMax ? graph.kernel('softmax', [margin(input).margin]) : link(input);
  };
  return {
    ...common,
    ...labelled(graph, classes, predictIndex),
    predictProba: (input) => wide(graph, probabilities(input)),
    also,
  };
}

/** Of each row the labels that it has, 0 or 1 in float64, as the wrapper answers them. */
function severalLabels({ model, common, link, also }: Boosted, graph: SklearnGraph): Estimator {
  const { columns } = model.facts;
  return {
    ...common,
    single: false,
    predict: (input) => {
      const has = graph.above(link(input), 0.5);
      const value = graph.kernel('cast', [has], { attributes: { dtype: 'FP64' } });
      return numbersAnswer(value, columns);
    },
    also: (input) => ({ predict_proba: single(link(input), columns), ...also(input) }),
  };
}

/** Until 1.5 labels of any kind are encoded first; else classes are the numbers from 0 on. */
function labelsOf(fitted: Fitted, columns: number): Labels {
  if (!fitted.isNone('_le')) return fitted.fitted('_le').labels('classes_');
  const count = fitted.isNone('n_classes_')
    ? Math.max(columns, 2)
    : fitted.integer('n_classes_', 0, 100_000);
  // One class, or none at all, is answered as the first of two.
  return { dtype: 'INT64', values: Array.from({ length: Math.max(count, 2) }, (_, i) => i) };
}

interface Boosted {
  model: XgboostModel;
  common: Pick<Estimator, 'features' | 'names' | 'single'>;
  margin: (input: Table) => Values;
  /** Answers FP32. */
  link: (input: Table) => string;
  /** An answer of one number a column of the model, widened. */
  answer: (value: string) => Answer;
  also: NonNullable<Estimator['also']>;
}

function read(fitted: Fitted, graph: SklearnGraph): Boosted {
  const booster = fitted.class === 'Booster' ? fitted : fitted.fitted('_Booster');
  const snapshot = readSnapshot(booster.bytes('handle'));
  const model = readModel(snapshot.model);
  const { facts, objective } = model;
  const most = treesOf(fitted, booster, model, snapshot);
  const inPlace = readsInPlace(fitted, model);
  const reading = { inPlace, ...(most !== undefined && { most }) };
  const rows = rowsOf(fitted, graph, model, inPlace);
  const margins = new Map<Table, Values>();
  const margin = (input: Table): Values => {
    const known = margins.get(input) ?? addMargin(graph, rows(input), model, reading);
    margins.set(input, known);
    return known;
  };
  const links = new Map<Table, string>();
  const link = (input: Table): string => {
    const known =
      links.get(input) ?? addLink(graph, margin(input).margin, objective.link, facts.version);
    links.set(input, known);
    return known;
  };
  // A Booster of multi:softmax answers the number of the class.
  const columns = objective.link === 'arg-max' ? 1 : facts.columns;
  return {
    model,
    common: { features: facts.features, ...namesOf(booster, model), single: true },
    margin,
    link,
    answer: (value) => numbersAnswer(wide(graph, value), columns),
    also: (input) => {
      const { margin: value, leaf } = margin(input);
      return {
        margin: single(value, facts.columns),
        ...(leaf && {
          leaf: { value: leaf.value, dtype: 'INT32' as const, shape: [-1, leaf.trees] },
        }),
      };
    },
  };
}

function single(value: string, columns: number, always = false): Answer {
  const dtype: DType = 'FP32';
  return { value, dtype, shape: columns === 1 && !always ? [-1] : [-1, columns] };
}

function wide(graph: SklearnGraph, value: string): string {
  return graph.kernel('cast', [value], { attributes: { dtype: 'FP64' } });
}

/** Names of a data frame's columns; what old releases made up for arrays are none. */
function namesOf(booster: Fitted, { facts }: XgboostModel): { names?: string[] } {
  const own = facts.featureNames.length === 0 && !booster.isNone('feature_names');
  const names = own ? booster.strings('feature_names') : facts.featureNames;
  const madeUp = names.every((name, i) => name === `f${i}`);
  return !madeUp && names.length === facts.features && canNameInputs(names) ? { names } : {};
}

const MOST_ROUNDS = 2 ** 31;

/** How many trees the estimator answers with: all, or after early stopping those up to the best iteration. */
function treesOf(
  fitted: Fitted,
  booster: Fitted,
  model: XgboostModel,
  snapshot: Snapshot,
): number | undefined {
  const { booster: trees, facts } = model;
  if (fitted === booster || trees.name === 'gblinear') return undefined;
  if (!isSince(facts.version, [1, 4])) {
    // Trees a column.
    return fitted.isNone('best_ntree_limit')
      ? undefined
      : fitted.integer('best_ntree_limit', 0) * facts.columns || undefined;
  }
  const attributes = snapshot.model.field('learner').optional('attributes');
  const best = booster.isNone('best_iteration')
    ? attributes?.optional('best_iteration')?.integer(0, MOST_ROUNDS)
    : booster.integer('best_iteration', 0, MOST_ROUNDS);
  if (best === undefined) return undefined;
  const starts = trees.model.optional('iteration_indptr')?.numbers();
  if (starts && starts.length > 1) return starts[Math.min(best + 1, starts.length - 1)];
  return (best + 1) * treesARound(model, snapshot);
}

/** Trees that one iteration adds; the model says it since 1.6, else its configuration does. */
function treesARound({ booster, facts }: XgboostModel, { config }: Snapshot): number {
  const trained = config?.field('learner').field('gradient_booster');
  const given =
    booster.model.optional('gbtree_model_param')?.optional('num_parallel_tree') ??
    (trained?.optional('gbtree') ?? trained)
      ?.optional('gbtree_train_param')
      ?.optional('num_parallel_tree');
  const groups = leafWidth(booster.model, facts.columns) > 1 ? 1 : facts.columns;
  return (given?.integer(1, MOST_ROUNDS) ?? 1) * groups;
}

/** Since 1.4 estimators read arrays where they are (`inplace_predict`), except where they cannot. */
function readsInPlace(fitted: Fitted, { booster, facts }: XgboostModel): boolean {
  if (fitted.class === 'Booster' || !isSince(facts.version, [1, 4])) return false;
  const predictor = fitted.isNone('predictor') ? 'auto' : fitted.text('predictor');
  return booster.name !== 'gblinear' && predictor === 'auto';
}

/** What XGBoost reads of a table: FP32 `[rows, columns]`. */
function rowsOf(
  fitted: Fitted,
  graph: SklearnGraph,
  { facts, levels }: XgboostModel,
  inPlace: boolean,
): (input: Table) => string {
  const missing = fitted.class === 'Booster' ? NaN : fitted.numberOr('missing', NaN);
  // What is read in place may be infinite.
  const finite = refusesInfinity(facts) && !inPlace;
  return (input) => {
    if (input.width !== facts.features) {
      fitted.damaged(`was fitted on ${facts.features} columns and is given ${input.width}`);
    }
    const table = levels
      ? codedColumns(graph, input, fitted, (column) => levels[column], 'refuse')
      : input;
    const value = graph.unchecked(table, fitted);
    const zeros = input.sparse === true;
    if (Number.isNaN(missing) && !zeros && !finite) return graph.kernel('narrow', [value]);
    return graph.kernel('xgboost-rows', [value], {
      attributes: { zeros: zeros ? 'missing' : 'stay', finite },
      ...(!Number.isNaN(missing) && {
        weights: { missing: graph.weights.add('FP32', Float32Array.of(missing)) },
      }),
    });
  };
}
