import type { Layer } from '../layers/layer.js';
import { snakeCase } from '../layers/names.js';
import { ownWeights } from '../layers/weight-order.js';
import type { Hdf5Group } from './hdf5.js';

/** What a container of layers is called inside of a model: since Keras 2.13, and before. */
const CONTAINERS = ['layers', '_layer_checkpoint_dependencies'];

/** Reads a file of the archive by its name. */
export type ReadAsset = (path: string) => Promise<Uint8Array | undefined>;

/**
 * Gives layers the weights of a `.keras` archive: `layers/dense_1/vars/0` in `model.weights.h5`, where a layer is called by its
 * class and how many of this class came before it (`saving_lib.py`), and files like `assets/layers/…/vocabulary.txt`.
 */
export async function assignPathWeights(
  model: Layer,
  root: Hdf5Group,
  readAsset: ReadAsset,
): Promise<void> {
  await assign(model, root, 'assets', readAsset);
}

async function assign(
  layer: Layer,
  group: Hdf5Group | undefined,
  path: string,
  readAsset: ReadAsset,
): Promise<void> {
  const { learned, fixed } = ownWeights(layer);
  const variables = group?.child('vars');
  [...learned, ...fixed].forEach((name, i) => {
    const array = variables?.array(String(i));
    if (array) layer.weights.set(name, array);
  });
  if (HAS_VOCABULARY.has(layer.className)) {
    const file = await readAsset(`${path}/vocabulary.txt`);
    if (file) layer.assets.set('vocabulary.txt', file);
  }
  if (layer.model) await assignModel(layer, group, path, readAsset);
  else
    for (const [attribute, child] of layer.children) {
      const found = descend(group, attribute);
      await assign(child, found?.group, `${path}/${found?.name ?? attribute}`, readAsset);
    }
}

const HAS_VOCABULARY = new Set(['StringLookup', 'IntegerLookup', 'TextVectorization']);

async function assignModel(
  layer: Layer,
  group: Hdf5Group | undefined,
  path: string,
  readAsset: ReadAsset,
): Promise<void> {
  const container = CONTAINERS.find((name) => group?.child(name)) ?? 'layers';
  const layers = group?.child(container);
  const names = containerNames(containedLayers(layer), container);
  for (const child of containedLayers(layer)) {
    const name = names.get(child) ?? '';
    await assign(child, layers?.child(name), `${path}/${container}/${name}`, readAsset);
  }
}

/** Layers as `model.layers` lists them: operations are none. */
function containedLayers({ model }: Layer): Layer[] {
  return (model?.layers ?? []).filter(
    ({ className, isOperation }) =>
      !isOperation && !(model?.sequential && className === 'InputLayer'),
  );
}

/** `dense`, `dense_1`, …; before Keras 2.13 layers with weights were counted twice. */
function containerNames(layers: Layer[], container: string): Map<Layer, string> {
  const counts = new Map<string, number>();
  const names = new Map<Layer, string>();
  const isOld = container !== 'layers';
  for (const layer of layers) {
    const name = snakeCase(layer.className);
    const count = counts.get(name) ?? 0;
    names.set(layer, count === 0 ? name : `${name}_${count}`);
    counts.set(name, count + (isOld && hasWeights(layer) ? 2 : 1));
  }
  return names;
}

function hasWeights(layer: Layer): boolean {
  const { learned, fixed } = ownWeights(layer);
  const inner = layer.model ? layer.model.layers : [...layer.children.values()];
  return learned.length + fixed.length > 0 || inner.some(hasWeights);
}

/** The group of an attribute, which Keras may keep under a private name. */
function descend(
  group: Hdf5Group | undefined,
  attribute: string,
): { group: Hdf5Group; name: string } | undefined {
  for (const name of [attribute, `_${attribute}`]) {
    let found = group;
    for (const part of name.split('/')) found = found?.child(part);
    if (found) return { group: found, name };
  }
  return undefined;
}
