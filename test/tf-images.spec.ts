import { describe, expect, it } from '@jest/globals';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { sharedRunner } from './support/program-runner.js';
import {
  answerOf,
  elementsOf,
  expectTensor,
  random,
  runOp,
  tensor,
} from './support/tf-op-checks.js';
import { constantNode, lowered, runGraph, type TensorLiteral } from './support/tf-graphs.js';

const runner = sharedRunner();

function image({ shape, data }: TensorLiteral): tf.Tensor4D {
  return tf.tensor(Array.from(data, Number), shape as [number, number, number, number]);
}

const int = (shape: number[], data: number[]) => tensor('INT32', shape, data);

describe('resized images', () => {
  const sizes = fc.record({
    from: fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 })),
    to: fc.tuple(fc.integer({ min: 1, max: 11 }), fc.integer({ min: 1, max: 11 })),
    mode: fc.constantFrom('legacy', 'align', 'half'),
    isNearest: fc.boolean(),
    isConstant: fc.boolean(),
  });
  it('are those of TensorFlow.js, bilinear and nearest', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ from, to, mode, isNearest, isConstant }) => {
        const x = random([2, ...from, 3], 1);
        const resize = isNearest ? tf.image.resizeNearestNeighbor : tf.image.resizeBilinear;
        const wanted = resize(image(x), to, mode === 'align', mode === 'half');
        const given = {
          op: isNearest ? 'ResizeNearestNeighbor' : 'ResizeBilinear',
          inputs: [x, int([2], to)],
          constants: isConstant ? [1] : [],
          attributes: { align_corners: mode === 'align', half_pixel_centers: mode === 'half' },
          shapes: [[-1, -1, -1, 3], [2]],
        };
        const why = JSON.stringify({ from, to, mode, isNearest });
        const data = await wanted.data();
        expectTensor(await answerOf(runner, given), { shape: wanted.shape, data }, { why });
      }),
      { numRuns: 60 },
    );
  });

  it('bicubic: single pixels weigh what the curve says, and all together 1', async () => {
    const x = tensor('FP32', [1, 1, 4, 1], [0, 1, 0, 0]);
    const given = { op: 'ResizeBicubic', inputs: [x, int([2], [1, 8])], constants: [1] };
    // Half of a step from the pixel: a = −0.75 weighs 0.59375 near and −0.09375 far.
    const legacy = await answerOf(runner, given);
    const wanted = [0, 0.59375, 1, 0.59375, 0, -0.09375, 0, 0];
    expectTensor(legacy, { shape: [1, 1, 8, 1], data: wanted });
    const ones = tensor('FP32', [1, 3, 4, 2], new Float32Array(24).fill(3));
    const attributes = { half_pixel_centers: true };
    const inputs = [ones, int([2], [5, 9])];
    const flat = await answerOf(runner, { ...given, inputs, attributes });
    expectTensor(flat, { shape: [1, 5, 9, 2], data: new Float32Array(90).fill(3) });
  });

  it('by area: means of what each pixel covers', async () => {
    const x = tensor('FP32', [1, 1, 6, 1], [1, 2, 3, 4, 5, 6]);
    for (const [width, wanted] of [
      [3, [1.5, 3.5, 5.5]],
      [4, [(1 + 1) / 1.5, (1 + 3) / 1.5, (4 + 2.5) / 1.5, (2.5 + 6) / 1.5]],
    ] as const) {
      const given = { op: 'ResizeArea', inputs: [x, int([2], [1, width])], constants: [1] };
      expectTensor(await answerOf(runner, given), { shape: [1, 1, width, 1], data: wanted });
    }
  });

  it('of boxes', async () => {
    const x = random([2, 6, 7, 3], 5);
    const boxes = [0, 0, 1, 1, 0.2, 0.1, 0.8, 0.95, -0.3, 0.2, 1.2, 0.4];
    const rows = [0, 1, 1];
    const wanted = tf.image.cropAndResize(
      image(x),
      tf.tensor2d(boxes, [3, 4]),
      tf.tensor1d(rows, 'int32'),
      [4, 3],
      'bilinear',
      0.5,
    );
    const inputs = [x, tensor('FP32', [3, 4], boxes), int([3], rows), int([2], [4, 3])];
    const attributes = { extrapolation_value: 0.5 };
    const given = { op: 'CropAndResize', inputs, constants: [3], attributes };
    const data = await wanted.data();
    expectTensor(await answerOf(runner, given), { shape: wanted.shape, data });
  });
});

