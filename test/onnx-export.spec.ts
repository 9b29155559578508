import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { exportOnnx, importers, type Verdict } from '#formats';
import { bindInputs, loadProgram, type Tensor } from '#program';
import type { OnnxQuestion } from './support/onnx-child.js';
import {
  expectedOf,
  requestOf,
  sklearnFixtures,
  sklearnFolders,
} from './support/sklearn-fixtures.js';
import { tensorsOf, treeFixtures, uploadOf } from './support/tree-fixtures.js';

/** Graphs that `convert --to onnx` writes, run by ONNX Runtime, against the Programs that they were written from. */

const LIMITS = { maxRows: 100_000 };
/** Of a difference, relative to the number or, where much cancels out, to the largest of its output. */
const TOLERANCE = { FP64: 1e-12, FP32: 1e-6 };

type Servable = Extract<Verdict, { state: 'servable' }>;

const exported = new Map<string, number>();
const refused = new Map<string, number>();
const reasons = new Map<string, number>();

function count(table: Map<string, number>, key: string): void {
  table.set(key, (table.get(key) ?? 0) + 1);
}

async function compiled(path: string): Promise<Servable | undefined> {
  const upload = [uploadOf(basename(path), readFileSync(path))];
  for (const importer of importers) {
    if (!(await importer.recognises(upload))) continue;
    const verdict = await importer.compile(upload, {}).catch((error: unknown) => {
      if ((error as Error).name !== 'UnsupportedModel') throw error;
      return undefined;
    });
    return verdict?.state === 'servable' ? verdict : undefined;
  }
  return undefined;
}

/** The rows whose texts are all there: ONNX has no others. */
function withoutMissingTexts(tensors: Tensor[]): Tensor[] {
  const absent = new Set<number>();
  for (const { data } of tensors)
    if (Array.isArray(data))
      for (const [row, text] of data.entries()) if (text === null) absent.add(row);
  if (absent.size === 0) return tensors;
  return tensors.map((tensor): Tensor => {
    const { data } = tensor;
    const kept = Array.isArray(data)
      ? data.filter((_, row) => !absent.has(row))
      : Float64Array.from(Array.from(data, Number).filter((_, row) => !absent.has(row)));
    return { ...tensor, data: kept, shape: [kept.length] };
  });
}

/** The request as the Program's signature has it: what a graph takes. */
function inSignature({ program }: Servable, tensors: Tensor[]): Tensor[] | undefined {
  const given = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const inputs: Tensor[] = [];
  const { binding, signature } = program;
  const ignored = binding.kind === 'table' ? (binding.ignored ?? []) : [];
  for (const { name, dtype } of signature.inputs) {
    if (ignored.includes(name)) continue;
    const tensor = given.get(name);
    if (!tensor) return undefined;
    const { data } = tensor;
    inputs.push(
      dtype === 'FP32'
        ? { ...tensor, dtype, data: Float32Array.from(data as Float64Array) }
        : tensor,
    );
  }
  return inputs;
}

async function compare(
  library: string,
  name: string,
  file: string,
  request: (program: Servable['program']) => Tensor[],
) {
  const verdict = await compiled(file);
  if (!verdict) return;
  let model: Uint8Array;
  try {
    model = exportOnnx(verdict.program, verdict.weights);
  } catch (error) {
    const { name: kind, message } = error as Error;
    expect([name, kind]).toEqual([name, 'UnsupportedModel']);
    count(refused, library);
    count(reasons, message.replace(/node \d+/, 'node'));
    return;
  }
  const runtime = await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
  const tensors = withoutMissingTexts(request(verdict.program));
  const inputs = inSignature(verdict, tensors);
  if (!inputs) {
    count(exported, `${library}, written but not run: missing columns`);
    return;
  }
  const outputs = verdict.program.signature.outputs.map((output) => output.name);
  const wanted = await runtime.run(bindInputs(runtime, tensors, LIMITS), outputs);
  const got = await answers(name, { model, inputs, outputs });
  const narrow = isNarrow(verdict);
  for (const [i, want] of wanted.entries()) expectSame(name, got[i], want, narrow);
  count(exported, library);
}

const child = fork(join(import.meta.dirname, 'support', 'onnx-child.js'), {
  serialization: 'advanced',
});

async function answers(name: string, question: OnnxQuestion): Promise<Tensor[]> {
  child.send(question);
  const [reply] = (await once(child, 'message')) as [Tensor[] | string];
  if (typeof reply === 'string') throw new Error(`${name}: ${reply}`);
  return reply;
}

/** Whether the Program computes anything in float32, so that an answer has its precision whatever its dtype. */
function isNarrow({ program }: Servable): boolean {
  return program.nodes.some((node) => node.kind === 'forest' && node.forest.sumDtype === 'FP32');
}

function expectSame(name: string, got: Tensor | undefined, want: Tensor, narrow: boolean): void {
  expect([name, got?.name, got?.dtype, got?.shape]).toEqual([
    name,
    want.name,
    want.dtype,
    want.shape,
  ]);
  const { dtype } = want;
  const floats = dtype === 'FP32' || dtype === 'FP64';
  const values = [...want.data];
  const finite = floats ? values.map((x) => Math.abs(Number(x))).filter(Number.isFinite) : [];
  const scale = finite.reduce((most, x) => Math.max(most, x), 0);
  for (const [i, wanted] of values.entries()) {
    const value = got?.data[i];
    if (Object.is(value, wanted) || value === wanted) continue;
    const tolerance = narrow ? TOLERANCE.FP32 : TOLERANCE[dtype === 'FP32' ? 'FP32' : 'FP64'];
    const off = Math.abs(Number(value) - Number(wanted));
    if (floats && off <= tolerance * scale) continue;
    throw new Error(
      `${name}: ${want.name}[${i}] is ${String(value)} in ONNX, ${String(wanted)} in the Program`,
    );
  }
}

describe.each(['xgboost', 'lightgbm', 'catboost'])('%s', (library) => {
  const endings = ['.json', '.ubj', '.txt', '.model', '.cbm'];
  const fixtures = treeFixtures(library, endings).filter(({ expected }) => !expected.num_iteration);
  it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    (name, { file, expected }) =>
      compare(library, name, file, (program) => tensorsOf(program, expected)),
  );
});

describe.each(sklearnFolders().folders)('scikit-learn in %s', (folder) => {
  it.each(sklearnFixtures(folder).map((fixture) => [fixture.name, fixture] as const))(
    '%s',
    (name, fixture) =>
      compare('scikit-learn', name, fixture.files[0] ?? '', (program) =>
        requestOf(program, expectedOf(fixture)),
      ),
  );
});

afterAll(() => {
  child.disconnect();
  const lines = (table: Map<string, number>) =>
    [...table].toSorted(([, a], [, b]) => b - a).map(([what, times]) => `  ${times} ${what}`);
  process.stdout.write(
    [
      'written as ONNX, the same answers:',
      ...lines(exported),
      'refused by name:',
      ...lines(refused),
      ...lines(reasons),
      '',
    ].join('\n'),
  );
});
