import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { compile, type CompileExample, type CompileRequest } from '#formats';
import {
  divisionModel,
  FLOAT,
  input,
  loopModel,
  model,
  node,
  output,
} from '../../test/support/onnx-writer.js';

const doubled = model([
  node('Add', ['x', 'x'], ['y']),
  input('x', FLOAT, [-1, 2]),
  output('y', FLOAT, [-1, 2]),
]);

async function compiled(bytes: Uint8Array | string, more: Partial<CompileRequest> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  const file = join(folder, 'upload');
  await writeFile(file, bytes);
  const outputFolder = join(folder, 'program');
  return compile({ files: [{ path: 'model.onnx', file }], outputFolder, ...more });
}

const example = (data: number[], more: Partial<CompileExample> = {}): CompileExample => ({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data }],
  ...more,
});
const expected = (data: number[]) => [{ name: 'y', datatype: 'FP32', shape: [2, 2], data }];

describe('compiling', () => {
  test('writes a program and says what it takes and gives', async () => {
    const result = await compiled(doubled);
    expect(result).toMatchObject({ state: 'servable', format: 'onnx', importer: 'onnx@4' });
    expect(result.signature?.inputs).toEqual([{ name: 'x', dtype: 'FP32', shape: [-1, 2] }]);
    expect(await readdir(result.programFolder ?? '')).toEqual(['program.json', 'weights.bin']);
  });

  test('golden rows that are reproduced', async () => {
    const rows = example([1, 2, 3, 4], { expected: expected([2, 4, 6, 8]) });
    expect(await compiled(doubled, { inputExample: rows })).toMatchObject({
      state: 'servable',
      difference: { output: 'y', absolute: 0, message: 'is as expected' },
    });
  });

  test('golden rows that are not', async () => {
    const rows = example([1, 2, 3, 4], { expected: expected([2, 4, 6, 9]) });
    expect(await compiled(doubled, { inputExample: rows })).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/golden rows/),
      difference: { output: 'y', at: [1, 1], row: 1, expected: 9, got: 8, absolute: 1 },
    });
  });

  test('golden rows within a tolerance', async () => {
    const rows = example([1, 2, 3, 4], {
      expected: expected([2, 4, 6, 9]),
      tolerance: { rtol: 0.2 },
    });
    expect(await compiled(doubled, { inputExample: rows })).toMatchObject({
      state: 'servable',
      difference: { output: 'y', at: [1, 1], row: 1, expected: 9, got: 8, absolute: 1 },
    });
  });

  test.each<[string, CompileExample, RegExp]>([
    [
      'a wrong dtype',
      { inputs: [{ name: 'x', datatype: 'FP64', shape: [1, 2], data: [1, 2] }] },
      /FP32/,
    ],
    ['no tensors', { inputs: [{ name: 'x' }] }, /input example cannot be run/],
    [
      'an unknown output',
      example([1, 2, 3, 4], { expected: [{ name: 'z', datatype: 'FP32', shape: [1], data: [1] }] }),
      /"z"/,
    ],
  ])('an input example with %s', async (_, inputExample, reason) => {
    const result = await compiled(doubled, { inputExample });
    expect(result).toMatchObject({ state: 'failed', reason: expect.stringMatching(reason) });
  });

  test('what no importer reads', async () => {
    const files = [{ path: 'notes.txt', file: join(import.meta.dirname, 'compiler.js') }];
    expect(await compile({ files })).toMatchObject({
      state: 'unsupported',
      format: null,
      importer: null,
    });
    expect(await compile({ files, format: 'pmml' })).toMatchObject({
      state: 'unsupported',
      format: 'pmml',
      reason: expect.stringMatching(/"pmml" is not supported/),
    });
  });

  test('a first run without end is stopped', async () => {
    const inputExample: CompileExample = {
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1], data: [1] },
        { name: 'times', datatype: 'INT64', shape: [], data: ['4611686018427387904'] },
      ],
    };
    const limits = { milliseconds: 6_000 };
    expect(await compiled(loopModel(), { inputExample, limits })).toMatchObject({
      state: 'failed',
      format: 'onnx',
      reason: expect.stringMatching(/first run of the model did not end within 6 s/),
    });
  });

  test('a first run that kills its process', async () => {
    const number = (name: string, data: string) => ({
      name,
      datatype: 'INT64',
      shape: [1],
      data: [data],
    });
    const inputExample = { inputs: [number('a', '-9223372036854775808'), number('b', '-1')] };
    expect(await compiled(divisionModel(), { inputExample })).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/SIGFPE/),
    });
  });

  test('a model that does not fit into memory', async () => {
    const limits = { memory: 400 * 2 ** 20 };
    const large = new Uint8Array(600 * 2 ** 20);
    large.set(doubled);
    const result = await compiled(large, { limits });
    expect(result).toMatchObject({ state: 'failed', reason: expect.stringMatching(/memory/) });
  });
});
