import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { LayerTensor } from '../layer.js';
import type { LayerCall } from '../layer-call.js';
import { all, type LayerRule } from '../layer-rule.js';
import { answered, channelsFirst, padsOf, windowRank } from './convolution.js';

/** More places than this an adaptive pooling does not have here: each is an operator. */
const MOST_PLACES = 4096;

function pooling(operator: 'MaxPool' | 'AveragePool'): LayerRule {
  return {
    compute: (call) => {
      const rank = windowRank(call);
      const { layer } = call;
      const kernel = layer.integers('pool_size', rank, 2);
      const strides = layer.has('strides') ? layer.integers('strides', rank) : kernel;
      if ([...kernel, ...strides].some((size) => size < 1))
        return call.unsupported('a size of its window is below 1');
      const x = channelsFirst(call, rank);
      const window = {
        kernel,
        strides,
        dilations: kernel.map(() => 1),
        padding: layer.text('padding', 'valid').toLowerCase(),
      };
      // Averages leave out what is padded, like TensorFlow's.
      const y = call.graph.op(operator, [x], {
        kernel_shape: kernel,
        strides,
        ...padsOf(call, x, window),
      });
      return answered(call, y);
    },
  };
}

function globalPooling(operator: 'ReduceMax' | 'ReduceMean'): LayerRule {
  return {
    compute: (call) => {
      const rank = windowRank(call);
      if (call.rank !== rank + 2)
        return call.unsupported(`its input has ${call.rank} dimensions, and it takes ${rank + 2}`);
      const keep = call.layer.flag('keepdims', false);
      const isFirst = call.layer.channelsFirst;
      const { mask } = call;
      if (mask && operator === 'ReduceMean' && rank === 1) return maskedMean(call, mask, keep);
      const { layouts } = call.context;
      const { input } = call;
      const moved = !isFirst && layouts.has(input);
      const value = moved ? layouts.channelsFirst(input) : input;
      const first = isFirst || moved ? 2 : 1;
      const axes = Array.from({ length: rank }, (_, i) => first + i);
      const made = call.shapes.reduce(operator, value, axes, keep);
      return new LayerTensor(moved && keep ? layouts.channelsLast(made) : made);
    },
  };
}

/** The mean over the steps whose mask is true. */
function maskedMean(call: LayerCall, mask: GraphValue, keep: boolean): LayerTensor {
  const { graph, shapes, input } = call;
  const [steps, features] = call.layer.channelsFirst ? [2, 1] : [1, 2];
  const weights = graph.cast(shapes.unsqueeze(mask, [features]), input.dtype);
  const sum = shapes.reduce('ReduceSum', graph.op('Mul', [input, weights]), [steps], keep);
  return new LayerTensor(
    graph.op('Div', [sum, shapes.reduce('ReduceSum', weights, [steps], keep)]),
  );
}

/** Window i of n reaches from ⌊i size / n⌋ to ⌈(i + 1) size / n⌉. */
function adaptive(operator: 'ReduceMax' | 'ReduceMean'): LayerRule {
  return {
    compute: (call) => {
      const rank = windowRank(call);
      const counts = call.layer.integers('output_size', rank);
      let x = channelsFirst(call, rank);
      for (const [i, count] of counts.entries()) {
        const axis = i + 2;
        const size = call.sizeOf(x, axis);
        if (count < 1 || count > MOST_PLACES)
          return call.unsupported(`its output_size is ${count}`);
        const parts = Array.from({ length: count }, (_, place) => {
          const start = Math.floor((place * size) / count);
          const end = Math.ceil(((place + 1) * size) / count);
          return call.shapes.reduce(operator, call.shapes.slice(x, axis, start, end), [axis], true);
        });
        x = call.graph.op('Concat', parts, { axis });
      }
      return answered(call, x);
    },
  };
}

export const poolingLayers: Record<string, LayerRule> = {
  ...all(
    pooling('MaxPool'),
    'MaxPooling1D MaxPooling2D MaxPooling3D MaxPool1D MaxPool2D MaxPool3D',
  ),
  ...all(
    pooling('AveragePool'),
    'AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D',
  ),
  ...all(
    globalPooling('ReduceMax'),
    'GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D',
  ),
  ...all(
    globalPooling('ReduceMean'),
    'GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D',
  ),
  ...all(
    adaptive('ReduceMean'),
    'AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D',
  ),
  ...all(adaptive('ReduceMax'), 'AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D'),
};
