import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import { ChannelLayouts } from './channel-layouts.js';
import { LayerTensor, type Layer } from './layer.js';
import {
  LayerCall,
  tensorsOf,
  type Argument,
  type CallContext,
  type LayerAnswer,
} from './layer-call.js';
import { TensorRef, type LayerModel, type NodeCall, type Structure } from './layer-model.js';
import { ruleOf } from './layer-rules.js';

/** Calls of layers, those of a model inside once a call of it. */
const MOST_CALLS = 100_000;

/** What a model answers: its tensors, and how they are arranged. */
export interface ModelAnswer {
  tensors: LayerTensor[];
}

/** Lays the calls of layers out as operators of a graph. */
export class ModelRun implements CallContext {
  readonly layouts: ChannelLayouts;
  private calls = 0;

  constructor(readonly graph: TensorGraph) {
    this.layouts = new ChannelLayouts(graph);
  }

  /** Calls a layer or a model. Throws UnsupportedModel that names the layer. */
  apply(
    layer: Layer,
    args: Argument[],
    kwargs: Record<string, Argument> = {},
    graph: TensorGraph = this.graph,
  ): LayerTensor[] {
    if (++this.calls > MOST_CALLS)
      throw new DamagedModel(
        `The model calls layers more than ${MOST_CALLS} times, with those inside of models.`,
      );
    if (layer.model) return this.model(layer, layer.model, this.modelInputs(layer, args));
    const rule = ruleOf(layer);
    if (!rule) return layer.unsupported('nothing here computes it');
    const call = new LayerCall(layer, args, kwargs, this, graph);
    try {
      return withMasks(rule.compute(call), rule.passesMask ? passedMask(call) : undefined);
    } catch (error) {
      if (error instanceof UnsupportedModel || error instanceof DamagedModel) throw error;
      return layer.unsupported(error instanceof Error ? error.message : String(error));
    }
  }

  private modelInputs(layer: Layer, args: Argument[]): LayerTensor[] {
    const { inputs } = layer.model ?? { inputs: [] };
    const [first = null] = args;
    const isNamed = first !== null && typeof first === 'object' && !Array.isArray(first);
    if (isNamed && !(first instanceof LayerTensor)) {
      return inputs.flatMap(({ name }) => tensorsOf(first[name] ?? null));
    }
    return tensorsOf(first);
  }

  /** The tensors that a model answers, laid flat. */
  private model(layer: Layer, model: LayerModel, inputs: LayerTensor[]): LayerTensor[] {
    if (inputs.length !== model.inputs.length)
      layer.config.damaged(
        `${layer.label} takes ${model.inputs.length} inputs, and is called with ${inputs.length}`,
      );
    if (!model.sequential) return this.functional(layer, model, inputs);
    let values = inputs;
    for (const child of model.layers)
      if (child.className !== 'InputLayer')
        values = this.apply(child, [values.length === 1 ? (values[0] ?? null) : values]);
    return values;
  }

  private functional(layer: Layer, model: LayerModel, inputs: LayerTensor[]): LayerTensor[] {
    const made = new Map<Layer, LayerTensor[][]>();
    model.inputs.forEach((input, i) => {
      const given = inputs[i];
      if (given) made.set(input.layer, [[given]]);
    });
    const open = new Map(
      [...model.calls].filter(([child, calls]) => !made.has(child) && calls.length > 0),
    );
    while (open.size > 0) {
      let moved = false;
      for (const [child, calls] of open) {
        const done = made.get(child) ?? [];
        made.set(child, done);
        while (done.length < calls.length) {
          const call = resolveCall(model, made, calls[done.length]);
          if (!call) break;
          done.push(this.apply(child, call.args, call.kwargs));
          moved = true;
        }
        if (done.length === calls.length) open.delete(child);
      }
      if (!moved) {
        const names = [...open.keys()].slice(0, 3).map(({ name }) => JSON.stringify(name));
        layer.config.damaged(`has layers that wait for each other: ${names.join(', ')}`);
      }
    }
    const output = resolve(model, made, model.output, true);
    return output === undefined
      ? layer.config.damaged('has an output that no layer makes')
      : tensorsOf(output);
  }
}

type Made = ReadonlyMap<Layer, LayerTensor[][]>;

