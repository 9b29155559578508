import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { PyDict } from '../../pickle/records.js';
import { itemsOf, numberIn } from '../python-values.js';
import type { Table } from '../table.js';

/** Estimators one after the other or side by side (sklearn/pipeline.py, 0.22 to 1.8), and those that stand for another. */
export const pipelines: Record<string, CompileEstimator> = {
  Pipeline: (fitted, graph) => {
    const steps = namedSteps(fitted, 'steps').flatMap(({ value, name }) =>
      value === null || value === 'passthrough' ? [] : [graph.compile(fitted.inner(value, name))],
    );
    const last = steps.pop();
    if (!last) return { ...featuresOf(fitted), transform: (input) => input };
    const [first = last] = steps;
    const before = transformers(steps, fitted);
    return { ...inputOf([first, ...steps, last], fitted), ...behind(last, before) };
  },

  FeatureUnion: (fitted, graph) => {
    const weights = fitted.isNone('transformer_weights') ? undefined : weightsOf(fitted);
    const parts = namedSteps(fitted, 'transformer_list').flatMap(({ value, name, step }) => {
      if (value === 'drop' || value === null) return [];
      const weight = weights?.get(step);
      if (value === 'passthrough') return [{ part: passthrough, weight }];
      return [{ part: graph.compile(fitted.inner(value, name)), weight }];
    });
    return {
      changesWidth: true,
      ...inputOf(
        parts.map(({ part }) => part),
        fitted,
      ),
      transform: (input) =>
        graph.join(
          parts.map(({ part, weight }) => {
            const table = transformed(part, input, fitted);
            return weight === undefined ? table : weighted(graph, table, weight, fitted);
          }),
        ),
    };
  },

  GridSearchCV: search,
  RandomizedSearchCV: search,
  HalvingGridSearchCV: search,
  HalvingRandomSearchCV: search,
};

const passthrough: Estimator = { transform: (input) => input };

function search(fitted: Fitted, graph: SklearnGraph): Estimator {
  if (fitted.isNone('best_estimator_')) fitted.unsupported('was fitted with refit=False');
  return graph.compile(fitted.fitted('best_estimator_'));
}

/** `(name, object)` pairs. */
function namedSteps(fitted: Fitted, attribute: string) {
  return fitted.list(attribute).map((item, i) => {
    const [step, value] = itemsOf(item) ?? [];
    if (typeof step !== 'string' || value === undefined) {
      return fitted.wrong(`${attribute}[${i}]`, 'a name and a step');
    }
    return { step, value, name: `${attribute}[${i}]` };
  });
}

/** What the first of these that knows says of its columns. */
function inputOf(steps: Estimator[], fitted: Fitted): Partial<Estimator> {
  if (steps[0]?.readsTexts) return { readsTexts: true };
  const own = featuresOf(fitted);
  // Columns go through steps that do not know how many there are, but not through those that make others of them.
  const known = steps.find((step) => step.features !== undefined || step.changesWidth);
  const features = own.features ?? known?.features;
  const names = own.names ?? steps[0]?.names;
  return { ...(features !== undefined && { features }), ...(names && { names }) };
}

function transformers(steps: Estimator[], fitted: Fitted): (input: Table) => Table {
  const known = new Map<Table, Table>();
  return (input) => {
    const before = known.get(input);
    if (before) return before;
    const table = steps.reduce((rows, step) => transformed(step, rows, fitted), input);
    known.set(input, table);
    return table;
  };
}

function transformed(step: Estimator, input: Table, fitted: Fitted): Table {
  return step.transform?.(input) ?? fitted.damaged('has a step that does not transform');
}

/** All that an estimator can do, with something done to the table first. */
export function behind(last: Estimator, before: (input: Table) => Table): Estimator {
  const { transform, predict, predictIndex, predictProba, predictProbas } = last;
  const { decisionFunction, scoreSamples, classes, probabilities, also, single } = last;
  return {
    ...(single && { single }),
    ...(also && { also: (input: Table) => also(before(input)) }),
    ...(classes && { classes }),
    ...(probabilities !== undefined && { probabilities }),
    ...(transform && { transform: (input: Table) => transform(before(input)) }),
    ...(predict && { predict: (input: Table) => predict(before(input)) }),
    ...(predictIndex && { predictIndex: (input: Table) => predictIndex(before(input)) }),
    ...(predictProba && { predictProba: (input: Table) => predictProba(before(input)) }),
    ...(predictProbas && { predictProbas: (input: Table) => predictProbas(before(input)) }),
    ...(decisionFunction && {
      decisionFunction: (input: Table) => decisionFunction(before(input)),
    }),
    ...(scoreSamples && { scoreSamples: (input: Table) => scoreSamples(before(input)) }),
  };
}

/** `transformer_weights`: by the name of the step. */
export function weightsOf(fitted: Fitted): Map<string, number> {
  const weights = fitted.attribute('transformer_weights');
  if (!(weights instanceof PyDict)) return fitted.wrong('transformer_weights', 'a dict');
  return new Map(
    weights.entries.map(([name, value]) => [
      typeof name === 'string' ? name : '',
      numberIn(value) ?? NaN,
    ]),
  );
}

export function weighted(graph: SklearnGraph, table: Table, weight: number, owner: Fitted): Table {
  const { width } = table;
  const factors = Float64Array.from({ length: width }, () => weight);
  const weights = { multiply: graph.fp64(factors) };
  return graph.table(
    graph.kernel('scale-columns', [graph.unchecked(table, owner)], { weights }),
    width,
  );
}
