import { afterAll, describe, expect, it } from '@jest/globals';
import {
  compileNetwork,
  networkFixtures,
  runCases,
  type NetworkFixture,
} from './support/network-cases.js';
import { sharedRunner } from './support/program-runner.js';

/** Models all of whose answers must be TensorFlow's. The others may be refused by name, and must not answer wrong. */
const MUST_PASS = new Set([
  'audio-features',
  'basic-pitch',
  'control-flow',
  'dtypes',
  'estimator-census-wide-deep',
  'image-bytes',
  'keras2-cnn-image',
  'keras2-large-dense',
  'keras2-lstm-gru',
  'keras2-masked-rnn',
  'keras2-mlp',
  'keras2-structured',
  'keras2-text',
  'keras3-convolutions',
  'keras3-masked-rnn',
  'keras3-mlp',
  'keras3-multi-io',
  'keras3-normalisation',
  'keras3-preprocessing',
  'keras3-transformer',
  'module-signatures',
  'parse-example',
  'quantised-weights',
  'ragged',
  'strings',
  'tables',
  'tensor-operations',
  'tf1-control-flow',
  'tf1-half-plus-two',
  'tf1-iris-classify',
]);

const runner = sharedRunner();

const fixtures = networkFixtures('saved-model');
const told: string[] = [];
afterAll(() => {
  process.stdout.write(`${told.join('\n')}\n`);
});

function tell(line: string): void {
  told.push(line);
}

function shortName({ name }: NetworkFixture): string {
  return name.replace(/^.*\//, '');
}

it('has the models that there are', () => {
  expect(fixtures.length).toBeGreaterThan(0);
});

describe('SavedModels answer as TensorFlow does', () => {
  const answered = fixtures.filter(({ expected }) => !expected.must);
  it.each(answered.map((fixture) => [shortName(fixture), fixture] as const))(
    '%s',
    async (name, fixture) => {
      const { result, program, weights } = await compileNetwork(fixture.folder);
      const total = fixture.expected.cases?.length ?? 0;
      if (!program || !weights) {
        tell(`${name}: ${result.state}: ${result.reason}`);
        expect([result.state, MUST_PASS.has(name)]).toEqual(['unsupported', false]);
        return;
      }
      await runner.load({ program, weights });
      const { passed, wrong, greatest } = await runCases(runner, fixture);
      tell(`${name}: ${passed} of ${total}, greatest difference ${greatest.toExponential(1)}`);
      for (const line of wrong) tell(`  ${line.slice(0, 400)}`);
      const refused = Object.keys(program.signatures?.refused ?? {});
      const mayFail = (line: string) =>
        !MUST_PASS.has(name) && refused.some((signature) => line.startsWith(`${signature} `));
      expect(wrong.filter((line) => !mayFail(line))).toEqual([]);
    },
    60_000,
  );
});

describe('what is refused', () => {
  const refused = fixtures.filter(({ expected }) => expected.must);
  it.each(refused.map((fixture) => [shortName(fixture), fixture] as const))(
    '%s is refused by name',
    async (_, { folder, expected }) => {
      const { result } = await compileNetwork(folder);
      expect(result.state).toBe('unsupported');
      expect(result.reason).toContain(expected.names_operation);
    },
  );
});
