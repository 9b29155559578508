import { dataOf, type Tensor } from '#program';
import { Part } from '../../libs/formats/document.js';
import { compileLayers } from '../../libs/formats/layers/compile-layers.js';
import type { Dialect, Layer } from '../../libs/formats/layers/layer.js';
import { readModel } from '../../libs/formats/layers/layer-model.js';
import { weightOrder } from '../../libs/formats/layers/weight-order.js';
import { noise } from './tf-op-checks.js';
import type { ProgramRunner } from './program-runner.js';

export interface LayerLiteral {
  className: string;
  config: Record<string, unknown>;
  /** Further arguments of its call. */
  kwargs?: Record<string, unknown>;
}

/** A weight as rows of numbers: its shape and its elements. */
export interface WeightLiteral {
  shape: number[];
  data: Float32Array;
}

export interface LayerRun {
  library?: Dialect['library'];
  version?: Dialect['version'];
  /** Shapes of the inputs without the rows, and their types; the first layer takes them as a list where there are several. */
  inputs: { shape: (number | null)[]; dtype?: string }[];
  /** One after the other. */
  layers: LayerLiteral[];
  /** In the order in which Keras saves them. */
  weights?: WeightLiteral[];
}

/** Compiles a functional model of layers one after the other and runs it. */
export async function runLayers(
  runner: ProgramRunner,
  given: LayerRun,
  tensors: Omit<Tensor, 'name'>[],
): Promise<Tensor[]> {
  const model = modelOf(given);
  const { state, ...verdict } = compileLayers(model, { importer: 'keras@1', format: 'keras' });
  if (state !== 'servable' || !('program' in verdict)) throw new Error('the model is not servable');
  await runner.load(verdict);
  const { inputs, outputs } = verdict.program.signature;
  const named = tensors.map((tensor, i) => ({ ...tensor, name: inputs[i]?.name ?? '' }));
  return runner.run(
    named,
    outputs.map(({ name }) => name),
  );
}

function modelOf({
  library = 'keras2',
  version = [2, 12],
  inputs,
  layers,
  weights = [],
}: LayerRun): Layer {
  const first = (kwargs: object) => inputs.map((_, i) => [`in${i}`, 0, 0, kwargs]);
  const entries = [
    ...inputs.map(({ shape, dtype = 'float32' }, i) => ({
      class_name: 'InputLayer',
      name: `in${i}`,
      config: { name: `in${i}`, batch_input_shape: [null, ...shape], dtype },
      inbound_nodes: [],
    })),
    ...layers.map(({ className, config, kwargs = {} }, i) => ({
      class_name: className,
      name: `layer${i}`,
      config: { ...config, name: `layer${i}` },
      inbound_nodes: [i === 0 ? first(kwargs) : [[`layer${i - 1}`, 0, 0, kwargs]]],
    })),
  ];
  const document = {
    class_name: 'Functional',
    config: {
      name: 'model',
      layers: entries,
      input_layers: inputs.map((_, i) => [`in${i}`, 0, 0]),
      output_layers: [[`layer${layers.length - 1}`, 0, 0]],
    },
  };
  const model = readModel(new Part(document, 'model'), { library, version });
  const places = layersOf(model).flatMap(weightOrder);
  if (places.length !== weights.length)
    throw new Error(
      `${places.map(({ name }) => name).join(', ')} are not ${weights.length} weights`,
    );
  places.forEach(({ layer, name }, i) => {
    const weight = weights[i];
    if (weight)
      layer.weights.set(name, { dtype: 'FP32', shape: weight.shape, read: () => weight.data });
  });
  return model;
}

function layersOf(model: Layer): Layer[] {
  return model.model?.layers ?? [];
}

/** Numbers that look random, of a shape. */
export function weight(shape: number[], seed: number, scale = 1): WeightLiteral {
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, data: noise(count, seed, scale) };
}

export function floats(shape: number[], data: ArrayLike<number>): Omit<Tensor, 'name'> {
  return { dtype: 'FP32', shape, data: dataOf('FP32', data) };
}
