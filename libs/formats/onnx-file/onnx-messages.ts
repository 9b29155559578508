import { dataOf, holdsDType, type DType, type TensorData, type TypedArray } from '#program';
import { Message } from './message.js';

/** TensorProto.DataType of onnx.proto. */
export const ONNX_TYPES: Record<DType, number> = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
};

const DTYPES_OF_ONNX = new Map(
  Object.entries(ONNX_TYPES).map(([dtype, type]) => [type, dtype as DType]),
);

/** The dtype of a TensorProto.DataType. Throws Error for one that tensors of requests do not have. */
export function dtypeOfOnnx(type: number): DType {
  const dtype = DTYPES_OF_ONNX.get(type);
  if (!dtype) throw new Error(`TensorProto.DataType ${type} has no dtype`);
  return dtype;
}

/** The versions of the sets of operators that are written: those of ONNX 1.16, which IR version 10 belongs to. */
const IR_VERSION = 10;
const OPERATORS: Record<string, number> = { '': 21, 'ai.onnx.ml': 5, 'com.microsoft': 1 };

/** What a reader of protobuf takes. */
const LARGEST = 2 ** 31 - 1;

/**
 * The value of an attribute: integers stand as they are, floats as `{ float }` and `{ floats }`, and a TensorProto or GraphProto
 * as the message that it is.
 */
export type OnnxAttribute =
  | number
  | string
  | number[]
  | Int32Array
  | string[]
  | { float: number }
  | { floats: number[] }
  | { tensor: Message }
  | { graph: Message };

/** A NodeProto; `""` is an input or output that is left out. */
export interface OnnxNodeFields {
  operator: string;
  domain?: string;
  inputs: string[];
  outputs: string[];
  attributes?: Record<string, OnnxAttribute>;
}

export function nodeMessage({
  operator,
  domain = '',
  inputs,
  outputs,
  attributes = {},
}: OnnxNodeFields): Message {
  const node = new Message();
  for (const name of inputs) node.text(1, name);
  for (const name of outputs) node.text(2, name);
  node.text(4, operator);
  for (const [name, value] of Object.entries(attributes))
    node.message(5, attributeMessage(name, value));
  return domain ? node.text(7, domain) : node;
}

const AttributeType = {
  float: 1,
  integer: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  integers: 7,
  strings: 8,
} as const;

function attributeMessage(name: string, value: OnnxAttribute): Message {
  const typed = (type: number) => new Message().text(1, name).integer(20, type);
  if (typeof value === 'number') return typed(AttributeType.integer).integer(3, value);
  if (typeof value === 'string') return typed(AttributeType.string).text(4, value);
  if (areTexts(value)) {
    const message = typed(AttributeType.strings);
    for (const text of value) message.text(9, text);
    return message;
  }
  if (Array.isArray(value) || value instanceof Int32Array)
    return typed(AttributeType.integers).integers(8, value);
  if ('float' in value) return typed(AttributeType.float).float32s(2, [value.float]);
  if ('floats' in value) return typed(AttributeType.floats).float32s(7, value.floats);
  if ('tensor' in value) return typed(AttributeType.tensor).message(5, value.tensor);
  return typed(AttributeType.graph).message(6, value.graph);
}

function areTexts(value: OnnxAttribute): value is string[] {
  return Array.isArray(value) && typeof value[0] === 'string';
}

type Elements = ArrayLike<number | bigint | string | Uint8Array | null>;

/** A TensorProto without a name; numbers are converted to the dtype. */
export function tensorMessage(dtype: DType, shape: readonly number[], values: Elements): Message {
  const message = new Message().integers(1, shape).integer(2, ONNX_TYPES[dtype]);
  if (dtype !== 'BYTES') return message.bytes(9, rawData(dtype, values));
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value instanceof Uint8Array) message.bytes(6, value);
    else message.text(6, String(value ?? ''));
  }
  return message;
}

/** A TensorProto whose bytes lie in another file, `length` of them from `offset` on. */
export function externalTensorMessage(
  dtype: DType,
  shape: readonly number[],
  place: { location: string; offset: number; length: number },
): Message {
  const message = new Message().integers(1, shape).integer(2, ONNX_TYPES[dtype]);
  for (const [key, value] of Object.entries(place))
    message.message(13, new Message().text(1, key).text(2, String(value)));
  return message.integer(14, 1);
}

function rawData(dtype: Exclude<DType, 'BYTES'>, values: Elements): Uint8Array {
  const held = ArrayBuffer.isView(values) && holdsDType(values as TensorData, dtype);
  const { buffer, byteOffset, byteLength } = held
    ? values
    : (dataOf(dtype, values as ArrayLike<number | bigint>) as TypedArray);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * A ValueInfoProto; −1 is a free dimension, and `undefined` any number of them. ONNX Runtime takes free dimensions of one name
 * for equal, so that only those that are may have one.
 */
export function valueMessage(
  name: string,
  dtype: DType,
  shape: readonly number[] | undefined,
  nameOf: (axis: number) => string | undefined = () => undefined,
): Message {
  const type = new Message().integer(1, ONNX_TYPES[dtype]);
  if (shape) {
    const dimensions = new Message();
    for (const [i, size] of shape.entries()) {
      const dimension = new Message();
      const free = size < 0 ? nameOf(i) : undefined;
      if (size >= 0) dimension.integer(1, size);
      else if (free !== undefined) dimension.text(2, free);
      dimensions.message(1, dimension);
    }
    type.message(2, dimensions);
  }
  return new Message().text(1, name).message(2, new Message().message(1, type));
}

/** The bytes of a ModelProto around a GraphProto. Throws RangeError where they are too many for one. */
export function modelBytes(
  graph: Message,
  { producer, domains }: { producer: string; domains: Iterable<string> },
): Uint8Array {
  const model = new Message().integer(1, IR_VERSION).text(2, producer);
  for (const domain of new Set(['', ...domains])) {
    const version = OPERATORS[domain] ?? 1;
    model.message(8, new Message().text(1, domain).integer(2, version));
  }
  model.message(7, graph);
  if (model.size > LARGEST)
    throw new RangeError(`The graph has ${model.size} bytes, and ONNX takes ${LARGEST} at most.`);
  return model.toBytes();
}
