import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { compile, type CompileResult } from '#formats';
import type { NetworkAnswer, NetworkQuestion } from '../support/network-child.js';
import { filesOf, networkFixtures } from '../support/network-cases.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { Seeded } from '../support/seeded.js';

/*
 * Bytes of models of networks are changed at random: reading them ends, soon, in a program or in a refusal that says why;
 * nothing ends the process that reads them but its own answer.
 */

/** Larger models would only be read for longer. */
const MOST_BYTES = 400_000;
/** A mutant of these is read in milliseconds. */
const PATIENCE_MS = 20_000;
const LATE = 'it did not end';

interface NetworkModel extends NetworkQuestion {
  name: string;
}

const models = ['onnx', 'saved-model', 'keras', 'tfjs'].flatMap((format) =>
  networkFixtures(format).flatMap(({ name, folder }): NetworkModel[] => {
    const files = filesOf(folder).map(({ path, file }) => ({
      path,
      bytes: new Uint8Array(readFileSync(file)),
    }));
    const size = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return size > 0 && size <= MOST_BYTES ? [{ name, format, files }] : [];
  }),
);
const formats = [...new Set(models.map(({ format }) => format))];
let child: ChildProcess | undefined;
afterAll(() => void child?.kill('SIGKILL'));

it.each(formats)(
  'damaged models of %s end in a program or in a refusal',
  async (format) => {
    const chance = new Seeded();
    const bases = models.filter((model) => model.format === format);
    const counts = { read: 0, unsupported: 0, failed: 0, untyped: 0 };
    let late = 0;
    const mutants = Math.ceil(amount(200, 50_000) / formats.length);
    let slowest = 0;
    for (let i = 0; i < mutants; i++) {
      const base = chance.pick(bases);
      const before = performance.now();
      const question = mutate(base, chance);
      const { outcome, reason } = await ask(question);
      if (reason === LATE && format === 'keras') {
        // The HDF5 library has loops that some files keep in for ever: the process that compiles has a deadline for that.
        const { state, reason: told } = await compileAll(question, 5_000);
        expect({ state, told }).toEqual({
          state: 'failed',
          told: expect.stringMatching(/did not end within/),
        });
        late += 1;
        continue;
      }
      if (outcome === 'untyped') {
        throw new Error(`seed ${chance.seed}, mutant ${i} of ${base.name}: ${reason}`);
      }
      if (outcome !== 'read') expect(reason).toMatch(/\S/);
      counts[outcome] += 1;
      slowest = Math.max(slowest, performance.now() - before);
    }
    report(`damaged models of ${format}`, {
      seed: chance.seed,
      models: bases.length,
      mutants,
      ...counts,
      'ended at their deadline': late,
      slowest: `${(slowest / 1000).toFixed(2)} s`,
    });
  },
  proofTimeout,
);

it(
  'the process that compiles answers for damaged models, or is ended and says why',
  async () => {
    const chance = new Seeded();
    const counts = { servable: 0, unsupported: 0, failed: 0, lost: 0 };
    const mutants = amount(12, 1_500);
    for (let i = 0; i < mutants; i++) {
      const base = chance.pick(models);
      const result = await compileAll(await readable(base, chance), PATIENCE_MS);
      counts[result.state] += 1;
      if (result.lostProcess !== undefined) counts.lost += 1;
      if (result.state !== 'servable') expect(result.reason).toMatch(/\S/);
      if (/could not be read: /.test(result.reason ?? '')) {
        throw new Error(`seed ${chance.seed}, mutant ${i} of ${base.name}: ${result.reason}`);
      }
    }
    report('damaged models, compiled', { seed: chance.seed, mutants, ...counts });
  },
  proofTimeout,
);

/** In the real process. */
async function compileAll(
  { files }: NetworkQuestion,
  milliseconds: number,
): Promise<CompileResult> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-mutant-'));
  try {
    for (const { path, bytes } of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), bytes);
    }
    const uploads = files.map(({ path }) => ({ path, file: join(folder, path) }));
    const outputFolder = join(folder, '.program');
    return await compile({ files: uploads, limits: { milliseconds }, outputFolder });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function ask({ format, files }: NetworkQuestion): Promise<NetworkAnswer> {
  const asked = (child ??= fork(resolve('dist/test/support/network-child.js'), [], {
    serialization: 'advanced',
    execArgv: ['--max-old-space-size=1024'],
    // HDF5 says at length what is wrong with a file.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  }));
  return new Promise((done) => {
    const end = (answer: NetworkAnswer) => {
      clearTimeout(timer);
      asked.removeAllListeners();
      done(answer);
    };
    const lose = (how: string) => {
      asked.kill('SIGKILL');
      child = undefined;
      end({ outcome: 'untyped', reason: how });
    };
    const timer = setTimeout(() => lose(LATE), PATIENCE_MS);
    asked.once('message', (answer) => end(answer as NetworkAnswer));
    asked.once('exit', (code, signal) => lose(`the process ended with ${signal ?? code}`));
    asked.send({ format, files } satisfies NetworkQuestion);
  });
}

/** A mutant that only running it, or the native code, may find fault with; any, where none is found soon. */
async function readable(base: NetworkModel, chance: Seeded): Promise<NetworkQuestion> {
  for (let tries = 0; ; tries++) {
    const question = mutate(base, chance);
    if (tries === 30 || (await ask(question)).outcome === 'read') return question;
  }
}

/** The same upload with one of its files changed. */
function mutate({ format, files }: NetworkModel, chance: Seeded): NetworkQuestion {
  const changed = chance.int(0, files.length);
  return {
    format,
    files: files.map(({ path, bytes }, i) => ({
      path,
      bytes: i === changed ? mutant(bytes, chance) : bytes,
    })),
  };
}

/** Changes of bytes, mostly near the beginning, where what describes the rest is. */
function mutant(bytes: Uint8Array, chance: Seeded): Uint8Array {
  let made = Buffer.from(bytes);
  for (
    let count = chance.chance(0.6) ? 1 : chance.int(2, 6);
    count > 0 && made.length > 0;
    count--
  ) {
    const near = chance.chance(0.5) ? Math.min(made.length, 2_000) : made.length;
    const at = chance.int(0, near);
    const way = chance.next();
    const length = chance.int(1, 40);
    if (way < 0.08) made = made.subarray(0, at);
    else if (way < 0.18) made = Buffer.concat([made.subarray(0, at), made.subarray(at + length)]);
    else if (way < 0.28) {
      const from = chance.int(0, made.length);
      const copied = made.subarray(from, from + length);
      made = Buffer.concat([made.subarray(0, at), copied, made.subarray(at)]);
    } else if (way < 0.5) made[at] = chance.pick([0, 1, 0x7f, 0x80, 0xff]);
    else if (way < 0.75) made[at] = (made[at] ?? 0) ^ (1 << chance.int(0, 8));
    else made[at] = chance.int(0, 256);
  }
  return new Uint8Array(made);
}
