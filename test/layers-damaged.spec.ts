import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '#formats';
import { filesOf, networkFixtures } from './support/network-cases.js';
import { amount, proofTimeout } from './support/proof.js';

/** Damaged copies of each model. */
const rounds = amount(1, 200);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-layers-damaged-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Upload {
  path: string;
  bytes: Uint8Array;
}

async function verdictOf(name: string, uploads: Upload[]) {
  const files = await Promise.all(
    uploads.map(async ({ path, bytes }) => {
      const file = join(folder, name, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, bytes);
      return { path, file };
    }),
  );
  return compile({
    files,
    outputFolder: join(folder, `${name}-program`),
    limits: { milliseconds: 20_000 },
  });
}

function json(path: string, document: unknown): Upload {
  return { path, bytes: new TextEncoder().encode(JSON.stringify(document)) };
}

function layersModel(layers: object[], more: object = {}): Upload {
  const config = { name: 'm', layers, input_layers: [['x', 0, 0]], output_layers: [['y', 0, 0]] };
  return json('model.json', {
    format: 'layers-model',
    modelTopology: { class_name: 'Functional', config: { ...config, ...more } },
    weightsManifest: [],
  });
}

const x = {
  class_name: 'InputLayer',
  name: 'x',
  config: { name: 'x', batch_input_shape: [null, 3] },
  inbound_nodes: [],
};
const called = (from: string, call = 0) => [[[from, call, 0, {}]]];

