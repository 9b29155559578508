import type { CompileEstimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import { transposed } from '../linear/linear.js';

/** Columns to other distributions and to intervals (sklearn/preprocessing, 0.22 to 1.8). */
export const distributions: Record<string, CompileEstimator> = {
  PowerTransformer: (fitted, graph) => {
    const lambdas = fitted.vector('lambdas_');
    const { length: features } = lambdas;
    const method = fitted.oneOf('method', ['yeo-johnson', 'box-cox']);
    const scaler = fitted.flag('standardize') ? graph.compile(fitted.fitted('_scaler')) : undefined;
    return {
      ...featuresOf(fitted),
      features,
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features, missing: 'pass' });
        const weights = { lambdas: graph.fp64(lambdas) };
        const value = graph.kernel('power', [rows], { attributes: { method }, weights });
        const table = graph.table(value, features);
        return scaler?.transform?.(table) ?? table;
      },
    };
  },

  QuantileTransformer: (fitted, graph) => {
    const quantiles = fitted.matrix('quantiles_');
    const { rows: count, columns: features } = quantiles;
    const references = fitted.vector('references_', count);
    const normal = fitted.oneOf('output_distribution', ['uniform', 'normal']) === 'normal';
    return {
      ...featuresOf(fitted),
      features,
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features, missing: 'pass' });
        const weights = {
          quantiles: graph.fp64(transposed(quantiles), [features, count]),
          references: graph.fp64(references),
        };
        const value = graph.kernel('quantile', [rows], { attributes: { normal }, weights });
        return graph.table(value, features);
      },
    };
  },

  KBinsDiscretizer: (fitted, graph) => {
    const edges = fitted.vectors('bin_edges_');
    const { length: features } = edges;
    const counts = fitted.vector('n_bins_', features);
    const onehot = fitted.textOr('encode', 'onehot') !== 'ordinal';
    // Since 1.1 numbers are compared as they are.
    const relative = fitted.since(1, 1) ? 0 : 1e-5;
    const absolute = fitted.since(1, 1) ? 0 : 1e-8;
    const inner = edges.map((own) => [...own.subarray(1, -1)]);
    const starts = startsOf(inner.map(({ length }) => length));
    const columns = startsOf(counts);
    return {
      ...featuresOf(fitted),
      features,
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const value = graph.kernel('intervals', [rows], {
          attributes: { relative, absolute },
          weights: { starts: graph.int32(starts), edges: graph.fp64(inner.flat()) },
        });
        if (!onehot) return graph.table(value, features);
        const width = columns.at(-1) ?? 0;
        const hot = graph.kernel('one-hot', [value], {
          attributes: { width },
          weights: {
            starts: graph.int32(columns),
            map: graph.int32(Array.from({ length: width }, (_, i) => i)),
            unseen: graph.int32(edges.map(() => -1)),
          },
        });
        return graph.table(hot, width);
      },
    };
  },
};

function startsOf(counts: ArrayLike<number>): number[] {
  const starts = [0];
  for (let i = 0; i < counts.length; i++) starts.push((starts[i] ?? 0) + (counts[i] ?? 0));
  return starts;
}
