import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway, type InferTensor, type ModelVersion } from '#sdk';
import { hostileModels } from './support/hostile-models.js';
import { Product } from './support/product.js';

/** Models of scikit-learn from the file that was saved to predictions by HTTP, with the real processes. */

const folder = join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'journey');
const titanics = readdirSync(folder).filter((file) => /^titanic\..*(?<!\.json)$/.test(file));
/** The library's answers were compared before; here the way through the product is what may add to them. */
const tolerance = { rtol: 1e-12, atol: 1e-15 };

interface Example {
  inputs: InferTensor[];
  outputs: InferTensor[];
}

let product: Product;
let slipway: Slipway;

beforeAll(async () => {
  product = await Product.start();
  slipway = new Slipway({ url: product.url, retry: { attempts: 1 } });
}, 90_000);

afterAll(() => product.remove());

const read = (file: string) => new Uint8Array(readFileSync(join(folder, file)));
const exampleOf = (model: string): Example =>
  JSON.parse(readFileSync(join(folder, `${model}.json`), 'utf8')) as Example;

interface Logged {
  /** Path in the version → file of the fixtures, or bytes. */
  files: Record<string, string | Uint8Array>;
  expected?: InferTensor[];
  inputs?: InferTensor[];
}

/** Logs a version, and waits for its verdict. */
async function log(name: string, { files, inputs, expected }: Logged): Promise<ModelVersion> {
  const { version } = await slipway.logModel({
    name,
    files: Object.entries(files).map(([path, file]) => ({
      path,
      data: typeof file === 'string' ? read(file) : file,
    })),
    ...(inputs && { inputExample: { inputs, ...(expected && { expected }), tolerance } }),
  });
  return slipway.checked(name, version);
}

/** Logs a model of the fixtures with its golden rows, and puts it into production. */
async function serve(model: string, file: string): Promise<Example> {
  const example = exampleOf(model);
  const { inputs, outputs: expected } = example;
  const { version, serving } = await log(model, { files: { [file]: file }, inputs, expected });
  expect([serving.state, serving.reason]).toEqual(['servable', undefined]);
  expect(await slipway.promote(model, version)).toMatchObject({ serving: 'ready' });
  return example;
}

interface Said {
  status: number;
  outputs: InferTensor[];
  detail: string;
  pointer: string | undefined;
}

