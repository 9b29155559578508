import { symlinkSync } from 'node:fs';
import { cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compile, Spawner } from '#formats';
import { bindInputs, bindOutputs, compareTensors } from '#program';
import { Compartment } from '../libs/serving/compartment.js';
import { compiledOnnx, compileFixture } from './support/compiled-onnx.js';
import { onnxFixtures, uploadOf } from './support/onnx-fixtures.js';

const GIB = 2 ** 30;
const spawner = new Spawner();
afterAll(() => spawner.close());

describe('ONNX models answer as other implementations do', () => {
  const fixtures = onnxFixtures('plain');
  let compartment: Compartment;
  beforeAll(async () => {
    compartment = await Compartment.start({ memory: 2 * GIB, timeout: 30_000 }, spawner);
  });
  afterAll(() => compartment.close());

  test('there are fixtures', () => expect(fixtures.length).toBeGreaterThanOrEqual(2));

  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    async (name, fixture) => {
      const { program, source } = await compiledOnnx(fixture);
      await compartment.loadProgram(name, source);
      expect(fixture.cases.length).toBeGreaterThan(0);
      for (const { inputs, expected, tolerance } of fixture.cases) {
        const bound = bindInputs(program, inputs, { maxRows: 100_000 });
        const got = await compartment.run(name, bound, bindOutputs(program), 30_000);
        expect(compareTensors(got, expected, tolerance)).toMatchObject({ equal: true });
        for (const { name: output, parameters } of expected)
          expect(got.find((tensor) => tensor.name === output)?.parameters).toEqual(parameters);
      }
      compartment.unload(name);
    },
  );
});

describe('hostile ONNX models', () => {
  const fixtures = onnxFixtures('hostile');
  const patience = 3_000;
  /** What the reason must name. */
  const named: Record<string, RegExp> = {
    'future-ir': /IR version 99/,
    'future-opset': /ai\.onnx 99/,
    'unknown-operator': /evil\.ops\.RunShell/,
    'recursive-function': /calls itself/,
    'endless-loop': /did not end within/,
    'loop-doubling': /memory|did not end within/,
    'allocate-8-gib': /memory/,
  };

  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    async (name, fixture) => {
      const { must = '', inputs } = fixture;
      const result = await compileFixture(fixture, { milliseconds: patience });
      if (/^refused at load(?! (or|\())/.test(must) || named[name]) {
        expect(result.state).not.toBe('servable');
        expect(result.reason).toMatch(named[name] ?? /./);
        return;
      }
      if (result.state !== 'servable') {
        expect(must).toMatch(/refused|killed/);
        return;
      }
      const compartment = await Compartment.start({ memory: GIB, timeout: patience }, spawner);
      try {
        const { program, source } = await compiledOnnx(fixture);
        await compartment.loadProgram(name, source);
        const bound = bindInputs(program, inputs, { maxRows: 2 ** 40 });
        const answer = compartment.run(name, bound, bindOutputs(program), patience);
        const got = await answer.catch((error: unknown) => error);
        if (fixture.outputs)
          expect(
            compareTensors(Array.isArray(got) ? got : [], fixture.outputs, { rtol: 0, atol: 0 }),
          ).toMatchObject({ equal: true });
        if (/answered with an error|killed/.test(must)) expect(got).toBeInstanceOf(Error);
      } finally {
        compartment.close();
      }
    },
  );

  test('external data behind a symbolic link', async () => {
    const fixture = fixtures.find(({ name }) => name === 'external-symlink');
    if (!fixture) return;
    const folder = await mkdtemp(join(tmpdir(), 'slipway-test-'));
    await cp(fixture.folder, folder, { recursive: true });
    const link = join(folder, 'weights.bin');
    symlinkSync('/etc/passwd', link);
    const files = [...uploadOf({ ...fixture, folder }), { path: 'weights.bin', file: link }];
    const result = await compile({ files: files.map(({ path, file }) => ({ path, file })) });
    expect(result.state).toBe('failed');
    expect(result.reason).toMatch(/weights\.bin/);
  });
});
