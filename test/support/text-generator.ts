import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Seeded } from './seeded.js';

/** What the generator writes, a one-hot column each. */
export const LETTERS = 'abcdefghijklmnopqrstuvwxyz ';
/** Letters that it reads for the next one. */
export const WINDOW = 24;
const UNITS = 48;

/**
 * Writes a TF.js layers model as that of the example "lstm-text-generation" of TF.js to `folder`: letters one-hot
 * `[batch, window, letters]` → LSTM → softmax over the next letter. Its weights are random, and always the same.
 */
export async function writeTextGenerator(folder: string): Promise<void> {
  const letters = LETTERS.length;
  const lstm = {
    name: 'lstm',
    units: UNITS,
    activation: 'tanh',
    recurrent_activation: 'hard_sigmoid',
    use_bias: true,
    return_sequences: false,
    return_state: false,
    go_backwards: false,
    stateful: false,
    unroll: false,
    batch_input_shape: [null, WINDOW, letters],
    dtype: 'float32',
  };
  const dense = { name: 'dense', units: letters, activation: 'softmax', use_bias: true };
  const weights = [
    { name: 'lstm/kernel', shape: [letters, 4 * UNITS], dtype: 'float32' },
    { name: 'lstm/recurrent_kernel', shape: [UNITS, 4 * UNITS], dtype: 'float32' },
    { name: 'lstm/bias', shape: [4 * UNITS], dtype: 'float32' },
    { name: 'dense/kernel', shape: [UNITS, letters], dtype: 'float32' },
    { name: 'dense/bias', shape: [letters], dtype: 'float32' },
  ];
  const random = new Seeded(7);
  const size = weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
  const numbers = Float32Array.from({ length: size }, () => (random.next() - 0.5) * 2);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'weights.bin'), new Uint8Array(numbers.buffer));
  const model = {
    format: 'layers-model',
    modelTopology: {
      class_name: 'Sequential',
      config: {
        name: 'generator',
        layers: [
          { class_name: 'LSTM', config: lstm },
          { class_name: 'Dense', config: dense },
        ],
      },
      keras_version: 'tfjs-layers 4.22.0',
      backend: 'tensor_flow.js',
    },
    weightsManifest: [{ paths: ['weights.bin'], weights }],
  };
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
}
