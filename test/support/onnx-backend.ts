import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Tensor } from '#program';
import {
  readOnnxModel,
  type OnnxModel,
  type OnnxTensor,
  type OnnxType,
} from '../../libs/formats/onnx/onnx-model.js';
import { elementType, ONNX_BFLOAT16 } from '../../libs/formats/onnx/onnx-types.js';
import { readTensorValues } from '../../libs/formats/onnx/onnx-values.js';
import { WireReader } from '../../libs/formats/protobuf.js';
import { viewData } from '../../libs/program/dtype.js';

/** A folder of tests as the onnx package writes them: `KIND/NAME/model.onnx`, `KIND/NAME/test_data_set_N/input_0.pb` … */
export interface BackendData {
  /** What the tests are called in reports. */
  title: string;
  folder: string;
}

/** A few of the repository, and what `.ci/onnx-backend` brings, or `ONNX_BACKEND_DATA` names. */
export function backendData(): BackendData[] {
  const named = process.env['ONNX_BACKEND_DATA'];
  const root = join(import.meta.dirname, '..', '..', '..');
  return [
    ...(named ? named.split(':').map((folder) => ({ title: basename(folder), folder })) : []),
    { title: 'test/fixtures', folder: join(root, 'test', 'fixtures', 'onnx-backend') },
    { title: 'libonnx-testdata', folder: '/usr/share/libonnx-testdata/data' },
    { title: 'onnx-backend', folder: join(root, '.cache', 'onnx-backend') },
  ].flatMap(({ title, folder }) => {
    if (!existsSync(folder)) return [];
    const version = join(folder, 'version');
    const release = existsSync(version) ? ` ${readFileSync(version, 'utf8').trim()}` : '';
    return [{ title: `${title}${release}`, folder }];
  });
}

/** Folders with a `model.onnx`, in the order of their names. */
export function backendTests({ folder }: BackendData): string[] {
  return readdirSync(folder)
    .filter((kind) => kind !== 'real' && kind !== 'version')
    .flatMap((kind) => readdirSync(join(folder, kind)).map((name) => join(folder, kind, name)))
    .filter((test) => existsSync(join(test, 'model.onnx')))
    .toSorted();
}

/** A value that predictions have no dtype for. */
export class NoDType extends Error {}

/**
 * What a test asks or expects, as requests and answers have it: sequences as `NAME.0`, `NAME.1` …
 * @throws NoDType
 */
export function backendTensors(
  test: string,
  model: OnnxModel,
  kind: 'input' | 'output',
): Tensor[][] {
  const { inputs = [], outputs = [], initializers = [] } = model.graph ?? {};
  const constants = new Set(model.irVersion < 4 ? initializers.map(({ name }) => name) : []);
  const values = kind === 'output' ? outputs : inputs.filter(({ name }) => !constants.has(name));
  const sets = readdirSync(test).filter((name) => name.startsWith('test_data_set_'));
  return sets.toSorted().map((set) =>
    values.flatMap(({ name, type }, i) => {
      const file = join(test, set, `${kind}_${i}.pb`);
      return existsSync(file) ? readValue(name, type, readFileSync(file)) : [];
    }),
  );
}

function readValue(name: string, type: OnnxType | undefined, bytes: Buffer): Tensor[] {
  if (type?.kind === 'sequence') {
    return fieldsOf(bytes, 3).map((item, i) => readTensor(`${name}.${i}`, item));
  }
  if (type?.kind === 'optional') {
    const [tensor] = fieldsOf(bytes, 3);
    const [sequence] = fieldsOf(bytes, 5);
    if (sequence) return fieldsOf(sequence, 3).map((item, i) => readTensor(`${name}.${i}`, item));
    return tensor ? [readTensor(name, tensor)] : [];
  }
  if (type?.kind !== 'tensor') throw new NoDType(`a ${type?.kind ?? 'value without a type'}`);
  const tensor = readTensor(name, bytes);
  // Older releases wrote bfloat16 as the uint16 of its bits.
  const isBfloat16 = type.dataType === ONNX_BFLOAT16 && tensor.dtype === 'UINT16';
  return [isBfloat16 ? { ...tensor, dtype: 'BF16' } : tensor];
}

/** The messages in a repeated field. */
function fieldsOf(bytes: Uint8Array, field: number): Uint8Array[] {
  const reader = WireReader.open(bytes, 'a value', { messages: 0 });
  const found: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === field) found.push(reader.view());
    else reader.skip();
  }
  return found;
}

function readTensor(name: string, bytes: Uint8Array): Tensor {
  const tensor = parseTensor(bytes);
  const { dims: shape, dataType } = tensor;
  const { dtype, name: element } = elementType(dataType) ?? {};
  if (!dtype) throw new NoDType(`a tensor of ${element ?? dataType}`);
  const count = shape.reduce((size, dim) => size * dim, 1);
  if (dtype === 'BYTES') {
    const data = fieldsOf(bytes, 6).map((text) => new TextDecoder().decode(text));
    return { name, dtype, shape, data };
  }
  const { buffer } = Uint8Array.from(readTensorValues(tensor, dtype));
  return { name, dtype, shape, data: viewData(dtype, buffer, 0, count) };
}

/** A TensorProto is read as the one initializer of a model. */
function parseTensor(bytes: Uint8Array): OnnxTensor {
  const graph = Buffer.concat([tag(5, bytes.length), bytes]);
  const [tensor] =
    readOnnxModel(Buffer.concat([tag(7, graph.length), graph])).graph?.initializers ?? [];
  if (!tensor) throw new Error('There is no tensor.');
  return tensor;
}

function tag(field: number, length: number): Buffer {
  const bytes = [field * 8 + 2];
  let rest = length;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
