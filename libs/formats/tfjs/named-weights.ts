import { UnsupportedModel } from '../importer.js';
import type { Layer, StoredWeight } from '../layers/layer.js';
import { innerLayers, ownWeights } from '../layers/weight-order.js';
import type { TfjsWeight } from './weights.js';

/** The parts of a weight's name, and the weight. */
interface NamedWeight {
  parts: string[];
  name: string;
  weight: StoredWeight;
}

/**
 * Gives layers the weights of a TF.js model by their names: `dense/kernel`, `lstm/lstm_cell/kernel`,
 * `bidirectional/forward_lstm/kernel`, `time_distributed/kernel`, behind the names of models around them or not
 * (`LayersModel.loadWeights` of TF.js 4.22). Throws UnsupportedModel where a name is not clear.
 */
export function assignNamedWeights(model: Layer, weights: ReadonlyMap<string, TfjsWeight>): void {
  const byLast = new Map<string, NamedWeight[]>();
  for (const [name, { dtype, shape, data }] of weights) {
    const parts = name.replace(/:\d+$/, '').split('/');
    const last = parts.at(-1) ?? '';
    const entry = { parts: parts.slice(0, -1), name, weight: { dtype, shape, read: () => data } };
    const known = byLast.get(last);
    if (known) known.push(entry);
    else byLast.set(last, [entry]);
  }
  assign(model, [], 0, byLast);
}

/** `outermost` is the place in the path from which on names stand for the layer: behind that of the last model. */
function assign(
  layer: Layer,
  around: string[],
  outermost: number,
  weights: ReadonlyMap<string, NamedWeight[]>,
): void {
  const path = [...around, layer.name];
  const { learned, fixed } = ownWeights(layer);
  for (const name of [...learned, ...fixed]) {
    const found = find(layer, path, outermost, weights.get(name) ?? []);
    if (found) layer.weights.set(name, found.weight);
  }
  const next = layer.model ? path.length : outermost;
  for (const inner of innerLayers(layer)) assign(inner, path, next, weights);
}

/** The weight whose name fits best: that of the layer itself, else that of the layer that wraps it. */
function find(
  layer: Layer,
  path: string[],
  outermost: number,
  weights: NamedWeight[],
): NamedWeight | undefined {
  for (let depth = path.length - 1; depth >= outermost; depth--) {
    const own = path[depth] ?? '';
    let fitting = weights.filter(({ parts }) => parts.includes(own));
    if (fitting.length === 0) continue;
    // More of the names around it make it clear which of them it is.
    for (let outer = depth - 1; outer >= 0 && fitting.length > 1; outer--) {
      const closer = fitting.filter(({ parts }) => parts.includes(path[outer] ?? ''));
      if (closer.length > 0) fitting = closer;
    }
    if (fitting.length > 1) {
      const direct = fitting.filter(({ parts }) => parts.at(-1) === own);
      if (direct.length > 0) fitting = direct;
    }
    const [only, other] = fitting;
    if (only && other)
      throw new UnsupportedModel(
        `${layer.label} is not supported: both ${JSON.stringify(only.name.slice(0, 200))} and ${JSON.stringify(other.name.slice(0, 200))} may be its weight.`,
      );
    return only;
  }
  return undefined;
}
