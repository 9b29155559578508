import { describe, expect, it } from '@jest/globals';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { sharedRunner } from './support/program-runner.js';
import { answerOf, expectTensor, noise, tensor, type OpCase } from './support/tf-op-checks.js';

const runner = sharedRunner();

async function expectOp(given: OpCase, wanted: tf.Tensor): Promise<void> {
  const answer = await answerOf(runner, given);
  const data = await wanted.data();
  expectTensor(answer, { shape: wanted.shape, data }, { absolute: 1e-5, why: given.op });
}

const of = (shape: number[], seed: number) =>
  tensor(
    'FP32',
    shape,
    noise(
      shape.reduce((a, b) => a * b),
      seed,
    ),
  );
const [a, b, bias, alpha] = [of([3, 4], 1), of([4, 5], 2), of([5], 3), of([5], 4)];
const numbers = ({ data, shape }: typeof a) => tf.tensor(Array.from(data, Number), shape);

describe('fused operations', () => {
  it.each([
    [['BiasAdd'], 'linear'],
    [['BiasAdd', 'Relu'], 'relu'],
    [['BiasAdd', 'Relu6'], 'relu6'],
    [['BiasAdd', 'Elu'], 'elu'],
    [['BiasAdd', 'Sigmoid'], 'sigmoid'],
    [['BiasAdd', 'LeakyRelu'], 'leakyrelu'],
  ] as const)('_FusedMatMul of %j', async (steps, activation) => {
    const wanted = tf.fused.matMul({
      a: numbers(a) as tf.Tensor2D,
      b: numbers(b) as tf.Tensor2D,
      bias: numbers(bias),
      activation,
      leakyreluAlpha: 0.3,
    });
    const attributes = { fused_ops: [...steps], leakyrelu_alpha: { float: 0.3 } };
    await expectOp({ op: '_FusedMatMul', inputs: [a, b, bias], attributes }, wanted);
  });

  it.each([
    ['Tanh', tf.tanh],
    [
      'GeluExact',
      (x: tf.Tensor) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
    ],
    [
      'GeluApproximate',
      (x: tf.Tensor) => {
        const cube = tf.mul(tf.mul(x, x), x);
        const inner = tf.mul(tf.add(x, tf.mul(cube, 0.044715)), Math.sqrt(2 / Math.PI));
        return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
      },
    ],
  ] as const)('_FusedMatMul with %s', async (step, activation) => {
    const sums = tf.add(
      tf.matMul(numbers(a) as tf.Tensor2D, numbers(b) as tf.Tensor2D),
      numbers(bias),
    );
    const attributes = { fused_ops: ['BiasAdd', step] };
    await expectOp({ op: '_FusedMatMul', inputs: [a, b, bias], attributes }, activation(sums));
  });

  it('_FusedMatMul with Prelu, and Prelu', async () => {
    const sums = tf.add(
      tf.matMul(numbers(a) as tf.Tensor2D, numbers(b) as tf.Tensor2D),
      numbers(bias),
    );
    const attributes = { fused_ops: ['BiasAdd', 'Prelu'] };
    const wanted = tf.prelu(sums, numbers(alpha));
    await expectOp({ op: '_FusedMatMul', inputs: [a, b, bias, alpha], attributes }, wanted);
    const x = of([3, 5], 9);
    await expectOp({ op: 'Prelu', inputs: [x, alpha] }, tf.prelu(numbers(x), numbers(alpha)));
  });

  it('_FusedConv2D and _FusedDepthwiseConv2dNative', async () => {
    const image = of([2, 6, 7, 3], 5);
    const filter = of([3, 2, 3, 5], 6);
    const common = { strides: [1, 2, 2, 1], padding: 'SAME', fused_ops: ['BiasAdd', 'Relu'] };
    const shared = {
      x: numbers(image) as tf.Tensor4D,
      strides: 2,
      pad: 'same',
      activation: 'relu',
    } as const;
    const conv = tf.fused.conv2d({
      ...shared,
      filter: numbers(filter) as tf.Tensor4D,
      bias: numbers(bias),
    });
    await expectOp({ op: '_FusedConv2D', inputs: [image, filter, bias], attributes: common }, conv);
    const each = of([3, 3, 3, 2], 7);
    const six = of([6], 8);
    const depthwise = tf.fused.depthwiseConv2d({
      ...shared,
      filter: numbers(each) as tf.Tensor4D,
      bias: numbers(six),
    });
    const op = '_FusedDepthwiseConv2dNative';
    await expectOp({ op, inputs: [image, each, six], attributes: common }, depthwise);
  });

  it.each([
    [['BiasAdd', 'Swish'], /"Swish" is fused in it/],
    [['Relu'], /1 more inputs than Relu take/],
    [['BiasAdd', 'Prelu'], /Prelu in it lacks an input/],
  ])('of %j are refused', async (steps, message) => {
    const given = { op: '_FusedMatMul', inputs: [a, b, bias], attributes: { fused_ops: steps } };
    await expect(answerOf(runner, given)).rejects.toThrow(message);
  });
});
