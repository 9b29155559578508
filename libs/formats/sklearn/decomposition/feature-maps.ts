import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf, namesOf } from '../features.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { transposed } from '../linear/linear.js';
import { checkedLeast } from './least.js';
import { projected } from './projections.js';

/** Maps that stand for kernels (sklearn/kernel_approximation.py, 0.22 to 1.8). */
export const featureMaps: Record<string, CompileEstimator> = {
  RBFSampler: (fitted, graph) => {
    const weights = fitted.matrix('random_weights_');
    const scale = Math.sqrt(2 / fitted.integer('n_components', 1));
    return cosines(fitted, graph, weights, { scale, before: (rows) => rows });
  },

  SkewedChi2Sampler: (fitted, graph) => {
    const weights = fitted.matrix('random_weights_');
    const skewedness = fitted.number('skewedness');
    const scale = Math.sqrt(2) / Math.sqrt(fitted.integer('n_components', 1));
    const before = (rows: string) => {
      const checked = checkedLeast(graph, fitted, rows, -skewedness, true);
      const add = graph.fp64(new Float64Array(weights.rows).fill(skewedness));
      const moved = graph.kernel('scale-columns', [checked], { weights: { add } });
      return graph.kernel('log', [moved]);
    };
    return cosines(fitted, graph, weights, { scale, before });
  },

  AdditiveChi2Sampler: (fitted, graph) => {
    const common = featuresOf(fitted);
    const steps = fitted.integer('sample_steps', 1, 10_000);
    const interval = fitted.isNone('sample_interval')
      ? ([0.8, 0.5, 0.4][steps - 1] ?? fitted.damaged('has no sample_interval'))
      : fitted.number('sample_interval');
    return {
      ...common,
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features: common.features });
        const checked = checkedLeast(graph, fitted, rows);
        const attributes = { steps, interval };
        const value = graph.kernel('additive-chi2', [checked], { attributes });
        return graph.table(value, input.width * (2 * steps - 1));
      },
    };
  },

  PolynomialCountSketch: (fitted, graph) => {
    const places = fitted.matrix('indexHash_');
    const { rows: degree, columns } = places;
    const signs = fitted.matrix('bitHash_', degree, columns);
    const width = fitted.integer('n_components', 1, 1_000_000);
    const coef0 = fitted.number('coef0');
    const features = columns - (coef0 === 0 ? 0 : 1);
    const gamma = fitted.number('gamma');
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const multiply = graph.fp64(new Float64Array(features).fill(Math.sqrt(gamma)));
        const scaled = graph.kernel('scale-columns', [rows], { weights: { multiply } });
        const value = graph.kernel('polynomial-sketch', [constantColumn(graph, scaled, coef0)], {
          attributes: { width },
          weights: {
            places: graph.int32(places.data, [degree, columns]),
            signs: graph.int32(signs.data, [degree, columns]),
          },
        });
        return graph.table(value, width);
      },
    };
  },
};

/** The rows with a last column √coef0. */
function constantColumn(graph: SklearnGraph, rows: string, coef0: number): string {
  if (coef0 === 0) return rows;
  const first = graph.kernel('take-column', [rows], { attributes: { column: 0 } });
  const weights = { multiply: graph.fp64([0]), add: graph.fp64([Math.sqrt(coef0)]) };
  const constant = graph.kernel('scale-columns', [first], { weights });
  return graph.kernel('join-tables', [rows, constant]);
}

/** scale · cos(rows · weights + offset) */
function cosines(
  fitted: Fitted,
  graph: SklearnGraph,
  weights: Matrix,
  { scale, before }: { scale: number; before: (rows: string) => string },
): Estimator {
  const { rows: features, columns: width } = weights;
  const offset = fitted.vector('random_offset_', width);
  const across = { rows: width, columns: features, data: transposed(weights) };
  return {
    features,
    ...namesOf(fitted),
    transform: (input) => {
      const rows = before(graph.matrix(input, { owner: fitted, features }));
      const add = graph.fp64(offset);
      const angles = graph.kernel('scale-columns', [projected(graph, rows, across)], {
        weights: { add },
      });
      const multiply = graph.fp64(new Float64Array(width).fill(scale));
      const cosine = graph.kernel('cos', [angles]);
      return graph.table(graph.kernel('scale-columns', [cosine], { weights: { multiply } }), width);
    },
  };
}
