import { dataOf, elementCount, type DType } from '#program';
import { axisOf } from '../tensor-graph/known.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import type { ChannelLayouts } from './channel-layouts.js';
import { LayerTensor, type Layer } from './layer.js';
import { Shapes } from './shapes.js';

/** What a layer is called with: tensors, and what stands in the configuration as it is. */
export type Argument =
  LayerTensor | Argument[] | { [name: string]: Argument } | string | number | boolean | null;

/** What a layer answers: values, which get the mask that the layer's rule says, or tensors with masks of their own. */
export type LayerAnswer = GraphValue | GraphValue[] | LayerTensor | LayerTensor[];

/** What all calls of a model share. */
export interface CallContext {
  graph: TensorGraph;
  layouts: ChannelLayouts;
  /** Calls another layer: one inside of this one, or a model. */
  apply(
    layer: Layer,
    args: Argument[],
    kwargs?: Record<string, Argument>,
    graph?: TensorGraph,
  ): LayerTensor[];
}

/** One call of a layer: what it is called with, asked for with a demand on what that is. */
export class LayerCall {
  readonly shapes: Shapes;

  constructor(
    readonly layer: Layer,
    readonly args: Argument[],
    readonly kwargs: Record<string, Argument>,
    readonly context: CallContext,
    readonly graph: TensorGraph = context.graph,
  ) {
    this.shapes = new Shapes(graph);
  }

  unsupported(reason: string): never {
    return this.layer.unsupported(reason);
  }

  /** The tensors of the first argument. */
  get inputs(): LayerTensor[] {
    return tensorsOf(this.args[0] ?? null);
  }

  /** The only tensor of the first argument. */
  get tensor(): LayerTensor {
    const [only, ...others] = this.inputs;
    if (!only || others.length > 0)
      return this.unsupported(`it is called with ${others.length + (only ? 1 : 0)} tensors`);
    return only;
  }

  /** The only input, as the layer computes with it. */
  get input(): GraphValue {
    return this.float(this.tensor.value);
  }

  /**
   * The mask that the layer is called with: one that is named, or that of its input. Keras 3 looks at the input's only where
   * no other argument is a tensor (`Layer.__call__`).
   */
  get mask(): GraphValue | undefined {
    const named = this.kwargs.mask ?? null;
    const [given] = tensorsOf(named);
    if (given) return given.value;
    if (this.layer.isKeras3 && this.hasOtherTensors) return undefined;
    return this.inputs[0]?.mask;
  }

  private get hasOtherTensors(): boolean {
    return [...this.args.slice(1), ...Object.values(this.kwargs)].some(
      (argument) => tensorsOf(argument).length > 0,
    );
  }

  /** A named argument that must be a plain flag. */
  flag(name: string, absent = false): boolean {
    const value = this.kwargs[name];
    return value === undefined || value === null ? absent : value === true;
  }

  /** An argument by its name, or by its place; undefined where it is absent or `null`. */
  argument(name: string, place: number): Argument | undefined {
    return this.kwargs[name] ?? this.args[place] ?? undefined;
  }

  get rank(): number {
    return this.rankOf(this.tensor.value);
  }

  rankOf(value: GraphValue): number {
    return (
      value.shape?.length ?? this.unsupported('the number of dimensions of its input is not known')
    );
  }

  /** A size that must be known, such as the number of channels. */
  sizeOf(value: GraphValue, axis: number): number {
    const rank = this.rankOf(value);
    const size = value.shape?.[axisOf(axis, rank)] ?? -1;
    if (axis >= rank || axis < -rank) return this.unsupported(`its input has no axis ${axis}`);
    return size >= 0
      ? size
      : this.unsupported(`the size of axis ${axis} of its input is not known`);
  }

  /** An axis of the configuration, counted from the front. */
  axis(axis: number, rank: number): number {
    const found = axisOf(axis, rank);
    return found >= 0 && found < rank
      ? found
      : this.unsupported(`it has the axis ${axis}, and its input ${rank} dimensions`);
  }

  /** The value in the dtype that the layer computes in. */
  float(value: GraphValue): GraphValue {
    return this.graph.cast(value, this.layer.dtype);
  }

  hasWeight(name: string): boolean {
    return this.layer.weights.has(name);
  }

  /** A weight as a constant. */
  weight(name: string): GraphValue {
    const { layer } = this;
    const known = layer.constants.get(name);
    if (known) return known;
    const stored = layer.weights.get(name);
    if (!stored) return layer.config.damaged(`${layer.label} has no weight "${name}"`);
    const made = this.graph.cast(
      this.graph.constant(stored.dtype, stored.shape, stored.read()),
      layer.dtype,
    );
    layer.constants.set(name, made);
    return made;
  }

  /** A weight with so many dimensions. */
  weightOf(name: string, rank: number): GraphValue {
    const weight = this.weight(name);
    if (weight.shape?.length !== rank)
      this.layer.config.damaged(
        `${this.layer.label}: its weight "${name}" has ${weight.shape?.length} dimensions, and needs ${rank}`,
      );
    return weight;
  }

  /** A weight whose elements stand along some axes of a tensor of so many dimensions. */
  along(weight: GraphValue, axes: readonly number[], rank: number): GraphValue {
    const { shape = [] } = weight;
    if (shape.length !== axes.length)
      this.layer.config.damaged(
        `${this.layer.label}: a weight has ${shape.length} dimensions, and ${axes.length} are needed`,
      );
    const sizes = Array.from({ length: rank }, (_, axis) => {
      const at = axes.indexOf(axis);
      return at < 0 ? 1 : (shape[at] ?? 1);
    });
    return this.graph.reshape(weight, sizes);
  }

  /** A number of the dtype that the layer computes in. */
  scalar(value: number, dtype: DType = this.layer.dtype): GraphValue {
    return this.graph.constant(dtype, [], dataOf(dtype, [value]));
  }

  filled(shape: readonly number[], value: number): GraphValue {
    const { dtype } = this.layer;
    const count = elementCount(shape);
    return this.graph.constant(
      dtype,
      shape,
      dataOf(
        dtype,
        Array.from({ length: count }, () => value),
      ),
    );
  }

  /** Calls a layer inside of this one. */
  child(attribute: string): Layer {
    return (
      this.layer.children.get(attribute) ??
      this.layer.config.damaged(`${this.layer.label} has no ${attribute}`)
    );
  }
}

/** All tensors of an argument, in the order in which Keras flattens structures: dictionaries by their sorted names. */
export function tensorsOf(argument: Argument): LayerTensor[] {
  if (argument instanceof LayerTensor) return [argument];
  if (Array.isArray(argument)) return argument.flatMap(tensorsOf);
  if (argument === null || typeof argument !== 'object') return [];
  return Object.keys(argument)
    .toSorted()
    .flatMap((name) => tensorsOf(argument[name] ?? null));
}
