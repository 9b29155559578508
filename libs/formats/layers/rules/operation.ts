import { dataOf, type DType } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { LayerTensor } from '../layer.js';
import type { Argument, LayerCall } from '../layer-call.js';

/** An operation of `keras.ops` or `tf`: its arguments by name or place, and what its configuration says of them. */
export class Operation {
  constructor(
    readonly call: LayerCall,
    readonly name: string,
  ) {}

  get graph() {
    return this.call.graph;
  }

  unsupported(reason: string): never {
    return this.call.unsupported(reason);
  }

  /** An argument by its place, by one of its names, or from the configuration. */
  argument(place: number, ...names: string[]): Argument | undefined {
    const { args, kwargs, layer } = this.call;
    for (const name of names)
      if (kwargs[name] !== undefined && kwargs[name] !== null) return kwargs[name];
    if (place >= 0 && args[place] !== undefined && args[place] !== null) return args[place];
    for (const name of names) {
      const value = layer.has(name)?.value;
      if (value !== undefined && name !== 'name') return value as Argument;
    }
    return undefined;
  }

  /** A tensor, or a constant as one of the same type as its partner. */
  value(place: number, names: string[], like?: GraphValue): GraphValue {
    const given = this.argument(place, ...names);
    if (given instanceof LayerTensor) return given.value;
    if (given === undefined) return this.unsupported(`it has no ${names[0]}`);
    return this.constant(given, like);
  }

  /** Numbers take the type of their partner, floats that of a float. */
  private constant(given: Argument, like: GraphValue | undefined): GraphValue {
    const sizes: number[] = [];
    let level: Argument = given;
    while (Array.isArray(level)) {
      sizes.push(level.length);
      level = level[0] ?? null;
      if (sizes.length > 16) return this.unsupported('a constant of it is nested too deep');
    }
    const flat = Array.isArray(given) ? (given as unknown[]).flat(16) : [given];
    if (flat.every((item) => typeof item === 'string'))
      return this.graph.constant('BYTES', sizes, flat.map(String));
    if (!flat.every((item) => typeof item === 'number' || typeof item === 'boolean'))
      return this.unsupported('an argument of it is neither a tensor nor numbers');
    const numbers = flat as (number | boolean)[];
    const isFloat = numbers.some((item) => typeof item === 'number' && !Number.isInteger(item));
    const own: DType = isFloat ? 'FP32' : typeof numbers[0] === 'boolean' ? 'BOOL' : 'INT32';
    const dtype = like && (like.dtype.startsWith('FP') || !isFloat) ? like.dtype : own;
    return this.graph.constant(dtype, sizes, dataOf(dtype, numbers));
  }

  /** Two values of one type. */
  pair(): [GraphValue, GraphValue] {
    const names = [
      ['x1', 'x'],
      ['x2', 'y'],
    ] as const;
    const first = this.argument(0, ...names[0]);
    const second = this.argument(1, ...names[1]);
    const other = second instanceof LayerTensor ? second.value : undefined;
    const one = first instanceof LayerTensor ? first.value : this.value(0, [...names[0]], other);
    return this.alike(one, this.value(1, [...names[1]], one));
  }

  alike(one: GraphValue, other: GraphValue): [GraphValue, GraphValue] {
    const dtype = commonType(one.dtype, other.dtype);
    return [this.graph.cast(one, dtype), this.graph.cast(other, dtype)];
  }

  get x(): GraphValue {
    return this.value(0, [
      'x',
      'input',
      'inputs',
      'a',
      'tensor',
      'value',
      'features',
      'logits',
      'params',
    ]);
  }

  /** Floats as they are, integers as FP32. */
  get float(): GraphValue {
    const { x } = this;
    return x.dtype.startsWith('FP') ? x : this.graph.cast(x, 'FP32');
  }

  integers(place: number, ...names: string[]): number[] | undefined {
    const given = this.argument(place, ...names);
    if (given === undefined) return undefined;
    const list = Array.isArray(given) ? given : [given];
    return list.every((item) => Number.isInteger(item))
      ? (list as number[])
      : this.unsupported(`its ${names[0]} are no integers`);
  }

  number(place: number, absent: number, ...names: string[]): number {
    const given = this.argument(place, ...names);
    return typeof given === 'number' ? given : absent;
  }

  flag(place: number, ...names: string[]): boolean {
    return this.argument(place, ...names) === true;
  }

  /** Axes from the front; all of them where none is said. */
  axes(place = 1): number[] {
    const { x } = this;
    const rank = this.call.rankOf(x);
    const given =
      this.integers(place, 'axis', 'axes', 'dims') ?? x.shape?.map((_, axis) => axis) ?? [];
    return given.map((axis) => this.call.axis(axis, rank));
  }
}

/** The type that two become that meet. */
export function commonType(one: DType, other: DType): DType {
  if (one === other) return one;
  const order: DType[] = [
    'BOOL',
    'UINT8',
    'INT8',
    'INT16',
    'INT32',
    'INT64',
    'FP16',
    'FP32',
    'FP64',
  ];
  return order.indexOf(one) > order.indexOf(other) ? one : other;
}

export type OperationRule = (op: Operation) => GraphValue | GraphValue[];
