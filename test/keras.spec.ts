import { describe, expect, it } from '@jest/globals';
import { expectAnswers } from './support/layer-models.js';
import { compileNetwork, networkFixtures, type NetworkFixture } from './support/network-cases.js';
import { sharedRunner } from './support/program-runner.js';

const runner = sharedRunner();
const fixtures = networkFixtures('keras');

function named(which: (fixture: NetworkFixture) => boolean) {
  return fixtures.filter(which).map((fixture) => [fixture.name, fixture] as const);
}

describe('Keras models', () => {
  it.each(named(({ expected }) => expected.must === undefined))(
    '%s',
    async (_, fixture) => {
      const program = await expectAnswers(runner, fixture);
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
      const {
        result: { state, reason },
      } = await compileNetwork(fixture.folder);
      expect({ state, reason }).toEqual({
        state: 'unsupported',
        reason: expect.stringContaining(fixture.expected.names_operation ?? ''),
      });
    },
  );
});
