import { integerOf, integersOf } from '../tensor-graph/known.js';
import type { GraphNode, GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';

/** One value that a loop hands from turn to turn. */
export interface LoopState {
  /** What it is at first. */
  initial: GraphValue;
  /** What it is when a turn begins. */
  before: GraphValue;
  /** What the turn makes of it. */
  after: GraphValue;
}

/** A loop that runs `turns` times, as one looks at it before it is written. */
export interface LoopForm {
  /** Around the loop. */
  graph: TensorGraph;
  /** Inside of it. */
  scope: TensorGraph;
  /** INT64: counts from 0. */
  turn: GraphValue;
  /** INT64 without dimensions; at least 0. */
  turns: GraphValue;
  /** `turns` before what is below 0 was cut off. */
  limit: GraphValue;
  states: LoopState[];
  /** What each turn adds. */
  scans: GraphValue[];
}

/** Says which nodes made the values of a graph and of those around it. */
export class Makers {
  private readonly found = new Map<GraphValue, { node: GraphNode; output: number }>();

  constructor(graph: TensorGraph) {
    for (let scope: TensorGraph | undefined = graph; scope; scope = scope.outer)
      for (const node of scope.nodes)
        node.outputs.forEach((value, output) => this.found.set(value, { node, output }));
  }

  /** The ONNX operator that made a value, through operators that change nothing. */
  of(value: GraphValue): MadeBy | undefined {
    const made = this.found.get(value);
    if (made?.node.kind !== 'onnx' || made.node.domain !== '') return undefined;
    const { operator, inputs, attributes, outputs } = made.node;
    if (operator === 'Identity') return inputs[0] && this.of(inputs[0]);
    const integer = (name: string, absent: number) => {
      const given = attributes[name];
      return typeof given === 'number' ? given : absent;
    };
    const list = (name: string) => {
      const given = attributes[name];
      return Array.isArray(given) ? given.map(Number) : undefined;
    };
    return {
      operator,
      inputs: inputs.map((input) => this.same(input)),
      output: made.output,
      outputs: outputs.length,
      integer,
      list,
      hasFloat: (name) => attributes[name] !== undefined,
    };
  }

  /** The first of the values that are the same one. */
  same(value: GraphValue): GraphValue;
  same(value: GraphValue | undefined): GraphValue | undefined;
  same(value: GraphValue | undefined): GraphValue | undefined {
    const made = value && this.found.get(value);
    if (made?.node.kind !== 'onnx' || made.node.operator !== 'Identity') return value;
    return this.same(made.node.inputs[0]);
  }
}

export interface MadeBy {
  operator: string;
  inputs: (GraphValue | undefined)[];
  /** Which of its outputs, and how many it has. */
  output: number;
  outputs: number;
  integer(name: string, absent: number): number;
  list(name: string): number[] | undefined;
  hasFloat(name: string): boolean;
}

/** Whether a value is the same in each turn. */
export function isInvariant(value: GraphValue, scope: TensorGraph): boolean {
  if (value.constant) return true;
  for (let at: TensorGraph | undefined = value.scope; at; at = at.outer)
    if (at === scope) return false;
  return true;
}

/** What a counter that grows by one from a constant on has above the number of the turn; undefined: it is none. */
export function aheadOfTurn(
  value: GraphValue,
  { makers, turn, states }: { makers: Makers; turn: GraphValue; states: LoopState[] },
): number | undefined {
  if (makers.same(value) === turn) return 0;
  const state = states.find(({ before }) => before === makers.same(value));
  if (state) {
    const first = integerOf(state.initial);
    return first !== undefined && growsByOne(state, makers) ? first : undefined;
  }
  const made = makers.of(value);
  const [left, right] = made?.inputs ?? [];
  if (!made || !left) return undefined;
  const more = () => aheadOfTurn(left, { makers, turn, states });
  if (['Cast', 'Squeeze', 'Unsqueeze', 'Reshape'].includes(made.operator)) return more();
  if (made.operator !== 'Add' && made.operator !== 'Sub') return undefined;
  const added = integerOf(right);
  if (added !== undefined) {
    const from = more();
    return from === undefined ? undefined : made.operator === 'Add' ? from + added : from - added;
  }
  const other = integerOf(left);
  if (other === undefined || !right || made.operator === 'Sub') return undefined;
  const from = aheadOfTurn(right, { makers, turn, states });
  return from === undefined ? undefined : from + other;
}

function growsByOne({ before, after }: LoopState, makers: Makers): boolean {
  const made = makers.of(after);
  if (made?.operator !== 'Add') return false;
  const [left, right] = made.inputs;
  return (left === before && integerOf(right) === 1) || (right === before && integerOf(left) === 1);
}

/**
 * Whether both are the same size: an INT64 or INT32 without dimensions that says how large an axis of a tensor is, or how
 * often something runs.
 */
export function sameSize(one: GraphValue, other: GraphValue, makers: Makers): boolean {
  const [left, right] = [sizeOf(one, makers), sizeOf(other, makers)];
  if (typeof left === 'number' || typeof right === 'number') return left === right;
  return left.value === right.value && left.axis === right.axis;
}

/** Whether a value says how many rows a tensor has. */
export function isRowsOf(count: GraphValue, rows: GraphValue, makers: Makers): boolean {
  const size = sizeOf(count, makers);
  const axis = axisOrigin({ value: rows, axis: 0 }, makers);
  if (typeof size === 'number' || typeof axis === 'number') return size === axis;
  return size.value === axis.value && size.axis === axis.axis;
}

/** An axis of a tensor; the axis −1 stands for the value itself. */
interface Axis {
  value: GraphValue;
  axis: number;
}

function sizeOf(value: GraphValue, makers: Makers): number | Axis {
  const known = integerOf(value);
  if (known !== undefined) return known;
  const made = makers.of(value);
  const [input, second, third, fourth] = made?.inputs ?? [];
  const itself = { value: makers.same(value), axis: -1 };
  if (!made || !input) return itself;
  const isOne = (given: GraphValue) => given.shape?.every((size) => size === 1) ?? false;
  if (['Cast', 'Squeeze', 'Unsqueeze', 'Reshape'].includes(made.operator))
    return isOne(input) && isOne(value) ? sizeOf(input, makers) : itself;
  const shape = makers.of(input);
  const list = shape?.operator === 'Cast' && shape.inputs[0] ? makers.of(shape.inputs[0]) : shape;
  const [sized] = list?.inputs ?? [];
  if (list?.operator !== 'Shape' || !sized?.shape || list.integer('start', 0) !== 0) return itself;
  const place =
    made.operator === 'Gather'
      ? integerOf(second)
      : made.operator === 'Slice' && third && isOne(value) && integerOf(fourth) !== undefined
        ? integersOf(second ?? value)?.[0]
        : undefined;
  if (place === undefined) return itself;
  return axisOrigin({ value: sized, axis: place < 0 ? place + sized.shape.length : place }, makers);
}

/** Where an axis comes from that operators only move about. */
function axisOrigin(given: Axis, makers: Makers): number | Axis {
  const value = makers.same(given.value);
  const size = value.shape?.[given.axis] ?? -1;
  if (size >= 0) return size;
  const at = { value, axis: given.axis };
  const made = makers.of(value);
  const [input] = made?.inputs ?? [];
  if (!made || !input) return at;
  if (made.operator === 'Transpose') {
    const axis = made.list('perm')?.[given.axis];
    return axis === undefined ? at : axisOrigin({ value: input, axis }, makers);
  }
  if (made.operator === 'ReverseSequence' || made.operator === 'Cast')
    return axisOrigin({ value: input, axis: given.axis }, makers);
  if (made.operator === 'Slice') {
    const [, starts, stops, axes, steps] = made.inputs.map((list) => list && integersOf(list));
    const reversed =
      starts?.[0] === -1 &&
      (stops?.[0] ?? 0) < -(2 ** 30) &&
      steps?.[0] === -1 &&
      steps.length === 1;
    if (reversed || (axes && !axes.includes(given.axis)))
      return axisOrigin({ value: input, axis: given.axis }, makers);
  }
  return at;
}
