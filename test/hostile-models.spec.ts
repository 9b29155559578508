import { describe, expect, it } from '@jest/globals';
import { loadProgram, ProgramError } from '#program';
import { DamagedModel, UnsupportedModel } from '../libs/formats/importer.js';
import { fileOf } from '../libs/formats/pickle/zip-file.js';
import { sklearnImporter } from '../libs/formats/sklearn/sklearn-importer.js';
import { hostileModels } from './support/hostile-models.js';

/** From the bytes to the loaded program; gives the error where there is one. */
async function outcome(bytes: Uint8Array): Promise<unknown> {
  try {
    const verdict = await sklearnImporter.compile([fileOf('model.pkl', bytes)], {});
    if (verdict.state !== 'servable') return new UnsupportedModel(verdict.reason);
    await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('a fitted object', () => {
  const models = Object.entries(hostileModels).map(([name, model]) => ({ name, ...model }));

  it.each(models)('$name: ends in time, by its name', async ({ make, error }) => {
    const bytes = make();
    const before = process.cpuUsage();
    const failure = await outcome(bytes);
    const { user, system } = process.cpuUsage(before);
    // The limit is 2 s for a process of its own; this one shares with its tests.
    expect((user + system) / 1e6).toBeLessThan(4);
    const typed = [DamagedModel, UnsupportedModel, ProgramError];
    if (failure !== undefined && !typed.some((type) => failure instanceof type)) throw failure;
    if (error) expect(String(failure)).toMatch(error);
    else expect(failure).toBeUndefined();
    expect(String(failure).length).toBeLessThan(2000);
  });
});
