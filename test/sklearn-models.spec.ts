import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { importers, type Verdict } from '#formats';
import { bindInputs, loadProgram, type Runtime, type Tensor } from '#program';
import {
  expectedOf,
  requestOf,
  sklearnFixtures,
  sklearnFolders,
  type SklearnExpected,
  type SklearnFixture,
} from './support/sklearn-fixtures.js';
import { ulpsBetween, uploadOf } from './support/tree-fixtures.js';

const LIMITS = { maxRows: 100_000 };
/** Of an answer, relative to itself or, where it is a sum in which much cancels out, to the largest of its output. */
const TOLERANCE = 1e-12;
/** Classes whose scores are sums of leaves: the same to the last bit. */
const TREES = /^(rf|dt|et|hgb)_/;
/** Their predictions are the exponential of a sum: NumPy's is not the last bit of everybody's. */
const EXPONENTIAL = /_(poisson|gamma) /;

/** Model files by release and name of the model, for the table in the end. */
const proven = new Map<string, Set<string>>();
const refused = new Map<string, Set<string>>();

async function verdictOf(file: string): Promise<Verdict> {
  const upload = [uploadOf(basename(file), readFileSync(file))];
  for (const importer of importers) {
    if (!(await importer.recognises(upload))) continue;
    expect(importer.format).toBe('sklearn');
    return importer.compile(upload, {}).catch((error: unknown): Verdict => {
      const { name, message } = error as Error;
      if (name !== 'UnsupportedModel') throw error;
      return { state: 'unsupported', reason: message };
    });
  }
  throw new Error(`${file} is not recognised`);
}

async function run(runtime: Runtime, expected: SklearnExpected): Promise<Tensor[]> {
  const outputs = runtime.signature.outputs.map((output) => output.name);
  const bound = bindInputs(runtime, requestOf(runtime, expected), LIMITS);
  return runtime.run(bound, outputs);
}

function recorded(expected: SklearnExpected, name: string): unknown[] | undefined {
  const [, part] = /^predict_proba\.(\d+)$/.exec(name) ?? [];
  const value =
    part === undefined ? expected[name] : (expected['predict_proba'] as unknown[])[Number(part)];
  return Array.isArray(value) ? (value.flat(2) as unknown[]) : undefined;
}

/** Labels are the library's, trees to the last bit, the rest within the tolerance. */
function compare(model: string, got: Tensor, want: unknown[]): void {
  expect(got.data).toHaveLength(want.length);
  const sizes = want.map((x) => Math.abs(Number(x))).filter(Number.isFinite);
  const scale = sizes.reduce((most, size) => Math.max(most, size), 0);
  const exact =
    TREES.test(basename(model)) && !EXPONENTIAL.test(model) && got.name !== 'predict_proba';
  for (const [i, wanted] of want.entries()) {
    const value = got.data[i];
    if (got.dtype !== 'FP64') {
      const label =
        got.dtype === 'BOOL' ? value === 1 : typeof value === 'bigint' ? Number(value) : value;
      if (label !== wanted) throw different(model, got, i, wanted);
      continue;
    }
    const number = wanted === null ? NaN : Number(wanted);
    const ulps = ulpsBetween(Number(value), number, 'FP64');
    if (ulps === 0 || (!exact && Math.abs(Number(value) - number) <= TOLERANCE * scale)) continue;
    throw different(model, got, i, wanted);
  }
}

function different(model: string, got: Tensor, i: number, wanted: unknown): Error {
  return new Error(
    `${model}: ${got.name}[${i}] is ${String(got.data[i])} where scikit-learn said ${String(wanted)}`,
  );
}

function note(table: Map<string, Set<string>>, { name, release }: SklearnFixture): void {
  const model = basename(name);
  table.set(model, (table.get(model) ?? new Set()).add(release));
}

const { folders, shared } = sklearnFolders();

describe.each(folders)('models in %s', (folder) => {
  const fixtures = sklearnFixtures(folder);

  it('are there', () => expect(fixtures.length).toBeGreaterThan(0));

  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
    const expected = expectedOf(fixture);
    let answers: Tensor[] | undefined;
    for (const file of fixture.files) {
      const verdict = await verdictOf(file);
      if (verdict.state !== 'servable') {
        expect(verdict.reason).toMatch(/ of \w+ \(scikit-learn \d+\.\d+\) /);
        note(refused, fixture);
        return;
      }
      const runtime = await loadProgram(
        JSON.parse(JSON.stringify(verdict.program)),
        verdict.weights,
      );
      const got = await run(runtime, expected);
      for (const tensor of got) {
        const want = recorded(expected, tensor.name);
        if (want) compare(`${fixture.name} (${basename(file)})`, tensor, want);
      }
      // Whatever it was saved as, the answers are the same.
      if (answers) expect(got).toEqual(answers);
      answers = got;
    }
    note(proven, fixture);
  });
});

afterAll(() => {
  const line = ([model, releases]: [string, Set<string>]) =>
    `  ${model.padEnd(24)} ${[...releases].join(' ')}`;
  const list = (table: Map<string, Set<string>>) =>
    [...table]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(line)
      .join('\n');
  process.stdout.write(
    `scikit-learn, models the same as the library's by release${shared ? '' : ' (no shared fixtures)'}:\n${list(proven)}\n`,
  );
  if (refused.size > 0) process.stdout.write(`refused by name:\n${list(refused)}\n`);
});

describe('numbers that scikit-learn refuses', () => {
  it('are refused with the row', async () => {
    const fixture = folders.flatMap(sklearnFixtures).find(({ name }) => /ridge/.test(name));
    const [file = ''] = fixture?.files ?? [];
    const verdict = await verdictOf(file);
    if (verdict.state !== 'servable') throw new Error(verdict.reason);
    const runtime = await loadProgram(verdict.program, verdict.weights);
    const [, width = 0] = runtime.signature.inputs[0]?.shape ?? [];
    for (const wrong of [NaN, Infinity]) {
      const data = new Float64Array(2 * width);
      data[width + 1] = wrong;
      const bound = bindInputs(
        runtime,
        [{ name: 'X', dtype: 'FP64', shape: [2, width], data }],
        LIMITS,
      );
      expect(() => runtime.run(bound, ['predict'])).toThrow(/in row 1, column 1 of what \w+ reads/);
    }
  });
});
