import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { importers, type Verdict } from '#formats';
import { bindInputs, loadProgram, type Runtime, type Tensor } from '#program';
import {
  numberOf,
  tensorsOf,
  treeFixtures,
  treeFolder,
  ulpsBetween,
  uploadOf,
  type Expected,
  type TreeFixture,
} from './support/tree-fixtures.js';

/** Models of the fixtures that are refused, with what the reason says. There is none. */
const REFUSED: Record<string, RegExp> = {};

const LIMITS = { maxRows: 100_000 };

async function verdictOf(path: string, bytes: Uint8Array): Promise<Verdict & { format: string }> {
  const upload = [uploadOf(path, bytes)];
  for (const importer of importers) {
    if (await importer.recognises(upload)) {
      return { ...(await importer.compile(upload, {})), format: importer.format };
    }
  }
  throw new Error(`${path} is not recognised`);
}

async function load(path: string, bytes: Uint8Array): Promise<Runtime> {
  const verdict = await verdictOf(path, bytes);
  if (verdict.state !== 'servable')
    throw new Error(`${path} is ${verdict.state}: ${verdict.reason}`);
  return loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
}

async function answer(runtime: Runtime, tensors: Tensor[], outputs: string[]): Promise<Tensor[]> {
  return runtime.run(bindInputs(runtime, tensors, LIMITS), outputs);
}

/** A model whose recorded answers are those of its first iterations, without the others. */
function bytesOf({ file, expected }: TreeFixture): Uint8Array {
  const bytes = readFileSync(file);
  if (!expected.num_iteration) return bytes;
  const [used = ''] = bytes.toString('utf8').split(`\nTree=${expected.num_iteration}\n`);
  return Buffer.from(`${used}\nend of trees\n`);
}

/** What the library said, by the name of our output. */
function recorded(expected: Expected): Record<string, unknown[] | null | undefined> {
  return {
    predict: expected.predict,
    margin: expected.margin ?? expected.predict_raw,
    leaf: expected.leaf,
    // After early stopping this is the wrapper's, of fewer rounds than the Booster's.
    predict_proba: expected.best_iteration === undefined ? expected.predict_proba : undefined,
  };
}

/** Every number is the library's, to the last bit. */
function compare(fixture: TreeFixture, got: Tensor, want: unknown[]): void {
  const numbers = want.flat(2).map(numberOf);
  if (got.name === 'leaf') expect(got.data.length).toBeGreaterThanOrEqual(numbers.length);
  else expect(got.data).toHaveLength(numbers.length);
  for (const [i, number] of numbers.entries()) {
    const ulps = ulpsBetween(Number(got.data[i]), number, got.dtype);
    if (ulps > 0) {
      throw new Error(
        `${fixture.name}, ${got.name}[${i}] is ${String(got.data[i])} where the library said ${number} (${ulps} ulps)`,
      );
    }
  }
}

describe.each(['xgboost', 'lightgbm', 'treelite'] as const)('%s', (library) => {
  const fixtures = treeFixtures(library, ['.json', '.ubj', '.txt', '.model', '.raw', '.treelite']);

  it('has the fixtures that there are', () => {
    const counts = { xgboost: 171, lightgbm: 106, treelite: 13 };
    expect(fixtures.length).toBe(treeFolder().shared ? counts[library] : fixtures.length);
    expect(fixtures.length).toBeGreaterThan(0);
  });

  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    async (name, fixture) => {
      const { expected } = fixture;
      const verdict = await verdictOf(name, bytesOf(fixture));
      expect(verdict.format).toBe(library);
      const refused = REFUSED[name];
      if (refused) {
        expect(verdict).toMatchObject({
          state: 'unsupported',
          reason: expect.stringMatching(refused),
        });
        return;
      }
      const runtime = await load(name, bytesOf(fixture));
      const outputs = runtime.signature.outputs.map((output) => output.name);
      const answers = await answer(runtime, tensorsOf(runtime, expected), outputs);
      const wanted = recorded(expected);
      for (const got of answers) {
        const want = wanted[got.name];
        if (want) compare(fixture, got, want);
      }
      expect(outputs).toEqual(expect.arrayContaining(['predict', 'margin']));
      if (expected.leaf) expect(outputs).toContain('leaf');
      if (expected.predict_proba) expect(outputs).toContain('predict_proba');
      await expectSameRowByRow(runtime, expected, answers);
    },
  );
});

