import { DamagedModel, type UploadedFile, type Verdict } from '../importer.js';
import type { Part } from '../document.js';
import { compileLayers } from '../layers/compile-layers.js';
import { readModel } from '../layers/layer-model.js';
import { assignNamedWeights } from './named-weights.js';
import { readTfjsWeights } from './weights.js';

/** Whether a `model.json` is a layers model: its topology has the configuration of a Keras model, and no nodes. */
export function isLayersModel(document: Part): boolean {
  const topology = document.optional('modelTopology');
  return topology !== undefined && (topology.has('model_config') || topology.has('class_name'));
}

/**
 * Compiles a layers model of TF.js: the parsed `model.json` and the shards beside it. `folder` is what stands before the name
 * of `model.json` in the upload. Throws UnsupportedModel and DamagedModel.
 */
export async function compileLayersModel(
  document: Part,
  { files, folder, importer }: { files: UploadedFile[]; folder: string; importer: string },
): Promise<Verdict> {
  const topology = document.field('modelTopology');
  const config = topology.optional('model_config') ?? topology;
  // Converted models keep it as the text that the HDF5 file had.
  const parsed = typeof config.value === 'string' ? config.as(parsedText(config.value)) : config;
  const model = readModel(parsed, { library: 'tfjs', version: [2, 0] });
  const weights = await readTfjsWeights(document.field('weightsManifest'), files, folder);
  assignNamedWeights(model, weights);
  return compileLayers(model, { importer, format: 'tfjs' });
}

function parsedText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new DamagedModel('The model_config of the model is no JSON.');
  }
}
