import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { UploadedFile } from '#formats';
import {
  type DType,
  elementCount,
  newData,
  type Tensor,
  type TensorData,
  type Tolerance,
} from '#program';

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
  const root = sharedFixtures();
  if (!root) {
    process.stderr.write(
      `\nNo shared fixtures (SLIPWAY_FIXTURES): of the ONNX models only those in test/fixtures are tested.\n`,
    );
  }
  const folder = join(root ?? own, kind === 'hostile' ? 'hostile' : '');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'expected.json')))
    .map((name) => readFixture(join(folder, name), name));
}

function sharedFixtures(): string | undefined {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return join(named, 'onnx');
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', 'onnx');
    if (existsSync(candidate)) return candidate;
  }
  return undefined;
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

const dtypes: Record<string, DType> = {
  float32: 'FP32',
  float64: 'FP64',
  float16: 'FP16',
  bfloat16: 'BF16',
  bool: 'BOOL',
  string: 'BYTES',
};

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
  const dtype = dtypes[value.dtype] ?? (value.dtype.toUpperCase() as DType);
  const { shape } = value;
  if (value.file) {
    const bytes = readFileSync(join(folder, value.file));
    const { constructor } = newData(dtype, 0) as Float32Array;
    const Numbers = constructor as Float32ArrayConstructor;
    return [
      {
        name,
        dtype,
        shape,
        data: new Numbers(
          bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
        ),
      },
    ];
  }
  return [{ name, dtype, shape, data: dataOf(dtype, shape, [value.data].flat(Infinity)) }];
}

function dataOf(dtype: DType, shape: number[], elements: unknown[]): TensorData {
  if (dtype === 'BYTES') return elements.map(String);
  const data = newData(dtype, elementCount(shape));
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  elements.forEach((element, index) => {
    const number = Number(element);
    if (isBig) data[index] = BigInt(String(element));
    else if (dtype === 'FP16') (data as Uint16Array)[index] = float16Bits(number);
    else if (dtype === 'BF16') (data as Uint16Array)[index] = float32Bits(number) >>> 16;
    else (data as Float64Array)[index] = number;
  });
  return data;
}

function float32Bits(number: number): number {
  return new Uint32Array(Float32Array.of(number).buffer)[0] ?? 0;
}

/** The bits of a number that is a float16. */
function float16Bits(number: number): number {
  if (Number.isNaN(number)) return 0x7e00;
  const sign = number < 0 || Object.is(number, -0) ? 0x8000 : 0;
  const size = Math.abs(number);
  if (size === Infinity) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024);
}

/** The files of a fixture as an upload, without what is there for the tests. */
export function uploadOf({ folder }: OnnxFixture): (UploadedFile & { file: string })[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(
      (path) =>
        lstatSync(join(folder, path)).isFile() && !/^(expected\.json|case.*\.bin)$/.test(path),
    )
    .map((path) => uploadedFile(join(folder, path), relative(folder, join(folder, path))));
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
