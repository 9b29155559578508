import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { LayerCall } from '../layer-call.js';
import { all, type LayerRule } from '../layer-rule.js';

/** How many sizes the layers work on: 1, 2 or 3 by their names. */
function dimensionsOf(call: LayerCall): number {
  return Number(/([123])D/.exec(call.layer.className)?.[1] ?? 1);
}

/** The first of the axes that a layer with so many dimensions works on. */
function firstAxis(call: LayerCall): number {
  return call.layer.has('data_format') && call.layer.channelsFirst ? 2 : 1;
}

/** `[before, after]` of each dimension, of a number, a pair of numbers or of pairs. */
function pairs(call: LayerCall, name: string, absent: number): [number, number][] {
  const count = dimensionsOf(call);
  const part = call.layer.has(name);
  const most = 2 ** 31 - 1;
  const same = (size: number): [number, number] => [size, size];
  if (!part) return Array.from({ length: count }, () => same(absent));
  if (!Array.isArray(part.value))
    return Array.from({ length: count }, () => same(part.integer(0, most)));
  const list = part.list();
  if (count === 1 && list.length === 2 && list.every(({ value }) => !Array.isArray(value)))
    return [[list[0]?.integer(0, most) ?? 0, list[1]?.integer(0, most) ?? 0]];
  if (list.length !== count) return part.damaged(`must have ${count} entries`);
  return list.map((item) => {
    if (!Array.isArray(item.value)) return same(item.integer(0, most));
    const [before, after] = item.list().map((size) => size.integer(0, most));
    return [before ?? 0, after ?? 0];
  });
}

/** Does something with the sizes in the layout that is there already: `[rows, channels, …]` where the value has that. */
function onSizes(
  call: LayerCall,
  compute: (x: GraphValue, first: number) => GraphValue,
): GraphValue {
  const { layouts } = call.context;
  const { value } = call.tensor;
  const first = firstAxis(call);
  if (first !== 1 || !layouts.has(value) || call.rank !== dimensionsOf(call) + 2)
    return compute(value, first);
  return layouts.channelsLast(compute(layouts.channelsFirst(value), 2));
}