describe('models of layers that are damaged or hostile', () => {
  it.each<[string, object[], object, string, RegExp]>([
    [
      'a custom layer',
      [x, { class_name: 'Custom>Mine', name: 'y', config: {}, inbound_nodes: called('x') }],
      {},
      'unsupported',
      /"y" \(Mine\).*class "Custom>Mine".*code in Python/,
    ],
    [
      'a class that nobody knows',
      [x, { class_name: 'Strange', name: 'y', config: {}, inbound_nodes: called('x') }],
      {},
      'unsupported',
      /"y" \(Strange\)/,
    ],
    [
      'a Lambda',
      [
        x,
        { class_name: 'Lambda', name: 'y', config: { function: 'x' }, inbound_nodes: called('x') },
      ],
      {},
      'unsupported',
      /"y" \(Lambda\).*Python code/,
    ],
    [
      'a TFSMLayer',
      [x, { class_name: 'TFSMLayer', name: 'y', config: {}, inbound_nodes: called('x') }],
      {},
      'unsupported',
      /TFSMLayer/,
    ],
    [
      'layers that wait for each other',
      [
        x,
        { class_name: 'Flatten', name: 'y', config: {}, inbound_nodes: called('z') },
        { class_name: 'Flatten', name: 'z', config: {}, inbound_nodes: called('y') },
      ],
      {},
      'failed',
      /wait for each other: "y", "z"/,
    ],
    [
      'a call that is not there',
      [x, { class_name: 'Flatten', name: 'y', config: {}, inbound_nodes: called('x', 7) }],
      {},
      'failed',
      /uses call 7|wait for each other/,
    ],
    ['an output that is not there', [x], {}, 'failed', /no layer "y"/],
    ['a layer twice', [x, x], {}, 'failed', /second layer "x"/],
    [
      'no weights',
      [x, { class_name: 'Dense', name: 'y', config: { units: 2 }, inbound_nodes: called('x') }],
      {},
      'failed',
      /has no weight "kernel"/,
    ],
    [
      'a state from request to request',
      [
        x,
        {
          class_name: 'LSTM',
          name: 'y',
          config: { units: 2, stateful: true },
          inbound_nodes: called('x'),
        },
      ],
      {},
      'unsupported',
      /"y" \(LSTM\).*from request to request/,
    ],
    [
      'an activation of its own',
      [
        x,
        {
          class_name: 'Activation',
          name: 'y',
          config: { activation: 'mine' },
          inbound_nodes: called('x'),
        },
      ],
      {},
      'unsupported',
      /activation "mine"/,
    ],
    [
      'a mixed dtype policy',
      [
        x,
        {
          class_name: 'Activation',
          name: 'y',
          config: {
            activation: 'relu',
            dtype: { class_name: 'Policy', config: { name: 'mixed_float16' } },
          },
          inbound_nodes: called('x'),
        },
      ],
      {},
      'unsupported',
      /mixed_float16/,
    ],
    [
      'names of prototypes',
      [
        x,
        {
          class_name: '__proto__',
          name: 'y',
          config: { activation: 'constructor' },
          inbound_nodes: called('x'),
        },
      ],
      {},
      'unsupported',
      /__proto__/,
    ],
    [
      'an activation that every object has',
      [
        x,
        {
          class_name: 'Activation',
          name: 'y',
          config: { activation: 'constructor' },
          inbound_nodes: called('x'),
        },
      ],
      {},
      'unsupported',
      /activation "constructor"/,
    ],
  ])('%s', async (title, layers, more, state, reason) => {
    const verdict = await verdictOf(title.replaceAll(' ', '-'), [layersModel(layers, more)]);
    expect(verdict).toMatchObject({ state, format: 'tfjs' });
    expect(verdict.reason).toMatch(reason);
  });

  it('models that call each other ever more often', async () => {
    const input = (name: string) => ({ ...x, name, config: { ...x.config, name } });
    let inner: object = {
      class_name: 'Functional',
      name: 'm0',
      config: {
        name: 'm0',
        layers: [
          input('x'),
          { class_name: 'Flatten', name: 'y', config: {}, inbound_nodes: called('x') },
        ],
        input_layers: [['x', 0, 0]],
        output_layers: [['y', 0, 0]],
      },
    };
    for (let i = 1; i < 20; i++) {
      const name = `m${i}`;
      const before = `m${i - 1}`;
      const twice = [...called('x'), ...called(before, 1)];
      inner = {
        class_name: 'Functional',
        name,
        config: {
          name,
          layers: [input('x'), { ...inner, inbound_nodes: twice }],
          input_layers: [['x', 0, 0]],
          output_layers: [[before, 2, 0]],
        },
      };
    }
    const { config } = inner as { config: object };
    const document = {
      format: 'layers-model',
      modelTopology: { class_name: 'Functional', config },
      weightsManifest: [],
    };
    const verdict = await verdictOf('laughs', [json('model.json', document)]);
    expect(verdict).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/more than 100000 times/),
    });
  });

  it('deeply nested layers', async () => {
    let layer: object = { class_name: 'Dense', config: { name: 'd', units: 1 } };
    for (let i = 0; i < 60; i++)
      layer = { class_name: 'TimeDistributed', config: { name: `t${i}`, layer } };
    const verdict = await verdictOf('deep', [
      layersModel([x, { ...layer, name: 'y', inbound_nodes: called('x') }]),
    ]);
    expect(verdict).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/nested more than/),
    });
  });

  const small = [...networkFixtures('keras'), ...networkFixtures('tfjs')].filter(({ name }) =>
    /\/(k2-mlp-h5|k3-mlp|k3-text|k2-rnn-h5|layers-mlp|layers-rnn)$/.test(name),
  );

  it.each(small.map((fixture) => [fixture.name, filesOf(fixture.folder)] as const))(
    'bytes of %s, each a fault that is told or none',
    async (name, files) => {
      const uploads = await Promise.all(
        files.map(async ({ path, file }) => ({
          path,
          bytes: new Uint8Array(await readFile(file)),
        })),
      );
      let state = 12345;
      const random = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state % below;
      };
      for (let round = 0; round < rounds; round++) {
        const mutants = uploads.map(({ path, bytes }) => ({ path, bytes: bytes.slice() }));
        const chosen = mutants[random(mutants.length)];
        if (!chosen) continue;
        if (round % 4 === 0) chosen.bytes = chosen.bytes.slice(0, random(chosen.bytes.length));
        else
          for (let i = 0; i <= random(8); i++)
            chosen.bytes[random(Math.min(chosen.bytes.length, round % 2 ? 4096 : 2 ** 20))] =
              random(256);
        const verdict = await verdictOf(`${name}-${round}`, mutants);
        expect(['servable', 'unsupported', 'failed']).toContain(verdict.state);
        if (verdict.state !== 'servable') expect(verdict.reason).toMatch(/\S/);
        expect(verdict.reason ?? '').not.toMatch(
          /did not end|is not a function|undefined \(|Cannot read prop/,
        );
      }
    },
    proofTimeout,
  );
});
