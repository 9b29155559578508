import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TensorGraph } from '../libs/formats/tensor-graph/tensor-graph.js';
import { writeGraph, type GraphSignature } from '../libs/formats/tensor-graph/write-graph.js';
import { dropDatabase, ownDatabase } from './support/postgres.js';
import { ServedModels } from './support/served-models.js';
import { type Answer, ServingProcess } from './support/serving-process.js';

let folder: string;
let databaseUrl: string;
let models: ServedModels;
let serving: ServingProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-signatures-'));
  databaseUrl = await ownDatabase();
  models = await new ServedModels(databaseUrl, join(folder, 'store')).open();
  serving = await ServingProcess.start({
    databaseUrl,
    dataDir: join(folder, 'data'),
    store: join(folder, 'store'),
  });
});

afterAll(async () => {
  await serving.stop();
  await models.close();
  await dropDatabase(databaseUrl);
  await rm(folder, { recursive: true, force: true });
});

/** `twice` and `thrice` of ONNX operators (in a compartment) or of a kernel (in the process), and `never`, which is refused. */
function multiples(onnx: boolean, standard?: string) {
  const graph = new TensorGraph();
  const entry = (factor: number): GraphSignature => {
    const x = graph.input({ dtype: 'FP32', shape: [-1] });
    const [kernel = x] = onnx ? [] : graph.kernel('identity', [x], [x]);
    const y = onnx ? graph.op('Mul', [x, graph.scalar('FP32', factor)]) : kernel;
    const spec = { dtype: 'FP32' as const, shape: [-1] };
    const input = factor === 2 ? 'x' : 'z';
    return {
      inputs: [{ spec: { ...spec, name: input }, value: x }],
      outputs: [{ spec: { ...spec, name: 'y' }, value: y }],
    };
  };
  return writeGraph(graph.nodes, {
    importer: 'saved-model@1',
    format: 'saved-model',
    signatures: {
      ...(standard !== undefined && { default: standard }),
      named: new Map([
        ['twice', entry(2)],
        ['thrice', entry(3)],
      ]),
      refused: { never: 'The operation PyFunc (node "f") is not supported.' },
    },
  });
}

function ask(
  model: string,
  input: string,
  { signature, value = 1 }: { signature?: unknown; value?: number } = {},
): Promise<Answer> {
  const body = {
    inputs: [{ name: input, datatype: 'FP32', shape: [1], data: [value] }],
    ...(signature !== undefined && { parameters: { signature_name: signature } }),
  };
  return serving.send('POST', `/v2/models/${model}/infer`, JSON.stringify(body), {
    'content-type': 'application/json',
  });
}

function outputsOf({ json }: Answer): unknown {
  return (json as { outputs?: { data: unknown }[] }).outputs?.map(({ data }) => data);
}

async function served(name: string, onnx: boolean, standard?: string): Promise<void> {
  const id = await models.model(name);
  await models.version(id, 1, multiples(onnx, standard));
  await models.follow(id, 1);
  await models.settled(id);
}

describe('named signatures', () => {
  it('are chosen by the request, in one version under load', async () => {
    await served('multiples', true, 'twice');
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const [factor, input, signature] =
          i % 3 ? ([2, 'x', undefined] as const) : ([3, 'z', 'thrice'] as const);
        const answer = await ask('multiples', input, { signature, value: i });
        expect(outputsOf(answer)).toEqual([[factor * i]]);
        return answer.status;
      }),
    );
    expect(new Set(answers)).toEqual(new Set([200]));
  });

  it('run in the process where no part is ONNX', async () => {
    await served('kernels', false, 'twice');
    expect(outputsOf(await ask('kernels', 'x'))).toEqual([[1]]);
    expect(outputsOf(await ask('kernels', 'z', { signature: 'thrice' }))).toEqual([[1]]);
  });

  it.each([
    ['one that is not there', 'once', /no signature "once".*"twice", "thrice", "never"/],
    ['one that was refused', 'never', /"never" cannot be run: The operation PyFunc/],
    ['what is no name', 7, /is 7; expected the name of a signature/],
  ])('of a request for %s are answered 400', async (_, signature, message) => {
    const answer = await ask('multiples', 'x', { signature });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ errors: [{ pointer: '/parameters/signature_name' }] });
    expect((answer.json as { detail: string }).detail).toMatch(message);
  });

  it('say what they expected, not what the default does', async () => {
    const answer = await ask('multiples', 'x', { signature: 'thrice' });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(/Expected \\"z\\" FP32 \[-1\]/);
    expect(answer.body).not.toMatch(/Expected \\"x\\"/);
  });

  it('must be named where none is the default', async () => {
    await served('several', true);
    const answer = await ask('several', 'x');
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(/no default signature/);
    expect(outputsOf(await ask('several', 'x', { signature: 'twice' }))).toEqual([[2]]);
  });

  it('are told with the model, the default one as the protocol has it', async () => {
    const answer = await serving.get('/v2/models/multiples');
    const port = (name: string) => [{ name, datatype: 'FP32', shape: [-1] }];
    expect(answer.json).toMatchObject({
      platform: 'tensorflow_savedmodel',
      inputs: port('x'),
      outputs: port('y'),
      parameters: {
        signature_name: 'twice',
        signatures: {
          twice: { inputs: port('x'), outputs: port('y') },
          thrice: { inputs: port('z'), outputs: port('y') },
        },
      },
    });
  });

  it('warm up by an example of the signature that it names', async () => {
    const id = await models.model('example');
    const inputs = [{ name: 'z', datatype: 'FP32', shape: [1], data: [1] }];
    const parameters = { signature_name: 'thrice' };
    await models.version(id, 1, multiples(true, 'twice'), { example: { inputs, parameters } });
    await models.version(id, 2, multiples(true, 'twice'), { example: { inputs } });
    await models.follow(id, 1);
    expect(await models.settled(id)).toMatchObject([{ state: 'ready' }]);
    await models.follow(id, 2);
    const [state] = await models.settled(id);
    expect(state).toMatchObject({ state: 'failed', answering: 1 });
    expect(state?.reason).toMatch(/Input "x" is missing/);
  });
});
