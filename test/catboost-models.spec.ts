import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel, importers, UnsupportedModel, type Verdict } from '#formats';
import { bindInputs, loadProgram, type Runtime, type Tensor } from '#program';
import {
  numberOf,
  ownTreeFolder,
  tensorsOf,
  treeFixtures,
  treeFolder,
  ulpsBetween,
  uploadOf,
  type Expected,
} from './support/tree-fixtures.js';

/** JSON does not keep the numbers of leaves: CatBoost itself, having read it, numbers them from left to right. */
const RENUMBERED = /\.json$/;
const LIMITS = { maxRows: 100_000 };
const ENDINGS = ['.json', '.cbm'];
const fixtures = [
  ...treeFixtures('catboost', ENDINGS),
  ...(treeFolder().shared ? treeFixtures('catboost', ENDINGS, ownTreeFolder) : []),
];

async function verdictOf(path: string, bytes: Uint8Array): Promise<Verdict> {
  const upload = [uploadOf(path, bytes)];
  for (const importer of importers) {
    if (!(await importer.recognises(upload))) continue;
    expect(importer.format).toBe('catboost');
    return importer.compile(upload, {});
  }
  throw new Error(`${path} is not recognised`);
}

async function load(path: string, bytes: Uint8Array): Promise<Runtime> {
  const verdict = await verdictOf(path, bytes);
  if (verdict.state !== 'servable')
    throw new Error(`${path} is ${verdict.state}: ${verdict.reason}`);
  return loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
}

async function answer(runtime: Runtime, expected: Expected): Promise<Tensor[]> {
  const outputs = runtime.signature.outputs.map((output) => output.name);
  const tensors = tensorsOf(runtime, expected);
  return runtime.run(bindInputs(runtime, tensors, LIMITS), outputs);
}

type Recorded = Expected & {
  exponent?: unknown[];
  probability?: unknown[];
  predict_log_proba?: unknown[];
  rmse_with_uncertainty?: unknown[];
};

/** What the library said, by the name of our output. */
function recorded(expected: Recorded): Record<string, unknown[] | null | undefined> {
  return {
    predict: expected.predict,
    margin: expected.predict_raw,
    leaf: expected.leaf,
    predict_proba: expected.predict_proba ?? expected.probability,
    predict_log_proba: expected.predict_log_proba,
    exponent: expected.exponent,
    rmse_with_uncertainty: expected.rmse_with_uncertainty,
  };
}

/** An engine's logarithm may differ from the C library's in the last place, which a difference of others magnifies. */
const LOGARITHM_ULPS = 4;

/** Every label and every number is the library's, to the last bit. */
function compare(name: string, got: Tensor, want: unknown[]): void {
  const most = got.name === 'predict_log_proba' ? LOGARITHM_ULPS : 0;
  const cells = want.flat();
  if (got.name === 'leaf') expect(got.data.length).toBeGreaterThanOrEqual(cells.length);
  else expect(got.data).toHaveLength(cells.length);
  for (const [i, cell] of cells.entries()) {
    const value = got.data[i];
    const same =
      got.dtype === 'BYTES'
        ? value === cell
        : ulpsBetween(Number(value), numberOf(cell), got.dtype) <= most;
    if (!same) {
      throw new Error(
        `${name}, ${got.name}[${i}] is ${String(value)} where the library said ${String(cell)}`,
      );
    }
  }
}

describe('catboost', () => {
  it('has the fixtures that there are', () => {
    if (treeFolder().shared) expect(fixtures.length).toBeGreaterThanOrEqual(84);
    expect(fixtures.length).toBeGreaterThan(0);
  });

  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    async (name, { file, expected }) => {
      const runtime = await load(name, readFileSync(file));
      const answers = await answer(runtime, expected);
      const wanted = recorded(expected);
      for (const got of answers) {
        const want = wanted[got.name];
        if (want && !(got.name === 'leaf' && RENUMBERED.test(name) && isBranching(file)))
          compare(name, got, want);
      }
      const outputs = runtime.signature.outputs.map((output) => output.name);
      const missing = Object.keys(wanted).filter((key) => wanted[key] && !outputs.includes(key));
      expect(missing).toEqual([]);
      await expectSameRowByRow(runtime, expected, answers);
    },
  );
});

function isBranching(file: string): boolean {
  return !readFileSync(file, 'utf8').includes('"oblivious_trees"');
}

/** One row alone is answered as it is among the others. */
async function expectSameRowByRow(
  runtime: Runtime,
  expected: Expected,
  whole: Tensor[],
): Promise<void> {
  for (const [row, cells] of expected.X.entries()) {
    for (const [i, tensor] of (await answer(runtime, { ...expected, X: [cells] })).entries()) {
      const size = tensor.data.length;
      const same = [...tensor.data].every((x, k) => Object.is(x, whole[i]?.data[row * size + k]));
      if (!same) throw new Error(`row ${row} alone has another ${tensor.name}`);
    }
  }
}

/** What becomes of bytes: nothing but a verdict, or an error of the two kinds that importers throw. */
async function compile(bytes: Uint8Array): Promise<Verdict | undefined> {
  const importer = importers.find(({ format }) => format === 'catboost');
  try {
    return await importer?.compile([uploadOf('model', bytes)], {});
  } catch (error) {
    if (error instanceof DamagedModel || error instanceof UnsupportedModel) return undefined;
    throw error;
  }
}

const MUTANTS = 2_000;

describe('catboost, damaged', () => {
  it.each(fixtures.map((fixture) => [fixture.name, fixture.file] as const))(
    '%s cut off anywhere is no model',
    async (_, file) => {
      const bytes = readFileSync(file);
      const length = fc.integer({ min: 0, max: bytes.length - 3 });
      await fc.assert(
        fc.asyncProperty(length, async (end) => {
          expect(await compile(bytes.subarray(0, end))).toBeUndefined();
        }),
        { numRuns: 6 },
      );
    },
  );

  it(`${MUTANTS} mutants are refused with a reason, or load`, async () => {
    const small = fixtures.map(({ file }) => readFileSync(file)).filter((b) => b.length < 60_000);
    const mutant = fc.record({
      model: fc.nat(small.length - 1),
      changes: fc.array(fc.record({ at: fc.nat(), to: fc.nat(255) }), {
        minLength: 1,
        maxLength: 4,
      }),
    });
    await fc.assert(
      fc.asyncProperty(mutant, async ({ model, changes }) => {
        const changed = Uint8Array.from(small[model] ?? []);
        for (const { at, to } of changes) changed[at % changed.length] = to;
        const begun = performance.now();
        const verdict = await compile(changed);
        if (verdict?.state === 'servable') {
          await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
        }
        expect(performance.now() - begun).toBeLessThan(2_000);
      }),
      { numRuns: MUTANTS },
    );
  }, 180_000);
});
