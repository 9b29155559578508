import { DamagedModel } from '../importer.js';
import type { Layer } from '../layers/layer.js';
import { assignInOrder, weightOrder } from '../layers/weight-order.js';
import type { Hdf5Group } from './hdf5.js';

/**
 * Gives layers the weights of a whole-model HDF5 file: a group a layer, its arrays in the order of `weight_names`
 * (`hdf5_format.load_weights_from_hdf5_group` of Keras 2, `legacy_h5_format` of Keras 3).
 */
export function assignGroupWeights(model: Layer, weights: Hdf5Group): void {
  const names = weights.texts('layer_names') ?? weights.names();
  const groups = new Set(names);
  for (const layer of model.model?.layers ?? []) {
    const wanted = weightOrder(layer).length;
    if (wanted === 0 && !groups.has(layer.name)) continue;
    const group = groups.has(layer.name) ? weights.child(layer.name) : undefined;
    if (!group) {
      if (wanted === 0) continue;
      throw new DamagedModel(
        `The HDF5 file has no weights of the layer ${JSON.stringify(layer.name)}.`,
      );
    }
    const arrays = (group.texts('weight_names') ?? []).map((name) => {
      const array = group.array(name);
      if (!array)
        throw new DamagedModel(
          `The HDF5 file names the weight ${JSON.stringify(name.slice(0, 200))}, which it does not have.`,
        );
      return array;
    });
    // Layers without weights here may have some there: states of random numbers, counts of vocabularies.
    if (wanted > 0 || arrays.length === 0) assignInOrder(layer, arrays);
  }
}