describe('boxes and colours', () => {
  it('NonMaxSuppressionV3 keeps the best of those that overlap', async () => {
    const boxes = [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9, 0, 10, 1, 11, 0, 10.1, 1, 11.1];
    const scores = [0.9, 0.75, 0.6, 0.95, 0.5];
    for (const [overlap, least] of [
      [0.5, 0],
      [0.9, 0.55],
      [0.1, 0.99],
    ] as const) {
      const wanted = tf.image.nonMaxSuppression(
        tf.tensor2d(boxes, [5, 4]),
        scores,
        3,
        overlap,
        least,
      );
      const inputs = [
        tensor('FP32', [5, 4], boxes),
        tensor('FP32', [5], scores),
        int([], [3]),
        tensor('FP32', [], [overlap]),
        tensor('FP32', [], [least]),
      ];
      const given = { op: 'NonMaxSuppressionV3', inputs, constants: [2, 3, 4] };
      expect(elementsOf(await answerOf(runner, given))).toEqual([...(await wanted.data())]);
      const padded = await runOp(runner, {
        ...given,
        op: 'NonMaxSuppressionV4',
        attributes: { pad_to_max_output_size: true },
        outputs: 2,
      });
      const count = wanted.shape[0] ?? 0;
      expect(padded.map(({ shape }) => shape)).toEqual([[3], []]);
      expect(padded.map(elementsOf)[1]).toEqual([count]);
    }
  });

  it('RGBToHSV and back', async () => {
    // Computed with Python's colorsys.
    const colours = [0.2, 0.4, 0.4, 0.8, 0.1, 0.3, 0, 0, 0, 0.5, 0.5, 0.5, 0.1, 0.9, 0.2];
    const wanted = [
      0.5,
      0.5,
      0.4,
      20 / 21,
      0.875,
      0.8,
      0,
      0,
      0,
      0,
      0,
      0.5,
      0.3541666667,
      8 / 9,
      0.9,
    ];
    const x = tensor('FP32', [5, 3], colours);
    const hsv = await answerOf(runner, { op: 'RGBToHSV', inputs: [x] });
    expectTensor(hsv, { shape: [5, 3], data: wanted });
    const inputs = [tensor('FP32', [5, 3], elementsOf(hsv))];
    const back = await answerOf(runner, { op: 'HSVToRGB', inputs });
    expectTensor(back, { shape: [5, 3], data: colours });
  });
});

