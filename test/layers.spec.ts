import { describe, expect, it } from '@jest/globals';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import './support/tf-chain.js';
import type { Tensor } from '#program';
import {
  floats,
  runLayers,
  weight,
  type LayerRun,
  type WeightLiteral,
} from './support/layer-run.js';
import { sharedRunner } from './support/program-runner.js';
import { expectTensor, noise } from './support/tf-op-checks.js';

const runner = sharedRunner();

async function expectLayer(
  given: LayerRun,
  inputs: Omit<Tensor, 'name'>[],
  wanted: tf.Tensor | { shape: number[]; data: ArrayLike<number> },
): Promise<void> {
  const [got] = await runLayers(runner, given, inputs);
  if (!got) throw new Error('no answer');
  const data =
    'data' in wanted && typeof wanted.data === 'function' ? await wanted.data() : wanted.data;
  const why = JSON.stringify(given.layers);
  expectTensor(
    got,
    { shape: wanted.shape, data: data as ArrayLike<number> },
    { absolute: 2e-5, why },
  );
}

function reference<R extends tf.Rank>({
  shape,
  data,
}: {
  shape: number[];
  data: ArrayLike<unknown>;
}) {
  return tf.tensor(Array.from(data, Number), shape as tf.ShapeMap[R]) as tf.Tensor<R>;
}

function input(shape: number[], seed = 3) {
  return floats(shape, weight(shape, seed, 2).data);
}

const runs = { numRuns: 12 };

describe('activations', () => {
  const relu6 = (x: number) => Math.min(6, Math.max(0, x));
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const softplus = (x: number) => Math.log1p(Math.exp(x));
  const formulas: Record<string, (x: number) => number> = {
    linear: (x) => x,
    relu: (x) => Math.max(0, x),
    relu6,
    elu: (x) => (x > 0 ? x : Math.expm1(x)),
    selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
    softplus,
    softsign: (x) => x / (1 + Math.abs(x)),
    sigmoid,
    tanh: Math.tanh,
    exponential: Math.exp,
    silu: (x) => x * sigmoid(x),
    mish: (x) => x * Math.tanh(softplus(x)),
    gelu_new: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    leaky_relu: (x) => (x > 0 ? x : 0.2 * x),
    celu: (x) => (x > 0 ? x : Math.expm1(x)),
    hard_tanh: (x) => Math.min(1, Math.max(-1, x)),
    hard_shrink: (x) => (Math.abs(x) > 0.5 ? x : 0),
    soft_shrink: (x) => (x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0),
    log_sigmoid: (x) => -softplus(-x),
    tanh_shrink: (x) => x - Math.tanh(x),
    sparse_plus: (x) => (x <= -1 ? 0 : x < 1 ? (x + 1) ** 2 / 4 : x),
    sparse_sigmoid: (x) => Math.min(1, Math.max(0, (x + 1) / 2)),
    squareplus: (x) => (x + Math.sqrt(x * x + 4)) / 2,
  };
  const x = noise(60, 5, 4);
  it.each(Object.keys(formulas))('%s', async (activation) => {
    const formula = formulas[activation] ?? Number;
    const given = {
      inputs: [{ shape: [6] }],
      layers: [{ className: 'Activation', config: { activation } }],
    };
    await expectLayer(given, [floats([10, 6], x)], {
      shape: [10, 6],
      data: Array.from(x, formula),
    });
  });
  it.each([
    ['keras2', (value: number) => Math.min(1, Math.max(0, 0.2 * value + 0.5))],
    ['keras3', (value: number) => relu6(value + 3) / 6],
    ['tfjs', (value: number) => Math.min(1, Math.max(0, 0.2 * value + 0.5))],
  ] as const)('hard_sigmoid of %s', async (library, formula) => {
    const layers = [{ className: 'Activation', config: { activation: 'hard_sigmoid' } }];
    const given = { library, inputs: [{ shape: [6] }], layers };
    await expectLayer(given, [floats([10, 6], x)], {
      shape: [10, 6],
      data: Array.from(x, formula),
    });
  });
  it('gelu is exact', async () => {
    const layers = [{ className: 'Activation', config: { activation: 'gelu' } }];
    const half = tf.tensor(x).mul(0.5);
    const wanted = half.mul(tf.erf(tf.tensor(x).div(Math.SQRT2)).add(1)).reshape([10, 6]);
    const [got] = await runLayers(runner, { inputs: [{ shape: [6] }], layers }, [
      floats([10, 6], x),
    ]);
    // The erf of TF.js itself is good to 1.5e-7.
    if (got) expectTensor(got, { shape: [10, 6], data: await wanted.data() }, { absolute: 1e-5 });
  });
  it.each([
    [{ max_value: 1 }, (v: number) => Math.min(1, Math.max(0, v))],
    [{ negative_slope: 0.3 }, (v: number) => (v > 0 ? v : 0.3 * v)],
    [{ threshold: 0.7, negative_slope: 0.1 }, (v: number) => (v > 0.7 ? v : 0.1 * (v - 0.7))],
    [{ threshold: 0.5, max_value: 2 }, (v: number) => (v > 0.5 ? Math.min(2, v) : 0)],
  ])('ReLU %j', async (config, formula) => {
    const given = { inputs: [{ shape: [6] }], layers: [{ className: 'ReLU', config }] };
    await expectLayer(given, [floats([10, 6], x)], {
      shape: [10, 6],
      data: Array.from(x, formula),
    });
  });
});

