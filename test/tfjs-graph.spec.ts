import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compareTensors, type Program, type Tensor } from '#program';
import {
  compileNetwork,
  inTypesOf,
  networkFixtures,
  tensorOf,
  type NetworkFixture,
} from './support/network-cases.js';
import { ProgramRunner } from './support/program-runner.js';

let folder: string;
let runner: ProgramRunner;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-tfjs-'));
  runner = new ProgramRunner();
});
afterAll(async () => {
  runner.close();
  await rm(folder, { recursive: true, force: true });
});

/** Compiles as the registry does, in the compile process, and loads it. */
async function load(upload: string): Promise<Program> {
  const { result, program, weights } = await compileNetwork(upload);
  const { state, reason, format } = result;
  expect({ state, reason, format }).toEqual({ state: 'servable', format: 'tfjs' });
  if (!program || !weights) throw new Error(reason);
  await runner.load({ program, weights });
  return program;
}

const fixtures = networkFixtures('tfjs').filter(({ name }) => !/\/(layers|nsfw)/.test(name));

function named(which: (fixture: NetworkFixture) => boolean) {
  return fixtures.filter(which).map((fixture) => [fixture.name, fixture] as const);
}

/** A model of Const nodes and others, all weights in one shard. */
async function modelOf(
  name: string,
  document: { node: object[]; function?: object[] } & Record<string, unknown>,
  weights: { name: string; dtype: string; shape: number[]; bytes: Uint8Array }[],
): Promise<string> {
  const place = join(folder, `upload-${name}`);
  await mkdir(place);
  const { node, function: functions = [], ...rest } = document;
  const manifest = weights.map((entry) => ({ ...entry, bytes: undefined }));
  const model = {
    format: 'graph-model',
    ...rest,
    modelTopology: { node, library: { function: functions } },
    weightsManifest: [{ paths: ['shard.bin'], weights: manifest }],
  };
  await mkdir(join(place, 'web'));
  await writeFile(join(place, 'web/model.json'), JSON.stringify(model));
  await writeFile(join(place, 'web/shard.bin'), Buffer.concat(weights.map(({ bytes }) => bytes)));
  return place;
}

const type = (name: string) => ({ type: name });
const scalar = { name: 'two', dtype: 'int32', shape: [], bytes: Uint8Array.of(2, 0, 0, 0) };
const placeholder = {
  name: 'x',
  op: 'Placeholder',
  attr: { dtype: type('DT_INT64'), shape: { shape: { dim: [{ size: '-1' }] } } },
};
const two = { name: 'two', op: 'Const', attr: { dtype: type('DT_INT64'), value: {} } };

