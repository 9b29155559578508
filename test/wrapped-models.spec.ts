import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { importers, type Verdict } from '#formats';
import { bindInputs, loadProgram, type Runtime, type Tensor } from '#program';
import { requestOf, type SklearnExpected } from './support/sklearn-fixtures.js';
import { ulpsBetween, uploadOf } from './support/tree-fixtures.js';

/** `NAME.json` as test/make/wrapped-models.py writes it: what the estimator said in Python. */
interface Expected extends SklearnExpected {
  format: string;
}

interface Fixture {
  name: string;
  file: string;
  expected: string;
}

const own = join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'wrapped');
/** More models, of any release: folders with what test/make/wrapped-models.py has made. */
const more = process.env['WRAPPED_MODELS']?.split(':') ?? [];

/** Of what scikit-learn computes of the answers, in float64. */
const TOLERANCE = 1e-12;
/** Of what it computes of them in float32: the order of operations is its own, or that of a library below it. */
const SINGLE_TOLERANCE = 2 ** -22;
/** Answers in float32, or of float32 numbers, where NumPy decides how a sum is made. */
const SINGLE =
  /^xgb_(?:voting_reg_all|voting_all|calibrated|stacking|ovr|target|bagging_reg|select|ada|softmax)/;

function fixturesIn(folder: string): Fixture[] {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return files
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => {
      const name = file.slice(0, -'.json'.length);
      const model = files.find((other) => other.startsWith(`${name}.`) && other !== file);
      if (!model) return [];
      return [{ name, file: join(folder, model), expected: join(folder, file) }];
    });
}

async function verdictOf(file: string): Promise<Verdict & { format: string }> {
  const upload = [uploadOf(basename(file), readFileSync(file))];
  for (const importer of importers) {
    if (await importer.recognises(upload)) {
      return { ...(await importer.compile(upload, {})), format: importer.format };
    }
  }
  throw new Error(`${file} is not recognised`);
}

/** Labels and margins are those of Python, and all that a booster of float32 or a tree of LightGBM answers itself. */
function compare(
  { name, format }: { name: string; format: string },
  got: Tensor,
  want: unknown[],
): void {
  expect(got.data).toHaveLength(want.length);
  const largest = want.reduce<number>((most, x) => Math.max(most, Math.abs(Number(x)) || 0), 0);
  for (const [i, wanted] of want.entries()) {
    const value = got.data[i];
    const fault = () =>
      new Error(
        `${name}: ${got.name}[${i}] is ${String(value)}, in Python it is ${String(wanted)}`,
      );
    if (got.dtype === 'BYTES' || got.dtype === 'BOOL' || got.dtype.startsWith('INT')) {
      const label =
        got.dtype === 'BOOL' ? value === 1 : got.dtype === 'BYTES' ? value : Number(value);
      if (label !== wanted) throw fault();
      continue;
    }
    const number = wanted === null ? NaN : Number(wanted);
    const exact =
      got.name === 'margin' || (/^(?:xgboost|lightgbm)$/.test(format) && !SINGLE.test(name));
    if (ulpsBetween(Number(value), number, got.dtype === 'FP32' ? 'FP32' : 'FP64') === 0) continue;
    if (exact) throw fault();
    const tolerance = SINGLE.test(name) ? SINGLE_TOLERANCE : TOLERANCE;
    if (!(Math.abs(Number(value) - number) <= tolerance * largest)) throw fault();
  }
}

async function answers(runtime: Runtime, expected: Expected): Promise<Tensor[]> {
  const bound = bindInputs(runtime, requestOf(runtime, expected), { maxRows: 100_000 });
  return runtime.run(
    bound,
    runtime.signature.outputs.map((output) => output.name),
  );
}

describe.each([own, ...more])('pickled boosters in %s', (folder) => {
  const fixtures = fixturesIn(folder);

  it('are there', () => expect(fixtures.length).toBeGreaterThan(0));

  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
    const expected = JSON.parse(readFileSync(fixture.expected, 'utf8')) as Expected;
    const verdict = await verdictOf(fixture.file);
    expect(verdict.format).toBe(expected.format);
    if (verdict.state !== 'servable') throw new Error(verdict.reason);
    const runtime = await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
    const got = await answers(runtime, expected);
    const compared: string[] = [];
    for (const tensor of got) {
      const [, part] = /^predict_proba\.(\d+)$/.exec(tensor.name) ?? [];
      const want =
        part === undefined
          ? expected[tensor.name]
          : (expected['predict_proba'] as unknown[])[Number(part)];
      if (!Array.isArray(want)) continue;
      compared.push(tensor.name);
      compare({ name: fixture.name, format: expected.format }, tensor, want.flat(2) as unknown[]);
    }
    expect(compared).toContain('predict');
    for (const name of ['predict_proba', 'margin']) {
      if (expected[name] && !fixture.name.includes('multi_labels'))
        expect(compared).toContain(name);
    }
  });
});
