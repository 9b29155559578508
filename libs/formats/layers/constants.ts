import { newData, type TensorData } from '#program';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';

type Numbers = Exclude<TensorData, unknown[]>;

/** A constant with its dimensions in another order, moved here: weights then lie in the file as ONNX Runtime wants them. */
export function transposedConstant(
  graph: TensorGraph,
  value: GraphValue,
  order: readonly number[],
): GraphValue {
  const { constant, shape, dtype } = value;
  if (!constant || Array.isArray(constant) || !shape) return graph.transpose(value, order);
  const sizes = order.map((axis) => shape[axis] ?? 1);
  const strides = stridesOf(shape);
  const steps = order.map((axis) => strides[axis] ?? 0);
  const data = newData(dtype, constant.length);
  const index = sizes.map(() => 0);
  let from = 0;
  for (let to = 0; to < constant.length; to++) {
    const element = constant[from];
    if (element !== undefined) data[to] = element;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      const next = (index[axis] ?? 0) + 1;
      from += steps[axis] ?? 0;
      if (next < (sizes[axis] ?? 1)) {
        index[axis] = next;
        break;
      }
      from -= (steps[axis] ?? 0) * next;
      index[axis] = 0;
    }
  }
  return graph.constant(dtype, sizes, data);
}

export function reshapedConstant(
  graph: TensorGraph,
  value: GraphValue,
  sizes: readonly number[],
): GraphValue {
  const { constant, dtype } = value;
  return constant ? graph.constant(dtype, sizes, constant) : graph.reshape(value, sizes);
}

/** Blocks of the last axis of a matrix, each of the same width, in another order; a block may be left out or come twice. */
export function blocksOf(
  graph: TensorGraph,
  matrix: GraphValue,
  count: number,
  order: readonly number[],
): GraphValue {
  const { shape = [], dtype } = matrix;
  const data = numbersOf(matrix);
  const width = (shape.at(-1) ?? 0) / count;
  const rows = width === 0 ? 0 : data.length / (width * count);
  const made = newData(dtype, rows * width * order.length) as Numbers;
  for (let row = 0; row < rows; row++)
    order.forEach((block, i) => {
      const from = (row * count + block) * width;
      made.set(data.subarray(from, from + width) as never, (row * order.length + i) * width);
    });
  return graph.constant(dtype, [...shape.slice(0, -1), width * order.length], made);
}

/** The elements of a constant of numbers. */
export function numbersOf({ constant }: GraphValue): Numbers {
  if (!constant || Array.isArray(constant)) throw new Error('a weight depends on the request');
  return constant;
}

function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const size of shape.toReversed()) {
    strides.unshift(stride);
    stride *= size;
  }
  return strides;
}
