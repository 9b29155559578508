import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { UploadedFile } from '#formats';
import type { Tensor, Tolerance } from '#program';
import { filesOf, sharedFolder, tensorOf } from './network-cases.js';

/** A model with answers that another ONNX implementation gave. */
export interface OnnxFixture {
  name: string;
  folder: string;
  cases: OnnxCase[];
  /** Of hostile ones: what must happen, and the request to send. */
  must?: string;
  inputs: Tensor[];
  outputs?: Tensor[];
}

export interface OnnxCase {
  name: string;
  inputs: Tensor[];
  expected: Tensor[];
  tolerance: Tolerance;
}

const own = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures', 'onnx');

/** The shared fixtures where they are, else the few of the repository. */
export function onnxFixtures(kind: 'plain' | 'hostile'): OnnxFixture[] {
  const root = sharedFolder('onnx');
  const folder = join(root ?? own, kind === 'hostile' ? 'hostile' : '');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'expected.json')))
    .map((name) => readFixture(join(folder, name), name));
}

function readFixture(folder: string, name: string): OnnxFixture {
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
    must?: string;
    inputs?: Record<string, unknown>;
    outputs?: Record<string, unknown>;
    cases?: {
      name: string;
      inputs: Record<string, unknown>;
      outputs?: Record<string, unknown>;
      tolerance: Tolerance;
    }[];
  };
  const tensors = (values: Record<string, unknown> = {}) =>
    Object.entries(values).flatMap(([key, value]) => readValue(folder, key, value as FixtureValue));
  const fixture: OnnxFixture = { name, folder, cases: [], inputs: tensors(expected.inputs) };
  if (expected.must !== undefined) fixture.must = expected.must;
  if (expected.must !== undefined && expected.outputs) fixture.outputs = tensors(expected.outputs);
  for (const { name: title, inputs, outputs, tolerance } of expected.cases ?? [])
    if (outputs)
      fixture.cases.push({
        name: title,
        inputs: tensors(inputs),
        expected: tensors(outputs),
        tolerance,
      });
  return fixture;
}

interface FixtureValue {
  dtype: string;
  shape: number[];
  data?: unknown;
  file?: string;
  sequence?: boolean;
  map?: boolean;
  items?: FixtureValue[];
  entries?: [unknown, number][];
}

/** A value as it comes over the wire: a sequence as several tensors, a sequence of maps as one with labels. */
function readValue(folder: string, name: string, value: FixtureValue): Tensor[] {
  const { items } = value;
  if (value.sequence && items?.every((item) => item.map)) {
    const labels = items[0]?.entries?.map(([label]) => label) ?? [];
    const numbers = items.flatMap((item) => item.entries?.map(([, number]) => number) ?? []);
    const shape = [items.length, labels.length];
    return [
      { name, dtype: 'FP32', shape, data: Float32Array.from(numbers), parameters: { labels } },
    ];
  }
  if (value.sequence)
    return (items ?? []).flatMap((item, index) => readValue(folder, `${name}.${index}`, item));
  return [tensorOf(folder, name, value)];
}

/** The files of a fixture as an upload, without what is there for the tests. */
export function uploadOf({ folder }: OnnxFixture): (UploadedFile & { file: string })[] {
  return filesOf(folder).map(({ path, file }) => uploadedFile(file, path));
}

function uploadedFile(file: string, path: string): UploadedFile & { file: string } {
  const { size } = lstatSync(file);
  return {
    path,
    size,
    file,
    async read(offset = 0, length = size) {
      const handle = await open(file);
      try {
        const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
        await handle.read(bytes, 0, bytes.length, offset);
        return bytes;
      } finally {
        await handle.close();
      }
    },
  };
}
