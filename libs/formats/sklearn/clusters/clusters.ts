import type { CompileEstimator, Estimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { affine } from '../linear/linear.js';

/** Clusters by their centres, and projections (sklearn/cluster/_kmeans.py and sklearn/decomposition, 0.22 to 1.8). */
export const clusters: Record<string, CompileEstimator> = {
  KMeans: kMeans,
  MiniBatchKMeans: kMeans,
  PCA: projection,
  IncrementalPCA: projection,
  TruncatedSVD: projection,
  FastICA: projection,
  GaussianRandomProjection: projection,
  SparseRandomProjection: projection,
};

function kMeans(fitted: Fitted, graph: SklearnGraph): Estimator {
  const { rows, columns, data } = fitted.matrix('cluster_centers_');
  const measure = (kernel: string, input: Parameters<SklearnGraph['matrix']>[0]) =>
    graph.kernel(kernel, [graph.matrix(input, { owner: fitted, features: columns })], {
      weights: { points: graph.fp64(data, [rows, columns]) },
    });
  return {
    features: columns,
    ...namesOf(fitted),
    predict: (input) => {
      const attributes = { dtype: 'INT64' };
      const value = graph.kernel('cast', [measure('nearest-point', input)], { attributes });
      return { value, dtype: 'INT64', shape: [-1] };
    },
    transform: (input) => graph.table(measure('point-distances', input), rows),
  };
}

/** `(X − mean_) · components_ᵀ`, whitened where it was asked for. */
function projection(fitted: Fitted, graph: SklearnGraph): Estimator {
  const components = fitted.matrix('components_');
  const { rows: width, columns: features } = components;
  const centers = fitted.class !== 'TruncatedSVD' && !fitted.isNone('mean_');
  const mean = centers ? fitted.vector('mean_', features) : undefined;
  const whitens = /^(Incremental)?PCA$/.test(fitted.class) && fitted.flagOr('whiten', false);
  const scales = whitens ? fitted.vector('explained_variance_', width).map(Math.sqrt) : undefined;
  return {
    features,
    ...namesOf(fitted),
    transform: (input) => {
      const rows = graph.matrix(input, { owner: fitted, features });
      const centered = mean
        ? graph.kernel('scale-columns', [rows], { weights: { subtract: graph.fp64(mean) } })
        : rows;
      const value = affine(graph, centered, components, new Float64Array(width));
      if (!scales) return graph.table(value, width);
      const weights = { divide: graph.fp64(scales) };
      return graph.table(graph.kernel('scale-columns', [value], { weights }), width);
    },
  };
}
