import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { withLayerNormalisations } from '../libs/formats/tensor-graph/layer-normalisations.js';
import { sharedRunner } from './support/program-runner.js';
import {
  constantNode,
  loadGraph,
  lowered,
  numbersOf,
  runLoaded,
  type GraphLiteral,
  type NodeLiteral,
} from './support/tf-graphs.js';

const runner = sharedRunner();

const WIDTH = 5;
const GAMMA = [1, 2, -1, 0.5, 3];
const BETA = [0, 1, 2, -1, 0.25];

/** `shift` are the nodes that make `sum` of `x · s`, `mean`, `s` and `beta`. */
function keras(shift: Record<string, NodeLiteral>, axis = -1): GraphLiteral {
  return {
    inputs: { x: { dtype: 'FP32', shape: [-1, WIDTH, WIDTH] } },
    nodes: {
      axis: constantNode('INT32', [1], [axis]),
      mean: ['Mean', ['x', 'axis'], { keep_dims: true }],
      stopped: ['StopGradient', ['mean']],
      squares: ['SquaredDifference', ['x', 'stopped']],
      variance: ['Mean', ['squares', 'axis'], { keep_dims: true }],
      epsilon: constantNode('FP32', [], [0.001]),
      sum: ['AddV2', ['variance', 'epsilon']],
      root: ['Rsqrt', ['sum']],
      gamma: constantNode('FP32', [1, 1, WIDTH], GAMMA),
      beta: constantNode('FP32', [1, 1, WIDTH], BETA),
      s: ['Mul', ['root', 'gamma']],
      scaled: ['Mul', ['x', 's']],
      ...shift,
      y: ['AddV2', ['scaled', 'shift']],
    },
    outputs: ['y'],
  };
}

const negated: Record<string, NodeLiteral> = {
  minus: ['Neg', ['mean']],
  moved: ['Mul', ['minus', 's']],
  shift: ['AddV2', ['moved', 'beta']],
};
const taken: Record<string, NodeLiteral> = {
  moved: ['Mul', ['s', 'mean']],
  shift: ['Sub', ['beta', 'moved']],
};

function isFused(graph: GraphLiteral): boolean {
  return withLayerNormalisations(lowered(graph).graph.nodes).some(
    (node) => node.kind === 'onnx' && node.operator === 'LayerNormalization',
  );
}

describe('normalisations of layers', () => {
  it.each([
    ['Keras 3', negated],
    ['Keras 2', taken],
  ])('as %s says them are one operator', async (_, shift) => {
    const graph = keras(shift);
    expect(isFused(graph)).toBe(true);
    await loadGraph(runner, graph);
    const numbers = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), {
      minLength: WIDTH * WIDTH,
      maxLength: WIDTH * WIDTH,
    });
    await fc.assert(
      fc.asyncProperty(numbers, fc.constantFrom(0, 100), async (data, offset) => {
        const x = Float32Array.from(data, (value) => value + offset);
        const [answer] = await runLoaded(runner, graph, {
          x: { dtype: 'FP32', shape: [1, WIDTH, WIDTH], data: x },
        });
        const wanted = Array.from({ length: WIDTH }, (__, i) => {
          const row = [...x.subarray(i * WIDTH, (i + 1) * WIDTH)];
          const mean = row.reduce((sum, value) => sum + value, 0) / WIDTH;
          const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / WIDTH;
          return row.map(
            (value, j) =>
              ((value - mean) / Math.sqrt(variance + 0.001)) * (GAMMA[j] ?? 0) + (BETA[j] ?? 0),
          );
        }).flat();
        numbersOf(answer).forEach((value, i) => expect(value).toBeCloseTo(wanted[i] ?? NaN, 3));
      }),
      { numRuns: 20 },
    );
  });

  it('that are something else stay as they are', () => {
    expect(isFused(keras(negated, 1))).toBe(false);
    expect(isFused(keras({ ...negated, moved: ['Mul', ['minus', 'root']] }))).toBe(false);
    expect(isFused(keras({ ...negated, minus: ['Neg', ['variance']] }))).toBe(false);
    expect(isFused(keras({ ...taken, shift: ['Sub', ['moved', 'beta']] }))).toBe(false);
    expect(isFused(keras({ ...negated, scaled: ['Mul', ['mean', 's']] }))).toBe(false);
  });
});
