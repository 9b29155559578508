import type { CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import { checkedLeast } from './least.js';

/** Topics of documents (sklearn/decomposition/_lda.py, 0.22 to 1.9). */
export const topics: Record<string, CompileEstimator> = {
  LatentDirichletAllocation: (fitted, graph) => {
    const words = fitted.matrix('exp_dirichlet_component_');
    const { rows: width, columns: features } = words;
    const attributes = {
      prior: fitted.number('doc_topic_prior_'),
      iterations: fitted.integer('max_doc_update_iter', 0, 1_000_000),
      tolerance: fitted.number('mean_change_tol'),
    };
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const checked = checkedLeast(graph, fitted, rows);
        const weights = { words: graph.fp64(words.data, [width, features]) };
        return graph.table(graph.kernel('topics', [checked], { attributes, weights }), width);
      },
    };
  },
};
