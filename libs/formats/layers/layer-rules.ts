import type { Layer } from './layer.js';
import type { LayerRule } from './layer-rule.js';
import { activationLayers } from './rules/activations.js';
import { attentionLayers } from './rules/attention.js';
import { cellLayers } from './rules/cells.js';
import { convolutionLayers } from './rules/convolution.js';
import { convolutionalMemoryLayers } from './rules/convolutional-memory.js';
import { denseLayers } from './rules/dense.js';
import { imageLayers } from './rules/images.js';
import { mergingLayers } from './rules/merging.js';
import { normalisingLayers } from './rules/normalising.js';
import { operationLayers, operationRule } from './rules/operations.js';
import { poolingLayers } from './rules/pooling.js';
import { preprocessingLayers } from './rules/preprocessing.js';
import { recurrentLayers } from './rules/recurrent.js';
import { reshapingLayers } from './rules/reshaping.js';

/** How each class of layers is read and computed, by its name in Keras. What is not here is refused by name. */
const layerRules: ReadonlyMap<string, LayerRule> = new Map(
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
    convolutionalMemoryLayers,
    attentionLayers,
    imageLayers,
    preprocessingLayers,
    operationLayers,
  ].flatMap((rules) => Object.entries(rules)),
);

/** The rule of a layer; undefined where there is none. */
export function ruleOf({ className, isOperation }: Layer): LayerRule | undefined {
  const rule = layerRules.get(className);
  return rule ?? (isOperation ? operationRule : undefined);
}