/** One row alone is answered as it is among the others. */
async function expectSameRowByRow(
  runtime: Runtime,
  expected: Expected,
  whole: Tensor[],
): Promise<void> {
  const outputs = whole.map((tensor) => tensor.name);
  for (const [row, cells] of expected.X.entries()) {
    const one = await answer(runtime, tensorsOf(runtime, { ...expected, X: [cells] }), outputs);
    for (const [i, tensor] of one.entries()) {
      const [, ...rest] = whole[i]?.shape ?? [];
      const size = rest.reduce((product, dimension) => product * dimension, 1);
      const same = [...tensor.data].every((x, k) => Object.is(x, whole[i]?.data[row * size + k]));
      if (tensor.data.length !== size || !same) {
        throw new Error(`row ${row} alone has another ${tensor.name}`);
      }
    }
  }
}

describe('larger models', () => {
  const { folder, shared } = treeFolder();
  const models = ['100x6', '500x8'].flatMap((size) => [
    ['xgboost', size, `xgb_binary_${size}.json`] as const,
    ['lightgbm', size, `lgb_binary_${size}.txt`] as const,
  ]);

  it.each(models)('%s %s', async (library, size, name) => {
    if (!shared) return leftOut(name);
    const recordedHere = JSON.parse(
      readFileSync(`${folder}/speed/binary_${size}.expected.json`, 'utf8'),
    ) as Expected & Record<typeof library, { predict: number[] }>;
    const runtime = await load(name, gunzipSync(readFileSync(`${folder}/speed/${name}.gz`)));
    const [got] = await answer(runtime, tensorsOf(runtime, recordedHere), ['predict']);
    expect([...(got?.data ?? [])]).toEqual(recordedHere[library].predict);
  });
});

function leftOut(name: string): void {
  process.stderr.write(`No shared fixtures (SLIPWAY_FIXTURES): ${name} is left out.\n`);
}

describe('what the library refuses', () => {
  const find = (name: string) =>
    treeFixtures('xgboost', ['.json']).find((f) => f.name.endsWith(name));

  it('is refused: a level that the model was not trained on', async () => {
    const fixture = find('3.2.0/frame_cat_onehot.json');
    if (!fixture) throw new Error('the fixture is missing');
    const runtime = await load(fixture.name, bytesOf(fixture));
    const tensors = tensorsOf(runtime, fixture.expected).map((tensor) =>
      tensor.name === 'size'
        ? { ...tensor, data: [...tensor.data.slice(1), 'XXL'] as string[] }
        : tensor,
    );
    await expect(answer(runtime, tensors, ['predict'])).rejects.toThrow(
      /"size" has "XXL" in row 79.*levels are "XS", "S", "M", "L", "XL"/,
    );
  });

  it('is refused: infinity, where the library does so', async () => {
    const fixture = find('3.2.0/gblinear_multi.json');
    if (!fixture) throw new Error('the fixture is missing');
    const runtime = await load(fixture.name, bytesOf(fixture));
    const data = Float64Array.from({ length: 16 }, (_, i) => (i === 12 ? 1e39 : i));
    const tensor: Tensor = { name: 'X', dtype: 'FP64', shape: [2, 8], data };
    await expect(answer(runtime, [tensor], ['predict'])).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      pointer: '/inputs/0/data',
      message: expect.stringContaining('in row 1'),
    });
  });
});

describe('what is no model file of today', () => {
  const { folder, shared } = treeFolder();

  it.each([['xgboost/1.7.6/reg_squarederror.config.json', /save_config/]])(
    '%s is refused by name',
    async (name, reason) => {
      if (!shared) return leftOut(name);
      await expect(verdictOf(name, readFileSync(`${folder}/${name}`))).rejects.toMatchObject({
        name: 'UnsupportedModel',
        message: expect.stringMatching(reason),
      });
    },
  );
});
