import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { Slipway } from '#sdk';
import { buildForBrowsers, findChromium, startChromium } from './support/chromium.js';
import { Product } from './support/product.js';

const executable = findChromium('the page that predicts in a browser');

interface Example {
  inputExample: { inputs: { name: string; shape: number[]; data: number[] }[] };
}

(executable ? describe : describe.skip)('a page of the registry', () => {
  let server: Product;
  let browser: Browser;
  beforeAll(async () => {
    await buildForBrowsers();

    [server, browser] = await Promise.all([Product.start(), startChromium(executable ?? '')]);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await server?.remove();
  });

  it.each([
    ['tumour', 'model.json'],
    ['progression', 'model.txt'],
  ])('predicts %s offline, as the server does', async (name, file) => {
    const folder = join('examples', name, '1');
    const { inputExample } = JSON.parse(
      await readFile(join(folder, 'example.json'), 'utf8'),
    ) as Example;
    const slipway = new Slipway({ url: server.url });
    const { version } = await slipway.logModel({ name, path: join(folder, file), promote: true });
    const [tensor] = inputExample.inputs;
    if (!tensor) throw new Error('the example is empty');
    const { name: input, shape, data } = tensor;
    const width = shape[1] ?? 1;
    const rows = Array.from({ length: shape[0] ?? 0 }, (_, row) =>
      data.slice(row * width, (row + 1) * width),
    );
    const { raw } = await slipway.predict(name, { [input]: rows });

    const page = await browser.newPage();
    const faults = faultsOf(page);
    await page.goto(`${server.url}/sdk/v1/predict.html?model=${name}&version=${version}`);
    await page.locator('button:enabled').waitFor();
    await page.context().setOffline(true);
    await page.locator('textarea').fill(JSON.stringify({ [input]: rows }));
    await page.locator('button').click();
    const [output] = JSON.parse(
      (await page.locator('pre').textContent()) ?? '',
    ) as (typeof raw.outputs)[number][];
    expect(output?.shape).toEqual(raw.outputs[0]?.shape);
    expect(output?.data.map(Number).map(Math.fround)).toEqual(
      raw.outputs[0]?.data.map(Number).map(Math.fround),
    );
    await page.locator('textarea').fill('{"X": [[1, 2]]}');
    await page.locator('button').click();
    expect(await page.locator('pre').textContent()).toContain('has 2 columns and must have');
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('says what is wrong', async () => {
    const page = await browser.newPage();
    await page.goto(`${server.url}/sdk/v1/predict.html?model=nobody&version=1`);
    await page.getByText('The model "nobody" does not exist').waitFor();
    await page.context().close();
  });
});

/** What the page complains of, such as a script that the policy of the page forbids. */
function faultsOf(page: Page): string[] {
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(error.message));
  return faults;
}
