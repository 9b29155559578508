import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { LayerTensor } from '../layer.js';
import type { LayerCall } from '../layer-call.js';
import { all, type LayerRule } from '../layer-rule.js';

/** Inputs of fewer dimensions get more of them behind the rows (`base_merge.py`). */
function aligned(call: LayerCall): GraphValue[] {
  const values = call.inputs.map(({ value }) => call.float(value));
  const rank = Math.max(...values.map((value) => call.rankOf(value)));
  return values.map((value) => {
    const missing = rank - call.rankOf(value);
    const axes = Array.from({ length: missing }, (_, i) => i + 1);
    return missing > 0 ? call.shapes.unsqueeze(value, axes) : value;
  });
}

/** Keras 2: all masks must hold, those that are missing count as true. Keras 3: one must hold; none where one is missing. */
function mergedMask(call: LayerCall): GraphValue | undefined {
  const masks = call.inputs.map(({ mask }) => mask);
  const given = masks.filter((mask) => mask !== undefined);
  if (given.length === 0 || (call.layer.isKeras3 && given.length < masks.length)) return undefined;
  const operator = call.layer.isKeras3 ? 'Or' : 'And';
  return given.reduce((one, other) => call.graph.op(operator, [one, other]));
}

function merge(combine: (call: LayerCall, values: GraphValue[]) => GraphValue): LayerRule {
  return {
    compute: (call) => {
      if (call.inputs.length === 0) return call.unsupported('it has no inputs');
      const made = call.context.layouts.elementwise(aligned(call), (values) =>
        combine(call, values),
      );
      return new LayerTensor(made, mergedMask(call));
    },
  };
}

function folded(operator: string): LayerRule {
  return merge(({ graph }, values) =>
    values.reduce((one, other) => graph.op(operator, [one, other])),
  );
}

export const mergingLayers: Record<string, LayerRule> = {
  Add: folded('Add'),
  Multiply: folded('Mul'),
  Maximum: folded('Max'),
  Minimum: folded('Min'),
  Subtract: merge((call, [one, other, ...more]) => {
    if (!one || !other || more.length > 0)
      return call.unsupported('it subtracts other than two inputs');
    return call.graph.op('Sub', [one, other]);
  }),
  Average: merge((call, values) => {
    const sum = values.reduce((one, other) => call.graph.op('Add', [one, other]));
    return call.graph.op('Div', [sum, call.scalar(values.length, sum.dtype)]);
  }),
  ...all({ compute: concatenate }, 'Concatenate'),
  Dot: {
    compute: (call) => {
      const [one, other] = call.inputs.map(({ value }) => call.float(value));
      if (!one || !other || call.inputs.length !== 2)
        return call.unsupported('it has other than two inputs');
      return new LayerTensor(dot(call, one, other));
    },
  },
};

function concatenate(call: LayerCall): LayerTensor {
  const { inputs } = call;
  const [one] = inputs;
  if (!one) return call.unsupported('it has no inputs');
  const rank = call.rankOf(one.value);
  const axis = call.axis(call.layer.integer('axis', -1), rank);
  const values = sameTypes(call);
  const { layouts } = call.context;
  const first = rank > 2 && values.every((value) => layouts.has(value));
  const moved = axis === rank - 1 ? 1 : axis === 0 ? 0 : axis + 1;
  const made = first
    ? layouts.channelsLast(
        call.graph.op(
          'Concat',
          values.map((value) => layouts.channelsFirst(value)),
          { axis: moved },
        ),
      )
    : call.graph.op('Concat', values, { axis });
  return new LayerTensor(made, concatenatedMask(call, axis));
}

/** Numbers of several types become the layer's; Keras 2 casts floats alone. */
function sameTypes(call: LayerCall): GraphValue[] {
  const values = call.inputs.map(({ value }) => value);
  const [one] = values;
  if (values.every(({ dtype }) => dtype === one?.dtype)) return values;
  return values.map((value) => call.float(value));
}

/** A mask of each element of the inputs is joined like these; what holds of the last axis is the mask of the output. */
function concatenatedMask(call: LayerCall, axis: number): GraphValue | undefined {
  const { graph, shapes, inputs } = call;
  if (inputs.every(({ mask }) => !mask)) return undefined;
  const masks = inputs.map(({ value, mask }) => {
    const rank = call.rankOf(value);
    const sizes = Array.from({ length: rank }, (_, i) => shapes.sizeOrValue(value, i));
    if (!mask) return shapes.expand(graph.scalar('BOOL', true), sizes);
    if (call.rankOf(mask) >= rank) return mask;
    const last = shapes.unsqueeze(mask, [rank - 1]);
    // Keras 2 leaves the last axis at one, Keras 3 makes it as long as the input's.
    return call.layer.isKeras3 ? shapes.expand(last, sizes) : last;
  });
  const joined = graph.cast(graph.op('Concat', masks, { axis }), 'INT32');
  const operator = call.layer.isKeras3 ? 'ReduceMax' : 'ReduceMin';
  return graph.cast(shapes.reduce(operator, joined, [-1], false), 'BOOL');
}

/** `batch_dot`: products along an axis of each, row by row. */
function dot(call: LayerCall, left: GraphValue, right: GraphValue): GraphValue {
  const { graph, layer, shapes } = call;
  const ranks = [call.rankOf(left), call.rankOf(right)] as const;
  const part = layer.config.field('axes');
  const given = Array.isArray(part.value)
    ? part.list().map((axis) => axis.integer(-64, 64))
    : [part.integer(-64, 64), part.integer(-64, 64)];
  const [one, other] = [call.axis(given[0] ?? -1, ranks[0]), call.axis(given[1] ?? -1, ranks[1])];
  if (one === 0 || other === 0) return call.unsupported('it multiplies along the rows');
  const normalised = (value: GraphValue, axis: number) => {
    if (!layer.flag('normalize', false)) return value;
    const squares = shapes.reduce('ReduceSum', graph.op('Mul', [value, value]), [axis], true);
    const length = graph.op('Sqrt', [graph.op('Max', [squares, call.scalar(1e-12)])]);
    return graph.op('Div', [value, length]);
  };
  const rest = (rank: number, axis: number) =>
    Array.from({ length: rank - 1 }, (_, i) => i + 1).filter((i) => i !== axis);
  const kept = [rest(ranks[0], one), rest(ranks[1], other)] as const;
  const [a, b] = [normalised(left, one), normalised(right, other)];
  // [rows, what is left of the one, products] times [rows, products, what is left of the other]
  const rows = graph.transpose(a, [0, ...kept[0], one]);
  const columns = graph.transpose(b, [0, other, ...kept[1]]);
  const flat = (value: GraphValue, isLeft: boolean, count: number) => {
    if (count === 1) return value;
    const outer = shapes.sizeOrValue(value, 0);
    const products = shapes.sizeOrValue(value, isLeft ? count + 1 : 1);
    return shapes.reshape(value, isLeft ? [outer, -1, products] : [outer, products, -1]);
  };
  const matrix = graph.op('MatMul', [
    flat(rows, true, kept[0].length),
    flat(columns, false, kept[1].length),
  ]);
  const sizes = [
    shapes.sizeOrValue(a, 0),
    ...kept[0].map((axis) => shapes.sizeOrValue(a, axis)),
    ...kept[1].map((axis) => shapes.sizeOrValue(b, axis)),
  ];
  if (sizes.length === 1) sizes.push(1);
  return sizes.length === 3 && kept[0].length === 1 ? matrix : shapes.reshape(matrix, sizes);
}
