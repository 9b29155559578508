import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel, importers, UnsupportedModel, type UploadedFile } from '#formats';
import { loadProgram, ProgramError } from '#program';
import { folderOf, uploadOf } from './support/tree-fixtures.js';

const folder = join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'trees');

/** Small models in binary formats, of the repository itself. */
const MODELS: [format: string, path: string][] = [
  ['xgboost', 'xgboost/1.7.6/dart_multi.model'],
  ['xgboost', 'xgboost/1.3.3/gblinear.model'],
  ['treelite', 'treelite/4.8.1/sk_rf.treelite'],
  ['treelite', 'treelite/4.8.1/xgb_categorical.treelite'],
  ['treelite', 'treelite/4.8.1/built_target_softmax_float32.treelite'],
  ['catboost', 'catboost/1.2.10/ctr_several.cbm'],
  ['catboost', 'catboost/1.2.10/classes_count.cbm'],
  ['catboost', 'catboost/1.2.10/binary_bools.json'],
  ['ydf', 'ydf/0.16.1/isolation_small_texts'],
  ['ydf', 'ydf/0.16.1/cart'],
  ['ydf', 'ydf/0.16.1/gbt_poisson'],
];

const MUTANTS = 1000;

function filesOf(path: string): { path: string; bytes: Uint8Array }[] {
  const full = join(folder, path);
  if (!statSync(full).isDirectory()) return [{ path: 'model', bytes: readFileSync(full) }];
  return folderOf(full)
    .filter((file) => file.size > 0)
    .map((file) => ({ path: file.path, bytes: readFileSync(join(full, file.path)) }));
}

/** Anything but a verdict, or an error of the two kinds that importers throw, fails the test. */
async function compile(format: string, files: UploadedFile[]): Promise<string> {
  const importer = importers.find((candidate) => candidate.format === format);
  if (!importer) throw new Error(`there is no importer ${format}`);
  try {
    const verdict = await importer.compile(files, {});
    if (verdict.state !== 'servable') return verdict.state;
    await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
    return verdict.state;
  } catch (error) {
    if (error instanceof DamagedModel || error instanceof UnsupportedModel) return error.name;
    // Numbers that no tree of the library has may be well read, and still be no forest.
    if (error instanceof ProgramError && error.code === 'INVALID_PROGRAM') return error.name;
    throw error;
  }
}

describe.each(MODELS)('%s: %s', (format, path) => {
  const files = filesOf(path);

  it(`answers or refuses ${MUTANTS} mutants`, async () => {
    const seen = new Set<string>();
    const change = fc.record({
      file: fc.nat(files.length - 1),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      to: fc.oneof(fc.nat(255), fc.constantFrom(0, 0x7f, 0x80, 0xff)),
      cut: fc.integer({ min: 0, max: 20 }).map((n) => n === 0),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = files.map((file) => ({ ...file, bytes: Uint8Array.from(file.bytes) }));
        for (const { file, at, to, cut } of changes) {
          const target = changed[file];
          if (!target) continue;
          const place = Math.floor(at * target.bytes.length);
          if (cut) target.bytes = target.bytes.subarray(0, place);
          else target.bytes[place] = to;
        }
        seen.add(
          await compile(
            format,
            changed.map((file) => uploadOf(file.path, file.bytes)),
          ),
        );
      }),
      { numRuns: MUTANTS },
    );
    expect(seen).toContain('DamagedModel');
  }, 120_000);

  it('is a model as it is', async () => {
    const uploads = files.map((file) => uploadOf(file.path, file.bytes));
    expect(await compile(format, uploads)).toBe('servable');
  });
});