export const reshapingLayers: Record<string, LayerRule> = {
  Flatten: {
    compute: (call) => {
      const { value } = call.tensor;
      if (call.rank === 1) return call.shapes.unsqueeze(value, [1]);
      const isFirst = call.layer.has('data_format') !== undefined && call.layer.channelsFirst;
      const sizes = Array.from({ length: call.rank - 2 }, (_, i) => i + 2);
      const ordered =
        isFirst && call.rank > 2 ? call.graph.transpose(value, [0, ...sizes, 1]) : value;
      return call.graph.op('Flatten', [ordered], { axis: 1 });
    },
  },
  Reshape: {
    compute: (call) => {
      const { value } = call.tensor;
      const part = call.layer.config.field('target_shape');
      const sizes = part
        .list()
        .map((size) => (size.value === null ? -1 : size.integer(-1, 2 ** 31 - 1)));
      const rest = (value.shape ?? []).slice(1);
      const known = rest.every((size) => size >= 0);
      const product = (list: readonly number[]) => list.reduce((sum, size) => sum * size, 1);
      const free = sizes.filter((size) => size < 0).length;
      if (free > 1) return part.damaged('leaves more than one size open');
      // What the others leave can be said where all of the input's sizes are.
      const given = product(sizes.filter((size) => size >= 0));
      const target =
        known && given > 0 ? sizes.map((size) => (size < 0 ? product(rest) / given : size)) : sizes;
      if (target.some((size) => !Number.isInteger(size)))
        return part.damaged(`does not divide an input of [${rest.join(', ')}]`);
      const rows = target.includes(-1) ? call.shapes.size(value, 0) : (value.shape?.[0] ?? -1);
      return call.graph.op('Reshape', [value, call.shapes.join([rows, ...target])], {
        allowzero: 1,
      });
    },
  },
  Permute: {
    compute: (call) => {
      const order = call.layer.config
        .field('dims')
        .list()
        .map((axis) => axis.integer(1, 64));
      if (
        order.toSorted((a, b) => a - b).some((axis, i) => axis !== i + 1) ||
        order.length !== call.rank - 1
      )
        return call.layer.config.damaged('has dims that are no order of its axes');
      return call.graph.transpose(call.tensor.value, [0, ...order]);
    },
  },
  RepeatVector: {
    compute: (call) => {
      const { value } = call.tensor;
      const times = call.layer.integer('n');
      const row = call.shapes.unsqueeze(value, [1]);
      return call.graph.op('Tile', [row, call.graph.integers([1, times, 1])]);
    },
  },
  ...all(
    {
      compute: (call) =>
        onSizes(call, (x, first) => {
          const { graph } = call;
          const sides = pairs(call, 'padding', 1);
          const axes = sides.map((_, i) => first + i);
          const pads = [...sides.map(([before]) => before), ...sides.map(([, after]) => after)];
          return graph.op('Pad', [
            x,
            graph.integers(pads),
            call.scalar(0, x.dtype),
            graph.integers(axes),
          ]);
        }),
    },
    'ZeroPadding1D ZeroPadding2D ZeroPadding3D',
  ),
  ...all(
    {
      compute: (call) =>
        onSizes(call, (x, first) => {
          const { graph } = call;
          const sides = pairs(call, 'cropping', 1);
          const places = [
            sides.map(([before]) => before),
            sides.map(([, after]) => (after === 0 ? 2 ** 53 - 1 : -after)),
            sides.map((_, i) => first + i),
          ].map((list) => graph.integers(list));
          return graph.op('Slice', [x, ...places]);
        }),
    },
    'Cropping1D Cropping2D Cropping3D',
  ),
  ...all({ compute: upSampling }, 'UpSampling1D UpSampling2D UpSampling3D'),
};

/** Repeats each row and column, or draws lines between them. */
function upSampling(call: LayerCall): GraphValue {
  const { layer } = call;
  const count = dimensionsOf(call);
  const factors = layer.integers('size', count, 2);
  const interpolation = layer.text('interpolation', 'nearest');
  if (factors.some((factor) => factor < 1)) return call.unsupported('it has a size below 1');
  if (interpolation !== 'nearest' && interpolation !== 'bilinear')
    return call.unsupported(`its interpolation is ${JSON.stringify(interpolation.slice(0, 40))}`);
  return onSizes(call, (x, first) => {
    const { graph } = call;
    const scales = Array.from({ length: count + 2 }, (_, axis) => factors[axis - first] ?? 1);
    const known = x.shape?.map((size, axis) => (size < 0 ? -1 : size * (scales[axis] ?? 1)));
    // ONNX Runtime resizes the last two or three axes well; rows and channels have a scale of 1.
    const mode = interpolation === 'nearest' ? 'nearest' : 'linear';
    const resized = (value: GraphValue, factors: number[], shape: readonly number[] | undefined) =>
      graph.op(
        'Resize',
        [value, undefined, graph.constant('FP32', [factors.length], Float32Array.from(factors))],
        {
          mode,
          coordinate_transformation_mode: mode === 'nearest' ? 'asymmetric' : 'half_pixel',
          ...(mode === 'nearest' && { nearest_mode: 'floor' }),
        },
        { dtype: value.dtype, shape },
      );
    if (first === 2) return resized(x, scales, known);
    const { layouts } = call.context;
    const moved = layouts.channelsFirst(x);
    const order = [1, 1, ...factors];
    return layouts.channelsLast(
      resized(
        moved,
        order,
        moved.shape?.map((size, axis) => (size < 0 ? -1 : size * (order[axis] ?? 1))),
      ),
    );
  });
}
