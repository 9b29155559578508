import { describe, it } from '@jest/globals';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { sharedRunner } from './support/program-runner.js';
import { answerOf, expectTensor, type OpCase, random, tensor } from './support/tf-op-checks.js';
import { numbersOf, runGraph, type GraphLiteral, type TensorLiteral } from './support/tf-graphs.js';

const runner = sharedRunner();

function reference<R extends tf.Rank>({ shape, data }: TensorLiteral): tf.Tensor<R> {
  return tf.tensor(Array.from(data, Number), shape as tf.ShapeMap[R]);
}

async function expectOp(given: OpCase, wanted: tf.Tensor): Promise<void> {
  const why = JSON.stringify({ ...given, inputs: given.inputs.map(({ shape }) => shape) });
  const data = await wanted.data();
  const free = given.inputs.map(({ shape }) => shape.map((size, i) => (i === 0 ? -1 : size)));
  for (const shapes of given.shapes ? [given.shapes] : [free, inputsOfAnySize(given)]) {
    if (shapes.length === 0) continue;
    const answer = await answerOf(runner, { ...given, shapes });
    expectTensor(answer, { shape: wanted.shape, data }, { absolute: 1e-5, why });
  }
}

/** Where a window is smaller than its stride, sizes must be known. */
function inputsOfAnySize({ op, inputs, attributes = {} }: OpCase): number[][] {
  const strides = attributes['strides'];
  const large = Array.isArray(strides) && strides.some((stride) => Number(stride) > 1);
  if (large && attributes['padding'] === 'SAME' && !op.includes('BackpropInput')) return [];
  return inputs.map(({ shape }) => shape.map(() => -1));
}

const padding = fc.constantFrom('SAME' as const, 'VALID' as const);
const runs = { numRuns: 25 };
const lower = (text: 'SAME' | 'VALID') => text.toLowerCase() as 'same' | 'valid';