describe('TF.js graph models', () => {
  it.each(named(({ expected: { must } }) => must === undefined))(
    '%s',
    async (_, fixture) => {
      const { signature } = await load(fixture.folder);
      const tensors = (written: Record<string, Parameters<typeof tensorOf>[2]>) =>
        Object.entries(written).map((entry) => tensorOf(fixture.folder, ...entry));
      const { cases = [] } = fixture.expected;
      expect(cases.length).toBeGreaterThan(0);
      for (const { name, inputs, outputs = {}, tolerance } of cases) {
        const got = await runner.request(inTypesOf(tensors(inputs), signature.inputs));
        const wanted = inTypesOf(tensors(outputs), got);
        const { equal, greatest } = compareTensors(got, wanted, tolerance ?? { rtol: 0, atol: 0 });
        expect({ case: name, greatest: equal ? undefined : greatest }).toEqual({ case: name });
      }
    },
    60_000,
  );

  it.each(named(({ expected: { must } }) => must !== undefined))(
    '%s is refused by name',
    async (_, { folder: upload, expected }) => {
      const { result } = await compileNetwork(upload);
      expect(result.state).toBe('unsupported');
      expect(result.reason).toContain(expected.names_operation);
    },
  );

  it('without a signature take their placeholders and give what nothing else needs', async () => {
    const times = { name: 'y', op: 'Mul', input: ['x', 'two'], attr: { T: type('DT_INT64') } };
    const model = await modelOf('plain', { node: [placeholder, two, times] }, [scalar]);
    const program = await load(model);
    expect(program.signature).toEqual({
      inputs: [{ name: 'x', dtype: 'INT64', shape: [-1] }],
      outputs: [{ name: 'y', dtype: 'INT64', shape: [-1] }],
    });
    const x: Tensor = { name: 'x', dtype: 'INT64', shape: [1], data: BigInt64Array.of(2n ** 40n) };
    const [y] = await runner.run([x], ['y']);
    expect(y).toMatchObject({ data: BigInt64Array.of(2n ** 41n) });
  });

  it('call functions whose constants are among the weights too', async () => {
    const twice = {
      signature: { name: 'twice', inputArg: [{ name: 'a' }], outputArg: [{ name: 'b' }] },
      nodeDef: [two, { name: 'm', op: 'Mul', input: ['a', 'two:output:0'] }],
      ret: { b: 'm:z:0' },
    };
    const call = {
      name: 'y',
      op: 'PartitionedCall',
      input: ['x'],
      attr: { f: { func: { name: 'twice' } } },
    };
    const document = { node: [placeholder, call], function: [twice] };
    await load(await modelOf('function', document, [scalar]));
    const x: Tensor = { name: 'x', dtype: 'INT64', shape: [1], data: BigInt64Array.of(4n) };
    expect(await runner.run([x], ['y'])).toMatchObject([{ data: BigInt64Array.of(8n) }]);
  });

  it('have the tables that their initialiser fills with constants', async () => {
    const strings = (...texts: string[]) =>
      Buffer.concat(
        texts.map((text) =>
          Buffer.concat([Uint8Array.of(text.length, 0, 0, 0), Buffer.from(text)]),
        ),
      );
    const weights = [
      { name: 'words', dtype: 'string', shape: [2], bytes: strings('yes', 'no') },
      { name: 'numbers', dtype: 'int32', shape: [2], bytes: Uint8Array.of(7, 0, 0, 0, 8, 0, 0, 0) },
      { ...scalar, name: 'none' },
    ];
    const constant = (name: string, dtype: string) => ({
      name,
      op: 'Const',
      attr: { dtype: type(dtype) },
    });
    const resource = { dtype: 'DT_RESOURCE', tensorShape: {}, resourceId: 12 };
    const tensor = (name: string, dtype: string) => ({
      name,
      dtype,
      tensorShape: { dim: [{ size: '-1' }] },
    });
    const document = {
      node: [
        { name: 'text', op: 'Placeholder', attr: { dtype: type('DT_STRING') } },
        { name: 'table', op: 'Placeholder', attr: { dtype: type('DT_RESOURCE') } },
        constant('none', 'DT_INT64'),
        {
          name: 'found',
          op: 'LookupTableFindV2',
          input: ['table', 'text', 'none'],
          attr: { Tin: type('DT_STRING'), Tout: type('DT_INT64') },
        },
      ],
      signature: {
        inputs: { text: tensor('text:0', 'DT_STRING'), table: { ...resource, name: 'table:0' } },
        outputs: { found: tensor('found:0', 'DT_INT64') },
      },
      modelInitializer: {
        node: [
          {
            name: 'made',
            op: 'HashTableV2',
            attr: { key_dtype: type('DT_STRING'), value_dtype: type('DT_INT64') },
          },
          constant('words', 'DT_STRING'),
          constant('numbers', 'DT_INT64'),
          { name: 'fill', op: 'LookupTableImportV2', input: ['made', 'words', 'numbers'] },
          { name: 'given', op: 'Identity', input: ['made', '^fill'] },
        ],
      },
      initializerSignature: { outputs: { given: { ...resource, name: 'given:0' } } },
    };
    const { signature } = await load(await modelOf('tables', document, weights));
    expect(signature.inputs.map(({ name }) => name)).toEqual(['text']);
    const text: Tensor = { name: 'text', dtype: 'BYTES', shape: [3], data: ['no', 'maybe', 'yes'] };
    expect(await runner.request([text])).toMatchObject([{ data: BigInt64Array.of(8n, 2n, 7n) }]);
  });

  it.each([
    [
      'a missing weight',
      { node: [placeholder, { ...two, name: 'three' }] },
      'failed',
      /lack the constant "three"/,
    ],
    ['an unknown op', { node: [{ name: 'y', op: 'MyOp' }] }, 'unsupported', /MyOp \(node "y"\)/],
    ['a node twice', { node: [placeholder, placeholder] }, 'failed', /Two nodes are called "x"/],
    [
      'an attribute that is no integer',
      { node: [{ name: 'y', op: 'Op', attr: { N: { i: 'x' } } }] },
      'failed',
      /node\[0\]\.attr\.N\.i: must be an integer/,
    ],
    [
      'nodes that are no list',
      { node: {} as object[] },
      'failed',
      /modelTopology\.node: must be a list/,
    ],
    [
      'a resource that nothing makes',
      {
        node: [placeholder],
        signature: { inputs: { t: { name: 'x:0', dtype: 'DT_RESOURCE', resourceId: 1 } } },
      },
      'unsupported',
      /"t" is a resource/,
    ],
    [
      'an input of a variant',
      { node: [{ ...placeholder, attr: { dtype: type('DT_VARIANT') } }] },
      'unsupported',
      /"x" is of the type DT_VARIANT/,
    ],
  ])('with %s are refused', async (title, document, state, reason) => {
    const { result } = await compileNetwork(await modelOf(title, document, [scalar]));
    expect(result).toMatchObject({ state, format: 'tfjs' });
    expect(result.reason).toMatch(reason);
  });
});
