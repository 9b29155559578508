import { integersOf } from '../../tensor-graph/known.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { OpRule, TfOp } from '../op-rule.js';
import { carried } from './carriers.js';
import { sizes } from './fills.js';
import { channelsFirst, channelsLast } from './layouts.js';
import { padded } from './paddings.js';
import { joined, sizesOf } from './size-lists.js';

/** Blocks of space become channels, or the other way round. */
function depthBlocks(operator: string): OpRule {
  return (op) => {
    const attributes = { blocksize: op.integer('block_size') };
    const format = op.text('data_format', 'NHWC');
    if (format === 'NCHW') return [carried(op, operator, [op.tensor(0)], attributes)];
    if (format !== 'NHWC') return op.unsupported(`the layout ${format.slice(0, 40)} is not.`);
    const input = channelsFirst(op.graph, op.tensor(0));
    return [channelsLast(op.graph, carried(op, operator, [input], attributes))];
  };
}

function counting(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => i + from);
}

/** Every `block`-th place of space becomes a batch of its own: `[block places · rows, …space / block, …rest]`. */
function spaceToBatch(op: TfOp, x: GraphValue, block: number[], paddings: GraphValue): GraphValue {
  const rank = x.shape?.length ?? op.unsupported('its number of dimensions is not known.');
  const spatial = block.length;
  const rest = rank - spatial - 1;
  const zeros = (count: number) => op.graph.integers(counting(count).map(() => 0));
  const side = (i: number) =>
    op.graph.op('Gather', [paddings, op.graph.scalar('INT64', i)], { axis: 1 });
  const all = joined(op, [zeros(1), side(0), zeros(rest), zeros(1), side(1), zeros(rest)]);
  const wide = padded(op, x, all);
  const blocks = op.graph.integers(block);
  const space = op.graph.op('Div', [sizesOf(op, wide, 1, spatial + 1), blocks]);
  const pairs = counting(spatial).flatMap((i) => [
    op.graph.op('Slice', [space, op.graph.integers([i]), op.graph.integers([i + 1])]),
    op.graph.integers([block[i] ?? 1]),
  ]);
  const [rows, tail] = [sizesOf(op, wide, 0, 1), sizesOf(op, wide, spatial + 1, rank)];
  const parted = op.graph.op('Reshape', [wide, joined(op, [rows, ...pairs, tail])]);
  const order = [
    ...counting(spatial).map((i) => 2 + 2 * i),
    0,
    ...counting(spatial).map((i) => 1 + 2 * i),
    ...counting(rest, 2 * spatial + 1),
  ];
  const count = op.graph.integers([block.reduce((product, size) => product * size, 1)]);
  const target = joined(op, [op.graph.op('Mul', [rows, count]), space, tail]);
  return op.graph.op('Reshape', [op.graph.transpose(parted, order), target], { allowzero: 1 });
}

/** The inverse of {@link spaceToBatch}; `crops` are cut off in the end. */
function batchToSpace(op: TfOp, x: GraphValue, block: number[], crops: GraphValue): GraphValue {
  const rank = x.shape?.length ?? op.unsupported('its number of dimensions is not known.');
  const spatial = block.length;
  const rest = rank - spatial - 1;
  const count = op.graph.integers([block.reduce((product, size) => product * size, 1)]);
  const rows = op.graph.op('Div', [sizesOf(op, x, 0, 1), count]);
  const [space, tail] = [sizesOf(op, x, 1, spatial + 1), sizesOf(op, x, spatial + 1, rank)];
  const blocks = op.graph.integers(block);
  const target = joined(op, [blocks, rows, space, tail]);
  const parted = op.graph.op('Reshape', [x, target], { allowzero: 1 });
  const order = [
    spatial,
    ...counting(spatial).flatMap((i) => [spatial + 1 + i, i]),
    ...counting(rest, 2 * spatial + 1),
  ];
  const wideSpace = op.graph.op('Mul', [space, blocks]);
  const whole = op.graph.op(
    'Reshape',
    [op.graph.transpose(parted, order), joined(op, [rows, wideSpace, tail])],
    { allowzero: 1 },
  );
  if (integersOf(crops)?.every((crop) => crop === 0)) return whole;
  const side = (i: number) =>
    op.graph.op('Gather', [crops, op.graph.scalar('INT64', i)], { axis: 1 });
  const end = op.graph.op('Sub', [wideSpace, side(1)]);
  return op.graph.op('Slice', [whole, side(0), end, op.graph.integers(counting(spatial, 1))]);
}

/** The old operations have one block size for both dimensions. */
function squareBlock(op: TfOp): number[] {
  const size = op.integer('block_size');
  return [size, size];
}

/** Space, rows and channels in exchange. */
export const blocks: Record<string, OpRule> = {
  DepthToSpace: depthBlocks('DepthToSpace'),
  SpaceToDepth: depthBlocks('SpaceToDepth'),
  SpaceToBatchND: (op) => [
    spaceToBatch(op, op.tensor(0), op.integersOf(1, 'blocks'), sizes(op, 2)),
  ],
  BatchToSpaceND: (op) => [
    batchToSpace(op, op.tensor(0), op.integersOf(1, 'blocks'), sizes(op, 2)),
  ],
  SpaceToBatch: (op) => [spaceToBatch(op, op.tensor(0), squareBlock(op), sizes(op, 1))],
  BatchToSpace: (op) => [batchToSpace(op, op.tensor(0), squareBlock(op), sizes(op, 1))],
};
