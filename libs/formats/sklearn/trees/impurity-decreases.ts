import type { Fitted } from '../fitted.js';

/** What the splits of each column took off the impurity (`compute_feature_importances`, sklearn/tree/_tree.pyx), not normalised. */
export function impurityDecreases(tree: Fitted): { nodes: number; decreases: Float64Array } {
  const nodes = tree.array('nodes');
  const column = (name: string) => nodes.field(name).numbers();
  const left = column('left_child');
  const right = column('right_child');
  const feature = column('feature');
  const impurity = column('impurity');
  const weight = column('weighted_n_node_samples');
  const [features] = tree.record.args.items;
  if (typeof features !== 'number') return tree.damaged('has no number of features');
  tree.budget.spend(features);
  const decreases = new Float64Array(features);
  const part = (node: number) => (weight[node] ?? NaN) * (impurity[node] ?? NaN);
  for (let node = 0; node < left.length; node++) {
    const l = left[node] ?? -1;
    const r = right[node] ?? -1;
    const at = feature[node] ?? -1;
    if (l === -1 || at < 0 || at >= features) continue;
    decreases[at] = (decreases[at] ?? 0) + (part(node) - part(l) - part(r));
  }
  const all = weight[0] ?? NaN;
  return { nodes: left.length, decreases: decreases.map((x) => x / all) };
}
