import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import * as library from '#program';
import { buildForBrowsers, findChromium, startChromium } from './support/chromium.js';
import {
  runCase,
  type ConformanceAnswer,
  type ConformanceCase,
} from './support/conformance-runner.js';
import { makeNetworkSuite, makeOnnxSuite, makeSuite } from './support/conformance-suite.js';

/*
 * One suite over all fixtures, compiled once: each program answers as its library does, in Node and in Chromium, and both
 * answer the same bits.
 */

let folder: string;
let cases: ConformanceCase[];
const answers = new Map<string, ConformanceAnswer>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-conformance-'));
  cases = await makeSuite(folder);
}, 300_000);
afterAll(() => rm(folder, { recursive: true }));

/** All that differs, not only the first. */
function expectNone(differences: string[]): void {
  expect(differences.slice(0, 20)).toEqual([]);
}

it('Node answers as the libraries do', async () => {
  const read = async (path: string) => new Uint8Array(await readFile(join(folder, path)));
  const differences: string[] = [];
  for (const entry of cases) {
    const answer = await runCase({ library, read }, entry);
    answers.set(entry.name, answer);
    differences.push(...answer.differences.map((difference) => `${entry.name}: ${difference}`));
  }
  const compared = [...answers.values()].reduce((sum, { compared: count }) => sum + count, 0);
  process.stdout.write(`conformance: ${cases.length} models, ${compared} outputs recorded\n`);
  expect(compared).toBeGreaterThan(cases.length / 2);
  expect(cases.length).toBeGreaterThan(20);
  expectNone(differences);
}, 300_000);

const executable = findChromium('the conformance suite in a browser');

(executable ? describe : describe.skip)('in Chromium', () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  const ort = onnxRuntimeWeb();
  beforeAll(async () => {
    await buildForBrowsers();
    server = await serve(folder, ort);
    browser = await startChromium(executable ?? '');
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction('window.runCase');
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** Runs a case in the page. */
  const run = (entry: ConformanceCase): Promise<ConformanceAnswer> =>
    page.evaluate<ConformanceAnswer>(`window.runCase(${JSON.stringify(entry)})`);

  it('kernels and forests answer the same bits', async () => {
    const differences: string[] = [];
    for (const entry of cases) {
      const { outputs } = await run(entry);
      for (const [i, output] of (answers.get(entry.name)?.outputs ?? []).entries()) {
        if (JSON.stringify(output) !== JSON.stringify(outputs[i]))
          differences.push(`${entry.name}: ${output.name}`);
      }
    }
    expectNone(differences);
  }, 300_000);

  (ort ? it : it.skip)(
    'ONNX graphs answer within 1e-5',
    async () => {
      const models = await makeOnnxSuite(folder);
      expect(models.length).toBeGreaterThan(2);
      const differences: string[] = [];
      for (const entry of models) {
        const answer = await run(entry);
        differences.push(...answer.differences.map((difference) => `${entry.name}: ${difference}`));
      }
      expectNone(differences);
    },
    300_000,
  );

  (ort ? it : it.skip)(
    'networks answer as their libraries do',
    async () => {
      const { cases: networks, left } = await makeNetworkSuite(folder);
      const differences: string[] = [];
      for (const entry of networks) {
        const answer = await run(entry).catch((error: unknown) => ({
          differences: [String(error)],
        }));
        differences.push(...answer.differences.map((difference) => `${entry.name}: ${difference}`));
      }
      process.stdout.write(
        `conformance: ${networks.length} networks; not served: ${left.join(', ')}\n`,
      );
      expectNone(differences);
    },
    600_000,
  );
});

/** Where the files of onnxruntime-web are. */
function onnxRuntimeWeb(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));
  } catch {
    process.stderr.write('\nonnxruntime-web is not installed: ONNX in a browser is left out.\n');
    return undefined;
  }
}

const PAGE = `<!doctype html><meta charset="utf-8"><script type="module">
import * as library from '/program.js';
import { runCase } from '/runner.js';
const read = async (path) => new Uint8Array(await (await fetch('/suite/' + path)).arrayBuffer());
const onnx = async () => {
  const ort = await import('/ort/ort.wasm.min.mjs');
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = '/ort/';
  return library.onnxBackend(ort);
};
window.runCase = async (entry) =>
  runCase({ library, read, ...(entry.onnx && { onnx: await onnx() }) }, entry);
</script>`;

const TYPES: Record<string, string> = {
  js: 'text/javascript',
  mjs: 'text/javascript',
  wasm: 'application/wasm',
};

/** What the page loads: the browser build, the runner, the suite, onnxruntime-web. */
async function serve(suite: string, ort: string | undefined): Promise<Server> {
  const roots: [string, string][] = [
    ['/program.js', join('dist', 'sdk', 'program.js')],
    ['/runner.js', join('dist', 'test', 'support', 'conformance-runner.js')],
    ['/suite/', suite],
    ['/ort/', ort ?? suite],
  ];
  const answer = async (url: string, response: ServerResponse): Promise<void> => {
    const root = roots.find(([prefix]) => url.startsWith(prefix));
    const file = root && join(root[1], decodeURIComponent(url.slice(root[0].length)));
    const found = file ? await stat(file).catch(() => undefined) : undefined;
    if (!file || !found?.isFile()) {
      response.writeHead(url === '/' ? 200 : 404, { 'content-type': 'text/html' });
      response.end(url === '/' ? PAGE : '');
      return;
    }
    const type = TYPES[file.split('.').at(-1) ?? ''] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type });
    createReadStream(file).pipe(response);
  };
  const server = createServer(({ url = '/' }, response) => void answer(url, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
