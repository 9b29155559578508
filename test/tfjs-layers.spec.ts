import { describe, it } from '@jest/globals';
import { expectAnswers } from './support/layer-models.js';
import { networkFixtures } from './support/network-cases.js';
import { sharedRunner } from './support/program-runner.js';

const runner = sharedRunner();
const fixtures = networkFixtures('tfjs')
  .filter(({ name }) => /^tfjs\/(layers|nsfw)/.test(name))
  .map((fixture) => [fixture.name, fixture] as const);

describe('TF.js layers models', () => {
  it.each(fixtures)(
    '%s',
    async (_, fixture) => void (await expectAnswers(runner, fixture)),
    60_000,
  );
});
