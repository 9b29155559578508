import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried, chosen } from './carriers.js';
import { sizes } from './fills.js';
import { channelsFirst, channelsLast } from './layouts.js';
import { areaWeights, cubicWeights } from './resampling.js';
import { asScalar, joined, sizesOf, upTo } from './size-lists.js';

function single(op: TfOp, value: number): GraphValue {
  return op.graph.scalar('FP32', value);
}

/** The linear mean of the four pixels around. */
const bilinear: OpRule = (op) => {
  const x = channelsFirst(op.graph, op.graph.cast(op.tensor(0), 'FP32'));
  const mode = op.flag('half_pixel_centers', false) ? 'half_pixel' : 'asymmetric';
  const target = joined(op, [sizesOf(op, x, 0, 2), sizes(op, 1)]);
  const attributes = {
    mode: 'linear',
    coordinate_transformation_mode: op.flag('align_corners', false) ? 'align_corners' : mode,
  };
  return [
    channelsLast(op.graph, op.graph.op('Resize', [x, undefined, undefined, target], attributes)),
  ];
};

/**
 * The pixel next to each, found in float32 step by step as TensorFlow does (resize_nearest_neighbor_op.cc), so that both take the
 * same one where two are as near.
 */
const nearest: OpRule = (op) => {
  const x = op.tensor(0);
  const align = op.flag('align_corners', false);
  const half = op.flag('half_pixel_centers', false);
  const wanted = sizes(op, 1);
  const places = (axis: number) => {
    const size = asScalar(op, sizesOf(op, x, axis + 1, axis + 2));
    const count = op.graph.op('Gather', [wanted, op.graph.scalar('INT64', axis)], { axis: 0 });
    const scale = resizeScale(op, size, count, align);
    const grid = op.graph.cast(upTo(op, count), 'FP32');
    const centre = half ? op.graph.op('Add', [grid, single(op, 0.5)]) : grid;
    const at = op.graph.op('Mul', [centre, scale]);
    // roundf takes halves away from zero.
    const rounded = align ? op.graph.op('Add', [at, single(op, 0.5)]) : at;
    const place = op.graph.cast(op.graph.op('Floor', [rounded]), 'INT64');
    const last = op.graph.op('Sub', [size, op.graph.scalar('INT64', 1)]);
    return op.graph.op('Min', [place, last]);
  };
  const rows = op.graph.op('Gather', [x, places(0)], { axis: 1 });
  return [op.graph.op('Gather', [rows, places(1)], { axis: 2 })];
};

function resizeScale(op: TfOp, from: GraphValue, to: GraphValue, align: boolean): GraphValue {
  const [source, target] = [from, to].map((value) => op.graph.cast(value, 'FP32')) as [
    GraphValue,
    GraphValue,
  ];
  const plain = op.graph.op('Div', [source, target]);
  if (!align) return plain;
  const one = single(op, 1);
  const between = [source, target].map((value) => op.graph.op('Sub', [value, one]));
  const isMore = op.graph.op('Greater', [target, one]);
  return op.graph.op('Where', [isMore, op.graph.op('Div', between), plain]);
}

/** Resizing by what each pixel weighs along each dimension; both sizes must be known. */
function weighted(weights: typeof cubicWeights): OpRule {
  return (op) => {
    const x = op.graph.cast(op.tensor(0), 'FP32');
    const [height = -1, width = -1] = x.shape?.slice(1, 3) ?? [];
    const [toHeight = 0, toWidth = 0] = op.integersOf(1, 'size');
    if (height < 1 || width < 1) return op.unsupported('the size of its images is not known.');
    const matrix = (from: number, to: number) => {
      if (to < 1 || to * from > 2 ** 24) return op.unsupported(`a size of ${to} is not.`);
      const options = {
        align: op.flag('align_corners', false),
        half: op.flag('half_pixel_centers', false),
      };
      return op.graph.constant('FP32', [to, from], weights(from, to, options));
    };
    const [rows, columns] = [matrix(height, toHeight), matrix(width, toWidth)];
    const channels = x.shape?.[3] ?? -1;
    if (channels < 0) return op.unsupported('the number of its channels is not known.');
    const flat = op.graph.reshape(x, [-1, height, width * channels]);
    const tall = op.graph.reshape(op.graph.op('MatMul', [rows, flat]), [
      -1,
      toHeight,
      width,
      channels,
    ]);
    return [op.graph.op('MatMul', [columns, tall])];
  };
}

