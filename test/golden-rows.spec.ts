import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { compile } from '#formats';
import { bindInputs, bindOutputs, loadProgram, zeroInputs } from '#program';
import { encodeTensors, type TensorJson } from '#protocols';

/** Golden rows in the real compile child; ONNX graphs have theirs in libs/formats/compiler.spec.ts, and texts in sklearn-journey.spec.ts. */

/** The repository's own fixtures, and the shared ones where they are. */
const folders = [
  join(import.meta.dirname, '..', '..', 'test', 'fixtures'),
  process.env['SLIPWAY_FIXTURES'] ?? '',
  ...['..', '../..', '../../..'].map((up) =>
    join(import.meta.dirname, '..', '..', up, 'shared', 'fixtures'),
  ),
];
const placeOf = (path: string): string | undefined =>
  folders.map((folder) => join(folder, path)).find((place) => existsSync(place));
const temporary = mkdtempSync(join(tmpdir(), 'golden-'));
afterAll(() => rmSync(temporary, { recursive: true }));

const models: [format: string, path: string][] = [
  ['xgboost', 'trees/xgboost/3.2.0/gblinear_multi.ubj'],
  ['lightgbm', 'trees/lightgbm/4.7.0/frame_categorical.txt'],
  ['catboost', 'trees/catboost/1.0.6/multiclass.cbm'],
  ['treelite', 'trees/treelite/4.8.1/sk_rf.treelite'],
  ['ydf', 'trees/ydf/0.16.1/cart'],
  ['sklearn', 'sklearn/1.8.0/dt_bool.pkl'],
  ['sklearn', 'sklearn/1.1.3/t_infrequent.pkl'],
];

interface File {
  path: string;
  file: string;
}

function filesOf(whole: string): File[] {
  if (!statSync(whole).isDirectory()) return [{ path: basename(whole), file: whole }];
  return readdirSync(whole, { recursive: true, encoding: 'utf8' })
    .map((name) => join(whole, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => ({ path: relative(whole, file), file }));
}

/** A request of zeros and missing values, and the model's answers to it, all outputs. */
async function exampleOf(files: File[]): Promise<{ inputs: TensorJson[]; expected: TensorJson[] }> {
  const result = await compile({ files, outputFolder: mkdtempSync(join(temporary, 'program-')) });
  if (result.state !== 'servable') throw new Error(result.reason);
  const folder = result.programFolder ?? '';
  const program: unknown = JSON.parse(readFileSync(join(folder, 'program.json'), 'utf8'));
  const runtime = await loadProgram(program, readFileSync(join(folder, 'weights.bin')), {
    files: new Map(files.map(({ path, file }) => [path, readFileSync(file)])),
  });
  const inputs = zeroInputs(runtime);
  const names = bindOutputs(
    runtime,
    runtime.signature.outputs.map(({ name }) => name),
  );
  const answers = await runtime.run(bindInputs(runtime, inputs, { maxRows: 10 }), names);
  await runtime.close?.();
  return { inputs: encodeTensors(inputs), expected: encodeTensors(answers) };
}

/** Another element than this one, of the same type. */
function another(element: unknown): unknown {
  if (typeof element === 'string') return /^-?\d+$/.test(element) ? '7' : `${element}?`;
  if (typeof element === 'boolean') return !element;
  return Number(element) + 1;
}

describe.each(models)('%s, %s', (format, path) => {
  const place = placeOf(path);
  if (place === undefined) {
    process.stderr.write(`NOT TESTED: golden rows of ${format}, ${path} is not there\n`);
    return it.todo(`has no fixture ${path}`);
  }
  it('is servable with its own answers and failed with any other', async () => {
    const files = filesOf(place);
    const { inputs, expected } = await exampleOf(files);
    const equal = await compile({ files, inputExample: { inputs, expected } });
    expect(equal).toMatchObject({
      state: 'servable',
      format,
      difference: { message: 'is as expected', row: 0 },
    });
    for (const [i, tensor] of expected.entries()) {
      const { data } = tensor;
      const changed = { ...tensor, data: [another(data[0]), ...data.slice(1)] };
      const wrong = await compile({
        files,
        inputExample: { inputs, expected: expected.with(i, changed) },
      });
      expect(wrong).toMatchObject({
        state: 'failed',
        format,
        reason: expect.stringMatching(`golden rows.*"${tensor.name}"`),
        difference: { output: tensor.name, row: 0, at: tensor.shape.map(() => 0) },
      });
      expect(wrong.difference?.expected).not.toEqual(wrong.difference?.got);
    }
  }, 120_000);
});
