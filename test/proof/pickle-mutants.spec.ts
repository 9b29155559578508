import { statSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { DamagedModel, UnsupportedModel } from '../../libs/formats/importer.js';
import { readPythonFile } from '../../libs/formats/pickle/python-file.js';
import { fileOf } from '../../libs/formats/pickle/zip-file.js';
import { pickleFixtures, uploadOfPath } from '../support/pickle-fixtures.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { Seeded } from '../support/seeded.js';

/** Bytes of the fixtures are changed at random: reading them ends, soon, and in nothing but an error of ours. */
it(
  'damaged files of Python are refused by name',
  async () => {
    const chance = new Seeded();
    const paths = pickleFixtures().filter((path) => statSync(path).size < 60_000);
    const files = await Promise.all(
      paths.map(async (path) => [path, await uploadOfPath(path).read()] as const),
    );
    const mutants = amount(3000, 100_000);
    let read = 0;
    let slowest = 0;
    for (let i = 0; i < mutants; i++) {
      const [path, bytes] = chance.pick(files);
      const mutant = mutate(bytes, chance);
      const before = process.cpuUsage();
      try {
        await readPythonFile(fileOf(path, mutant), []);
        read += 1;
      } catch (error) {
        if (!(error instanceof DamagedModel || error instanceof UnsupportedModel)) {
          throw new Error(`seed ${chance.seed}, mutant ${i} of ${path}`, { cause: error });
        }
      }
      const { user, system } = process.cpuUsage(before);
      slowest = Math.max(slowest, (user + system) / 1e6);
    }
    expect(slowest).toBeLessThan(10);
    report('damaged files of Python', {
      seed: chance.seed,
      mutants,
      read,
      slowest: `${slowest.toFixed(2)} s`,
    });
  },
  proofTimeout,
);

function mutate(bytes: Uint8Array, chance: Seeded): Uint8Array {
  let mutant: Uint8Array = new Uint8Array(bytes);
  for (let i = chance.int(1, 5); i > 0; i--) {
    const at = chance.int(0, mutant.length);
    const way = chance.next();
    if (way < 0.1) mutant = mutant.slice(0, at + 1);
    else if (way < 0.2) mutant = without(mutant, at, chance.int(1, 9));
    else
      mutant[at] = way < 0.4 ? chance.pick([0, 0x7f, 0x80, 0xff, 0x2e, 0x28]) : chance.int(0, 256);
  }
  return mutant;
}

function without(bytes: Uint8Array, at: number, count: number): Uint8Array {
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]));
}
