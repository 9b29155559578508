import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newData, type DType, type Tensor, type Tolerance } from '#program';
import { dataOf } from '../../libs/formats/tensor-graph/known.js';

/** A model of TensorFlow, Keras or TF.js with answers of its own library. */
export interface TensorFlowFixture {
  name: string;
  /** The upload: path in it, and file on this machine. */
  files: { path: string; file: string }[];
  /** What must become of it where it is not to be answered, and the operation that the reason has to name. */
  must?: string;
  operation?: string;
  /** What may become of it in place of answers. */
  may?: string;
  cases: TensorFlowCase[];
}

export interface TensorFlowCase {
  name: string;
  signature?: string;
  inputs: Tensor[];
  /** Absent where TensorFlow refuses the request itself. */
  expected?: Tensor[];
  tolerance: Tolerance;
}

interface Value {
  dtype: string;
  shape: number[];
  data?: unknown;
  file?: string;
}

interface Document {
  must?: string;
  names_operation?: string;
  may?: string;
  cases?: {
    name: string;
    signature?: string;
    inputs: Record<string, Value>;
    outputs?: Record<string, Value>;
    tolerance?: Tolerance;
  }[];
}

/** The shared fixtures of a folder, such as `saved-model`; says so where they are not there, and takes the few of the repository. */
export function tensorFlowFixtures(kind: 'saved-model' | 'keras' | 'tfjs'): TensorFlowFixture[] {
  const root = sharedFixtures(kind);
  if (!root) {
    process.stderr.write(`\nNo shared fixtures (SLIPWAY_FIXTURES): most of ${kind} is left out.\n`);
    const own = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures', kind);
    return existsSync(own) ? fixturesIn(own) : [];
  }
  return fixturesIn(root);
}

function fixturesIn(root: string): TensorFlowFixture[] {
  return readdirSync(root)
    .filter((name) => existsSync(join(root, name, 'expected.json')))
    .map((name) => readFixture(join(root, name), name));
}

function sharedFixtures(kind: string): string | undefined {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return join(named, kind);
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', kind);
    if (existsSync(candidate)) return candidate;
  }
  return undefined;
}

function readFixture(folder: string, name: string): TensorFlowFixture {
  const document = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Document;
  const tensors = (values: Record<string, Value>) =>
    Object.entries(values).map(([key, value]) => tensorOf(folder, key, value));
  const { must, names_operation: operation, may, cases = [] } = document;
  return {
    name,
    files: filesOf(folder),
    ...(must !== undefined && { must }),
    ...(operation !== undefined && { operation }),
    ...(may !== undefined && { may }),
    cases: cases.map(({ name: title, signature, inputs, outputs, tolerance }) => ({
      name: title,
      ...(signature !== undefined && { signature }),
      inputs: tensors(inputs),
      ...(outputs && { expected: tensors(outputs) }),
      tolerance: tolerance ?? { rtol: 1e-5, atol: 1e-6 },
    })),
  };
}

function filesOf(folder: string): { path: string; file: string }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => lstatSync(join(folder, path)).isFile())
    .filter((path) => path !== 'expected.json' && !/^case\d+\..*\.bin$/.test(path))
    .map((path) => ({ path, file: join(folder, path) }));
}

const dtypes: Record<string, DType> = {
  float16: 'FP16',
  bfloat16: 'BF16',
  float32: 'FP32',
  float64: 'FP64',
  bool: 'BOOL',
  string: 'BYTES',
};

function tensorOf(
  folder: string,
  name: string,
  { dtype: written, shape, data, file }: Value,
): Tensor {
  const dtype = dtypes[written] ?? (written.toUpperCase() as DType);
  if (file !== undefined) {
    const { constructor } = newData(dtype, 0) as Float32Array;
    const Numbers = constructor as Float32ArrayConstructor;
    const bytes = new Uint8Array(readFileSync(join(folder, file)));
    return { name, dtype, shape, data: new Numbers(bytes.buffer) };
  }
  const elements: unknown[] = [data].flat(Infinity);
  if (dtype === 'BYTES') return { name, dtype, shape, data: elements.map(textOf) };
  const numbers = elements as (number | string | boolean)[];
  if (dtype === 'FP16' || dtype === 'BF16')
    return { name, dtype, shape, data: Uint16Array.from(numbers, bitsOf(dtype)) };
  return { name, dtype, shape, data: dataOf(dtype, numbers) };
}

/** A text, or the bytes of one that is none. */
function textOf(element: unknown): string | Uint8Array {
  if (typeof element === 'object' && element !== null && 'b64' in element)
    return new Uint8Array(Buffer.from(String(element.b64), 'base64'));
  return String(element);
}

/** The bits of numbers that have the dtype. */
function bitsOf(dtype: 'FP16' | 'BF16'): (value: number | string | boolean) => number {
  return (value) => {
    const number = Number(value);
    const bits = new Uint32Array(Float32Array.of(number).buffer)[0] ?? 0;
    if (dtype === 'BF16') return bits >>> 16;
    if (Number.isNaN(number)) return 0x7e00;
    const sign = (bits >>> 16) & 0x8000;
    const size = Math.abs(number);
    if (size === Infinity) return sign | 0x7c00;
    if (size < 2 ** -14) return sign | (size * 2 ** 24);
    const exponent = Math.floor(Math.log2(size));
    return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024);
  };
}
