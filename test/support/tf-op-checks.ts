import { expect } from '@jest/globals';
import { elementCount, fromFloat16, type DType, type Tensor } from '#program';
import type { ProgramRunner } from './program-runner.js';
import {
  constantNode,
  runGraph,
  type AttributeLiteral,
  type NodeLiteral,
  type TensorLiteral,
} from './tf-graphs.js';

/** One operation of TensorFlow: what a request sends, what is constant, in the order of its inputs. */
export interface OpCase {
  op: string;
  inputs: TensorLiteral[];
  /** Places of inputs that are constants of the graph. */
  constants?: number[];
  attributes?: Record<string, AttributeLiteral>;
  outputs?: number;
  /** The shapes that the signature says; those of the tensors where nothing is given. */
  shapes?: (number[] | undefined)[];
}

/** Runs a graph of one operation; answers its outputs. */
export async function runOp(
  runner: ProgramRunner,
  { op, inputs, constants = [], attributes = {}, outputs = 1, shapes = [] }: OpCase,
): Promise<Tensor[]> {
  const nodes: Record<string, NodeLiteral> = {};
  const given: Record<string, TensorLiteral> = {};
  const ports: Record<string, { dtype: DType; shape: number[] }> = {};
  const names = inputs.map((tensor, i) => {
    const name = `x${i}`;
    if (constants.includes(i)) nodes[name] = constantNode(tensor.dtype, tensor.shape, tensor.data);
    else {
      given[name] = tensor;
      ports[name] = { dtype: tensor.dtype, shape: shapes[i] ?? tensor.shape };
    }
    return name;
  });
  nodes['y'] = [op, names, attributes];
  const wanted = Array.from({ length: outputs }, (_, i) => (i === 0 ? 'y' : `y:${i}`));
  return runGraph(runner, { inputs: ports, nodes, outputs: wanted }, given);
}

/** The only output of an operation. */
export async function answerOf(runner: ProgramRunner, given: OpCase): Promise<Tensor> {
  const [answer] = await runOp(runner, given);
  if (!answer) throw new Error('no answer');
  return answer;
}

export function tensor(dtype: DType, shape: number[], data: ArrayLike<number>): TensorLiteral {
  if (elementCount(shape) !== data.length) throw new Error(`${data.length} elements`);
  return { dtype, shape, data };
}

/** The elements as numbers, those of 16 bits decoded. */
export function elementsOf({ dtype, data }: Tensor): number[] {
  const values = Array.from<unknown>(data).map(Number);
  return dtype === 'FP16' ? values.map(fromFloat16) : values;
}

/** The same shape, and each element within `relative` of what is wanted (and `absolute` near zero). */
export function expectTensor(
  got: Tensor,
  wanted: { shape: readonly number[]; data: ArrayLike<number> },
  { relative = 1e-5, absolute = 1e-6, why = '' } = {},
): void {
  expect([why, got.shape]).toEqual([why, [...wanted.shape]]);
  const elements = elementsOf(got);
  for (const [i, value] of Array.from(wanted.data).entries()) {
    const element = elements[i] ?? NaN;
    const near = Math.abs(element - value) <= absolute + relative * Math.abs(value);
    if (!near && !Object.is(element, value) && element !== value)
      throw new Error(`${why}: element ${i} is ${element} and not ${value}`);
  }
}

/** A tensor FP32 of {@link noise}. */
export function random(shape: number[], seed: number): TensorLiteral {
  return tensor('FP32', shape, noise(elementCount(shape), seed));
}

/** Numbers that look random, the same each time. */
export function noise(count: number, seed = 1, scale = 2): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}