describe('signals and quantised numbers', () => {
  it('transforms of Fourier, by their sums', async () => {
    for (const length of [6, 8, 5]) {
      const x = random([2, 6], length);
      const nodes = {
        length: constantNode('INT32', [1], [length]),
        f: ['RFFT', ['x', 'length']] as [string, string[]],
        real: ['Real', ['f']] as [string, string[]],
        imaginary: ['Imag', ['f']] as [string, string[]],
        size: ['ComplexAbs', ['f']] as [string, string[]],
        back: ['IRFFT', ['f', 'length']] as [string, string[]],
      };
      const inputs = { x: { dtype: 'FP32' as const, shape: [-1, 6] } };
      const outputs = ['real', 'imaginary', 'size', 'back'];
      const answers = await runGraph(runner, { inputs, nodes, outputs }, { x });
      const bins = Math.floor(length / 2) + 1;
      const sums = (wave: (angle: number) => number) =>
        [0, 1].flatMap((row) =>
          Array.from({ length: bins }, (_, k) =>
            Array.from({ length }, (__, n) => {
              const value = n < 6 ? Number(x.data[row * 6 + n]) : 0;
              return value * wave((-2 * Math.PI * k * n) / length);
            }).reduce((sum, value) => sum + value, 0),
          ),
        );
      const [real, imaginary] = [sums(Math.cos), sums(Math.sin)];
      const size = real.map((value, i) => Math.hypot(value, imaginary[i] ?? 0));
      const cut = [0, 1].flatMap((row) =>
        Array.from({ length }, (_, n) => (n < 6 ? Number(x.data[row * 6 + n]) : 0)),
      );
      for (const [i, wanted] of [real, imaginary, size, cut].entries()) {
        const answer = answers[i];
        if (!answer) throw new Error('no answer');
        const shape = [2, wanted.length / 2];
        expectTensor(answer, { shape, data: wanted }, { absolute: 1e-5, why: `${length} ${i}` });
      }
    }
  });

  it('FakeQuantWithMinMaxVars rounds to the steps of its range', async () => {
    const x = tensor('FP32', [6], [-10, -1, 0, 0.26, 1, 10]);
    const [low, high] = [tensor('FP32', [], [-1.05]), tensor('FP32', [], [1.45])];
    const attributes = { num_bits: 4 };
    const given = { op: 'FakeQuantWithMinMaxVars', inputs: [x, low, high], attributes };
    // 15 steps of 1/6; zero is nearest to the sixth, so that the range is moved to −1 … 1.5.
    const wanted = [-1, -1, 0, 1 / 3, 1, 1.5];
    expectTensor(await answerOf(runner, given), { shape: [6], data: wanted });
  });

  it('HistogramFixedWidth', async () => {
    const x = tensor('FP32', [6], [-1, 0, 1.5, 2, 5, 15]);
    const inputs = [x, tensor('FP32', [2], [0, 5]), int([], [5])];
    const got = await answerOf(runner, { op: 'HistogramFixedWidth', inputs, constants: [1, 2] });
    expect([got.dtype, elementsOf(got)]).toEqual(['INT32', [2, 1, 1, 0, 2]]);
  });

  it('Atan2 in all quadrants, with signed zeros', async () => {
    const points = [
      [1, 1],
      [1, -1],
      [-1, -1],
      [-1, 1],
      [0, -1],
      [-0, -1],
      [2, 0],
      [-2, 0],
      [0, 0],
      [0, -0],
      [-0, -0],
    ] as const;
    for (const dtype of ['FP32', 'FP64'] as const) {
      const inputs = [0, 1].map((i) =>
        tensor(
          dtype,
          [11],
          points.map((point) => point[i] ?? 0),
        ),
      );
      const wanted = points.map(([y, x]) => Math.atan2(y, x));
      expectTensor(await answerOf(runner, { op: 'Atan2', inputs }), { shape: [11], data: wanted });
    }
  });
});

