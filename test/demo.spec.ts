import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { InferTensor, NestedOutput } from '#sdk';
import { Slipway } from '#sdk';
import { until } from './support/processes.js';
import { Product } from './support/product.js';

let server: Product;
let slipway: Slipway;

beforeAll(async () => {
  server = await Product.start({ args: ['--demo'] });
  slipway = new Slipway({ url: server.url });
  await until(() => commands().length === 4);
}, 90_000);
afterAll(() => server.remove());

/** The lines of curl that the server printed. */
function commands(): string[] {
  return server.lines.filter((line) => line.startsWith('  curl '));
}

/** Does what a line of curl says. */
async function run(line: string): Promise<unknown> {
  const [, url = ''] = /(http:\S+)/.exec(line) ?? [];
  const [, body = ''] = /-d '(.*)'$/.exec(line) ?? [];
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body });
  expect(answer.status).toBe(200);
  return answer.json();
}

it('prints commands that predict, promote and roll back', async () => {
  const [iris = '', tumour = '', promote = '', rollback = ''] = commands();
  expect(await run(iris)).toMatchObject({ model_name: 'iris', model_version: '1' });
  expect(await run(tumour)).toMatchObject({ model_version: '1' });
  expect(await run(promote)).toMatchObject({ transition: { version: 2 }, serving: 'ready' });
  expect(await run(tumour)).toMatchObject({ model_version: '2' });
  expect(await run(rollback)).toMatchObject({ transition: { version: 1 }, serving: 'ready' });
  expect(await run(tumour)).toMatchObject({ model_version: '1' });
});

it.each(['iris/1', 'tumour/1', 'tumour/2', 'progression/1'])(
  '%s answers as its library did',
  async (reference) => {
    const [name = '', version] = reference.split('/');
    const file = join('examples', reference, 'example.json');
    const { inputExample } = JSON.parse(await readFile(file, 'utf8'));
    const { outputs } = await slipway.predict(name, inputExample.inputs, {
      version: Number(version),
    });
    for (const expected of inputExample.expected as InferTensor[]) {
      const got = [outputs[expected.name] ?? []].flat(3) as NestedOutput[];
      const { rtol } = inputExample.tolerance;
      expect(got).toHaveLength(expected.data.length);
      expected.data.forEach((value, i) => {
        expect(Math.abs(Number(got[i]) - Number(value))).toBeLessThanOrEqual(
          rtol * Math.abs(Number(value)) + 1e-6,
        );
      });
    }
  },
);

it('knows where the versions came from', async () => {
  const { nodes } = await slipway.lineage('tumour', 2, { direction: 'up' });
  expect(nodes.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['tumour/2', 'tumour/1', 'breast_cancer']),
  );
});

it('changes nothing when it is started again', async () => {
  const before = await slipway.model('tumour');
  await server.stop();
  await server.start(['--demo']);
  await until(() => commands().length === 8);
  expect(commands().slice(4)).toEqual(commands().slice(0, 4));
  expect(await slipway.model('tumour')).toEqual(before);
}, 60_000);
