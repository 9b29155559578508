import { NdArray } from '../../pickle/records.js';
import { numbersAnswer, type Answer, type CompileEstimator, type Estimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { labelsOf, type Labels } from '../labels.js';
import type { Table } from '../table.js';
import { searchOf, type Search } from './search.js';

/** Nearest neighbours (sklearn/neighbors, 0.22 to 1.8). */
export const neighbors: Record<string, CompileEstimator> = {
  KNeighborsClassifier: (fitted, graph) => {
    const uniform = weightsOf(fitted) === 'uniform';
    const single = !fitted.flagOr('outputs_2d_', false);
    const search = searchOf(fitted, graph, { direct: uniform && single && fitted.since(1, 3) });
    const attributes = { weights: weightsOf(fitted), neighbours: countOf(fitted, search) };
    return classifier(fitted, graph, search, (input, classes, targets) =>
      search.kernel('tree-neighbours', input, { ...attributes, classes }, { targets }),
    );
  },

  RadiusNeighborsClassifier: (fitted, graph) => {
    const search = searchOf(fitted, graph);
    const attributes = { weights: weightsOf(fitted), radius: fitted.number('radius') };
    const outliers = fitted.isNone('outlier_label_') ? undefined : outlierLabels(fitted);
    const all = classesOf(fitted);
    return classifier(fitted, graph, search, (input, classes, targets, output) => {
      const label = outliers?.[output];
      const own = all[output];
      if (label === undefined || !own) {
        return search.kernel('radius-neighbours', input, { ...attributes, classes }, { targets });
      }
      const outlier = own.values.findIndex((value) => String(value) === String(label));
      if (outlier < 0) fitted.unsupported('has an outlier_label that is none of its classes');
      const given = { ...attributes, classes, outlier };
      return search.kernel('radius-neighbours', input, given, { targets });
    });
  },

  KNeighborsRegressor: (fitted, graph) => {
    const search = searchOf(fitted, graph);
    const attributes = { weights: weightsOf(fitted), neighbours: countOf(fitted, search) };
    return regressor(fitted, graph, search, (input, targets) =>
      search.kernel('tree-neighbours', input, attributes, { targets }),
    );
  },

  RadiusNeighborsRegressor: (fitted, graph) => {
    const search = searchOf(fitted, graph);
    const attributes = { weights: weightsOf(fitted), radius: fitted.number('radius') };
    return regressor(fitted, graph, search, (input, targets) =>
      search.kernel('radius-neighbours', input, attributes, { targets }),
    );
  },

  LocalOutlierFactor: (fitted, graph) => {
    if (!fitted.flagOr('novelty', false)) {
      fitted.unsupported('was fitted with novelty=False, so that it knows its own rows only');
    }
    const search = searchOf(fitted, graph);
    const neighbours = fitted.integer('n_neighbors_', 1, search.count);
    const distances = fitted.matrix('_distances_fit_X_', search.count);
    const densities = fitted.vector('_lrd', search.count);
    const reach = Float64Array.from(
      { length: search.count },
      (_, p) => distances.data[p * distances.columns + neighbours - 1] ?? NaN,
    );
    const offset = fitted.number('offset_');
    const scores = (input: Table) => {
      const weights = { reach: graph.fp64(reach), densities: graph.fp64(densities) };
      const value = search.kernel('local-outliers', input, { neighbours }, weights);
      return graph.kernel('as-vector', [value]);
    };
    const decision = (input: Table) =>
      graph.kernel('scale-columns', [scores(input)], {
        weights: { subtract: graph.fp64([offset]) },
      });
    const predictIndex = (input: Table) => graph.above(decision(input), 0, true);
    return {
      features: search.features,
      ...namesOf(fitted),
      predictIndex,
      predict: (input) =>
        graph.predictLabels({ dtype: 'INT64', values: [-1, 1] }, predictIndex(input)),
      decisionFunction: (input) => numbersAnswer(decision(input)),
      scoreSamples: (input) => numbersAnswer(scores(input)),
    };
  },

  KNeighborsTransformer: (fitted, graph) => {
    const search = searchOf(fitted, graph);
    const connects = fitted.oneOf('mode', ['distance', 'connectivity']) === 'connectivity';
    // Of distances one more, so that a row among the points has as many besides itself.
    const neighbours = countOf(fitted, search) + (connects ? 0 : 1);
    if (neighbours > search.count) fitted.unsupported('asks for more neighbours than there are');
    return graphOf(fitted, graph, search, { connects, neighbours });
  },

  RadiusNeighborsTransformer: (fitted, graph) => {
    const search = searchOf(fitted, graph);
    const connects = fitted.oneOf('mode', ['distance', 'connectivity']) === 'connectivity';
    return graphOf(fitted, graph, search, { connects, radius: fitted.number('radius') });
  },
};

function weightsOf(fitted: Fitted): string {
  if (fitted.isNone('weights')) return 'uniform';
  if (typeof fitted.attribute('weights') !== 'string') {
    fitted.unsupported('has weights that are a function');
  }
  return fitted.oneOf('weights', ['uniform', 'distance']);
}

function countOf(fitted: Fitted, { count }: Search): number {
  return fitted.integer('n_neighbors', 1, count);
}

/** A graph of more columns would be mostly zeros. */
const MOST_GRAPH = 20_000;

function graphOf(
  fitted: Fitted,
  graph: SklearnGraph,
  search: Search,
  attributes: Record<string, number | boolean>,
): Estimator {
  if (search.count > MOST_GRAPH) fitted.unsupported(`makes more than ${MOST_GRAPH} columns`);
  return {
    features: search.features,
    ...namesOf(fitted),
    transform: (input) =>
      graph.table(search.kernel('neighbour-graph', input, attributes), search.count),
  };
}

/** The classes of each output. */
function classesOf(fitted: Fitted): Labels[] {
  if (!fitted.flagOr('outputs_2d_', false)) return [fitted.labels('classes_')];
  return fitted.list('classes_').map((item, i) => labelsOf(item, fitted, `classes_[${i}]`));
}

function outlierLabels(fitted: Fitted): Labels['values'] {
  return fitted.labels('outlier_label_').values;
}

type Shares = (
  input: Table,
  classes: number,
  targets: ReturnType<SklearnGraph['int32']>,
  output: number,
) => string;

function classifier(
  fitted: Fitted,
  graph: SklearnGraph,
  { features, count }: Search,
  shares: Shares,
): Estimator {
  const classes = classesOf(fitted);
  const { length: outputs } = classes;
  const targets = fitted.vector('_y', count * outputs);
  const known = new Map<Table, string[]>();
  const parts = (input: Table): string[] => {
    const value =
      known.get(input) ??
      classes.map(({ values }, output) => {
        const own = Float64Array.from(
          { length: count },
          (_, p) => targets[p * outputs + output] ?? -1,
        );
        return shares(input, values.length, graph.int32(own), output);
      });
    known.set(input, value);
    return value;
  };
  const common = { features, ...namesOf(fitted) };
  const [first] = classes;
  if (!first) return fitted.damaged('has no classes');
  if (!fitted.flagOr('outputs_2d_', false)) {
    const predictProba = (input: Table) => parts(input)[0] ?? '';
    const predictIndex = (input: Table) => graph.largest(predictProba(input));
    return {
      ...common,
      classes: first,
      predictProba,
      predictIndex,
      predict: (input) => graph.predictLabels(first, predictIndex(input)),
    };
  }
  if (classes.some(({ dtype }) => dtype !== first.dtype)) {
    fitted.unsupported('has labels of several types');
  }
  return {
    ...common,
    predict: (input) => {
      const labels = parts(input).map((part, i) =>
        graph.predictLabels(classes[i] ?? first, graph.largest(part)),
      );
      const value = graph.kernel(
        'join-labels',
        labels.map((answer) => answer.value),
      );
      return { value, dtype: first.dtype, shape: [-1, outputs] };
    },
    predictProbas: (input) =>
      parts(input).map((value, i): Answer => {
        const width = classes[i]?.values.length ?? -1;
        return { value, dtype: 'FP64', shape: [-1, width] };
      }),
  };
}

function regressor(
  fitted: Fitted,
  graph: SklearnGraph,
  { features, count }: Search,
  means: (input: Table, targets: ReturnType<SklearnGraph['fp64']>) => string,
): Estimator {
  const y = fitted.attribute('_y');
  const isMatrix = y instanceof NdArray && y.shape.length === 2;
  const targets = fitted.vector('_y');
  const outputs = targets.length / count;
  if (!Number.isInteger(outputs) || outputs < 1) fitted.damaged('has _y of another length');
  return {
    features,
    ...namesOf(fitted),
    predict: (input) => {
      const value = means(input, graph.fp64(targets, [count, outputs]));
      if (isMatrix) return { value, dtype: 'FP64', shape: [-1, outputs] };
      return numbersAnswer(graph.kernel('as-vector', [value]));
    },
  };
}