const window = fc.record({
  size: fc.integer({ min: 1, max: 4 }),
  stride: fc.integer({ min: 1, max: 3 }),
  padding: fc.constantFrom('same' as const, 'valid' as const),
  known: fc.boolean(),
  height: fc.integer({ min: 5, max: 9 }),
});

describe('windows', () => {
  it('Conv2D, dilated too', async () => {
    await fc.assert(
      fc.asyncProperty(window, fc.integer({ min: 1, max: 2 }), async (drawn, dilation) => {
        const { size, padding, known, height } = drawn;
        const stride = dilation > 1 ? 1 : drawn.stride;
        fc.pre(padding === 'same' || (size - 1) * dilation < 5);
        fc.pre(known || Math.min(size, 2) >= stride || padding === 'valid');
        const [kernel, bias] = [weight([size, 2, 3, 4], 1), weight([4], 2)];
        const x = input([2, height, 7, 3]);
        const config = {
          filters: 4,
          kernel_size: [size, 2],
          strides: [stride, stride],
          padding,
          dilation_rate: dilation,
        };
        const free = known ? [height, 7, 3] : [null, null, 3];
        const given = {
          inputs: [{ shape: free }],
          layers: [{ className: 'Conv2D', config }],
          weights: [kernel, bias],
        };
        const wanted = tf
          .conv2d(
            reference<tf.Rank.R4>(x),
            reference<tf.Rank.R4>(kernel),
            stride,
            padding,
            'NHWC',
            dilation,
          )
          .add(reference(bias));
        await expectLayer(given, [x], wanted);
      }),
      runs,
    );
  });

  it('Conv2DTranspose', async () => {
    await fc.assert(
      fc.asyncProperty(window, async ({ size, stride, padding, height }) => {
        const [kernel, bias] = [weight([size, size, 4, 3], 1), weight([4], 2)];
        const x = input([2, height, 6, 3]);
        const config = { filters: 4, kernel_size: size, strides: stride, padding };
        const out = (n: number) =>
          padding === 'same' ? n * stride : n * stride + Math.max(size - stride, 0);
        const given = {
          inputs: [{ shape: [height, 6, 3] }],
          layers: [{ className: 'Conv2DTranspose', config }],
          weights: [kernel, bias],
        };
        const wanted = tf
          .conv2dTranspose(
            reference<tf.Rank.R4>(x),
            reference<tf.Rank.R4>(kernel),
            [2, out(height), out(6), 4],
            stride,
            padding,
          )
          .add(reference(bias));
        await expectLayer(given, [x], wanted);
      }),
      runs,
    );
  });

  it('DepthwiseConv2D and SeparableConv2D', async () => {
    await fc.assert(
      fc.asyncProperty(window, async ({ size, stride, padding, height }) => {
        const [deep, point, bias] = [
          weight([size, size, 3, 2], 1),
          weight([1, 1, 6, 5], 2),
          weight([5], 3),
        ];
        const x = input([2, height, 7, 3]);
        const config = { kernel_size: size, strides: stride, padding, use_bias: false };
        const shape = { inputs: [{ shape: [height, 7, 3] }] };
        await expectLayer(
          { ...shape, layers: [{ className: 'DepthwiseConv2D', config }], weights: [deep] },
          [x],
          tf.depthwiseConv2d(
            reference<tf.Rank.R4>(x),
            reference<tf.Rank.R4>(deep),
            stride,
            padding,
          ),
        );
        const separable = { ...config, filters: 5, use_bias: true };
        await expectLayer(
          {
            ...shape,
            layers: [{ className: 'SeparableConv2D', config: separable }],
            weights: [deep, point, bias],
          },
          [x],
          tf
            .separableConv2d(
              reference<tf.Rank.R4>(x),
              reference<tf.Rank.R4>(deep),
              reference<tf.Rank.R4>(point),
              stride,
              padding,
            )
            .add(reference(bias)),
        );
      }),
      runs,
    );
  });

  it('Conv1D, causal too, and Conv3D', async () => {
    const [kernel, bias] = [weight([3, 2, 4], 1), weight([4], 2)];
    const x = input([2, 8, 2]);
    const config = { filters: 4, kernel_size: [3], padding: 'causal', dilation_rate: [2] };
    const given = {
      inputs: [{ shape: [null, 2] }],
      layers: [{ className: 'Conv1D', config }],
      weights: [kernel, bias],
    };
    const padded = tf.pad(reference<tf.Rank.R3>(x), [
      [0, 0],
      [4, 0],
      [0, 0],
    ]);
    await expectLayer(
      given,
      [x],
      tf.conv1d(padded, reference<tf.Rank.R3>(kernel), 1, 'valid', 'NWC', 2).add(reference(bias)),
    );
    const cube = weight([2, 3, 2, 2, 3], 4);
    const volume = input([1, 4, 5, 6, 2]);
    const three = {
      filters: 3,
      kernel_size: [2, 3, 2],
      strides: [1, 2, 1],
      padding: 'same',
      use_bias: false,
    };
    await expectLayer(
      {
        inputs: [{ shape: [4, 5, 6, 2] }],
        layers: [{ className: 'Conv3D', config: three }],
        weights: [cube],
      },
      [volume],
      tf.conv3d(reference<tf.Rank.R5>(volume), reference<tf.Rank.R5>(cube), [1, 2, 1], 'same'),
    );
  });

  it('groups, and the channels first', async () => {
    const kernel = weight([3, 3, 2, 4], 1);
    const x = input([2, 6, 6, 4]);
    const config = { filters: 4, kernel_size: 3, groups: 2, use_bias: false };
    const halves = [0, 1].map((i) =>
      tf.conv2d(
        reference<tf.Rank.R4>(x).slice([0, 0, 0, 2 * i], [2, 6, 6, 2]),
        reference<tf.Rank.R4>(kernel).slice([0, 0, 0, 2 * i], [3, 3, 2, 2]),
        1,
        'valid',
      ),
    );
    const wanted = tf.concat(halves, 3);
    const shape = { inputs: [{ shape: [6, 6, 4] }], weights: [kernel] };
    await expectLayer({ ...shape, layers: [{ className: 'Conv2D', config }] }, [x], wanted);
    const first = tf.transpose(reference<tf.Rank.R4>(x), [0, 3, 1, 2]);
    await expectLayer(
      {
        inputs: [{ shape: [4, 6, 6] }],
        weights: [kernel],
        layers: [{ className: 'Conv2D', config: { ...config, data_format: 'channels_first' } }],
      },
      [floats([2, 4, 6, 6], await first.data())],
      tf.transpose(wanted, [0, 3, 1, 2]),
    );
  });

  it('poolings', async () => {
    await fc.assert(
      fc.asyncProperty(window, async ({ size, stride, padding, known, height }) => {
        fc.pre(known || size === 1 || size >= stride || padding === 'valid');
        const x = input([2, height, 7, 3]);
        const config = { pool_size: [size, size], strides: [stride, stride], padding };
        const inputs = [{ shape: known ? [height, 7, 3] : [null, null, 3] }];
        const image = reference<tf.Rank.R4>(x);
        await expectLayer(
          { inputs, layers: [{ className: 'MaxPooling2D', config }] },
          [x],
          tf.maxPool(image, size, stride, padding),
        );
        await expectLayer(
          { inputs, layers: [{ className: 'AveragePooling2D', config }] },
          [x],
          tf.avgPool(image, size, stride, padding),
        );
      }),
      runs,
    );
  });

  it('global and adaptive poolings, cropping, padding and upsampling', async () => {
    const x = input([2, 5, 7, 3]);
    const image = reference<tf.Rank.R4>(x);
    const inputs = [{ shape: [5, 7, 3] }];
    const cases: [string, Record<string, unknown>, tf.Tensor][] = [
      ['GlobalAveragePooling2D', {}, image.mean([1, 2])],
      ['GlobalMaxPooling2D', { keepdims: true }, image.max([1, 2], true)],
      [
        'ZeroPadding2D',
        {
          padding: [
            [1, 2],
            [0, 3],
          ],
        },
        image.pad([
          [0, 0],
          [1, 2],
          [0, 3],
          [0, 0],
        ]),
      ],
      [
        'Cropping2D',
        {
          cropping: [
            [1, 0],
            [2, 1],
          ],
        },
        image.slice([0, 1, 2, 0], [2, 4, 4, 3]),
      ],
      [
        'UpSampling2D',
        { size: [2, 3], interpolation: 'nearest' },
        tf.image.resizeNearestNeighbor(image, [10, 21]),
      ],
      [
        'UpSampling2D',
        { size: 2, interpolation: 'bilinear' },
        tf.image.resizeBilinear(image, [10, 14], false, true),
      ],
      ['Resizing', { height: 3, width: 11 }, tf.image.resizeBilinear(image, [3, 11], false, true)],
      [
        'Resizing',
        { height: 8, width: 4, interpolation: 'nearest' },
        tf.image.resizeNearestNeighbor(image, [8, 4], false, true),
      ],
      ['CenterCrop', { height: 2, width: 4 }, image.slice([0, 1, 1, 0], [2, 2, 4, 3])],
      ['Rescaling', { scale: 0.5, offset: -1 }, image.mul(0.5).add(-1)],
      [
        'AdaptiveAveragePooling2D',
        { output_size: [2, 7] },
        tf.concat(
          [image.slice([0, 0, 0, 0], [2, 3, 7, 3]), image.slice([0, 2, 0, 0], [2, 3, 7, 3])].map(
            (part) => part.mean(1, true),
          ),
          1,
        ),
      ],
    ];
    for (const [className, config, wanted] of cases)
      await expectLayer({ inputs, layers: [{ className, config }] }, [x], wanted);
  });
});

