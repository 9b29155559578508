import { statSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { bindInputs, bindOutputs, loadProgram, ProgramError, zeroInputs } from '#program';
import { DamagedModel, UnsupportedModel } from '../../libs/formats/importer.js';
import { contentOf } from '../../libs/formats/pickle/python-file.js';
import { fileOf } from '../../libs/formats/pickle/zip-file.js';
import { sklearnImporter } from '../../libs/formats/sklearn/sklearn-importer.js';
import { hostileModels } from '../support/hostile-models.js';
import { pickleFixtures, uploadOfPath } from '../support/pickle-fixtures.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { Seeded } from '../support/seeded.js';

/** What may come of a file; everything else is a fault of ours. */
const TYPED = [DamagedModel, UnsupportedModel, ProgramError];

interface Base {
  name: string;
  bytes: Uint8Array;
  /** Where numbers of the pickle are, that say how many or which: what lies does it there. */
  integers: number[];
}

/** Pickles, not compressed: a changed byte of a compressed one would only damage the compression. */
async function bases(): Promise<Base[]> {
  const found: Base[] = [];
  for (const path of pickleFixtures()) {
    if (statSync(path).size > 60_000 || !/\.(?:pkl|joblib)$/.test(path)) continue;
    const file = uploadOfPath(path);
    const bytes = await contentOf(file, await file.read(0, 64));
    found.push({ name: path, bytes, integers: integersOf(bytes) });
  }
  for (const [name, { make, error }] of Object.entries(hostileModels)) {
    if (error === undefined && name.startsWith('a sound')) {
      const bytes = make();
      found.push({ name, bytes, integers: integersOf(bytes) });
    }
  }
  return found;
}

/** BININT1 after something: most are numbers of a shape, of a count or of a setting. */
function integersOf(bytes: Uint8Array): number[] {
  return [...bytes.keys()].filter((i) => bytes[i] === 0x4b);
}

it(
  'changed bytes of models of scikit-learn end in a program or in a refusal',
  async () => {
    const chance = new Seeded();
    const models = await bases();
    expect(models.length).toBeGreaterThan(10);
    const mutants = amount(1500, 100_000);
    const counts = { served: 0, refused: 0, ran: 0 };
    let slowest = { seconds: 0, what: '' };
    for (let i = 0; i < mutants; i++) {
      const base = chance.pick(models);
      const mutant = mutate(base, chance);
      const before = process.cpuUsage();
      try {
        counts[await outcome(mutant)] += 1;
      } catch (error) {
        throw new Error(`seed ${chance.seed}, mutant ${i} of ${base.name}`, { cause: error });
      }
      const { user, system } = process.cpuUsage(before);
      const seconds = (user + system) / 1e6;
      if (seconds > slowest.seconds) slowest = { seconds, what: base.name };
    }
    // The limit is 2 s; a collection of garbage of all the others may come on top.
    expect(slowest).toEqual({ seconds: expect.any(Number), what: expect.any(String) });
    expect(slowest.seconds).toBeLessThan(6);
    report('damaged models of scikit-learn', {
      seed: chance.seed,
      models: models.length,
      mutants,
      ...counts,
      slowest: `${slowest.seconds.toFixed(2)} s`,
    });
  },
  proofTimeout,
);

/** Reads, compiles, loads and runs once. */
async function outcome(bytes: Uint8Array): Promise<'served' | 'refused' | 'ran'> {
  try {
    const verdict = await sklearnImporter.compile([fileOf('model.pkl', bytes)], {});
    if (verdict.state !== 'servable') return 'refused';
    const program: unknown = JSON.parse(JSON.stringify(verdict.program));
    const runtime = await loadProgram(program, verdict.weights);
    try {
      const bound = bindInputs(runtime, zeroInputs(runtime), { maxRows: Infinity });
      await runtime.run(bound, bindOutputs(runtime));
      return 'ran';
    } catch (error) {
      if (error instanceof ProgramError) return 'served';
      throw error;
    }
  } catch (error) {
    if (TYPED.some((type) => error instanceof type)) return 'refused';
    throw error;
  }
}

function mutate({ bytes, integers }: Base, chance: Seeded): Uint8Array {
  const mutant = new Uint8Array(bytes);
  for (let i = chance.int(1, 4); i > 0; i--) {
    const way = chance.next();
    const at = chance.int(0, mutant.length);
    if (way < 0.4 && integers.length > 0) {
      const place = chance.pick(integers) + 1;
      mutant[place] = chance.pick([0, 1, 2, 3, 127, 255, chance.int(0, 256)]);
    } else if (way < 0.5) swapWords(mutant, at, chance);
    else mutant[at] = way < 0.7 ? chance.pick([0, 0x7f, 0x80, 0xff]) : chance.int(0, 256);
  }
  return mutant;
}

/** Letters of names and 8-byte numbers change places, so that more of the pickle stays readable. */
function swapWords(mutant: Uint8Array, at: number, chance: Seeded): void {
  const other = chance.int(0, mutant.length);
  const count = Math.min(8, mutant.length - Math.max(at, other));
  const words = mutant.slice(at, at + count);
  mutant.set(mutant.slice(other, other + count), at);
  mutant.set(words, other);
}