/** Boxes cut out of images and resized; what lies outside of an image is `extrapolation_value`. */
const cropAndResize: OpRule = (op) => {
  const [image, boxes, rows] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  const method = op.text('method', 'bilinear');
  if (method !== 'bilinear') return op.unsupported(`the method ${method.slice(0, 40)} is not.`);
  const input = channelsFirst(op.graph, op.graph.cast(image, 'FP32'));
  const [height = -1, width = -1] = op.tensor(3).sizes ?? [];
  const shape = [boxes.shape?.[0] ?? -1, input.shape?.[1] ?? -1, height, width];
  const attributes = {
    mode: method,
    extrapolation_value: { float: op.float('extrapolation_value', 0) },
  };
  const [crops] = op.graph.ops(
    'CropAndResize',
    [
      input,
      op.graph.cast(boxes, 'FP32'),
      op.graph.cast(rows, 'INT32'),
      op.graph.cast(op.tensor(3), 'INT32'),
    ],
    { domain: 'com.microsoft', attributes, outputs: [{ dtype: 'FP32', shape }] },
  );
  return [channelsLast(op.graph, crops ?? op.unsupported('it has no output.'))];
};

/** The boxes that are left when those that overlap a better one are taken away. */
function suppressed(op: TfOp, overlap: GraphValue, least: GraphValue | undefined): GraphValue {
  const [boxes, scores] = [op.tensor(0), op.tensor(1)];
  const single = (value: GraphValue) => op.graph.cast(value, 'FP32');
  const rows = op.graph.op('Unsqueeze', [single(boxes), op.graph.integers([0])]);
  const classes = op.graph.op('Unsqueeze', [single(scores), op.graph.integers([0, 1])]);
  const count = op.graph.reshape(sizes(op, 2), [1]);
  const limits = [overlap, ...(least ? [least] : [])].map((value) =>
    op.graph.reshape(single(value), [1]),
  );
  const found = op.graph.op('NonMaxSuppression', [rows, classes, count, ...limits]);
  const places = op.graph.op('Gather', [found, op.graph.scalar('INT64', 2)], { axis: 1 });
  return op.graph.cast(places, 'INT32');
}

/** The fourth version may fill its answer with zeros up to the largest number. */
const suppressedAndCounted: OpRule = (op) => {
  const chosenBoxes = suppressed(op, op.tensor(3), op.tensor(4));
  const count = op.graph.op('Size', [chosenBoxes]);
  const padsToMost = op.flag('pad_to_max_output_size', false);
  const most = op.graph.reshape(sizes(op, 2), [1]);
  const missing = op.graph.op('Sub', [most, op.graph.reshape(count, [1])]);
  const pads = joined(op, [op.graph.integers([0]), missing]);
  const places = padsToMost ? op.graph.op('Pad', [chosenBoxes, pads]) : chosenBoxes;
  return [places, op.graph.cast(count, 'INT32')];
};

/** The fifth version answers scores too; those that fade with the overlap (soft suppression) are refused. */
const suppressedAndScored: OpRule = (op) => {
  const sigma = op.tensor(5).constant;
  if (!sigma || Number(sigma[0]) !== 0) return op.unsupported('soft suppression is not.');
  const [places, count] = suppressedAndCounted(op);
  if (!places || 'resource' in places || !count) return op.unsupported('it has no output.');
  const scores = op.graph.op('Gather', [op.tensor(1), op.graph.cast(places, 'INT64')], { axis: 0 });
  if (op.flag('pad_to_max_output_size', false)) return op.unsupported('padded scores are not.');
  return [places, scores, count];
};

/** Each channel further from its mean over the image. */
const contrast: OpRule = (op) => {
  const x = op.tensor(0);
  const axes = op.graph.integers([-3, -2]);
  const mean = carried(op, 'ReduceMean', [x], { keepdims: 1 }, [axes]);
  const far = carried(op, 'Mul', [
    carried(op, 'Sub', [x, mean]),
    op.graph.cast(op.tensor(1), x.dtype),
  ]);
  return [carried(op, 'Add', [far, mean])];
};

