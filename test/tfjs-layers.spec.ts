import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LayerModels } from './support/layer-models.js';
import { ProgramRunner } from './support/program-runner.js';
import { networkFixtures } from './support/network-cases.js';

let folder: string;
let runner: ProgramRunner;
let models: LayerModels;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-tfjs-layers-'));
  runner = new ProgramRunner();
  models = new LayerModels(runner, folder);
});
afterAll(async () => {
  runner.close();
  await rm(folder, { recursive: true, force: true });
});

const fixtures = networkFixtures('tfjs')
  .filter(({ name }) => /^tfjs\/(layers|nsfw)/.test(name))
  .map((fixture) => [fixture.name, fixture] as const);

describe('TF.js layers models', () => {
  it.each(fixtures)(
    '%s',
    async (name, fixture) => {
      const differences = await models.differences(fixture);
      expect(differences.length).toBeGreaterThan(0);
      const greatest = differences.flatMap(({ greatest }) => greatest?.message ?? []);
      process.stdout.write(`${name}: ${greatest.join('; ') || 'equal'}\n`);
      expect(differences.filter(({ equal }) => !equal)).toEqual([]);
    },
    60_000,
  );
});