describe('convolutions', () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 1, max: 3 }),
    height: fc.integer({ min: 5, max: 9 }),
    width: fc.integer({ min: 5, max: 9 }),
    channels: fc.integer({ min: 1, max: 3 }),
    made: fc.integer({ min: 1, max: 4 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    seed: fc.integer({ min: 1, max: 1000 }),
    padding,
  });

  it('Conv2D, with strides or dilations', async () => {
    const steps = fc.oneof(
      fc.record({ stride: fc.integer({ min: 1, max: 3 }), dilation: fc.constant(1) }),
      fc.record({ stride: fc.constant(1), dilation: fc.integer({ min: 1, max: 2 }) }),
    );
    await fc.assert(
      fc.asyncProperty(sizes, steps, async (s, { stride, dilation }) => {
        const x = random([s.rows, s.height, s.width, s.channels], s.seed);
        const filter = random([...s.kernel, s.channels, s.made], s.seed + 1);
        const wanted = tf.conv2d(
          reference<tf.Rank.R4>(x),
          reference<tf.Rank.R4>(filter),
          [stride, stride],
          lower(s.padding),
          'NHWC',
          [dilation, dilation],
        );
        const attributes = {
          strides: [1, stride, stride, 1],
          dilations: [1, dilation, dilation, 1],
          padding: s.padding,
        };
        await expectOp({ op: 'Conv2D', inputs: [x, filter], constants: [1], attributes }, wanted);
      }),
      runs,
    );
  });

  it('Conv2D with its channels second and paddings of its own', async () => {
    const x = random([2, 6, 7, 3], 1);
    const filter = random([3, 2, 3, 4], 2);
    const padded = tf.pad(reference<tf.Rank.R4>(x), [
      [0, 0],
      [1, 2],
      [0, 3],
      [0, 0],
    ]);
    const wanted = tf.conv2d(padded, reference<tf.Rank.R4>(filter), [2, 1], 'valid');
    const turned = tf.transpose(wanted, [0, 3, 1, 2]);
    const second = tf.transpose(reference(x), [0, 3, 1, 2]);
    const attributes = {
      strides: [1, 1, 2, 1],
      padding: 'EXPLICIT',
      explicit_paddings: [0, 0, 0, 0, 1, 2, 0, 3],
      data_format: 'NCHW',
    };
    const inputs = [tensor('FP32', [2, 3, 6, 7], await second.data()), filter];
    await expectOp({ op: 'Conv2D', inputs, constants: [1], attributes }, turned);
  });

  it('DepthwiseConv2dNative, with strides or dilations', async () => {
    const steps = fc.constantFrom([1, 1], [2, 1], [1, 2]);
    await fc.assert(
      fc.asyncProperty(sizes, steps, async (s, [stride = 1, dilation = 1]) => {
        const x = random([s.rows, s.height, s.width, s.channels], s.seed);
        const filter = random([...s.kernel, s.channels, s.made], s.seed + 1);
        const wanted = tf.depthwiseConv2d(
          reference<tf.Rank.R4>(x),
          reference<tf.Rank.R4>(filter),
          [stride, stride],
          lower(s.padding),
          'NHWC',
          [dilation, dilation],
        );
        const attributes = {
          strides: [1, stride, stride, 1],
          dilations: [1, dilation, dilation, 1],
          padding: s.padding,
        };
        const given = { op: 'DepthwiseConv2dNative', inputs: [x, filter], constants: [1] };
        await expectOp({ ...given, attributes }, wanted);
      }),
      runs,
    );
  });

  it('Conv2DBackpropInput, also where only the request says the sizes', async () => {
    const stride = fc.integer({ min: 1, max: 3 });
    await fc.assert(
      fc.asyncProperty(sizes, stride, fc.nat(2), async (s, step, more) => {
        const forward = (size: number, kernel: number) =>
          s.padding === 'SAME' ? Math.ceil(size / step) : Math.floor((size - kernel) / step) + 1;
        const [height, width] = [s.height + more, s.width];
        const small = [forward(height, s.kernel[0]), forward(width, s.kernel[1])];
        const x = random([s.rows, ...small, s.channels], s.seed);
        const filter = random([...s.kernel, s.made, s.channels], s.seed + 1);
        const shape = [s.rows, height, width, s.made] as [number, number, number, number];
        const wanted = tf.conv2dTranspose(
          reference<tf.Rank.R4>(x),
          reference<tf.Rank.R4>(filter),
          shape,
          [step, step],
          lower(s.padding),
        );
        const attributes = { strides: [1, step, step, 1], padding: s.padding };
        const inputs = [tensor('INT32', [4], shape), filter, x];
        const given = { op: 'Conv2DBackpropInput', inputs, attributes };
        await expectOp({ ...given, constants: [0, 1], shapes: [[4], [], x.shape] }, wanted);
        await expectOp({ ...given, constants: [1], shapes: [[4], [], [-1, -1, -1, -1]] }, wanted);
      }),
      runs,
    );
  });

  it('Conv3D', async () => {
    for (const [stride, pad] of [
      [1, 'SAME'],
      [2, 'SAME'],
      [2, 'VALID'],
    ] as const) {
      const x = random([2, 5, 6, 4, 2], 3);
      const filter = random([2, 3, 2, 2, 3], 4);
      const wanted = tf.conv3d(
        reference<tf.Rank.R5>(x),
        reference<tf.Rank.R5>(filter),
        stride,
        lower(pad),
      );
      const attributes = {
        strides: [1, stride, stride, stride, 1],
        padding: pad,
        data_format: 'NDHWC',
      };
      await expectOp({ op: 'Conv3D', inputs: [x, filter], constants: [1], attributes }, wanted);
    }
  });

  it('Conv3DBackpropInputV2', async () => {
    const x = random([2, 3, 3, 2, 2], 5);
    const filter = random([2, 3, 2, 4, 2], 6);
    const shape = [2, 6, 6, 4, 4] as [number, number, number, number, number];
    const wanted = tf.conv3dTranspose(
      reference<tf.Rank.R5>(x),
      reference<tf.Rank.R5>(filter),
      shape,
      2,
      'same',
    );
    const attributes = { strides: [1, 2, 2, 2, 1], padding: 'SAME', data_format: 'NDHWC' };
    const inputs = [tensor('INT32', [5], shape), filter, x];
    const given = { op: 'Conv3DBackpropInputV2', inputs, attributes };
    await expectOp({ ...given, constants: [0, 1], shapes: [[], [], x.shape] }, wanted);
  });
});

