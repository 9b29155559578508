import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LayerModels } from './support/layer-models.js';
import { ProgramRunner } from './support/program-runner.js';
import { networkFixtures, type NetworkFixture } from './support/network-cases.js';

let folder: string;
let runner: ProgramRunner;
let models: LayerModels;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-keras-'));
  runner = new ProgramRunner();
  models = new LayerModels(runner, folder);
});
afterAll(async () => {
  runner.close();
  await rm(folder, { recursive: true, force: true });
});

const fixtures = networkFixtures('keras');

function named(which: (fixture: NetworkFixture) => boolean) {
  return fixtures.filter(which).map((fixture) => [fixture.name, fixture] as const);
}

describe('Keras models', () => {
  it.each(named(({ expected }) => expected.must === undefined))(
    '%s',
    async (name, fixture) => {
      const differences = await models.differences(fixture);
      expect(differences.length).toBeGreaterThan(0);
      const greatest = differences.flatMap(({ greatest }) => greatest?.message ?? []);
      process.stdout.write(`${name}: ${greatest.join('; ') || 'equal'}\n`);
      expect(differences.filter(({ equal }) => !equal)).toEqual([]);
      const program = JSON.parse(await readFile(join(folder, name, 'program.json'), 'utf8')) as {
        signature: { inputs: { name: string }[]; outputs: { name: string }[] };
      };
      const [first] = fixture.expected.cases ?? [];
      expect({
        inputs: program.signature.inputs.map((input) => input.name),
        outputs: program.signature.outputs.map((output) => output.name),
      }).toEqual({
        inputs: Object.keys(first?.inputs ?? {}),
        outputs: Object.keys(first?.outputs ?? {}),
      });
    },
    60_000,
  );

  it.each(named(({ expected }) => expected.must !== undefined))(
    '%s is refused by name',
    async (_, fixture) => {
      const { state, reason } = await models.compile(fixture);
      expect({ state, reason }).toEqual({
        state: 'unsupported',
        reason: expect.stringContaining(fixture.expected.names_operation ?? ''),
      });
    },
  );
});
