import type { CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import { checkedLeast } from './least.js';

/** Factorisations (sklearn/decomposition/_nmf.py, 0.22 to 1.9): what coordinate descent answers for the rows of a request. */
export const factors: Record<string, CompileEstimator> = {
  NMF: (fitted, graph) => {
    if (fitted.text('solver') !== 'cd') {
      fitted.unsupported('has the solver "mu", which is not supported: "cd" is');
    }
    if (fitted.flag('shuffle')) fitted.unsupported('shuffles its coordinates at random');
    const components = fitted.matrix('components_');
    const { rows: width, columns: features } = components;
    const attributes = {
      ...regularisation(fitted, features),
      iterations: fitted.integer('max_iter', 1, 1_000_000),
      tolerance: fitted.number('tol'),
    };
    return {
      features,
      ...namesOf(fitted),
      transform: (input) => {
        const rows = graph.matrix(input, { owner: fitted, features });
        const checked = checkedLeast(graph, fitted, rows);
        const weights = { components: graph.fp64(components.data, [width, features]) };
        graph.dependsOnAllRows();
        const value = graph.kernel('non-negative-factors', [checked], { attributes, weights });
        return graph.table(value, width);
      },
    };
  },
};

/** Of W; since 1.0 `alpha_W` counts a column, before 1.2 an `alpha` for all may stand in its place. */
function regularisation(fitted: Fitted, features: number): { l1: number; l2: number } {
  const ratio = fitted.number('l1_ratio');
  const own = fitted.numberOr('alpha_W', 0);
  const isOwn = own !== 0 || (fitted.since(1, 0) && fitted.attribute('alpha_H') !== 'same');
  const given = isOwn || fitted.since(1, 2) ? features * own : oldAlpha(fitted);
  return { l1: given * ratio, l2: given * (1 - ratio) };
}

function oldAlpha(fitted: Fitted): number {
  const isUnset = fitted.isNone('alpha') || fitted.attribute('alpha') === 'deprecated';
  if (isUnset) return 0;
  const of = fitted.has('regularization') ? fitted.attribute('regularization') : 'both';
  return of === 'components' || of === null ? 0 : fitted.number('alpha');
}
