import type { DType } from '#program';
import { UnsupportedModel } from '../importer.js';
import { integersOf } from '../tensor-graph/known.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import type { Lowering } from './lowering.js';
import type { TfAttribute, TfAttributeValues, TfNode, TfTensor, TfType } from './tf-graph.js';
import { isTensorType } from './tf-types.js';

/** What flows along an edge of a TensorFlow graph: a tensor, or something that only the compiler sees. */
export type TfValue = GraphValue | TfResource;

/** Something that is no tensor: a variable, a table, a list of tensors, a ragged tensor in a variant. Rules define their own kinds. */
export interface TfResource {
  readonly resource: string;
}

/** Says one operation of TensorFlow with operators and kernels; answers all outputs of it, lists laid flat. */
export type OpRule = (op: TfOp) => TfValue[];

export function isTensor(value: TfValue): value is GraphValue {
  return !('resource' in value);
}

const utf8 = new TextDecoder();

/** An operation of TensorFlow that is being lowered: its inputs and attributes, asked for with a demand on what they are. */
export class TfOp {
  constructor(
    readonly node: TfNode,
    readonly inputs: TfValue[],
    /** Where its operators go. */
    readonly graph: TensorGraph,
    readonly lowering: Lowering,
    /** Its outputs that something needs. */
    readonly used: ReadonlySet<number> = new Set(),
  ) {}

  /** Refuses the model; the message names the operation, the node and why. */
  unsupported(reason: string): never {
    throw new UnsupportedModel(
      `The operation ${this.node.op} (node ${JSON.stringify(this.node.name.slice(0, 200))}) is not supported: ${reason}`,
    );
  }

  /** An input that must be a tensor. */
  tensor(i: number): GraphValue {
    const value = this.inputs[i];
    if (!value) return this.unsupported(`it has no input ${i}.`);
    return isTensor(value) ? value : this.unsupported(`its input ${i} is a ${value.resource}.`);
  }

  /** All inputs, tensors all of them. */
  tensors(): GraphValue[] {
    return this.inputs.map((_, i) => this.tensor(i));
  }

  /** The elements of an input of integers that must be constant. `what` names it in the refusal. */
  integersOf(i: number, what: string): number[] {
    return (
      integersOf(this.tensor(i)) ?? this.unsupported(`its ${what} must not depend on the request.`)
    );
  }

  /** The number of dimensions of an input, which must be known. */
  rank(i: number): number {
    const { shape } = this.tensor(i);
    return (
      shape?.length ?? this.unsupported(`the number of dimensions of its input ${i} is not known.`)
    );
  }

  has(name: string): boolean {
    return this.node.attributes.has(name);
  }

  /** `absent` is the default of the operation: exporters leave out what has it. */
  integer(name: string, absent?: number): number {
    const value = this.attribute(name, 'integer');
    return value === undefined ? this.absent(name, absent) : Number(value);
  }

  float(name: string, absent?: number): number {
    const value = this.attribute(name, 'float');
    return value ?? this.absent(name, absent);
  }

  flag(name: string, absent?: boolean): boolean {
    const value = this.attribute(name, 'flag');
    return value ?? this.absent(name, absent);
  }

  text(name: string, absent?: string): string {
    const value = this.attribute(name, 'bytes');
    return value === undefined ? this.absent(name, absent) : utf8.decode(value);
  }

  type(name: string, absent?: TfType): TfType {
    const value = this.attribute(name, 'type');
    return value ?? this.absent(name, absent);
  }

  /** A type that tensors of requests have. */
  dtype(name: string, absent?: DType): DType {
    return this.tensorType(this.type(name, absent));
  }

  /** Refuses a type that has no tensors. */
  tensorType(type: TfType): DType {
    return isTensorType(type) ? type : this.unsupported(`${type} has no tensors here.`);
  }

  /** A shape; undefined: of any rank. */
  shape(name: string): number[] | undefined {
    return this.attribute(name, 'shape');
  }

  tensorAttribute(name: string): TfTensor {
    return this.attribute(name, 'tensor') ?? this.absent<TfTensor>(name, undefined);
  }

  function(name: string): string {
    return this.attribute(name, 'function') ?? this.absent<string>(name, undefined);
  }

  list(name: string): TfAttribute[] {
    return this.attribute(name, 'list') ?? [];
  }

  integers(name: string, absent?: number[]): number[] {
    if (!this.has(name) && absent) return absent;
    return this.list(name).flatMap((item) => (item.kind === 'integer' ? Number(item.value) : []));
  }

  private absent<T>(name: string, value: T | undefined): T {
    return value ?? this.unsupported(`it has no attribute ${JSON.stringify(name)}.`);
  }

  private attribute<K extends keyof TfAttributeValues>(
    name: string,
    kind: K,
  ): TfAttributeValues[K] | undefined {
    const attribute = this.node.attributes.get(name);
    if (!attribute) return undefined;
    if (attribute.kind !== kind)
      this.unsupported(`its attribute ${JSON.stringify(name)} is no ${kind}.`);
    return attribute.value as TfAttributeValues[K];
  }
}

/** One rule for several operations; `names` stand with spaces in between. */
export function all(rule: OpRule, names: string): Record<string, OpRule> {
  return Object.fromEntries(names.split(' ').map((name) => [name, rule]));
}
