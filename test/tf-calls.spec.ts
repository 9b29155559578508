import { describe, expect, it } from '@jest/globals';
import { sharedRunner } from './support/program-runner.js';
import { constantNode, lowered, numbersOf, runGraph } from './support/tf-graphs.js';

const runner = sharedRunner();

describe('calls of functions', () => {
  it('are laid out in place, also one in another', async () => {
    const [, answer] = await runGraph(
      runner,
      {
        inputs: { x: { dtype: 'FP32', shape: [-1] } },
        nodes: {
          three: constantNode('FP32', [], [3]),
          y: ['StatefulPartitionedCall', ['x', 'three'], { f: { function: 'outer' } }],
        },
        functions: {
          outer: {
            inputs: ['a', 'b'],
            nodes: { pair: ['PartitionedCall', ['b', 'a'], { f: { function: 'swap' } }] },
            outputs: ['pair:1', 'pair'],
          },
          swap: { inputs: ['a', 'b'], nodes: { i: ['Identity', ['b']] }, outputs: ['i', 'a'] },
        },
        outputs: ['y', 'y:1'],
      },
      { x: { dtype: 'FP32', shape: [2], data: [1, 2] } },
    );
    expect(numbersOf(answer)).toEqual([1, 2]);
  });

  it('of themselves are refused, and so are operations that nothing computes', () => {
    const graph = {
      inputs: { x: { dtype: 'FP32' as const, shape: [-1] } },
      outputs: ['y'],
      functions: {
        f: {
          inputs: ['a'],
          nodes: { again: ['PartitionedCall', ['a'], { f: { function: 'f' } }] as never },
          outputs: ['again'],
        },
      },
    };
    expect(() =>
      lowered({ ...graph, nodes: { y: ['PartitionedCall', ['x'], { f: { function: 'f' } }] } }),
    ).toThrow(/call each other more than/);
    expect(() => lowered({ ...graph, nodes: { y: ['NoSuchOp', ['x']] } })).toThrow(
      /NoSuchOp \(node "y"\) is not supported/,
    );
  });
});
