import { describe, expect, it } from '@jest/globals';
import { importers, type UploadedFile } from '#formats';
import { bindInputs, loadProgram, type Runtime, type Tensor } from '#program';
import {
  folderOf,
  numberOf,
  ownTreeFolder,
  tensorsOf,
  treeFixtures,
  treeFolder,
  ulpsBetween,
  type Expected,
} from './support/tree-fixtures.js';

const LIMITS = { maxRows: 100_000 };

async function load(upload: UploadedFile[]): Promise<Runtime> {
  for (const importer of importers) {
    if (!(await importer.recognises(upload))) continue;
    expect(importer.format).toBe('ydf');
    const verdict = await importer.compile(upload, {});
    if (verdict.state !== 'servable') throw new Error(verdict.reason);
    return loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
  }
  throw new Error('nothing recognises it');
}

/** The library's rows; truth values and texts as they are. */
async function answer(runtime: Runtime, expected: Expected, outputs: string[]): Promise<Tensor[]> {
  const X = expected.X.map((row) => row.map((cell) => (typeof cell === 'boolean' ? +cell : cell)));
  const tensors = tensorsOf(runtime, { ...expected, X });
  return runtime.run(bindInputs(runtime, tensors, LIMITS), outputs);
}

/** Models of kinds that are not served, by what their names begin with. */
const REFUSED = /\/refused/;
const all = [
  ...treeFixtures('ydf', ['']),
  ...(treeFolder().shared ? treeFixtures('ydf', [''], ownTreeFolder) : []),
].filter(({ name }) => !name.endsWith('.json'));
const fixtures = all.filter(({ name }) => !REFUSED.test(name));
const refused = all.filter(({ name }) => REFUSED.test(name));

it('has the models that there are', () => {
  expect(fixtures.length).toBeGreaterThan(0);
});

describe('ydf', () => {
  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    async (_, { file, expected }) => {
      const runtime = await load(folderOf(file));
      const [predict, leaf] = await answer(runtime, expected, ['predict', 'leaf']);
      compare(predict, expected.predict);
      if (expected.leaf) compare(leaf, expected.leaf);
    },
  );
});

describe('what is not served', () => {
  it.each(refused.map((fixture) => [fixture.name, fixture] as const))(
    '%s is refused by name',
    async (_, { file }) => {
      await expect(load(folderOf(file))).rejects.toMatchObject({
        name: 'UnsupportedModel',
        message: expect.stringMatching(/UPLIFT|CATEGORICAL_SET/),
      });
    },
  );
});

/** Every number is the library's, to the last bit. */
function compare(got: Tensor | undefined, want: unknown[]): void {
  const numbers = want.flat().map(numberOf);
  if (got?.name === 'predict') expect(got.data).toHaveLength(numbers.length);
  const wrong = numbers.flatMap((number, i) => {
    const ulps = ulpsBetween(Number(got?.data[i]), number, 'FP32');
    return ulps > 0
      ? [`${got?.name}[${i}] is ${String(got?.data[i])}, not ${number}: ${ulps}`]
      : [];
  });
  expect(wrong).toEqual([]);
}