/** Hue, saturation and value of colours whose parts are from 0 to 1 (TensorFlow: colorspace_op.h). */
const toHsv: OpRule = (op) => {
  const x = op.tensor(0);
  const number = (value: number) => op.graph.scalar(x.dtype, value);
  const part = (i: number) =>
    op.graph.op('Slice', [x, ...[[i], [i + 1], [-1]].map((n) => op.graph.integers(n))]);
  const [red, green, blue] = [part(0), part(1), part(2)];
  const value = carried(op, 'Max', [carried(op, 'Max', [red, green]), blue]);
  const least = carried(op, 'Min', [carried(op, 'Min', [red, green]), blue]);
  const range = carried(op, 'Sub', [value, least]);
  const positive = (y: GraphValue) => op.graph.op('Greater', [y, number(0)]);
  const saturation = chosen(op, positive(value), carried(op, 'Div', [range, value]), number(0));
  const sixth = carried(op, 'Div', [number(1 / 6), range]);
  const third = (from: GraphValue, to: GraphValue, start: number) =>
    carried(op, 'Add', [
      carried(op, 'Mul', [sixth, carried(op, 'Sub', [from, to])]),
      number(start),
    ]);
  const isMost = (y: GraphValue) => op.graph.op('Equal', [y, value]);
  const greenOrBlue = chosen(op, isMost(green), third(blue, red, 2 / 6), third(red, green, 4 / 6));
  const hue = chosen(op, isMost(red), third(green, blue, 0), greenOrBlue);
  const coloured = chosen(op, positive(range), hue, number(0));
  const negative = op.graph.op('Less', [coloured, number(0)]);
  const whole = chosen(op, negative, carried(op, 'Add', [coloured, number(1)]), coloured);
  return [op.graph.op('Concat', [whole, saturation, value], { axis: -1 })];
};

/** Colours of hue, saturation and value (TensorFlow: colorspace_op.h). */
const fromHsv: OpRule = (op) => {
  const x = op.tensor(0);
  const number = (value: number) => op.graph.scalar(x.dtype, value);
  const part = (i: number) =>
    op.graph.op('Slice', [x, ...[[i], [i + 1], [-1]].map((n) => op.graph.integers(n))]);
  const [hue, saturation, value] = [carried(op, 'Mul', [part(0), number(6)]), part(1), part(2)];
  const distance = (from: number) => carried(op, 'Abs', [carried(op, 'Sub', [hue, number(from)])]);
  const within = (y: GraphValue) =>
    carried(op, 'Min', [carried(op, 'Max', [y, number(0)]), number(1)]);
  const less = (y: GraphValue, by: number) => carried(op, 'Sub', [y, number(by)]);
  const from = (by: number, y: GraphValue) => carried(op, 'Sub', [number(by), y]);
  const parts = [less(distance(3), 1), from(2, distance(2)), from(2, distance(4))].map(within);
  const grey = carried(op, 'Sub', [number(1), saturation]);
  const mixed = parts.map((y) =>
    carried(op, 'Mul', [carried(op, 'Add', [carried(op, 'Mul', [saturation, y]), grey]), value]),
  );
  return [op.graph.op('Concat', mixed, { axis: -1 })];
};

/** Images and boxes in them. */
export const images: Record<string, OpRule> = {
  ResizeBilinear: bilinear,
  ResizeNearestNeighbor: nearest,
  ResizeBicubic: weighted(cubicWeights),
  ResizeArea: weighted(areaWeights),
  CropAndResize: cropAndResize,
  NonMaxSuppression: (op) => [
    suppressed(op, op.graph.scalar('FP32', op.float('iou_threshold', 0.5)), undefined),
  ],
  NonMaxSuppressionV2: (op) => [suppressed(op, op.tensor(3), undefined)],
  NonMaxSuppressionV3: (op) => [suppressed(op, op.tensor(3), op.tensor(4))],
  NonMaxSuppressionV4: suppressedAndCounted,
  NonMaxSuppressionV5: suppressedAndScored,
  ...all(contrast, 'AdjustContrastv2'),
  RGBToHSV: toHsv,
  HSVToRGB: fromHsv,
};
