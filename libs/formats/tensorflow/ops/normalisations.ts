import { all, type OpRule } from '../op-rule.js';
import { carried } from './carriers.js';
import { channelsFirst, channelsLast } from './layouts.js';

/** With the statistics that the model has learned; those of a batch are training. */
const batchNormalisation: OpRule = (op) => {
  if (op.flag('is_training', true))
    return op.unsupported('it takes the statistics of the batch (is_training is true).');
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
