import { Part } from '../document.js';
import { DamagedModel, UnsupportedModel, type UploadedFile, type Verdict } from '../importer.js';
import { compileLayers } from '../layers/compile-layers.js';
import type { Dialect, Layer } from '../layers/layer.js';
import { readModel } from '../layers/layer-model.js';
import { parseModelJson } from '../model-json.js';
import { isZip, readZip, type ZipEntry } from '../pickle/zip-file.js';
import { assignGroupWeights } from './group-weights.js';
import { openHdf5 } from './hdf5.js';
import { assignPathWeights } from './path-weights.js';

const MOST_JSON_DEPTH = 200;
const MOST_CONFIG_BYTES = 2 ** 27;
const MOST_WEIGHTS_BYTES = 2 ** 30;
const MOST_ASSET_BYTES = 2 ** 27;

/** Compiles a `.keras` archive or an HDF5 file of a whole model. Throws UnsupportedModel and DamagedModel. */
export async function compileKeras(file: UploadedFile, importer: string): Promise<Verdict> {
  const isArchive = isZip(await file.read(0, 4));
  const model = isArchive ? await readArchive(file) : await readWhole(file);
  return compileLayers(model, { importer, format: 'keras' });
}

/** `config.json`, `metadata.json`, `model.weights.h5` and `assets/` (`saving_lib.py`). */
async function readArchive(file: UploadedFile): Promise<Layer> {
  const entries = new Map((await readZip(file)).map((entry) => [entry.name, entry]));
  const config = await readJson(entries, 'config.json');
  if (!config) throw new DamagedModel(`${file.path} has no config.json; it is no Keras model.`);
  const metadata = await readJson(entries, 'metadata.json');
  const version = metadata?.optional('keras_version')?.value;
  const model = readModel(config, dialectOf(typeof version === 'string' ? version : '3.0'));
  const weights = entries.get('model.weights.h5');
  if (!weights) {
    const other = entries.has('model.weights.npz')
      ? 'model.weights.npz is not supported'
      : 'it has no model.weights.h5';
    throw new UnsupportedModel(`The weights of ${file.path} cannot be read: ${other}.`);
  }
  const root = await openHdf5(await readEntry(weights, MOST_WEIGHTS_BYTES));
  await assignPathWeights(model, root, async (path) => {
    const entry = entries.get(path);
    return entry && readEntry(entry, MOST_ASSET_BYTES);
  });
  return model;
}

async function readJson(
  entries: ReadonlyMap<string, ZipEntry>,
  name: string,
): Promise<Part | undefined> {
  const entry = entries.get(name);
  if (!entry) return undefined;
  return new Part(parseModelJson(await readEntry(entry, MOST_CONFIG_BYTES), MOST_JSON_DEPTH), name);
}

async function readEntry(entry: ZipEntry, most: number): Promise<Uint8Array> {
  if (entry.size > most)
    throw new UnsupportedModel(`${entry.name} has ${entry.size} bytes; ${most} are supported.`);
  return entry.read();
}

/** An HDF5 file with `model_config` and `model_weights`. */
async function readWhole(file: UploadedFile): Promise<Layer> {
  if (file.size > MOST_WEIGHTS_BYTES)
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; ${MOST_WEIGHTS_BYTES} are supported.`,
    );
  const root = await openHdf5(await file.read());
  const text = root.text('model_config');
  if (text === undefined)
    throw new UnsupportedModel(
      `${file.path} has no model_config: it holds weights without the model. Save the whole model (model.save).`,
    );
  const config = parseModelJson(new TextEncoder().encode(text), MOST_JSON_DEPTH);
  const weights = root.child('model_weights');
  if (!weights) throw new DamagedModel(`${file.path} has no model_weights.`);
  const version = root.text('keras_version') ?? weights.text('keras_version') ?? '2.0';
  const model = readModel(new Part(config, 'model_config'), dialectOf(version));
  assignGroupWeights(model, weights);
  return model;
}

function dialectOf(version: string): Dialect {
  const [major = 2, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  if (major < 2)
    throw new UnsupportedModel(
      'Models of Keras 1 are not supported; load and save it with Keras 2.',
    );
  return { library: major >= 3 ? 'keras3' : 'keras2', version: [major, minor] };
}
