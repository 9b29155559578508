import { readFileSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { importers, type UploadedFile } from '#formats';
import {
  elementCount,
  newData,
  type Program,
  type Signature,
  type Tensor,
  type TensorSpec,
} from '#program';
import { compiledOnnx } from './compiled-onnx.js';
import { toPlain, type ConformanceCase } from './conformance-runner.js';
import { onnxFixtures } from './onnx-fixtures.js';
import { expectedOf, requestOf, sklearnFixtures, sklearnFolders } from './sklearn-fixtures.js';
import { compileNetwork, inTypesOf, networkFixtures, someOf, tensorOf } from './network-cases.js';
import { folderOf, tensorsOf, treeFixtures, uploadOf, type Expected } from './tree-fixtures.js';

const ENDINGS = ['.json', '.ubj', '.txt', '.model', '.raw', '.treelite', '.cbm'];
/** ONNX models that between them pass every kind of value; the others say no more about where they run. */
const ONNX = [
  'default-input',
  'external-data',
  'sequence-outputs',
  'skl-tfidf',
  'cnn-opset11',
  'skl-mixed-zipmap',
];

/** A model of the fixtures before it is compiled. */
interface Source {
  name: string;
  upload: UploadedFile[];
  tolerance: number;
  inputs(program: Program): Tensor[];
  /** What the library said of an output; undefined: nothing. */
  answers(output: string): unknown;
}

/**
 * Compiles every fixture that is there to a folder of its own in `root`, and answers the suite. Models that are refused are
 * no part of it.
 */
export async function makeSuite(root: string): Promise<ConformanceCase[]> {
  const cases: ConformanceCase[] = [];
  for (const source of [...treeSources(), ...sklearnSources()]) {
    const compiled = await compileInline(source.upload);
    if (!compiled) continue;
    const { program, weights } = compiled;
    const folder = String(cases.length);
    const inputs = source.inputs(program);
    await write(
      join(root, folder),
      program,
      weights,
      inputs,
      expectedTensors(program, source, rowsOf(inputs)),
    );
    cases.push({ name: source.name, folder, tolerance: source.tolerance, onnx: false });
  }
  return cases;
}

/** The same for ONNX models, which only contained processes may load in Node. */
export async function makeOnnxSuite(root: string): Promise<ConformanceCase[]> {
  const cases: ConformanceCase[] = [];
  for (const fixture of onnxFixtures('plain').filter(({ name }) => ONNX.includes(name))) {
    const { source, program } = await compiledOnnx(fixture);
    for (const { name, inputs, expected } of fixture.cases) {
      const folder = `onnx-${cases.length}`;
      const target = join(root, folder);
      await write(target, program, readFileSync(source.weights), inputs, expected);
      for (const [path, file] of Object.entries(source.files)) {
        await mkdir(dirname(join(target, 'files', path)), { recursive: true });
        await copyFile(file, join(target, 'files', path));
      }
      cases.push({ name: `onnx/${fixture.name}, ${name}`, folder, tolerance: 1e-5, onnx: true });
    }
  }
  return cases;
}

/** The first requests of the networks that are served; `left` are those that are not. */
export async function makeNetworkSuite(
  root: string,
): Promise<{ cases: ConformanceCase[]; left: string[] }> {
  const cases: ConformanceCase[] = [];
  const left: string[] = [];
  for (const fixture of someOf(['saved-model', 'keras', 'tfjs'].flatMap(networkFixtures), 2)) {
    const { name, expected: recorded } = fixture;
    const { program, weights } = await compileNetwork(fixture.folder);
    const first = recorded.cases?.find(({ outputs }) => outputs);
    if (!program || !weights || !first) {
      left.push(name);
      continue;
    }
    const folder = `network-${cases.length}`;
    const { inputs, outputs = {}, tolerance } = first;
    const signature = program.signatures && first.signature;
    const tensors = (written: typeof inputs, specs: TensorSpec[]) =>
      inTypesOf(
        Object.entries(written).map((entry) => ({
          ...tensorOf(fixture.folder, ...entry),
          // A Sequential of TF.js does not say what its only input and output are called.
          ...(specs.length === 1 && { name: specs[0]?.name ?? '' }),
        })),
        specs,
      );
    const named = signature === undefined ? undefined : program.signatures?.named[signature];
    const ports = named ?? program.signature;
    const wanted = tensors(outputs, ports.outputs);
    await write(join(root, folder), program, weights, tensors(inputs, ports.inputs), wanted);
    cases.push({
      name,
      folder,
      // Relative to the largest number.
      tolerance: Math.max(1e-5, tolerance?.rtol ?? 0),
      // Beside TensorFlow's own rounding that of another build of ONNX Runtime.
      absolute: 2 * (tolerance?.atol ?? 0),
      onnx: true,
      ...(signature !== undefined && { signature }),
    });
  }
  return { cases, left };
}

async function write(
  folder: string,
  program: Program,
  weights: Uint8Array,
  inputs: Tensor[],
  expected: Tensor[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const json = (name: string, value: unknown) =>
    writeFile(join(folder, name), JSON.stringify(value));
  await writeFile(join(folder, 'weights.bin'), weights);
  await json('program.json', program);
  await json('inputs.json', inputs.map(toPlain));
  await json('expected.json', expected.map(toPlain));
}

async function compileInline(
  upload: UploadedFile[],
): Promise<{ program: Program; weights: Uint8Array } | undefined> {
  for (const importer of importers) {
    if (!(await importer.recognises(upload))) continue;
    const verdict = await importer.compile(upload, {}).catch(() => undefined);
    return verdict?.state === 'servable' ? verdict : undefined;
  }
  return undefined;
}

function treeSources(): Source[] {
  const libraries = ['xgboost', 'lightgbm', 'treelite', 'catboost'];
  const files = libraries.flatMap((library) => treeFixtures(library, ENDINGS));
  const folders = treeFixtures('ydf', ['']).filter(({ name }) => !name.endsWith('.json'));
  return [...files, ...folders].map(({ name, library, file, expected }) => ({
    name,
    upload: library === 'ydf' ? folderOf(file) : [uploadOf(name, readFileSync(file))],
    tolerance: 0,
    inputs: (program) => tensorsOf(program, withNumbers(expected)),
    // Of some models it was the answer of the first iterations only.
    answers: (output) => (expected.num_iteration ? undefined : answerOf(expected, output)),
  }));
}

function withNumbers(expected: Expected): Expected {
  const X = expected.X.map((row) => row.map((cell) => (typeof cell === 'boolean' ? +cell : cell)));
  return { ...expected, X };
}

function answerOf(expected: Expected, output: string): unknown {
  if (output === 'margin') return expected.margin ?? expected.predict_raw;
  return output === 'predict' ? expected.predict : undefined;
}

function sklearnSources(): Source[] {
  return sklearnFolders().folders.flatMap((folder) =>
    sklearnFixtures(folder).map((fixture) => {
      const [file = ''] = fixture.files;
      const expected = expectedOf(fixture);
      return {
        name: `sklearn/${fixture.name}`,
        upload: [uploadOf(basename(file), readFileSync(file))],
        tolerance: 1e-12,
        inputs: (program: Program) => requestOf(program, expected),
        answers: (output: string) => expected[output],
      };
    }),
  );
}

function rowsOf([first]: Tensor[]): number {
  return first?.shape[0] ?? 0;
}

/** What the library said as tensors of the program's outputs, where it is about all rows. */
function expectedTensors(
  { signature }: { signature: Signature },
  source: Source,
  rows: number,
): Tensor[] {
  return signature.outputs.flatMap(({ name, dtype, shape: free }): Tensor[] => {
    const answers = source.answers(name);
    const shape = free.map((dimension) => (dimension === -1 ? rows : dimension));
    const cells = Array.isArray(answers) ? (answers.flat(4) as unknown[]) : [];
    if (cells.length !== elementCount(shape)) return [];
    const data = newData(dtype, cells.length);
    for (const [i, cell] of cells.entries()) Reflect.set(data, i, elementOf(cell, dtype));
    return [{ name, dtype, shape, data }];
  });
}

function elementOf(cell: unknown, dtype: Tensor['dtype']): unknown {
  if (dtype === 'BYTES') return cell;
  if (dtype === 'INT64') return BigInt(Number(cell));
  return cell === null ? NaN : Number(cell);
}
