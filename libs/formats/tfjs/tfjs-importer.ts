import { Part } from '../document.js';
import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
} from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { readTfjsWeights } from './weights.js';

const FORMAT = 'tfjs';
const VERSION = '1';
/** `model.json` holds no numbers of the weights. */
const MOST_BYTES = 2 ** 28;
const MOST_DEPTH = 100;
/** First bytes that tell what a file is. */
const HEAD_BYTES = 65_536;

/** Reads models of TensorFlow.js: a `model.json` with the shards of its weights beside it, graph models and layers models. */
export const tfjsImporter: ModelImporter = {
  format: FORMAT,
  version: VERSION,

  async recognises(files) {
    for (const file of files) if (await isModelJson(file)) return true;
    return false;
  },

  async compile(files) {
    const found: UploadedFile[] = [];
    for (const file of files) if (await isModelJson(file)) found.push(file);
    const [model, ...others] = found;
    if (!model) throw new DamagedModel('No file is the model.json of a TF.js model.');
    if (others.length > 0)
      throw new UnsupportedModel(
        `Several files are TF.js models: ${found.map(({ path }) => path).join(', ')}. Log one a version.`,
      );
    if (model.size > MOST_BYTES)
      throw new UnsupportedModel(
        `${model.path} has ${model.size} bytes; ${MOST_BYTES} are supported.`,
      );
    const document = new Part(parseModelJson(await model.read(), MOST_DEPTH), 'model.json');
    const folder = model.path.slice(0, model.path.lastIndexOf('/') + 1);
    const weights = await readTfjsWeights(document.field('weightsManifest'), files, folder);
    const facts = { importer: `${FORMAT}@${VERSION}`, format: FORMAT };
    if (document.field('modelTopology').has('node')) {
      const { compileGraphModel } = await import('./graph-model.js');
      return compileGraphModel(document, weights, facts);
    }
    const { compileLayersModel } = await import('./compile-layers-model.js');
    return compileLayersModel(document, weights, facts);
  },
};

/** Whether a file is the `model.json` of a TF.js model, by its first bytes, whatever its name. */
async function isModelJson(file: UploadedFile): Promise<boolean> {
  const head = new TextDecoder('latin1').decode(await file.read(0, HEAD_BYTES));
  return /^\s*\{/.test(head) && /"(modelTopology|weightsManifest)"\s*:/.test(head);
}