describe('normalisations', () => {
  const x = input([3, 4, 6]);
  const value = reference<tf.Rank.R3>(x);
  const inputs = [{ shape: [4, 6] }];
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((seed) => weight([6], seed)) as [
    WeightLiteral,
    WeightLiteral,
    WeightLiteral,
    WeightLiteral,
  ];
  const positive = { shape: [6], data: variance.data.map((v) => Math.abs(v) + 0.1) };
  it('of batches', async () => {
    const wanted = value
      .sub(reference(mean))
      .div(reference(positive).add(1e-3).sqrt())
      .mul(reference(gamma))
      .add(reference(beta));
    const layers = [{ className: 'BatchNormalization', config: { axis: [-1] } }];
    await expectLayer({ inputs, layers, weights: [gamma, beta, mean, positive] }, [x], wanted);
  });
  it('of layers, groups, lengths and squares', async () => {
    const normal = (given: tf.Tensor, axes: number[]) => {
      const { mean: m, variance: v } = tf.moments(given, axes, true);
      return given.sub(m).div(v.add(1e-3).sqrt());
    };
    const scaled = (given: tf.Tensor) => given.mul(reference(gamma)).add(reference(beta));
    const groups = normal(value.reshape([3, 4, 2, 3]), [1, 3]).reshape([3, 4, 6]);
    const cases: [string, Record<string, unknown>, WeightLiteral[], tf.Tensor][] = [
      ['LayerNormalization', { axis: -1 }, [gamma, beta], scaled(normal(value, [2]))],
      ['LayerNormalization', { axis: [1], center: false, scale: false }, [], normal(value, [1])],
      ['GroupNormalization', { groups: 2 }, [gamma, beta], scaled(groups)],
      ['UnitNormalization', {}, [], value.div(value.square().sum(-1, true).sqrt())],
      [
        'RMSNormalization',
        {},
        [gamma],
        value.div(value.square().mean(-1, true).add(1e-6).sqrt()).mul(reference(gamma)),
      ],
      [
        'Normalization',
        { mean: Array.from(mean.data), variance: Array.from(positive.data) },
        [],
        value.sub(reference(mean)).div(reference(positive).sqrt()),
      ],
    ];
    for (const [className, config, weights, wanted] of cases)
      await expectLayer({ inputs, layers: [{ className, config }], weights }, [x], wanted);
  });
});

