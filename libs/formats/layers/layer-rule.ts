import type { Part } from '../document.js';
import type { Layer } from './layer.js';
import type { LayerAnswer, LayerCall } from './layer-call.js';

/** How a class of layers is read and computed. */
export interface LayerRule {
  /** Its own weights by their names, in the order in which Keras makes them: those that learn, then the others. */
  weights?(layer: Layer): { learned?: string[]; fixed?: string[] };
  /** Layers inside of it, by the attribute that Keras keeps them in, in the order in which Keras counts their weights. */
  children?(layer: Layer, read: (part: Part) => Layer): Record<string, Layer>;
  /** The mask of its input is that of its output (`supports_masking` without a `compute_mask` of its own). */
  passesMask?: boolean;
  compute(call: LayerCall): LayerAnswer;
}

/** One rule for several classes; `names` stand with spaces in between. */
export function all(rule: LayerRule, names: string): Record<string, LayerRule> {
  return Object.fromEntries(names.split(' ').map((name) => [name, rule]));
}

/** Names of weights of which some are only there on a condition. */
export function present(names: Record<string, boolean>): string[] {
  return Object.entries(names).flatMap(([name, is]) => (is ? [name] : []));
}
