import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';

/** The rows, after a check that no number is below `least`, which the estimator refuses, nor equal to it where `open`. */
export function checkedLeast(
  graph: SklearnGraph,
  fitted: Fitted,
  rows: string,
  least = 0,
  open = false,
): string {
  const attributes = { least, open, owner: fitted.class };
  return graph.kernel('check-least', [rows], { attributes });
}