describe('no rows', () => {
  it('stay no rows', async () => {
    const x = tensor('FP32', [0, 6, 6, 2], []);
    const filter = random([3, 3, 2, 4], 1);
    const shapes = [[-1, 6, 6, 2], []];
    const strides = { strides: [1, 1, 1, 1], padding: 'VALID' };
    const made = await answerOf(runner, {
      op: 'Conv2D',
      inputs: [x, filter],
      constants: [1],
      attributes: strides,
      shapes,
    });
    expectTensor(made, { shape: [0, 4, 4, 4], data: [] });
    const attributes = { ...strides, ksize: [1, 2, 2, 1] };
    for (const op of ['MaxPool', 'AvgPool'])
      expectTensor(await answerOf(runner, { op, inputs: [x], attributes, shapes }), {
        shape: [0, 5, 5, 2],
        data: [],
      });
  });
});

describe('poolings', () => {
  const sizes = fc.record({
    height: fc.integer({ min: 4, max: 9 }),
    width: fc.integer({ min: 4, max: 9 }),
    window: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    padding,
  });
  it('MaxPool and AvgPool', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async (s, isMax) => {
        const x = random([2, s.height, s.width, 3], s.height + 7);
        const pool = isMax ? tf.maxPool : tf.avgPool;
        const wanted = pool(reference<tf.Rank.R4>(x), s.window, s.strides, lower(s.padding));
        const attributes = {
          ksize: [1, ...s.window, 1],
          strides: [1, ...s.strides, 1],
          padding: s.padding,
        };
        await expectOp({ op: isMax ? 'MaxPool' : 'AvgPool', inputs: [x], attributes }, wanted);
      }),
      runs,
    );
  });

  it('MaxPool3D and AvgPool3D', async () => {
    const x = random([2, 5, 4, 6, 2], 9);
    for (const [op, pool] of [
      ['MaxPool3D', tf.maxPool3d],
      ['AvgPool3D', tf.avgPool3d],
    ] as const)
      for (const pad of ['SAME', 'VALID'] as const) {
        const wanted = pool(reference<tf.Rank.R5>(x), [2, 3, 2], [2, 2, 2], lower(pad));
        const attributes = {
          ksize: [1, 2, 3, 2, 1],
          strides: [1, 2, 2, 2, 1],
          padding: pad,
          data_format: 'NDHWC',
        };
        await expectOp({ op, inputs: [x], attributes }, wanted);
      }
  });
});

describe('normalisations, paddings and blocks', () => {
  it('FusedBatchNormV3 and LRN', async () => {
    const x = random([2, 3, 4, 5], 1);
    const statistics = [2, 3, 4].map((seed) => random([5], seed));
    const variance = tensor('FP32', [5], [0.5, 1, 2, 0.1, 3]);
    const [scale, offset, mean] = statistics.map((value) => reference<tf.Rank.R1>(value));
    if (!mean) throw new Error('no statistics');
    const wanted = tf.batchNorm(
      reference<tf.Rank.R4>(x),
      mean,
      reference<tf.Rank.R1>(variance),
      offset,
      scale,
      0.01,
    );
    const attributes = { is_training: false, epsilon: { float: 0.01 } };
    const inputs = [x, ...statistics, variance];
    await expectOp({ op: 'FusedBatchNormV3', inputs, constants: [1, 2, 3, 4], attributes }, wanted);
    const response = tf.localResponseNormalization(reference<tf.Rank.R4>(x), 2, 1.5, 0.3, 0.75);
    await expectOp(
      {
        op: 'LRN',
        inputs: [x],
        attributes: {
          depth_radius: 2,
          bias: 1.5,
          alpha: { float: 0.3 },
          beta: { float: 0.75 },
        },
        shapes: [[-1, 3, 4, 5]],
      },
      response,
    );
  });

  it('pads with numbers and mirrors', async () => {
    const x = random([2, 4, 5], 8);
    const pairs: [number, number][] = [
      [0, 1],
      [2, 0],
      [3, 3],
    ];
    const table = tensor('INT32', [3, 2], pairs.flat());
    const value = tensor('FP32', [], [7]);
    const wanted = tf.pad(reference(x), pairs, 7);
    for (const constants of [[1, 2], [2]])
      await expectOp(
        {
          op: 'PadV2',
          inputs: [x, table, value],
          constants,
          shapes: [[-1, 4, 5], [3, 2], []],
        },
        wanted,
      );
    for (const mode of ['reflect', 'symmetric'] as const) {
      const mirrored = tf.mirrorPad(reference(x), pairs, mode);
      await expectOp(
        {
          op: 'MirrorPad',
          inputs: [x, table],
          constants: [1],
          attributes: { mode: mode.toUpperCase() },
        },
        mirrored,
      );
    }
  });

  it('moves blocks between space, rows and channels', async () => {
    const x = random([2, 4, 6, 8], 3);
    const deep = tf.depthToSpace(reference<tf.Rank.R4>(x), 2, 'NHWC');
    const attributes = { block_size: 2 };
    await expectOp({ op: 'DepthToSpace', inputs: [x], attributes }, deep);
    const back = tensor('FP32', deep.shape, await deep.data());
    await expectOp({ op: 'SpaceToDepth', inputs: [back], attributes }, reference(x));
    const paddings = [
      [1, 1],
      [2, 1],
    ];
    const batches = tf.spaceToBatchND(reference(x), [2, 3], paddings);
    const block = tensor('INT32', [2], [2, 3]);
    const table = tensor('INT32', [2, 2], paddings.flat());
    for (const constants of [[1, 2], [1]]) {
      const given = { inputs: [x, block, table], constants };
      await expectOp(
        { op: 'SpaceToBatchND', ...given, shapes: [[-1, 4, 6, 8], [2], [2, 2]] },
        batches,
      );
      const made = tensor('FP32', batches.shape, await batches.data());
      const inputs = [made, block, table];
      await expectOp(
        { op: 'BatchToSpaceND', inputs, constants, shapes: [[-1, -1, -1, 8], [2], [2, 2]] },
        reference(x),
      );
    }
  });
});

