import { all, type OpRule, type TfOp } from '../op-rule.js';
import { carried } from './carriers.js';
import { closed, opened, spatialPart, windowAttributes, windowOf } from './windows.js';

/** What lies in the padding counts for nothing. */
function pooling(operator: string, spatial: number): OpRule {
  return (op) => {
    const window = windowOf(op, spatial);
    const kernel = spatialPart(op, op.integers('ksize'), window.channelsSecond, 'windows');
    return [pooled(op, operator, window, kernel)];
  };
}

function pooled(op: TfOp, operator: string, window: ReturnType<typeof windowOf>, kernel: number[]) {
  const over = opened(op, op.tensor(0), window, kernel);
  return closed(op, carried(op, operator, [over.input], windowAttributes(op, over)), over);
}

/** The second version has window and strides as inputs. */
const maxPoolV2: OpRule = (op) => {
  const strides = op.integersOf(2, 'strides');
  const window = windowOf(op, 2);
  const given = {
    ...window,
    strides: spatialPart(op, strides, window.channelsSecond, 'strides'),
  };
  const kernel = spatialPart(op, op.integersOf(1, 'window'), window.channelsSecond, 'windows');
  return [pooled(op, 'MaxPool', given, kernel)];
};

/** Poolings in two and three dimensions. */
export const poolings: Record<string, OpRule> = {
  MaxPool: pooling('MaxPool', 2),
  MaxPoolV2: maxPoolV2,
  AvgPool: pooling('AveragePool', 2),
  ...all(pooling('MaxPool', 3), 'MaxPool3D'),
  ...all(pooling('AveragePool', 3), 'AvgPool3D'),
};
