import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { LayerCall } from '../layer-call.js';
import { all, type LayerRule } from '../layer-rule.js';

/** Layers that make images ready; those that only vary them do nothing when a model answers. */
export const imageLayers: Record<string, LayerRule> = {
  Rescaling: { passesMask: true, compute: rescaling },
  CenterCrop: { compute: centerCrop },
  Resizing: { compute: resizing },
  ...all(
    { compute: (call) => call.tensor.value },
    'RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness RandomHeight RandomWidth RandomShear RandomSaturation RandomHue RandomGrayscale RandomColorJitter RandomColorDegeneration RandomSharpness RandomPosterization RandomErasing RandomGaussianBlur RandomPerspective RandomElasticTransform RandomInvert',
  ),
};

/** A number, or a list of one for each channel. */
function factors(call: LayerCall, name: string, absent: number): GraphValue {
  const part = call.layer.has(name);
  if (!part || !Array.isArray(part.value)) return call.scalar(part?.number() ?? absent);
  const list = Float64Array.from(part.numbers());
  const made = call.graph.constant('FP64', [list.length], list);
  return call.graph.cast(made, call.layer.dtype);
}

function rescaling(call: LayerCall): GraphValue {
  const { graph, layer } = call;
  const isList =
    Array.isArray(layer.has('scale')?.value) || Array.isArray(layer.has('offset')?.value);
  if (isList && layer.has('data_format') && layer.channelsFirst)
    return call.unsupported('it has a scale for each channel, and the channels first');
  const scaled = graph.op('Mul', [call.input, factors(call, 'scale', 1)]);
  return graph.op('Add', [scaled, factors(call, 'offset', 0)]);
}

/** The axes of height and width. */
function imageAxes(call: LayerCall): [number, number] {
  const { rank } = call;
  if (rank !== 3 && rank !== 4)
    return call.unsupported('its input is neither an image nor a batch of them');
  const first = rank - 3;
  return call.layer.channelsFirst ? [first + 1, first + 2] : [first, first + 1];
}

function centerCrop(call: LayerCall): GraphValue {
  const { layer, shapes } = call;
  let x = call.input;
  for (const [i, axis] of imageAxes(call).entries()) {
    const wanted = layer.integer(i === 0 ? 'height' : 'width');
    const size = call.sizeOf(x, axis);
    // Keras resizes what is smaller, and keeps the ratio of its sides.
    if (wanted > size) return call.unsupported(`its input of ${size} is smaller than ${wanted}`);
    const start = Math.floor((size - wanted) / 2);
    x = shapes.slice(x, axis, start, start + wanted);
  }
  return x;
}

/** `tf.image.resize` with half-pixel centres. */
function resizing(call: LayerCall): GraphValue {
  const { layer, graph } = call;
  for (const name of ['crop_to_aspect_ratio', 'pad_to_aspect_ratio', 'antialias'])
    if (layer.flag(name, false)) return call.unsupported(`${name} is set`);
  const mode = layer.text('interpolation', 'bilinear').toLowerCase();
  if (mode !== 'bilinear' && mode !== 'nearest')
    return call.unsupported(`its interpolation is ${JSON.stringify(mode.slice(0, 40))}`);
  const given = call.tensor.value;
  const isInteger = !given.dtype.startsWith('FP');
  if (
    isInteger &&
    !layer.isKeras3 &&
    layer.dialect.library !== 'tfjs' &&
    mode === 'bilinear' &&
    given.dtype !== 'UINT8'
  )
    return call.unsupported(`it resizes ${given.dtype}`);
  const axes = imageAxes(call);
  const wanted = [layer.integer('height'), layer.integer('width')];
  if (wanted.some((size) => size < 1 || size > 65_536))
    return call.unsupported('a size of it is out of range');
  const { layouts } = call.context;
  const last = !layer.channelsFirst && call.rank === 4;
  const x = graph.cast(last ? layouts.channelsFirst(given) : given, 'FP32');
  const places = last ? [2, 3] : axes;
  const sizes = Array.from({ length: call.rank }, (_, axis) => {
    const at = places.indexOf(axis);
    return at >= 0 ? (wanted[at] ?? 1) : call.shapes.sizeOrValue(x, axis);
  });
  const shape = sizes.map((size) => (typeof size === 'number' ? size : -1));
  const resized = graph.op(
    'Resize',
    [x, undefined, undefined, call.shapes.join(sizes)],
    {
      mode: mode === 'nearest' ? 'nearest' : 'linear',
      coordinate_transformation_mode: 'half_pixel',
      // The half pixel falls on ⌊(i + 0.5) scale⌋ in TensorFlow.
      ...(mode === 'nearest' && { nearest_mode: 'round_prefer_ceil' }),
    },
    { dtype: 'FP32', shape },
  );
  const made = last ? layouts.channelsLast(resized) : resized;
  if (!isInteger || !layer.isKeras3) return graph.cast(made, layer.dtype);
  return graph.cast(graph.cast(graph.op('Round', [made]), given.dtype), layer.dtype);
}
