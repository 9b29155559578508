import type { Verdict } from '../importer.js';
import type { Part } from '../document.js';
import { compileLayers } from '../layers/compile-layers.js';
import { readModel } from '../layers/layer-model.js';
import { parseModelJson } from '../model-json.js';
import { assignNamedWeights } from './named-weights.js';
import type { TfjsWeight } from './weights.js';

const MOST_DEPTH = 100;

/** Compiles a layers model: the parsed `model.json` and its weights. Throws UnsupportedModel and DamagedModel. */
export function compileLayersModel(
  document: Part,
  weights: ReadonlyMap<string, TfjsWeight>,
  facts: { importer: string; format: string },
): Verdict {
  const topology = document.field('modelTopology');
  const config = topology.optional('model_config') ?? topology;
  // Converted models may keep it as the text that the HDF5 file had.
  const parsed =
    typeof config.value === 'string'
      ? config.as(parseModelJson(new TextEncoder().encode(config.value), MOST_DEPTH))
      : config;
  const model = readModel(parsed, { library: 'tfjs', version: [2, 0] });
  assignNamedWeights(model, weights);
  return compileLayers(model, facts);
}
