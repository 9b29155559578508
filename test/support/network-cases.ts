import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compile, type CompileResult } from '#formats';
import { compareTensors, dataOf, newData, type DType, type Program, type Tensor } from '#program';
import { toBfloat16, toFloat16 } from '../../libs/protocols/half.js';
import type { ProgramRunner } from './program-runner.js';
import { long } from './proof.js';

/** A model of a network with its library's own answers; see the READMEs of the shared fixtures. */
export interface NetworkFixture {
  /** `saved-model/keras2-mlp` */
  name: string;
  folder: string;
  expected: ExpectedNetwork;
}

export interface ExpectedNetwork {
  signature?: string;
  signatures?: Record<string, unknown>;
  cases?: ExpectedCase[];
  /** `refused at load …` */
  must?: string;
  /** What the refusal has to name. */
  names_operation?: string;
  may?: string;
}

export interface ExpectedCase {
  name: string;
  signature?: string;
  inputs: Record<string, WrittenTensor>;
  outputs?: Record<string, WrittenTensor>;
  tolerance?: { rtol: number; atol: number };
  error?: unknown;
}

/** Elements are nested lists, or lie in a file. */
export interface WrittenTensor {
  dtype: string;
  shape: number[];
  data?: unknown;
  file?: string;
}

const own = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures');

/** The fixtures of a format where the shared ones are, else the few of the repository. */
export function networkFixtures(format: string): NetworkFixture[] {
  const root = sharedFolder(format) ?? join(own, format);
  if (!existsSync(root)) return [];
  return readdirSync(root).flatMap((name): NetworkFixture[] => {
    const folder = join(root, name);
    const file = join(folder, 'expected.json');
    if (!existsSync(file)) return [];
    const expected = JSON.parse(readFileSync(file, 'utf8')) as ExpectedNetwork;
    return [{ name: `${format}/${name}`, folder, expected }];
  });
}

/** For what is compiled elsewhere too: all of them in the long form, every `nth` in the short one. */
export function someOf<T>(fixtures: T[], nth: number): T[] {
  return long ? fixtures : fixtures.filter((_, i) => i % nth === 0);
}

/** Where the shared fixtures of a format are; says so where they are not. */
export function sharedFolder(format: string): string | undefined {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return join(named, format);
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', format);
    if (existsSync(candidate)) return candidate;
  }
  process.stderr.write(
    `\nNo shared fixtures (SLIPWAY_FIXTURES): of ${format} only the models in test/fixtures are tested.\n`,
  );
  return undefined;
}

/** The files of a model, without what is expected of it. */
export function filesOf(folder: string): { path: string; file: string }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => lstatSync(join(folder, path)).isFile())
    .filter((path) => !/^(expected\.json|case.*\.bin)$/.test(path))
    .map((path) => ({ path, file: join(folder, path) }));
}

/** Compiles a fixture in the real compile process. */
export async function compileNetwork(
  folder: string,
): Promise<{ result: CompileResult; program?: Program; weights?: Uint8Array }> {
  const outputFolder = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  try {
    const result = await compile({ files: filesOf(folder), outputFolder });
    if (result.state !== 'servable') return { result };
    const program = await readFile(join(outputFolder, 'program.json'), 'utf8');
    const weights = await readFile(join(outputFolder, 'weights.bin'));
    return { result, program: JSON.parse(program) as Program, weights };
  } finally {
    await rm(outputFolder, { recursive: true });
  }
}

/** How the cases of a model went. */
export interface NetworkResult {
  passed: number;
  /** What was wrong, by the name of the case. */
  wrong: string[];
  /** Greatest relative difference of two numbers. */
  greatest: number;
}

/** Runs all cases on the loaded program. */
export async function runCases(
  runner: ProgramRunner,
  { folder, expected }: NetworkFixture,
): Promise<NetworkResult> {
  const result: NetworkResult = { passed: 0, wrong: [], greatest: 0 };
  for (const one of expected.cases ?? []) {
    const wrong = await runCase(runner, folder, one, result);
    if (wrong === undefined) result.passed++;
    else result.wrong.push(`${one.signature ?? ''} ${one.name}: ${wrong}`);
  }
  return result;
}

async function runCase(
  runner: ProgramRunner,
  folder: string,
  one: ExpectedCase,
  result: NetworkResult,
): Promise<string | undefined> {
  const inputs = Object.entries(one.inputs).map((entry) => tensorOf(folder, ...entry));
  let got: Tensor[];
  try {
    got = await runner.request(inputs, one.signature);
  } catch (error) {
    return one.error === undefined ? String(error) : undefined;
  }
  if (one.error !== undefined) return `answers, and must fail: ${JSON.stringify(one.error)}`;
  const wanted = Object.entries(one.outputs ?? {}).map((entry) => tensorOf(folder, ...entry));
  const tolerance = one.tolerance ?? { rtol: 1e-5, atol: 1e-6 };
  const { equal, greatest } = compareTensors(got, wanted, tolerance);
  if (!equal) return `${greatest?.output} ${greatest?.message}`;
  result.greatest = Math.max(result.greatest, greatest?.relative ?? 0);
  return undefined;
}

/** Recorded tensors in the dtypes of those of the same names: TF.js says int32 of all integers. */
export function inTypesOf(
  tensors: Tensor[],
  others: readonly { name: string; dtype: DType }[],
): Tensor[] {
  return tensors.map((tensor) => {
    const dtype = others.find(({ name }) => name === tensor.name)?.dtype ?? tensor.dtype;
    if (dtype === tensor.dtype || Array.isArray(tensor.data)) return tensor;
    return { ...tensor, dtype, data: dataOf(dtype, tensor.data) };
  });
}

const DTYPES: Record<string, DType> = {
  float16: 'FP16',
  bfloat16: 'BF16',
  float32: 'FP32',
  float64: 'FP64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
};

/** A tensor as the fixtures write it. */
export function tensorOf(folder: string, name: string, written: WrittenTensor): Tensor {
  const dtype = DTYPES[written.dtype];
  if (!dtype) throw new Error(`${name} is of ${written.dtype}`);
  const { shape } = written;
  if (written.file !== undefined) {
    if (dtype === 'BYTES') throw new Error(`${name} has strings in a file`);
    const bytes = new Uint8Array(readFileSync(join(folder, written.file))).buffer;
    const { constructor } = newData(dtype, 0) as Float32Array;
    const Numbers = constructor as Float32ArrayConstructor;
    return { name, dtype, shape, data: new Numbers(bytes) };
  }
  const elements: unknown[] = [written.data].flat(Infinity);
  if (dtype === 'BYTES') return { name, dtype, shape, data: elements.map(textOf) };
  const bits = { FP16: toFloat16, BF16: toBfloat16 }[dtype as string];
  const numbers = bits ? elements.map((element) => bits(Number(element))) : elements;
  return { name, dtype, shape, data: dataOf(dtype, numbers as (number | string | boolean)[]) };
}

function textOf(element: unknown): string | Uint8Array {
  if (typeof element === 'string') return element;
  const { b64 } = element as { b64: string };
  const bytes = new Uint8Array(Buffer.from(b64, 'base64'));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}