describe('layers after each other', () => {
  it('give what they give one by one, with nothing moved in between', async () => {
    const x = random([2, 8, 8, 3], 4);
    const [first, second] = [random([3, 3, 3, 4], 5), random([3, 3, 4, 4], 6)];
    const bias = random([4], 7);
    const literal: GraphLiteral = {
      inputs: { x: { dtype: 'FP32', shape: [-1, 8, 8, 3] } },
      nodes: {
        first: constant(first),
        second: constant(second),
        bias: constant(bias),
        axes: ['Const', [], { value: { tensor: { dtype: 'INT32', shape: [2], data: [1, 2] } } }],
        axis: ['Const', [], { value: { tensor: { dtype: 'INT32', shape: [], data: [-1] } } }],
        a: ['Conv2D', ['x', 'first'], { strides: [1, 1, 1, 1], padding: 'SAME' }],
        b: ['BiasAdd', ['a', 'bias']],
        c: ['Relu', ['b']],
        d: ['Conv2D', ['c', 'second'], { strides: [1, 1, 1, 1], padding: 'SAME' }],
        e: ['AddV2', ['d', 'c']],
        f: ['Mul', ['e', 'bias']],
        g: ['ConcatV2', ['f', 'c', 'axis']],
        h: ['Mean', ['g', 'axes']],
      },
      outputs: ['h', 'g'],
    };
    const input = reference<tf.Rank.R4>(x);
    const c = tf.relu(
      tf.add(tf.conv2d(input, reference<tf.Rank.R4>(first), 1, 'same'), reference(bias)),
    );
    const d = tf.conv2d(c as tf.Tensor4D, reference<tf.Rank.R4>(second), 1, 'same');
    const g = tf.concat([tf.mul(tf.add(d, c), reference(bias)), c], 3);
    const [mean, whole] = await runGraph(runner, literal, { x });
    if (!mean || !whole) throw new Error('no answer');
    expectTensor(whole, { shape: g.shape, data: await g.data() }, { absolute: 1e-4 });
    const wanted = tf.mean(g, [1, 2]);
    expectTensor(mean, { shape: wanted.shape, data: await wanted.data() }, { absolute: 1e-5 });
    if (numbersOf(mean).length !== 16) throw new Error('sizes');
  });
});

function constant(value: TensorLiteral): ['Const', [], { value: { tensor: TensorLiteral } }] {
  return ['Const', [], { value: { tensor: value } }];
}
