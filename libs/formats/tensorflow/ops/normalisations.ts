import { all, type OpRule } from '../op-rule.js';
import { carried } from './carriers.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { joined, productOf, sizesOf } from './size-lists.js';
import { channelsFirst, channelsLast } from './layouts.js';

/**
 * With the statistics of what comes in, which training takes and Keras 2 where it normalises layers: each row is a channel there.
 * The variance that is answered is that of a sample.
 */
const byOwnStatistics: OpRule = (op) => {
  const { graph } = op;
  if (op.float('exponential_avg_factor', 1) !== 1)
    return op.unsupported('statistics mixed with those of the batch are not.');
  const [x, scale, offset] = [op.tensor(0), op.tensor(1), op.tensor(2)];
  if (x.dtype !== 'FP32') return op.unsupported(`${x.dtype} is not.`);
  const second = op.text('data_format', 'NHWC').startsWith('NC');
  const rank = op.rank(0);
  const axes = Array.from({ length: rank }, (_, i) => i).filter(
    (i) => i !== (second ? 1 : rank - 1),
  );
  const mean = (value: GraphValue) =>
    graph.op('ReduceMean', [value, graph.integers(axes)], { keepdims: 1 });
  const centre = mean(x);
  const distance = graph.op('Sub', [x, centre]);
  const variance = mean(graph.op('Mul', [distance, distance]));
  const spread = (vector: GraphValue) =>
    second ? graph.reshape(vector, [-1, ...axes.slice(1).map(() => 1)]) : vector;
  const epsilon = graph.scalar('FP32', op.float('epsilon', 1e-4));
  const deviation = graph.op('Sqrt', [graph.op('Add', [variance, epsilon])]);
  const scaled = graph.op('Mul', [graph.op('Div', [distance, deviation]), spread(scale)]);
  const counts = axes.map((axis) => sizesOf(op, x, axis, axis + 1));
  const count = graph.cast(productOf(op, joined(op, counts)), 'FP32');
  const one = graph.scalar('FP32', 1);
  const fewer = graph.op('Max', [graph.op('Sub', [count, one]), one]);
  const sample = graph.op('Mul', [variance, graph.op('Div', [count, fewer])]);
  const [flatMean, flatSample, flatVariance] = [centre, sample, variance].map((value) =>
    graph.reshape(value, [-1]),
  );
  if (!flatMean || !flatSample || !flatVariance) return op.unsupported('an output is missing.');
  const output = graph.op('Add', [scaled, spread(offset)], {}, { dtype: 'FP32', shape: x.shape });
  return [output, flatMean, flatSample, flatMean, flatVariance, flatMean];
};

/** With the statistics that the model has learned. */
const batchNormalisation: OpRule = (op) => {
  if (op.flag('is_training', true)) return byOwnStatistics(op);
  const [x, scale, offset, mean, variance] = [0, 1, 2, 3, 4].map((i) => op.tensor(i));
  if (!x || !scale || !offset || !mean || !variance) return op.unsupported('an input is missing.');
  const second = op.text('data_format', 'NHWC').startsWith('NC');
  const input = second ? x : channelsFirst(op.graph, x);
  const statistics = [scale, offset, mean, variance].map((value) => op.graph.cast(value, x.dtype));
  const epsilon = { float: op.float('epsilon', 1e-4) };
  const result = carried(op, 'BatchNormalization', [input, ...statistics], { epsilon });
  const output = second ? result : channelsLast(op.graph, result);
  return [output, mean, variance, mean, variance, mean];
};

/** Divides by the squares of the channels around; ONNX divides alpha by their number first. */
const localResponse: OpRule = (op) => {
  const size = 2 * op.integer('depth_radius', 5) + 1;
  const input = channelsFirst(op.graph, op.tensor(0));
  const attributes = {
    size,
    alpha: { float: op.float('alpha', 1) * size },
    beta: { float: op.float('beta', 0.5) },
    bias: { float: op.float('bias', 1) },
  };
  return [channelsLast(op.graph, carried(op, 'LRN', [input], attributes))];
};

/** The old rule that Keras no longer uses. */
const globalNormalisation: OpRule = (op) => {
  const [x, mean, variance, beta, gamma] = [0, 1, 2, 3, 4].map((i) => op.tensor(i));
  if (!x || !mean || !variance || !beta || !gamma) return op.unsupported('an input is missing.');
  const epsilon = op.graph.scalar(x.dtype, op.float('variance_epsilon'));
  const root = carried(op, 'Sqrt', [carried(op, 'Add', [variance, epsilon])]);
  const factor = op.flag('scale_after_normalization') ? gamma : op.graph.scalar(x.dtype, 1);
  const scale = carried(op, 'Div', [factor, root]);
  const scaled = carried(op, 'Mul', [carried(op, 'Sub', [x, mean]), scale]);
  return [carried(op, 'Add', [scaled, beta])];
};

/** Normalisations that TensorFlow has as one operation. */
export const normalisations: Record<string, OpRule> = {
  ...all(batchNormalisation, 'FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3'),
  BatchNormWithGlobalNormalization: globalNormalisation,
  LRN: localResponse,
  L2Loss: (op) => {
    const x = op.tensor(0);
    const squares = op.graph.op('ReduceSum', [carried(op, 'Mul', [x, x])], { keepdims: 0 });
    return [carried(op, 'Mul', [squares, op.graph.scalar(x.dtype, 0.5)])];
  },
};