describe('merging', () => {
  const [x, y] = [input([3, 4, 5], 1), input([3, 4, 5], 2)];
  const [one, other] = [reference<tf.Rank.R3>(x), reference<tf.Rank.R3>(y)];
  const inputs = [{ shape: [4, 5] }, { shape: [4, 5] }];
  it.each<[string, Record<string, unknown>, tf.Tensor]>([
    ['Add', {}, one.add(other)],
    ['Subtract', {}, one.sub(other)],
    ['Multiply', {}, one.mul(other)],
    ['Average', {}, one.add(other).div(2)],
    ['Maximum', {}, tf.maximum(one, other)],
    ['Minimum', {}, tf.minimum(one, other)],
    ['Concatenate', { axis: 1 }, tf.concat([one, other], 1)],
    ['Dot', { axes: 2 }, tf.matMul(one, other, false, true)],
    ['Dot', { axes: [1, 1] }, tf.matMul(one, other, true, false)],
    ['Attention', {}, tf.matMul(tf.softmax(tf.matMul(one, other, false, true)), other)],
  ])('%s %j', async (className, config, wanted) => {
    await expectLayer({ inputs, layers: [{ className, config }] }, [x, y], wanted);
  });
});

/** Recurrent layers as Keras computes them step by step, in plain numbers. */
describe('recurrent layers', () => {
  type Row = number[];
  const activations: Record<string, (x: number) => number> = {
    tanh: Math.tanh,
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    hard_sigmoid: (x) => Math.min(1, Math.max(0, 0.2 * x + 0.5)),
    relu: (x) => Math.max(0, x),
    mish: (x) => x * Math.tanh(Math.log1p(Math.exp(x))),
  };
  const times = (x: Row, { shape: [rows = 0, columns = 0], data }: WeightLiteral) =>
    Array.from({ length: columns }, (_, c) => {
      let sum = 0;
      for (let r = 0; r < rows; r++) sum += (x[r] ?? 0) * (data[r * columns + c] ?? 0);
      return sum;
    });

  interface Drawn {
    className: 'LSTM' | 'GRU' | 'SimpleRNN';
    activation: string;
    recurrent: string;
    resetAfter: boolean;
    backwards: boolean;
    sequences: boolean;
    zeros: boolean;
    mask: boolean[][];
  }
  const units = 3;
  const features = 2;

  function step(
    drawn: Drawn,
    x: Row,
    states: Row[],
    [kernel, recurrent, bias]: WeightLiteral[],
  ): Row[] {
    const f = activations[drawn.activation] ?? Math.tanh;
    const g = activations[drawn.recurrent] ?? Math.tanh;
    const [h = [], c = []] = states;
    if (!kernel || !recurrent || !bias) throw new Error('no weights');
    const own = times(x, kernel).map((v, i) => v + (bias.data[i] ?? 0));
    const inner = times(h, recurrent);
    const at = (list: Row, gate: number, i: number) => list[gate * units + i] ?? 0;
    const unit = Array.from({ length: units }, (_, i) => i);
    if (drawn.className === 'SimpleRNN')
      return [unit.map((i) => f(at(own, 0, i) + at(inner, 0, i)))];
    if (drawn.className === 'LSTM') {
      const sum = (gate: number, i: number) => at(own, gate, i) + at(inner, gate, i);
      const next = unit.map((i) => g(sum(1, i)) * (c[i] ?? 0) + g(sum(0, i)) * f(sum(2, i)));
      return [unit.map((i) => g(sum(3, i)) * f(next[i] ?? 0)), next];
    }
    const after = drawn.resetAfter
      ? inner.map((v, i) => v + (bias.data[3 * units + i] ?? 0))
      : inner;
    const z = unit.map((i) => g(at(own, 0, i) + at(after, 0, i)));
    const r = unit.map((i) => g(at(own, 1, i) + at(after, 1, i)));
    const reset = times(
      unit.map((i) => (r[i] ?? 0) * (h[i] ?? 0)),
      recurrent,
    );
    const candidate = unit.map((i) =>
      f(at(own, 2, i) + (drawn.resetAfter ? (r[i] ?? 0) * at(after, 2, i) : at(reset, 2, i))),
    );
    return [unit.map((i) => (z[i] ?? 0) * (h[i] ?? 0) + (1 - (z[i] ?? 0)) * (candidate[i] ?? 0))];
  }

  const drawn = fc.record<Drawn>({
    className: fc.constantFrom('LSTM', 'GRU', 'SimpleRNN'),
    activation: fc.constantFrom('tanh', 'relu', 'mish'),
    recurrent: fc.constantFrom('sigmoid', 'hard_sigmoid'),
    resetAfter: fc.boolean(),
    backwards: fc.boolean(),
    sequences: fc.boolean(),
    zeros: fc.boolean(),
    mask: fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), {
      minLength: 2,
      maxLength: 3,
    }),
  });

  it('skip what a mask leaves out, wherever it is', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, async (given) => {
        const gates = { LSTM: 4, GRU: 3, SimpleRNN: 1 }[given.className];
        const double = given.className === 'GRU' && given.resetAfter;
        const weights = [
          weight([features, gates * units], 1),
          weight([units, gates * units], 2),
          weight(double ? [2, gates * units] : [gates * units], 3),
        ];
        const { mask } = given;
        const x = mask.map((row, r) =>
          row.map((kept, t) =>
            kept ? [...noise(features, r * 7 + t + 1)].map((v) => v || 0.5) : [0, 0],
          ),
        );
        const outputs = x.map((steps, r) => {
          const order = given.backwards ? [3, 2, 1, 0] : [0, 1, 2, 3];
          let states: Row[] = [1, 2].map(() => Array.from({ length: units }, () => 0));
          const nothing = Array.from({ length: units }, () => 0);
          let last: Row = nothing;
          const all = order.map((t) => {
            if (mask[r]?.[t]) {
              states = step(given, steps[t] ?? [], states, weights);
              last = states[0] ?? last;
              return last;
            }
            last = given.zeros ? nothing : last;
            return last;
          });
          return given.sequences ? all : [all.at(-1) ?? last];
        });
        const config = {
          units,
          activation: given.activation,
          recurrent_activation: given.recurrent,
          go_backwards: given.backwards,
          return_sequences: given.sequences,
          zero_output_for_mask: given.zeros,
          reset_after: given.resetAfter,
        };
        const shape = given.sequences ? [mask.length, 4, units] : [mask.length, units];
        await expectLayer(
          {
            inputs: [{ shape: [null, features] }],
            layers: [
              { className: 'Masking', config: { mask_value: 0 } },
              { className: given.className, config },
            ],
            weights,
          },
          [floats([mask.length, 4, features], x.flat(2))],
          { shape, data: outputs.flat(2) },
        );
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it.each(['concat', 'sum', 'mul', 'ave'])('both ways, merged by %s', async (mode) => {
    const weights = [1, 2].flatMap((seed) => [
      weight([2, 12], seed),
      weight([3, 12], seed + 2),
      weight([12], seed + 4),
    ]);
    const x = input([2, 5, 2]);
    const lstm = {
      class_name: 'LSTM',
      config: {
        name: 'lstm',
        units: 3,
        activation: 'tanh',
        recurrent_activation: 'sigmoid',
        return_sequences: true,
      },
    };
    const inputs = [{ shape: [5, 2] }];
    const one = async (backwards: boolean) => {
      const config = { ...lstm.config, go_backwards: backwards };
      const own = backwards ? weights.slice(3) : weights.slice(0, 3);
      const [answer] = await runLayers(
        runner,
        { inputs, layers: [{ className: 'LSTM', config }], weights: own },
        [x],
      );
      const made = reference<tf.Rank.R3>(answer ?? x);
      return backwards ? tf.reverse(made, 1) : made;
    };
    const [forward, backward] = [await one(false), await one(true)];
    const merged: Record<string, () => tf.Tensor> = {
      concat: () => tf.concat([forward, backward], 2),
      sum: () => forward.add(backward),
      mul: () => forward.mul(backward),
      ave: () => forward.add(backward).div(2),
    };
    const layers = [{ className: 'Bidirectional', config: { layer: lstm, merge_mode: mode } }];
    await expectLayer({ inputs, layers, weights }, [x], merged[mode]?.() ?? forward);
  });

  it('of several cells are the layers one after the other', async () => {
    const cell = (name: string) => ({
      class_name: 'GRUCell',
      config: {
        name,
        units: 3,
        activation: 'tanh',
        recurrent_activation: 'sigmoid',
        reset_after: true,
      },
    });
    const weights = [
      weight([2, 9], 1),
      weight([3, 9], 2),
      weight([2, 9], 3),
      weight([3, 9], 4),
      weight([3, 9], 5),
      weight([2, 9], 6),
    ];
    const x = input([2, 5, 2]);
    const inputs = [{ shape: [5, 2] }];
    const gru = (sequences: boolean) => ({
      className: 'GRU',
      config: { ...cell('gru').config, return_sequences: sequences },
    });
    const plain = { inputs, layers: [gru(true), gru(false)], weights };
    const [wanted] = await runLayers(runner, plain, [x]);
    const stacked = { class_name: 'StackedRNNCells', config: { cells: [cell('a'), cell('b')] } };
    await expectLayer(
      { inputs, layers: [{ className: 'RNN', config: { cell: stacked } }], weights },
      [x],
      wanted as { shape: number[]; data: Float32Array },
    );
  });

  it('ConvLSTM2D of one pixel is an LSTM', async () => {
    const weights = [weight([2, 12], 1), weight([3, 12], 2), weight([12], 3)];
    const x = input([2, 5, 2]);
    const config = { activation: 'tanh', recurrent_activation: 'sigmoid', return_sequences: true };
    const [wanted] = await runLayers(
      runner,
      {
        inputs: [{ shape: [5, 2] }],
        layers: [{ className: 'LSTM', config: { ...config, units: 3 } }],
        weights,
      },
      [x],
    );
    const spread = weights.map(({ shape, data }) => ({
      shape: shape.length === 2 ? [1, 1, ...shape] : shape,
      data,
    }));
    await expectLayer(
      {
        inputs: [{ shape: [5, 1, 1, 2] }],
        layers: [{ className: 'ConvLSTM2D', config: { ...config, filters: 3, kernel_size: 1 } }],
        weights: spread,
      },
      [{ ...x, shape: [2, 5, 1, 1, 2] }],
      { shape: [2, 5, 1, 1, 3], data: (wanted?.data ?? []) as Float32Array },
    );
  });
});

