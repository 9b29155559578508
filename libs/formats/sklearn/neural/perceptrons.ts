import type { CompileEstimator, Estimator } from '../estimator.js';
import { labelled, numbersAnswer } from '../estimator.js';
import { indicators } from '../indicators.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';

/** Multi-layer perceptrons (sklearn/neural_network/_multilayer_perceptron.py, 0.22 to 1.8). */
export const perceptrons: Record<string, CompileEstimator> = {
  MLPClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const { common, outputs, forward } = network(fitted, graph);
    const binarizer = fitted.fitted('_label_binarizer');
    if (binarizer.textOr('y_type_', 'multiclass').startsWith('multilabel')) {
      return {
        ...common,
        probabilities: outputs,
        predict: (input) => indicators(graph, forward(input), 0.5, outputs),
        predictProba: (input) => graph.kernel('as-matrix', [forward(input)]),
      };
    }
    if (outputs !== (classes.values.length <= 2 ? 1 : classes.values.length)) {
      fitted.unsupported('has several labels a row');
    }
    const predictIndex = (input: Table) =>
      outputs === 1 ? graph.above(forward(input), 0.5) : graph.largest(forward(input));
    return {
      ...common,
      ...labelled(graph, classes, predictIndex),
      predictProba: (input) =>
        outputs === 1 ? graph.kernel('both-classes', [forward(input)]) : forward(input),
    };
  },

  MLPRegressor: (fitted, graph) => {
    const { common, outputs, forward } = network(fitted, graph);
    return { ...common, predict: (input) => numbersAnswer(forward(input), outputs) };
  },
};

const ACTIVATIONS: Record<string, string> = {
  identity: 'identity',
  logistic: 'sigmoid',
  tanh: 'tanh',
  relu: 'relu',
  softmax: 'softmax',
};

interface Network {
  common: Pick<Estimator, 'features' | 'names'>;
  outputs: number;
  forward: (input: Table) => string;
}

function network(fitted: Fitted, graph: SklearnGraph): Network {
  const layers = fitted.matrices('coefs_');
  const intercepts = fitted.vectors('intercepts_');
  const features = layers[0]?.rows ?? fitted.damaged('has no layers');
  const outputs = layers.at(-1)?.columns ?? 1;
  for (const [i, layer] of layers.entries()) {
    const next = layers[i + 1];
    if ((next && next.rows !== layer.columns) || intercepts[i]?.length !== layer.columns) {
      fitted.damaged(`has a layer ${i} that does not fit the next`);
    }
  }
  const hidden = ACTIVATIONS[fitted.text('activation')];
  const last = ACTIVATIONS[fitted.text('out_activation_')];
  if (!hidden || !last) return fitted.unsupported('has an activation that is not supported');
  const known = new Map<Table, string>();
  return {
    common: { features, ...namesOf(fitted) },
    outputs,
    forward: (input) => {
      const before = known.get(input);
      if (before !== undefined) return before;
      let value = graph.matrix(input, { owner: fitted, features });
      for (const [i, { rows, columns, data }] of layers.entries()) {
        value = graph.kernel('affine', [value], {
          weights: {
            coefficients: graph.fp64(data, [rows, columns]),
            intercept: graph.fp64(intercepts[i] ?? []),
          },
        });
        const activation = i === layers.length - 1 ? last : hidden;
        if (activation !== 'identity') value = graph.kernel(activation, [value]);
      }
      known.set(input, value);
      return value;
    },
  };
}
