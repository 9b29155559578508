import type { DType } from '#program';
import type { TfType } from './tf-graph.js';

/** DataType of `types.proto` of TensorFlow, by its numbers; as in {@link TfType}. */
const TYPES: Record<number, TfType> = {
  1: 'FP32',
  2: 'FP64',
  3: 'INT32',
  4: 'UINT8',
  5: 'INT16',
  6: 'INT8',
  7: 'BYTES',
  8: 'DT_COMPLEX64',
  9: 'INT64',
  10: 'BOOL',
  11: 'DT_QINT8',
  12: 'DT_QUINT8',
  13: 'DT_QINT32',
  14: 'BF16',
  15: 'DT_QINT16',
  16: 'DT_QUINT16',
  17: 'UINT16',
  18: 'DT_COMPLEX128',
  19: 'FP16',
  20: 'DT_RESOURCE',
  21: 'DT_VARIANT',
  22: 'UINT32',
  23: 'UINT64',
  24: 'DT_FLOAT8_E5M2',
  25: 'DT_FLOAT8_E4M3FN',
  29: 'DT_INT4',
  30: 'DT_UINT4',
};

/** The numbers of types of references are higher by this. */
const REFERENCE = 100;

const NAMES: Partial<Record<TfType, string>> = {
  FP32: 'DT_FLOAT',
  FP64: 'DT_DOUBLE',
  FP16: 'DT_HALF',
  BF16: 'DT_BFLOAT16',
  BYTES: 'DT_STRING',
};

/** The type with this number; a reference to one is as it is. */
export function typeOfNumber(number: number): TfType {
  return TYPES[number] ?? TYPES[number - REFERENCE] ?? `DT_${number}`;
}

/** The type that TensorFlow calls `DT_FLOAT`, also where a reference to it is meant (`DT_FLOAT_REF`). */
export function typeOfName(name: string): TfType {
  const plain = name.replace(/_REF$/, '');
  return BY_NAME.get(plain) ?? `DT_${plain.replace(/^DT_/, '')}`;
}

/** What TensorFlow calls the type: `DT_FLOAT`. */
export function nameOfType(type: TfType): string {
  return NAMES[type] ?? (type.startsWith('DT_') ? type : `DT_${type}`);
}

const BY_NAME = new Map(Object.values(TYPES).map((type) => [nameOfType(type), type]));

/** Whether tensors of requests have the type. */
export function isTensorType(type: TfType): type is DType {
  return !type.startsWith('DT_');
}
