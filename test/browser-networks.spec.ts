import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import type { Tensor } from '#program';
import { type InferTensor, Slipway } from '#sdk';
import { buildForBrowsers, findChromium, startChromium } from './support/chromium.js';
import { Product } from './support/product.js';
import { filesOf, networkFixtures, tensorOf } from './support/network-cases.js';
import { LETTERS, WINDOW, writeTextGenerator } from './support/text-generator.js';

/*
 * Networks that the registry has compiled answer in a page of the registry, from `GET …/program` and with onnxruntime-web, as
 * they do on the server.
 */

const executable = findChromium('networks in a browser');
const ort = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));

const PAGE = `<!doctype html><meta charset="utf-8"><script type="module">
import * as library from '/sdk/v1/program.js';
import * as ort from '/ort/ort.wasm.min.mjs';
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = '/ort/';
const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
let runtime;
window.open = async (model, version) => {
  const url = '/api/v1/models/' + model + '/versions/' + version + '/program';
  const program = await (await fetch(url)).json();
  const files = new Map();
  for (const { path } of program.files) files.set(path, await bytesOf(url + '/files/' + path));
  const onnx = library.onnxBackend(ort);
  runtime = await library.loadProgram(program, await bytesOf(url + '/weights'), { files, onnx });
};
window.predict = async (tensors) => {
  const inputs = tensors.map(({ name, datatype: dtype, shape, data }) => {
    const array = library.newData(dtype, data.length);
    for (let i = 0; i < data.length; i++) array[i] = data[i];
    return { name, dtype, shape, data: array };
  });
  const bound = library.bindInputs(runtime, inputs, { maxRows: 1e5 });
  const outputs = await runtime.run(bound, library.bindOutputs(runtime));
  return outputs.map(({ name, dtype: datatype, shape, data }) =>
    ({ name, datatype, shape, data: Array.from(data, Number) }));
};
</script>`;

/** Answers inputs of a network. */
type Predict = (inputs: InferTensor[]) => Promise<InferTensor[]>;

(executable ? describe : describe.skip)('in Chromium', () => {
  let server: Product;
  let slipway: Slipway;
  let browser: Browser;
  let page: Page;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-networks-'));
    await buildForBrowsers();
    [server, browser] = await Promise.all([Product.start(), startChromium(executable ?? '')]);
    slipway = new Slipway({ url: server.url });
    page = await browser.newPage();
    const origin = new URL(server.url).origin;
    await page.route(`${origin}/networks.html`, (route) =>
      route.fulfill({ contentType: 'text/html', body: PAGE }),
    );
    await page.route(`${origin}/ort/*`, (route) =>
      route.fulfill({ path: join(ort, new URL(route.request().url()).pathname.slice(5)) }),
    );
    await page.goto(`${origin}/networks.html`);
    await page.waitForFunction('window.predict');
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await server?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  /** Logs an upload, and opens it in the page; answers how to ask it on the server and in the page. */
  async function open(name: string, path: string): Promise<{ server: Predict; inPage: Predict }> {
    const { version } = await slipway.logModel({ name, path, promote: true });
    await page.evaluate(`window.open(${JSON.stringify(name)}, ${version})`);
    return {
      server: async (inputs) => (await slipway.infer(name, { inputs })).outputs,
      inPage: (inputs) => page.evaluate(`window.predict(${JSON.stringify(inputs)})`),
    };
  }

  it('an LSTM writes the text that it writes on the server', async () => {
    const upload = join(folder, 'generator');
    await writeTextGenerator(upload);
    const asked = await open('generator', upload);
    const [onServer, inPage] = [await generate(asked.server, 40), await generate(asked.inPage, 40)];
    expect(inPage.text).toBe(onServer.text);
    expect(new Set(onServer.text).size).toBeGreaterThan(5);
    expectNear(inPage.likelihoods, onServer.likelihoods);
  }, 120_000);

  const images = [
    { kind: 'tfjs', model: 'nsfw-mobilenet' },
    { kind: 'saved-model', model: 'keras2-cnn-image' },
    { kind: 'keras', model: 'k3-cnn' },
  ];
  it.each(images)(
    'an image classifier ($kind/$model) answers as on the server',
    async ({ kind, model }) => {
      const fixture = networkFixtures(kind).find(({ name }) => name === `${kind}/${model}`);
      if (!fixture) return;
      const upload = join(folder, model);
      for (const { path, file } of filesOf(fixture.folder)) {
        await mkdir(dirname(join(upload, path)), { recursive: true });
        await copyFile(file, join(upload, path));
      }
      const asked = await open(model, upload);
      const { cases = [] } = fixture.expected;
      expect(cases.length).toBeGreaterThan(0);
      for (const { inputs } of cases) {
        const request = Object.entries(inputs).map((entry) =>
          inferTensor(tensorOf(fixture.folder, ...entry)),
        );
        // A Sequential of TF.js does not say what its only input is called.
        const [only, ...others] = await slipway.inputs(model);
        if (only && others.length === 0 && request[0]) request[0].name = only.name;
        const [onServer, inPage] = [await asked.server(request), await asked.inPage(request)];
        expect(inPage.map(({ name, shape }) => ({ name, shape }))).toEqual(
          onServer.map(({ name, shape }) => ({ name, shape })),
        );
        for (const [i, { data }] of onServer.entries()) expectNear(inPage[i]?.data ?? [], data);
      }
    },
    120_000,
  );
});

function inferTensor({ name, dtype, shape, data }: Tensor): InferTensor {
  return { name, datatype: dtype, shape, data: Array.from<unknown>(data) };
}

/** Within 1e-5 of the largest that there is. */
function expectNear(got: unknown[], expected: unknown[]): void {
  expect(got.length).toBe(expected.length);
  const numbers = expected.map(Number);
  const largest = Math.max(...numbers.map(Math.abs));
  const worst = Math.max(...numbers.map((number, i) => Math.abs(Number(got[i]) - number)));
  expect(worst).toBeLessThanOrEqual(1e-5 * largest);
}

/** Writes letters one after the other, each drawn by how likely the network says it is. */
async function generate(
  predict: Predict,
  length: number,
): Promise<{ text: string; likelihoods: number[] }> {
  let text = 'once upon a time there was'.slice(-WINDOW);
  const likelihoods: number[] = [];
  for (let step = 0; step < length; step++) {
    const read = text.slice(-WINDOW);
    const data = Array.from(
      { length: WINDOW * LETTERS.length },
      (_, i) => +(LETTERS[i % LETTERS.length] === read[Math.floor(i / LETTERS.length)]),
    );
    const shape = [1, WINDOW, LETTERS.length];
    const input = { name: 'lstm_input', datatype: 'FP32' as const, shape, data };
    const [output] = await predict([input]);
    const row = (output?.data ?? []).map(Number);
    likelihoods.push(...row);
    // The golden ratio strews draws evenly.
    let left = (step * 0.618_033_988_75) % 1;
    const drawn = row.findIndex((likelihood) => (left -= likelihood) < 0);
    text += LETTERS[drawn] ?? ' ';
  }
  return { text: text.slice(WINDOW), likelihoods };
}
