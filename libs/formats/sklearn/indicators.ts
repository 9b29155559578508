import type { Answer } from './estimator.js';
import type { SklearnGraph } from './graph.js';

/** 1 where a score is above `than`, else 0: INT64 `[rows, labels]`. */
export function indicators(
  graph: SklearnGraph,
  scores: string,
  than: number,
  width: number,
): Answer {
  const value = graph.kernel('cast', [graph.above(scores, than)], {
    attributes: { dtype: 'INT64' },
  });
  return { value, dtype: 'INT64', shape: [-1, width] };
}
