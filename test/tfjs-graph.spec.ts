import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '#formats';
import { bindInputs, bindOutputs, compareTensors, type Program, type Tensor } from '#program';
import { dataOf } from '../libs/formats/tensor-graph/known.js';
import { ProgramRunner } from './support/program-runner.js';
import { tensorFlowFixtures, type TensorFlowFixture } from './support/tensorflow-fixtures.js';

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

/** Compiles as the registry does, in the compile process. */
async function compiled({ name, files }: Pick<TensorFlowFixture, 'name' | 'files'>) {
  const outputFolder = join(folder, name);
  return compile({ files, outputFolder });
}

async function load(fixture: TensorFlowFixture): Promise<Program> {
  const { state, reason, format, programFolder = '' } = await compiled(fixture);
  expect({ state, reason, format }).toEqual({ state: 'servable', format: 'tfjs' });
  const program = JSON.parse(
    await readFile(join(programFolder, 'program.json'), 'utf8'),
  ) as Program;
  await runner.load({ program, weights: await readFile(join(programFolder, 'weights.bin')) });
  return program;
}

/** TF.js has int32 for all integers: what was recorded is that. */
function inTypesOf(
  tensors: Tensor[],
  others: { name: string; dtype: Tensor['dtype'] }[],
): Tensor[] {
  return tensors.map((tensor) => {
    const dtype = others.find(({ name }) => name === tensor.name)?.dtype ?? tensor.dtype;
    if (dtype === tensor.dtype || Array.isArray(tensor.data)) return tensor;
    return { ...tensor, dtype, data: dataOf(dtype, tensor.data) };
  });
}

const fixtures = tensorFlowFixtures('tfjs').filter(({ name }) => !/^(layers|nsfw)/.test(name));

function named(which: (fixture: TensorFlowFixture) => boolean) {
  return fixtures.filter(which).map((fixture) => [fixture.name, fixture] as const);
}

/** A model of Const nodes and others, all weights in one shard. */
async function modelOf(
  name: string,
  document: { node: object[]; function?: object[] } & Record<string, unknown>,
  weights: { name: string; dtype: string; shape: number[]; bytes: Uint8Array }[],
) {
  const place = join(folder, `upload-${name}`);
  await mkdir(place);
  const { node, function: functions = [], ...rest } = document;
  const manifest = weights.map(({ bytes: _, ...entry }) => entry);
  const model = {
    format: 'graph-model',
    ...rest,
    modelTopology: { node, library: { function: functions } },
    weightsManifest: [{ paths: ['shard.bin'], weights: manifest }],
  };
  const files = { 'web/model.json': JSON.stringify(model), 'web/shard.bin': '' };
  await mkdir(join(place, 'web'));
  await writeFile(join(place, 'web/model.json'), files['web/model.json']);
  await writeFile(join(place, 'web/shard.bin'), Buffer.concat(weights.map(({ bytes }) => bytes)));
  const paths = Object.keys(files);
  return { name, files: paths.map((path) => ({ path, file: join(place, path) })) };
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
  it.each(named(({ must }) => must === undefined))(
    '%s',
    async (_, fixture) => {
      const program = await load(fixture);
      expect(fixture.cases.length).toBeGreaterThan(0);
      for (const { name, inputs, expected = [], tolerance } of fixture.cases) {
        const given = inTypesOf(inputs, program.signature.inputs);
        const bound = bindInputs(program, given, { maxRows: 1e6 });
        const outputs = bindOutputs(
          program,
          expected.map((tensor) => tensor.name),
        );
        const got = await runner.run(bound, outputs);
        const { equal, greatest } = compareTensors(got, inTypesOf(expected, got), tolerance);
        expect({ case: name, greatest: equal ? undefined : greatest }).toEqual({ case: name });
      }
    },
    60_000,
  );

  it.each(named(({ must }) => must !== undefined))('%s is refused by name', async (_, fixture) => {
    const { state, reason } = await compiled(fixture);
    expect(state).toBe('unsupported');
    expect(reason).toContain(fixture.operation);
  });

  it('without a signature take their placeholders and give what nothing else needs', async () => {
    const times = { name: 'y', op: 'Mul', input: ['x', 'two'], attr: { T: type('DT_INT64') } };
    const model = await modelOf('plain', { node: [placeholder, two, times] }, [scalar]);
    const program = await load({ ...model, cases: [] });
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
    await load({ ...(await modelOf('function', document, [scalar])), cases: [] });
    const x: Tensor = { name: 'x', dtype: 'INT64', shape: [1], data: BigInt64Array.of(4n) };
    expect(await runner.run([x], ['y'])).toMatchObject([{ data: BigInt64Array.of(8n) }]);
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
      /"x" is of DT_VARIANT/,
    ],
  ])('with %s are refused', async (title, document, state, reason) => {
    const refused = await compiled(await modelOf(title, document, [scalar]));
    expect({ ...refused, format: 'tfjs' }).toMatchObject({ state, format: 'tfjs' });
    expect(refused.reason).toMatch(reason);
  });
});
