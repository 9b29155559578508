import type { TensorSpec } from '#program';
import type { Verdict } from '../importer.js';
import { TensorGraph } from '../tensor-graph/tensor-graph.js';
import { writeGraph } from '../tensor-graph/write-graph.js';
import { LayerTensor, type Layer } from './layer.js';
import { tensorRefs, TensorRef, type LayerModel, type ModelInput } from './layer-model.js';
import { ModelRun } from './run-model.js';

/**
 * Compiles a model of layers whose weights are there. Inputs have the names of their layers, outputs those of the layers that
 * make them, or of the dictionary that the model answers. Throws UnsupportedModel and DamagedModel.
 */
export function compileLayers(model: Layer, facts: { importer: string; format: string }): Verdict {
  const inner = model.model;
  if (!inner) return model.unsupported('a single layer is no model');
  const graph = new TensorGraph();
  const inputs = uniqueNames(inner.inputs.map(({ name }) => name)).map((name, i) => {
    const spec = inputSpec(model, inner.inputs[i], name);
    return { spec, value: graph.input(spec) };
  });
  const tensors = new ModelRun(graph).apply(model, [
    inputs.map(({ value }) => new LayerTensor(value)),
  ]);
  const names = outputNames(model, inner, tensors.length);
  const outputs = tensors.map(({ value }, i) => {
    const { dtype, shape } = value;
    const known = shape ? { shape: [...shape] } : { shape: [], anyShape: true as const };
    const spec: TensorSpec = { name: names[i] ?? `output_${i}`, dtype, ...known };
    return { spec, value };
  });
  const written = writeGraph(graph.nodes, { ...facts, signatures: { inputs, outputs } });
  return { state: 'servable', ...written };
}

function inputSpec(model: Layer, input: ModelInput | undefined, name: string): TensorSpec {
  const shape = input?.shape;
  if (!input || !shape)
    return model.unsupported(
      'nothing says the shape of its input; call it once, or give it an Input, before it is saved',
    );
  return { name, dtype: input.dtype, shape };
}

function outputNames(model: Layer, inner: LayerModel, count: number): string[] {
  const { output, sequential, layers } = inner;
  if (sequential) {
    // Keras 3 gives the outputs of a Sequential no names; its exports call them so.
    if (model.isKeras3) return Array.from({ length: count }, (_, i) => `output_${i}`);
    return uniqueNames(Array.from({ length: count }, () => layers.at(-1)?.name ?? 'output'));
  }
  const isDictionary =
    typeof output === 'object' &&
    output !== null &&
    !Array.isArray(output) &&
    !(output instanceof TensorRef);
  if (isDictionary && Object.values(output).every((item) => item instanceof TensorRef))
    return Object.keys(output).toSorted();
  return uniqueNames(tensorRefs(output).map(({ layer }) => layer));
}

/** `name`, `name_1`, …, as Keras 2 names the outputs of a layer that makes several. */
function uniqueNames(names: string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let i = 1; taken.has(unique); i++) unique = `${name}_${i}`;
    taken.add(unique);
    return unique;
  });
}