describe('what several operations are together', () => {
  const mul = (one: string, other: string): [string, string[]] => ['Mul', [one, other]];
  it('Gelu and the normalisation of layers are one operator each', async () => {
    const x = random([3, 8], 2);
    const [scale, offset] = [random([8], 3), random([8], 4)];
    const literal = {
      inputs: { x: { dtype: 'FP32' as const, shape: [-1, 8] } },
      nodes: {
        axis: constantNode('INT32', [1], [-1]),
        scale: constantNode('FP32', [8], scale.data),
        offset: constantNode('FP32', [8], offset.data),
        epsilon: constantNode('FP32', [], [1e-3]),
        half: constantNode('FP32', [], [0.5]),
        root: constantNode('FP32', [], [Math.SQRT1_2]),
        mean: ['Mean', ['x', 'axis'], { keep_dims: true }] as [
          string,
          string[],
          { keep_dims: true },
        ],
        squares: ['SquaredDifference', ['x', 'mean']] as [string, string[]],
        variance: ['Mean', ['squares', 'axis'], { keep_dims: true }] as [
          string,
          string[],
          { keep_dims: true },
        ],
        sum: ['AddV2', ['variance', 'epsilon']] as [string, string[]],
        inverse: ['Rsqrt', ['sum']] as [string, string[]],
        factor: mul('inverse', 'scale'),
        negated: ['Neg', ['mean']] as [string, string[]],
        moved: mul('negated', 'factor'),
        rest: ['AddV2', ['moved', 'offset']] as [string, string[]],
        product: mul('x', 'factor'),
        normal: ['AddV2', ['product', 'rest']] as [string, string[]],
        halves: mul('half', 'normal'),
        minus: ['Neg', ['normal']] as [string, string[]],
        argument: mul('minus', 'root'),
        complement: ['Erfc', ['argument']] as [string, string[]],
        y: mul('halves', 'complement'),
      },
      outputs: ['normal', 'y'],
    };
    const { entry } = lowered(literal);
    expect(entry.outputs.map(({ value }) => value.shape)).toEqual([
      [-1, 8],
      [-1, 8],
    ]);
    const [normal, y] = await runGraph(runner, literal, { x });
    if (!normal || !y) throw new Error('no answer');
    const wanted = Array.from({ length: 24 }, (_, i) => {
      const row = Array.from({ length: 8 }, (__, k) => Number(x.data[Math.floor(i / 8) * 8 + k]));
      const mean = row.reduce((sum, value) => sum + value, 0) / 8;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 8;
      const own = ((row[i % 8] ?? 0) - mean) / Math.sqrt(variance + 1e-3);
      return own * Number(scale.data[i % 8]) + Number(offset.data[i % 8]);
    });
    expectTensor(normal, { shape: [3, 8], data: wanted });
    const tfjs = tf.mul(
      tf.mul(tf.tensor(wanted), 0.5),
      tf.add(1, tf.erf(tf.mul(tf.tensor(wanted), Math.SQRT1_2))),
    );
    expectTensor(y, { shape: [3, 8], data: await tfjs.data() }, { absolute: 2e-6 });
  });

  it('FusedBatchNormV3 with the statistics of the batch', async () => {
    const x = random([1, 4, 6, 1], 7);
    const [scale, offset] = [random([4], 8), random([4], 9)];
    const empty = tensor('FP32', [0], []);
    const attributes = { is_training: true, data_format: 'NCHW', epsilon: { float: 1e-3 } };
    const [y, mean, variance] = await runOp(runner, {
      op: 'FusedBatchNormV3',
      inputs: [x, scale, offset, empty, empty],
      constants: [1, 2, 3, 4],
      attributes,
      outputs: 3,
      shapes: [[1, -1, 6, 1]],
    });
    if (!y || !mean || !variance) throw new Error('no answer');
    const rows = [0, 1, 2, 3].map((row) => Array.from(x.data, Number).slice(row * 6, row * 6 + 6));
    const means = rows.map((row) => row.reduce((sum, value) => sum + value, 0) / 6);
    const spreads = rows.map((row, i) =>
      row.reduce((sum, value) => sum + (value - (means[i] ?? 0)) ** 2, 0),
    );
    expectTensor(mean, { shape: [4], data: means });
    expectTensor(variance, { shape: [4], data: spreads.map((sum) => sum / 5) });
    const wanted = rows.flatMap((row, i) =>
      row.map((value) => {
        const own = (value - (means[i] ?? 0)) / Math.sqrt((spreads[i] ?? 0) / 6 + 1e-3);
        return own * Number(scale.data[i]) + Number(offset.data[i]);
      }),
    );
    expectTensor(y, { shape: [1, 4, 6, 1], data: wanted });
  });
});
