import { NdArray } from '../../pickle/records.js';
import { labelled, numbersAnswer, type CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';
import { covarianceOf } from './covariance.js';

/** Gaussian processes (sklearn/gaussian_process, 0.22 to 1.8): of regression the mean. */
export const gaussianProcesses: Record<string, CompileEstimator> = {
  GaussianProcessRegressor: (fitted, graph) => {
    const points = trainingPoints(fitted);
    const { rows: count, columns: features } = points;
    const alpha = fitted.vector('alpha_');
    const outputs = alpha.length / count;
    if (!Number.isInteger(outputs) || outputs < 1) fitted.damaged('has alpha_ of another length');
    const each = (name: string, otherwise: number) => {
      const given = fitted.isNone(name) ? Float64Array.of(otherwise) : fitted.vector(name);
      if (given.length === 1) return new Float64Array(outputs).fill(given[0] ?? NaN);
      return given.length === outputs ? given : fitted.damaged(`has ${name} of another length`);
    };
    const mean = each('_y_train_mean', 0);
    const scale = each('_y_train_std', 1);
    const targets = fitted.attribute('alpha_');
    // Until 1.0 the answers for one column of targets kept their second dimension.
    const isMatrix = targets instanceof NdArray && targets.shape.length === 2;
    return {
      features,
      ...namesOf(fitted),
      predict: (input) => {
        const given = covarianceOf(fitted.fitted('kernel_'), points, graph);
        const value = graph.kernel('covariance-sums', [rowsOf(graph, input, fitted, features)], {
          ...given,
          weights: { ...given.weights, coefficients: graph.fp64(alpha, [count, outputs]) },
        });
        const weights = { multiply: graph.fp64(scale), add: graph.fp64(mean) };
        const scaled = graph.kernel('scale-columns', [value], { weights });
        if (outputs > 1) return numbersAnswer(scaled, outputs);
        if (isMatrix && !fitted.since(1, 1))
          return { value: scaled, dtype: 'FP64', shape: [-1, 1] };
        return numbersAnswer(graph.kernel('as-vector', [scaled]));
      },
    };
  },

  GaussianProcessClassifier: (fitted, graph) => {
    const inner = graph.compile(fitted.fitted('base_estimator_'));
    const classes = fitted.labels('classes_');
    const { predictProba, ...rest } = inner;
    const pairs = classes.values.length > 2 && fitted.text('multi_class') === 'one_vs_one';
    const { predictIndex } = rest;
    return {
      ...(rest.features !== undefined && { features: rest.features }),
      ...namesOf(fitted),
      classes,
      ...(predictIndex && {
        predictIndex,
        predict: (input: Table) => graph.predictLabels(classes, predictIndex(input)),
      }),
      ...(predictProba && !pairs && { predictProba }),
    };
  },

  _BinaryGaussianProcessClassifierLaplace: (fitted, graph) => {
    const points = trainingPoints(fitted);
    const { rows: count, columns: features } = points;
    const classes = fitted.labels('classes_');
    const probabilities = fitted.vector('pi_', count);
    const residuals = fitted.vector('y_train_', count).map((y, i) => y - (probabilities[i] ?? NaN));
    const roots = fitted.vector('W_sr_', count);
    const kernel = () => covarianceOf(fitted.fitted('kernel_'), points, graph);
    const predictIndex = (input: Table) => {
      const given = kernel();
      const value = graph.kernel('covariance-sums', [rowsOf(graph, input, fitted, features)], {
        ...given,
        weights: { ...given.weights, coefficients: graph.fp64(residuals, [count, 1]) },
      });
      return graph.above(graph.kernel('as-vector', [value]));
    };
    return {
      features,
      ...namesOf(fitted),
      ...labelled(graph, classes, predictIndex),
      predictProba: (input) => {
        const given = kernel();
        const lower = fitted.matrix('L_', count, count);
        const value = graph.kernel(
          'laplace-probability',
          [rowsOf(graph, input, fitted, features)],
          {
            ...given,
            weights: {
              ...given.weights,
              residuals: graph.fp64(residuals),
              roots: graph.fp64(roots),
              lower: graph.fp64(lower.data, [count, count]),
            },
          },
        );
        return graph.kernel('both-classes', [value]);
      },
    };
  },
};

function trainingPoints(fitted: Fitted): Matrix {
  const points = fitted.attribute('X_train_');
  if (!(points instanceof NdArray) || points.shape.length !== 2) {
    return fitted.unsupported('was fitted on what is no table of numbers');
  }
  return fitted.matrix('X_train_');
}

function rowsOf(graph: SklearnGraph, input: Table, owner: Fitted, features: number): string {
  return graph.matrix(input, { owner, features });
}
