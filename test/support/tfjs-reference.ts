import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import type { ProgramRunner } from './program-runner.js';
import { answerOf, expectTensor, type OpCase } from './tf-op-checks.js';
import type { TensorLiteral } from './tf-graphs.js';

/** A tensor of TensorFlow.js. */
export function reference({ shape, data, dtype }: TensorLiteral): tf.Tensor {
  return tf.tensor(Array.from(data, Number), shape, dtype === 'INT32' ? 'int32' : 'float32');
}

/** Expects of an operation what TensorFlow.js has computed, with shapes that are known beforehand and with free ones. */
export async function expectLikeTfjs(
  runner: ProgramRunner,
  given: OpCase,
  wanted: tf.Tensor,
): Promise<void> {
  const why = JSON.stringify({ ...given, inputs: given.inputs.map(({ shape }) => shape) });
  const free = given.inputs.map(({ shape }) => shape.map(() => -1));
  for (const shapes of [given.inputs.map(({ shape }) => shape), free]) {
    const got = await answerOf(runner, { ...given, shapes });
    expectTensor(got, { shape: wanted.shape, data: await wanted.data() }, { absolute: 1e-5, why });
  }
}