function resolveCall(
  model: LayerModel,
  made: Made,
  call: NodeCall | undefined,
): { args: Argument[]; kwargs: Record<string, Argument> } | undefined {
  if (!call) return undefined;
  const args = resolve(model, made, call.args);
  const kwargs = resolve(model, made, call.kwargs);
  if (!Array.isArray(args) || kwargs === undefined || kwargs === null) return undefined;
  return { args, kwargs: kwargs as Record<string, Argument> };
}

/** Puts tensors in the place of what names them; undefined where one is not made yet. */
function resolve(
  model: LayerModel,
  made: Made,
  structure: Structure,
  isOutput = false,
): Argument | undefined {
  if (structure instanceof TensorRef) return tensorAt(model, made, structure, isOutput);
  if (structure === null || typeof structure !== 'object') return structure;
  if (Array.isArray(structure)) {
    const items = structure.map((item) => resolve(model, made, item, isOutput));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  const entries = Object.entries(structure).map(
    ([name, item]) => [name, resolve(model, made, item, isOutput)] as const,
  );
  if (entries.some(([, item]) => item === undefined)) return undefined;
  return Object.fromEntries(entries.map(([name, item]) => [name, item ?? null]));
}

function tensorAt(
  model: LayerModel,
  made: Made,
  ref: TensorRef,
  isOutput: boolean,
): LayerTensor | undefined {
  const layer = model.byName.get(ref.layer);
  if (!layer) throw new DamagedModel(`The model has no layer ${JSON.stringify(ref.layer)}.`);
  const total = model.calls.get(layer)?.length ?? 0;
  const at = ref.call - firstCall(model, layer, isOutput);
  const tensors = made.get(layer)?.[at];
  if (!tensors) {
    if (layer.className !== 'InputLayer' && (at < 0 || at >= total))
      throw new DamagedModel(
        `The model uses call ${ref.call} of the layer ${JSON.stringify(ref.layer)}, which has ${total}.`,
      );
    return undefined;
  }
  return (
    tensors[ref.tensor] ??
    layer.config.damaged(
      `${layer.label} has ${tensors.length} outputs, and output ${ref.tensor} is used`,
    )
  );
}

/** What the number of a layer's first call is, in the calls of layers and in the outputs. */
interface FirstCalls {
  inside: number;
  output: number;
}

const firstCalls = new WeakMap<Layer, FirstCalls>();

/**
 * 1 for models that have a call of their own from their inputs to their outputs, else 0: in Keras 2 all that know their inputs
 * (`_should_skip_first_node`), in Keras 3 in outputs alone, and only Functional ones (`Functional.get_config`). Old versions
 * of both did otherwise with a Sequential, so that what is written decides.
 */
function firstCall(model: LayerModel, layer: Layer, isOutput: boolean): number {
  if (!layer.model) return 0;
  let known = firstCalls.get(layer);
  if (!known) {
    const total = model.calls.get(layer)?.length ?? 0;
    const first = (used: number[], otherwise: number) =>
      used.includes(0) ? 0 : used.includes(total) ? 1 : otherwise;
    const inside = [...model.calls.values()]
      .flat()
      .flatMap(({ args, kwargs }) => [
        ...callsOf(layer.name, args),
        ...callsOf(layer.name, kwargs),
      ]);
    const outputs = callsOf(layer.name, model.output);
    known = layer.isKeras3
      ? { inside: first(inside, 0), output: first(outputs, layer.model.sequential ? 0 : 1) }
      : { inside: first([...inside, ...outputs], 1), output: first([...inside, ...outputs], 1) };
    firstCalls.set(layer, known);
  }
  return isOutput ? known.output : known.inside;
}

function callsOf(name: string, structure: Structure): number[] {
  if (structure instanceof TensorRef) return structure.layer === name ? [structure.call] : [];
  if (structure === null || typeof structure !== 'object') return [];
  return Object.values(structure).flatMap((item) => callsOf(name, item));
}

/** The mask that goes through a layer: what it is called with, or its first input's. */
function passedMask(call: LayerCall): GraphValue | undefined {
  const [named] = tensorsOf(call.kwargs.mask ?? null);
  return named?.value ?? call.inputs[0]?.mask;
}

function withMasks(answer: LayerAnswer, mask: GraphValue | undefined): LayerTensor[] {
  const list: (LayerTensor | GraphValue)[] = Array.isArray(answer) ? answer : [answer];
  return list.map((item) => (item instanceof LayerTensor ? item : new LayerTensor(item, mask)));
}
