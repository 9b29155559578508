import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { Message } from '../../libs/formats/onnx-file/message.js';
import {
  modelBytes,
  nodeMessage,
  tensorMessage,
  valueMessage,
} from '../../libs/formats/onnx-file/onnx-messages.js';
import { Product } from '../support/product.js';
import { until } from '../support/processes.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { Seeded } from '../support/seeded.js';

/*
 * Versions of a fine-tuned ONNX model, of which only the head differs: what their files have in common is stored once, they
 * load and answer as before, and a registry that is killed while it looks for it loses nothing.
 */

const WIDTH = 1024;
const seeded = new Seeded();
const backbone = new Float32Array(WIDTH * WIDTH).map(() => seeded.next() / WIDTH);
let product: Product;
let slipway: Slipway;

beforeAll(async () => {
  product = await Product.start({ env: { LOG_LEVEL: 'info' } });
  slipway = new Slipway({ url: product.url, servingUrl: product.servingUrl });
}, 120_000);
afterAll(() => product.remove(), 120_000);

/** `x · backbone · head + bias`: of two versions only the head and the bias differ. */
function fineTuned(bias: number): Uint8Array {
  const weights = (name: string, shape: number[], values: ArrayLike<number>) =>
    tensorMessage('FP32', shape, values).text(8, name);
  const node = (operator: string, inputs: string[], output: string) =>
    nodeMessage({ operator, inputs, outputs: [output] });
  const graph = new Message()
    .text(2, 'tuned')
    .message(1, node('MatMul', ['x', 'backbone'], 'h'))
    .message(1, node('MatMul', ['h', 'head'], 'y0'))
    .message(1, node('Add', ['y0', 'bias'], 'y'))
    .message(5, weights('head', [WIDTH, 1], new Float32Array(WIDTH).fill(bias)))
    .message(5, weights('backbone', [WIDTH, WIDTH], backbone))
    .message(5, weights('bias', [1], [bias]))
    .message(11, valueMessage('x', 'FP32', [-1, WIDTH]))
    .message(12, valueMessage('y', 'FP32', [-1, 1]));
  return modelBytes(graph, { producer: 'test', domains: [] });
}

/** Bytes of all blobs in the store. */
function stored(): number {
  const blobs = join(product.folder, 'artifacts', 'blobs');
  return readdirSync(blobs, { recursive: true, encoding: 'utf8' }).reduce((sum, path) => {
    const found = statSync(join(blobs, path), { throwIfNoEntry: false });
    return sum + (found?.isFile() ? found.size : 0);
  }, 0);
}

async function log(bias: number): Promise<number> {
  const files = [{ path: 'model.onnx', data: Buffer.from(fineTuned(bias)) }];
  const { version } = await slipway.logModel({ name: 'tuned', files });
  return version;
}

async function predicted(): Promise<number> {
  const { outputs } = await slipway.predict('tuned', {
    x: [Array.from({ length: WIDTH }, () => 0)],
  });
  const [[y] = []] = outputs['y'] as number[][];
  return Number(y);
}

it(
  'versions that share their initialisers store them once, whenever the registry is killed',
  async () => {
    const { length: size } = fineTuned(1);
    const rounds = amount(3, 25);
    let versions = 0;
    for (let round = 0; round < rounds; round++) {
      for (const more of [1, 2]) expect(await log(2 * round + more)).toBe(++versions);
      // It begins 2 s after an upload.
      await sleep(seeded.int(1_900, 2_600));
      await product.stop('SIGKILL');
      await product.start();
      for (let version = 1; version <= versions; version++) {
        const path = `/api/v1/models/tuned/versions/${version}/files/model.onnx`;
        const answer = await fetch(product.url + path);
        expect(Buffer.from(await answer.arrayBuffer()).equals(fineTuned(version))).toBe(true);
      }
    }
    // The weights of the backbone once; of each version the pieces around what differs, and its Program.
    const most = size + versions * 0.2 * size;
    await until(() => stored() < most, 60_000);
    report('fine-tuned versions', { versions, size, together: versions * size, stored: stored() });
    for (const version of [1, versions]) {
      await slipway.promote('tuned', version, { wait: 60 });
      expect(await predicted()).toBe(version);
    }
  },
  proofTimeout,
);
