import { ruleOf } from './layer-rules.js';
import type { Layer, StoredWeight } from './layer.js';

/** A weight of a layer, which is inside of the one that was asked, or that one. */
export interface WeightPlace {
  layer: Layer;
  name: string;
}

/** The layer's own weights, those that learn first, as Keras makes them. */
export function ownWeights(layer: Layer): { learned: string[]; fixed: string[] } {
  const { learned = [], fixed = [] } = ruleOf(layer)?.weights?.(layer) ?? {};
  return layer.model ? { learned: [], fixed: [] } : { learned, fixed };
}

/** Layers inside of a layer, in the order in which Keras counts their weights. */
export function innerLayers(layer: Layer): Layer[] {
  return layer.model ? layer.model.layers : [...layer.children.values()];
}

/**
 * All weights of a layer in the order of its HDF5 group: those that learn, then the others (`_legacy_weights`). What does not
 * learn because its layer is frozen stands among the others.
 */
export function weightOrder(layer: Layer): WeightPlace[] {
  const { learned, others } = layer.isKeras3 ? split3(layer) : split2(layer);
  return [...learned, ...others];
}

interface Split {
  learned: WeightPlace[];
  others: WeightPlace[];
}

function placesOf(layer: Layer): Split {
  const { learned, fixed } = ownWeights(layer);
  const places = (names: string[]) => names.map((name) => ({ layer, name }));
  return { learned: places(learned), others: places(fixed) };
}

/** `Layer.trainable_weights` and `Layer.non_trainable_weights` of Keras 2. */
function split2(layer: Layer): Split {
  const own = placesOf(layer);
  const inner = innerLayers(layer).map(split2);
  const learned = inner.flatMap((split) => split.learned);
  const others = inner.flatMap((split) => split.others);
  if (layer.trainable)
    return { learned: [...own.learned, ...learned], others: [...own.others, ...others] };
  const variables = inner.flatMap((split) => [...split.learned, ...split.others]);
  return { learned: [], others: [...own.learned, ...own.others, ...variables] };
}

/** Those of Keras 3, which keeps one list and sorts it by what learns. */
function split3(layer: Layer): Split {
  const listed = listed3(layer, true);
  if (!layer.trainable) return { learned: [], others: listed.map(({ place }) => place) };
  return {
    learned: listed.filter(({ learns }) => learns).map(({ place }) => place),
    others: listed.filter(({ learns }) => !learns).map(({ place }) => place),
  };
}

function listed3(layer: Layer, outerLearns: boolean): { place: WeightPlace; learns: boolean }[] {
  const own = placesOf(layer);
  const learns = outerLearns && layer.trainable;
  return [
    ...own.learned.map((place) => ({ place, learns })),
    ...own.others.map((place) => ({ place, learns: false })),
    ...innerLayers(layer).flatMap((inner) => listed3(inner, learns)),
  ];
}

/** Gives the arrays of a list to the weights of a layer, in their order; there must be as many. */
export function assignInOrder(layer: Layer, arrays: StoredWeight[]): void {
  const places = weightOrder(layer);
  if (places.length !== arrays.length)
    layer.config.damaged(
      `${layer.label} has ${places.length} weights (${places
        .slice(0, 8)
        .map(({ name }) => name)
        .join(', ')}), and the file ${arrays.length} for it`,
    );
  places.forEach((place, i) => {
    const array = arrays[i];
    if (array) place.layer.weights.set(place.name, array);
  });
}
