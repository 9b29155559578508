import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel, importers, UnsupportedModel, type Verdict } from '#formats';
import { loadProgram } from '#program';
import { treeFixtures, uploadOf } from './support/tree-fixtures.js';

/** What becomes of bytes: nothing but a verdict, or an error of the two kinds that importers throw. */
async function compile(
  format: string,
  bytes: Uint8Array,
): Promise<Verdict | 'damaged' | 'unsupported'> {
  const importer = importers.find((candidate) => candidate.format === format);
  try {
    if (!importer) throw new Error(`there is no importer ${format}`);
    return await importer.compile([uploadOf('model', bytes)], {});
  } catch (error) {
    if (error instanceof DamagedModel) return 'damaged';
    if (error instanceof UnsupportedModel) return 'unsupported';
    throw error;
  }
}

const PER_MODEL = 6;

describe.each(['xgboost', 'lightgbm'])('%s, damaged', (format) => {
  const fixtures = treeFixtures(format, ['.json', '.ubj', '.txt', '.model']);

  it.each(fixtures.map((fixture) => [fixture.name, fixture.file] as const))(
    '%s cut off anywhere is no model',
    async (name, file) => {
      const bytes = readFileSync(file);
      // LightGBM reads nothing behind the trees that it must have.
      const end = name.endsWith('.txt') ? bytes.indexOf('\nend of trees') : bytes.length - 1;
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 0, max: end }), async (length) => {
          expect(['damaged', 'unsupported']).toContain(
            await compile(format, bytes.subarray(0, length)),
          );
        }),
        { numRuns: PER_MODEL },
      );
    },
  );

  it.each(
    fixtures.filter((_, i) => i % 8 === 0).map((fixture) => [fixture.name, fixture.file] as const),
  )('%s with other bytes in it is refused, or loads', async (_, file) => {
    const bytes = readFileSync(file);
    const change = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = Uint8Array.from(bytes);
        for (const { at, to } of changes) changed[at] = to;
        const verdict = await compile(format, changed);
        if (typeof verdict === 'string' || verdict.state !== 'servable') return;
        await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
      }),
      { numRuns: 20 },
    );
  });
});