describe('categories', () => {
  it('Discretization, CategoryEncoding and IntegerLookup', async () => {
    const x = floats([2, 3], [-1, 0, 0.5, 1, 7, NaN]);
    const boundaries = { bin_boundaries: [0, 1] };
    await expectLayer(
      { inputs: [{ shape: [3] }], layers: [{ className: 'Discretization', config: boundaries }] },
      [x],
      { shape: [2, 3], data: [0, 1, 1, 2, 2, 2] },
    );
    const ids = { dtype: 'INT32' as const, shape: [2, 3], data: Int32Array.of(0, 2, 2, 1, 1, 3) };
    const inputs = [{ shape: [3], dtype: 'int32' }];
    const encoding = (output_mode: string) => [
      { className: 'CategoryEncoding', config: { num_tokens: 4, output_mode } },
    ];
    await expectLayer({ inputs, layers: encoding('multi_hot') }, [ids], {
      shape: [2, 4],
      data: [1, 0, 1, 0, 0, 1, 0, 1],
    });
    await expectLayer({ inputs, layers: encoding('count') }, [ids], {
      shape: [2, 4],
      data: [1, 0, 2, 0, 0, 2, 0, 1],
    });
    const lookup = [
      { className: 'IntegerLookup', config: { vocabulary: [2, 1], output_mode: 'int' } },
    ];
    await expectLayer({ inputs, layers: lookup }, [ids], {
      shape: [2, 3],
      data: [0, 1, 1, 2, 2, 0],
    });
  });

  it('texts become words, and words numbers', async () => {
    const texts = { dtype: 'BYTES' as const, shape: [3, 1], data: ['Ab  cd!', '', 'x ab q'] };
    const config = {
      vocabulary: ['', '[UNK]', 'ab', 'cd'],
      standardize: 'lower_and_strip_punctuation',
      split: 'whitespace',
      output_mode: 'int',
    };
    const inputs = [{ shape: [1], dtype: 'string' }];
    const layers = (more: object) => [
      { className: 'TextVectorization', config: { ...config, ...more } },
    ];
    await expectLayer({ inputs, layers: layers({}) }, [texts], {
      shape: [3, 3],
      data: [2, 3, 0, 0, 0, 0, 1, 2, 1],
    });
    await expectLayer({ inputs, layers: layers({ output_sequence_length: 2 }) }, [texts], {
      shape: [3, 2],
      data: [2, 3, 0, 0, 1, 2],
    });
    const counts = { output_mode: 'count', vocabulary: ['[UNK]', 'ab', 'cd'] };
    await expectLayer({ inputs, layers: layers(counts) }, [texts], {
      shape: [3, 3],
      data: [0, 1, 1, 0, 0, 0, 2, 1, 0],
    });
  });

  it('a word that a vocabulary must have is a fault of the request', async () => {
    const inputs = [{ shape: [1], dtype: 'string' }];
    const layers = [
      {
        className: 'StringLookup',
        config: { vocabulary: ['a', 'b'], num_oov_indices: 0, mask_token: null },
      },
    ];
    const words = (word: string) => ({ dtype: 'BYTES' as const, shape: [1, 1], data: [word] });
    await expectLayer({ inputs, layers }, [words('b')], { shape: [1, 1], data: [1] });
    await expect(runLayers(runner, { inputs, layers }, [words('c')])).rejects.toThrow(
      /out of|bounds/i,
    );
  });
});