/** Asks as any client of the protocol does. */
async function infer(model: string, inputs: object[], outputs?: string[]): Promise<Said> {
  const answer = await fetch(`${product.servingUrl}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      inputs,
      ...(outputs && { outputs: outputs.map((name) => ({ name })) }),
    }),
  });
  const body = (await answer.json()) as {
    outputs?: InferTensor[];
    detail?: string;
    errors?: { pointer: string }[];
  };
  const { outputs: got = [], detail = '', errors } = body;
  return { status: answer.status, outputs: got, detail, pointer: errors?.[0]?.pointer };
}

function column(inputs: InferTensor[], name: string): InferTensor {
  const found = inputs.find((input) => input.name === name);
  if (!found) throw new Error(`there is no column ${name}`);
  return found;
}

const named = (output: string, { outputs }: Pick<Example, 'outputs'>) => column(outputs, output);

/** Columns side by side in one tensor, as a data frame has them. */
function matrixOf(name: string, columns: InferTensor[]): object {
  const [first] = columns;
  const rows = first?.shape[0] ?? 0;
  const data = Array.from({ length: rows }, (_, row) =>
    columns.map((each) => (each.data as unknown[])[row] ?? null),
  ).flat();
  return {
    name,
    datatype: first?.datatype,
    shape: [rows, columns.length],
    parameters: { columns: columns.map((each) => each.name) },
    data,
  };
}

describe('a pipeline of a data frame', () => {
  const example = exampleOf('titanic');

  it.each(titanics)('%s: reproduces what the library said', async (file) => {
    const { inputs, outputs: expected } = example;
    const { format, serving, signature } = await log('formats', {
      files: { [file]: file },
      inputs,
      expected,
    });
    expect([format, serving.state, serving.reason]).toEqual(['sklearn', 'servable', undefined]);
    expect(serving.difference?.absolute ?? 0).toBeLessThan(1e-12);
    expect(signature?.inputs.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
      'age FP64',
      'fare FP64',
      'sex BYTES',
      'port BYTES',
      'ticket BYTES',
    ]);
  });

  it('answers with labels, and with what is asked for', async () => {
    const { inputs } = await serve('titanic', 'titanic.p5.pkl');
    const labels = named('predict', example);
    expect(labels.datatype).toBe('BYTES');
    expect(await infer('titanic', inputs)).toMatchObject({ status: 200, outputs: [labels] });
    const chosen = await infer('titanic', inputs, ['decision_function', 'predict']);
    expect(chosen.outputs.map(({ name }) => name)).toEqual(['decision_function', 'predict']);
    const unknown = await infer('titanic', inputs, ['transform']);
    expect(unknown).toMatchObject({ status: 400, pointer: '/outputs/0/name' });
    expect(unknown.detail).toMatch(/no output "transform".*"predict" BYTES \[-1\]/);
  });

  it('takes columns by name in any order, without those that it drops, and named matrices', async () => {
    const { inputs } = example;
    const needed = inputs.filter(({ name }) => name !== 'ticket').toReversed();
    const labels = named('predict', example);
    expect((await infer('titanic', needed)).outputs).toEqual([labels]);
    const matrices = [
      matrixOf('texts', [column(inputs, 'port'), column(inputs, 'sex')]),
      matrixOf('numbers', [column(inputs, 'fare'), column(inputs, 'age')]),
    ];
    expect((await infer('titanic', matrices)).outputs).toEqual([labels]);
  });

  it('says what is wrong with a request, and where', async () => {
    const one = (name: string, datatype: string, ...data: unknown[]) => ({
      name,
      datatype,
      shape: [data.length],
      data,
    });
    const row = {
      age: one('age', 'FP64', 30),
      fare: one('fare', 'FP64', 10),
      sex: one('sex', 'BYTES', 'male'),
      port: one('port', 'BYTES', null),
    };
    const ask = (change: Record<string, object | undefined>) =>
      infer(
        'titanic',
        Object.values({ ...row, ...change }).filter((input) => input !== undefined),
      );
    expect(await ask({})).toMatchObject({ status: 200 });
    expect(await ask({ port: one('port', 'BYTES', 'Atlantis') })).toMatchObject({ status: 200 });

    const missing = await ask({ fare: undefined });
    expect(missing).toMatchObject({ status: 400, pointer: '/inputs' });
    expect(missing.detail).toMatch(/Input "fare" is missing\. Expected "age" FP64 \[-1\]/);
    const unknown = await ask({ cabin: one('cabin', 'BYTES', 'C85') });
    expect(unknown).toMatchObject({ status: 400, pointer: '/inputs/4/name' });
    expect(unknown.detail).toMatch(/no input "cabin"/);
    const text = await ask({ age: one('age', 'BYTES', 'thirty') });
    expect(text).toMatchObject({ status: 400, pointer: '/inputs/0/datatype' });
    const rows = await ask({ age: one('age', 'FP64', 30, 31) });
    expect(rows).toMatchObject({ status: 400, pointer: '/inputs/1/shape' });
    const category = await ask({ sex: one('sex', 'BYTES', 'unsaid') });
    expect(category.status).toBe(400);
    expect(category.pointer).toMatch(/^\/inputs/);
    expect(category.detail).toMatch(/unsaid.*row 0, column 0 \("sex"\) of what OrdinalEncoder/);
    const number = await ask({ sex: one('sex', 'INT64', 1) });
    expect(number).toMatchObject({ status: 400, pointer: '/inputs/2/datatype' });
  });
});

describe('golden rows', () => {
  it('that are not reproduced make a version that cannot be promoted, and say where', async () => {
    const { inputs, outputs } = exampleOf('titanic');
    const labels = named('predict', { outputs });
    const wrong = { ...labels, data: (labels.data as string[]).with(3, 'verschollen') };
    const { version, serving } = await log('golden', {
      files: { 'model.pkl': 'titanic.p5.pkl' },
      inputs,
      expected: [wrong],
    });
    expect(serving).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/golden rows.*"predict" is "\S+" at \[3\].*"verschollen"/),
      difference: { output: 'predict', row: 3, expected: 'verschollen', got: labels.data[3] },
    });
    await expect(slipway.promote('golden', version)).rejects.toMatchObject({ status: 409 });
  });

  it('tell the greatest difference where they are reproduced', async () => {
    const { inputs, outputs } = exampleOf('ridge');
    const answers = named('predict', { outputs });
    const near = (answers.data as number[]).map((x, i) => (i === 5 ? x * (1 + 5e-13) : x));
    const { serving } = await log('golden', {
      files: { 'model.pkl': 'ridge.pkl' },
      inputs,
      expected: [{ ...answers, data: near }],
    });
    expect(serving).toMatchObject({ state: 'servable', difference: { output: 'predict', row: 5 } });
    expect(serving.difference?.relative).toBeGreaterThan(1e-13);
  });
});

describe('a model of an array', () => {
  it('of columns with names takes them, or X by name or place', async () => {
    const example = await serve('boxes', 'boxes.pkl');
    const labels = named('predict', example);
    const matrix = matrixOf('X', example.inputs);
    expect((await infer('boxes', [matrix])).outputs).toEqual([labels]);
    expect((await infer('boxes', [{ ...matrix, parameters: undefined }])).outputs).toEqual([
      labels,
    ]);
    const turned = matrixOf('X', example.inputs.toReversed());
    const proba = await infer('boxes', [turned], ['predict_proba']);
    expect(proba.outputs).toEqual([named('predict_proba', example)]);
    const wrong = await infer('boxes', [matrixOf('X', example.inputs.slice(1))]);
    expect(wrong).toMatchObject({ status: 400, pointer: '/inputs' });
    expect(wrong.detail).toMatch(/"width" is missing/);
  });

  it('refuses a missing value as the library does', async () => {
    const { inputs } = await serve('ridge', 'ridge.pkl');
    const [X] = inputs;
    const data = [...((X?.data ?? []) as unknown[])].with(4, null);
    const answer = await infer('ridge', [{ ...X, data }]);
    expect(answer.status).toBe(400);
    expect(answer.pointer).toMatch(/^\/inputs/);
    expect(answer.detail).toMatch(/NaN.*row 1, column 1.*Ridge/);
    const narrow = await infer('ridge', [{ ...X, shape: [18, 2] }]);
    expect(narrow).toMatchObject({ status: 400, pointer: '/inputs/0/shape' });
    expect(narrow.detail).toMatch(/2 columns and must have 3/);
  });

  it('takes missing values where the library does', async () => {
    const { inputs, outputs } = await serve('boosted', 'boosted.joblib');
    expect(inputs[0]?.data).toContain(null);
    expect((await infer('boosted', inputs)).outputs).toEqual(outputs);
  });

  it('of texts takes BYTES, and answers BOOL', async () => {
    const example = await serve('opinions', 'opinions.pkl');
    const { outputs } = await infer('opinions', example.inputs);
    expect(outputs).toEqual([named('predict', example)]);
    expect(outputs[0]?.datatype).toBe('BOOL');
    const numbers = [{ name: 'X', datatype: 'FP64', shape: [1], data: [1] }];
    expect(await infer('opinions', numbers)).toMatchObject({
      status: 400,
      pointer: '/inputs/0/datatype',
    });
  });

  it('that only transforms answers with that', async () => {
    const { inputs } = await serve('pca', 'pca.pkl');
    const { outputs } = await infer('pca', inputs);
    expect(outputs).toMatchObject([{ name: 'transform', datatype: 'FP64', shape: [12, 2] }]);
  });
});

describe('a version of several files', () => {
  const readme = Buffer.from('# sklearn.linear_model\nFitted with scikit-learn 1.5.2.\n');

  it('may have others beside its model, and the model in a folder', async () => {
    const { inputs, outputs: expected } = exampleOf('ridge');
    const files = {
      'README.md': readme,
      MLmodel: Buffer.from('flavors:\n  sklearn:\n    pickled_model: model/model.pkl\n'),
      'conda.yaml': Buffer.from('dependencies: [scikit-learn=1.5.2]\n'),
      'requirements.txt': Buffer.from('scikit-learn==1.5.2\n'),
      'python_env.yaml': Buffer.from('python: 3.11.7\n'),
      'model/model.pkl': 'ridge.pkl',
      'model/notes.json': Buffer.from('{"a": 1}'),
    };
    const { format, serving } = await log('folder', { files, inputs, expected });
    expect([format, serving.state, serving.reason]).toEqual(['sklearn', 'servable', undefined]);
  });

  it('must not have two models', async () => {
    const files = { 'a.pkl': 'ridge.pkl', 'b/b.joblib': 'titanic.joblib', 'README.md': readme };
    const { serving } = await log('folder', { files });
    expect(serving).toMatchObject({
      state: 'unsupported',
      reason: expect.stringMatching(/Several files.*a\.pkl, b\/b\.joblib.*one a version/),
    });
  });
});

describe('a model that needs code', () => {
  it.each([
    ['function.pkl', /FunctionTransformer.*__main__\.add_length/, '__main__.add_length'],
    ['class.pkl', /Clipper.*__main__\.Clipper/, '__main__.Clipper'],
    ['lambda.pkl', /FunctionTransformer.*cloudpickle/, 'cloudpickle.cloudpickle._make_function'],
  ])('%s: is kept and refused by name', async (file, reason, name) => {
    const { version, serving } = await log('code', { files: { 'model.pkl': file } });
    expect(serving).toMatchObject({
      state: 'unsupported',
      reason: expect.stringMatching(reason),
    });
    expect(serving.reason).toMatch(/steps\[0\]/);
    const answer = await fetch(`${product.url}/api/v1/models/code/versions/${version}/files`);
    expect(await answer.json()).toMatchObject({
      files: [{ scan: { verdict: 'code', names: expect.arrayContaining([name]) } }],
    });
    await expect(slipway.promote('code', version)).rejects.toMatchObject({ status: 409 });
  });

  it.each(['a release from the future', 'a release before 0.22', 'a pipeline in itself'])(
    '%s is refused by name',
    async (which) => {
      const { make, error } = hostileModels[which] ?? {};
      const { serving } = await log('refused', { files: { 'm.pkl': make?.() ?? Buffer.of() } });
      expect(serving).toMatchObject({
        state: 'unsupported',
        reason: expect.stringMatching(error ?? /nothing/),
      });
    },
  );
});
