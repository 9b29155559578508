import * as tf from '@tensorflow/tfjs-core';
import type {} from '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';

/* Lets tests write x.add(y): the library's own registration is in modules that its bundle does not share. */

const names = [
  'add',
  'sub',
  'mul',
  'div',
  'sqrt',
  'square',
  'mean',
  'max',
  'sum',
  'pad',
  'slice',
  'reshape',
];

for (const name of names) {
  const compute = (tf as unknown as Record<string, (...given: unknown[]) => tf.Tensor>)[name];
  Object.defineProperty(tf.Tensor.prototype, name, {
    configurable: true,
    value: function chained(this: tf.Tensor, ...given: unknown[]) {
      return compute?.(this, ...given);
    },
  });
}
