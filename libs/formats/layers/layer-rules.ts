import type { LayerRule } from './layer-rule.js';
import { activationLayers } from './rules/activations.js';
import { cellLayers } from './rules/cells.js';
import { convolutionLayers } from './rules/convolution.js';
import { denseLayers } from './rules/dense.js';
import { mergingLayers } from './rules/merging.js';
import { normalisingLayers } from './rules/normalising.js';
import { poolingLayers } from './rules/pooling.js';
import { recurrentLayers } from './rules/recurrent.js';
import { reshapingLayers } from './rules/reshaping.js';

/** How each class of layers is read and computed, by its name in Keras. What is not here is refused by name. */
export const layerRules: ReadonlyMap<string, LayerRule> = new Map(
  [
    denseLayers,
    activationLayers,
    convolutionLayers,
    poolingLayers,
    normalisingLayers,
    reshapingLayers,
    mergingLayers,
    cellLayers,
    recurrentLayers,
  ].flatMap((rules) => Object.entries(rules)),
);