describe('attention', () => {
  const [rows, steps, size] = [2, 4, 6];
  const [heads, depth] = [2, 3];
  const x = input([rows, steps, size], 9);

  /** Each head by itself; `kept(row, query, key)` says what a step sees. */
  function attended(
    weights: WeightLiteral[],
    kept: (row: number, query: number, key: number) => boolean,
    keyHeads = heads,
  ) {
    const [query, queryBias, key, keyBias, value, valueBias, output, outputBias] = weights;
    const at = (given: WeightLiteral | undefined, i: number) => given?.data[i] ?? 0;
    const source = Array.from(x.data, Number);
    const projected =
      (kernel: WeightLiteral | undefined, bias: WeightLiteral | undefined, count: number) =>
      (row: number, step: number, head: number, d: number) => {
        let sum = at(bias, head * depth + d);
        for (let f = 0; f < size; f++)
          sum +=
            (source[(row * steps + step) * size + f] ?? 0) *
            at(kernel, (f * count + head) * depth + d);
        return sum;
      };
    const q = projected(query, queryBias, heads);
    const k = projected(key, keyBias, keyHeads);
    const v = projected(value, valueBias, keyHeads);
    const range = (n: number) => Array.from({ length: n }, (_, i) => i);
    return range(rows).flatMap((row) =>
      range(steps).flatMap((t) => {
        const joined = range(heads).flatMap((head) => {
          const shared = Math.floor((head * keyHeads) / heads);
          const scores = range(steps).map((s) => {
            const score = range(depth).reduce(
              (sum, d) => sum + q(row, t, head, d) * k(row, s, shared, d),
              0,
            );
            return kept(row, t, s) ? Math.exp(score / Math.sqrt(depth)) : 0;
          });
          const whole = scores.reduce((sum, score) => sum + score, 0);
          return range(depth).map((d) =>
            scores.reduce((sum, score, s) => sum + (score / whole) * v(row, s, shared, d), 0),
          );
        });
        return range(size).map((o) =>
          joined.reduce(
            (sum, value, i) => sum + value * at(output, i * size + o),
            at(outputBias, o),
          ),
        );
      }),
    );
  }

  function weightsOf(keyHeads = heads): WeightLiteral[] {
    const projection = (seed: number, count: number) => [
      weight([size, count, depth], seed),
      weight([count, depth], seed + 1),
    ];
    return [
      ...projection(1, heads),
      ...projection(3, keyHeads),
      ...projection(5, keyHeads),
      weight([heads, depth, size], 7),
      weight([size], 8),
    ];
  }

  const selfAttention = (
    className: string,
    config: object,
    kwargs: object,
    weights: WeightLiteral[],
  ) => ({
    inputs: [{ shape: [steps, size] }],
    layers: [{ className, config: { ...config }, kwargs: { value: ['in0', 0, 0], ...kwargs } }],
    weights,
  });

  it('of several heads, of a step on those before it too', async () => {
    const weights = weightsOf();
    const config = { num_heads: heads, key_dim: depth };
    const shape = [rows, steps, size];
    const whole = selfAttention('MultiHeadAttention', config, {}, weights);
    await expectLayer(whole, [x], { shape, data: attended(weights, () => true) });
    const causal = selfAttention('MultiHeadAttention', config, { use_causal_mask: true }, weights);
    await expectLayer(causal, [x], { shape, data: attended(weights, (_, t, s) => s <= t) });
  });

  it('of heads that share keys, in a window', async () => {
    const weights = weightsOf(1);
    const config = {
      head_dim: depth,
      num_query_heads: heads,
      num_key_value_heads: 1,
      sliding_window: 2,
    };
    const given = selfAttention('GroupedQueryAttention', config, {}, weights);
    const data = attended(weights, (_, t, s) => Math.abs(t - s) < 2, 1);
    await expectLayer(given, [x], { shape: [rows, steps, size], data });
  });
});
