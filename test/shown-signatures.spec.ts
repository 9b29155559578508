import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TensorFlowTensor } from '#program';
import { type InputExample, Slipway } from '#sdk';
import { compileNetwork, filesOf, networkFixtures, someOf } from './support/network-cases.js';
import { startRegistry, type TestRegistry } from './support/registry.js';

/*
 * What `saved_model_cli show --all` shows of a SavedModel: methods, dtypes, shapes and tensors of every signature, whether it can
 * be run or not.
 */

type Ports = Record<string, { dtype: string; shape: number[] | null }>;

const DTYPES: Record<string, string> = {
  float16: 'DT_HALF',
  float32: 'DT_FLOAT',
  float64: 'DT_DOUBLE',
};

function shown(tensors: TensorFlowTensor[]): unknown {
  return Object.fromEntries(tensors.map(({ name, dtype, shape }) => [name, { dtype, shape }]));
}

function recorded(ports: Ports): unknown {
  return Object.fromEntries(
    Object.entries(ports).map(([name, { dtype, shape }]) => [
      name,
      { dtype: DTYPES[dtype] ?? `DT_${dtype.toUpperCase()}`, shape },
    ]),
  );
}

const known = networkFixtures('saved-model').filter(({ expected }) => expected.signatures);
const fixtures = someOf(known, 3);

describe('signatures as TensorFlow shows them', () => {
  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    async (_, { folder, expected }) => {
      const { result } = await compileNetwork(folder);
      const told = result.signatures?.tensorflow;
      expect(told?.tags).toContain('serve');
      const wanted = expected.signatures as Record<
        string,
        { method: string; inputs: Ports; outputs: Ports }
      >;
      for (const [name, { method, inputs, outputs }] of Object.entries(wanted)) {
        const signature = told?.signatures[name];
        expect({
          name,
          method: signature?.methodName,
          inputs: shown(signature?.inputs ?? []),
          outputs: shown(signature?.outputs ?? []),
        }).toEqual({ name, method, inputs: recorded(inputs), outputs: recorded(outputs) });
        for (const { tensor } of [...(signature?.inputs ?? []), ...(signature?.outputs ?? [])])
          expect(tensor).toMatch(/^[^:]+:\d+$/);
      }
    },
    60_000,
  );
});

const model = known.find(({ name }) => name.endsWith('/module-signatures'));

(model ? describe : describe.skip)('a version of several signatures', () => {
  let registry: TestRegistry;
  let slipway: Slipway;
  let upload: string;
  beforeAll(async () => {
    registry = await startRegistry();
    slipway = new Slipway({ url: registry.url });
    upload = await mkdtemp(join(tmpdir(), 'slipway-upload-'));
    for (const { path, file } of filesOf(model?.folder ?? '')) {
      await mkdir(dirname(join(upload, path)), { recursive: true });
      await writeFile(join(upload, path), await readFile(file));
    }
  });
  afterAll(async () => {
    await registry.close();
    await rm(upload, { recursive: true });
  });

  it('tells the default one, and all', async () => {
    const { version } = await slipway.logModel({ name: 'several', path: upload });
    await registry.compiled('several', version);
    const { signature, signatures } = await slipway.version('several', version);
    expect(signature?.inputs).toEqual([{ name: 'x', dtype: 'FP32', shape: [-1, 4] }]);
    expect(signatures?.default).toBe('serving_default');
    expect(Object.keys(signatures?.named ?? {}).toSorted()).toEqual([
      'flags',
      'scale',
      'serving_default',
      'version',
    ]);
    expect(signatures?.named['serving_default']).toEqual(signature);
    expect(signatures?.tensorflow?.tags).toEqual(['serve']);
    expect(signatures?.tensorflow?.signatures['scale']?.inputs).toEqual([
      { name: 'n', dtype: 'DT_INT64', shape: [-1], tensor: 'scale_n:0' },
      { name: 'q', dtype: 'DT_DOUBLE', shape: [], tensor: 'scale_q:0' },
    ]);
    // The same files are compiled once.
    const again = await slipway.logModel({ name: 'again', path: upload });
    await registry.compiled('again', again.version);
    expect((await slipway.version('again', again.version)).signatures).toEqual(signatures);
  });

  it('has golden rows of the signature that the example names', async () => {
    const inputExample: InputExample = {
      inputs: [
        { name: 'n', datatype: 'INT64', shape: [1], data: [7] },
        { name: 'q', datatype: 'FP64', shape: [], data: [0.5] },
      ],
      parameters: { signature_name: 'scale' },
      expected: [{ name: 'n', datatype: 'INT64', shape: [1], data: [22] }],
    };
    const log = async (example: InputExample) => {
      const logged = await slipway.logModel({
        name: 'golden',
        path: upload,
        inputExample: example,
      });
      return (await registry.compiled('golden', logged.version)).serving;
    };
    expect(await log(inputExample)).toMatchObject({ state: 'servable' });
    const wrong = [{ name: 'n', datatype: 'INT64' as const, shape: [1], data: [23] }];
    expect(await log({ ...inputExample, expected: wrong })).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/golden rows are not reproduced: output "n"/),
    });
    const parameters = { signature_name: 'nope' };
    expect(await log({ ...inputExample, parameters })).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/no signature "nope"/),
    });
    const typo = log({ ...inputExample, parameters: { signature_name: 7 } });
    await expect(typo).rejects.toMatchObject({
      status: 400,
      errors: [{ pointer: '/inputExample/parameters/signature_name' }],
    });
  });
});
