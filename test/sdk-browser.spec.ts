import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, type Context, SourceTextModule } from 'node:vm';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type * as Sdk from '#sdk';
import { Product } from './support/product.js';

const identity = join('test', 'fixtures', 'identity-int64.onnx');

let server: Product;
beforeAll(async () => {
  server = await Product.start();
}, 60_000);
afterAll(() => server.remove());

/** What a browser has, and nothing else: no `process`, no `Buffer`, no module of Node. */
function browser(): Context {
  return createContext({
    AbortController,
    AbortSignal,
    Blob,
    Headers,
    ReadableStream,
    Response,
    TextDecoder,
    TextEncoder,
    URL,
    atob,
    btoa,
    clearTimeout,
    crypto,
    fetch,
    location: { origin: server.url },
    setTimeout,
    // Bytes cross into fetch of the outer realm, which wants its own.
    ArrayBuffer,
    Uint8Array,
  });
}

async function loadSdk(context: Context): Promise<typeof Sdk> {
  const modules = new Map<string, Promise<SourceTextModule>>();
  const load = (url: string): Promise<SourceTextModule> => {
    const known = modules.get(url);
    if (known) return known;
    if (!url.startsWith('file:')) throw new Error(`A browser has no module ${url}`);
    const module = readFile(fileURLToPath(url), 'utf8').then(
      (text) => new SourceTextModule(text, { context, identifier: url }),
    );
    modules.set(url, module);
    return module;
  };
  const root = await load(new URL('../libs/sdk/index.js', import.meta.url).href);
  await root.link((specifier, from) => {
    const relative = specifier.startsWith('.');
    return load(relative ? new URL(specifier, from.identifier).href : specifier);
  });
  await root.evaluate();
  return root.namespace as typeof Sdk;
}

it('runs in a browser', async () => {
  const { Slipway } = await loadSdk(browser());
  const slipway = new Slipway();
  expect(slipway.url).toBe(server.url);
  const bytes = randomBytes(9 << 20);
  const files = [
    { path: 'model.onnx', data: new Blob([await readFile(identity)]) },
    { path: 'weights.bin', data: new Blob([bytes]) },
  ];
  const { version } = await slipway.logModel({ name: 'browser', files, promote: true });
  const { stream, size } = await slipway.download('browser', version, 'weights.bin');
  expect(size).toBe(bytes.length);
  expect(bytes.equals(new Uint8Array(await new Response(stream).arrayBuffer()))).toBe(true);
  const { outputs } = await slipway.predict('browser', { x: [[1, 2n ** 60n + 1n]] });
  expect(outputs['y']).toEqual([[1, 2n ** 60n + 1n]]);
});
