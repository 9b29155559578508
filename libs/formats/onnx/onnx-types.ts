import type { DType } from '#program';

/** What TensorProto.DataType says about an element type. */
export interface ElementType {
  name: string;
  /** Bits of an element in raw data; 0 for strings. */
  bits: number;
  /** Where typed data of it lies, and how many entries an element takes there. */
  field: 'float_data' | 'int32_data' | 'string_data' | 'int64_data' | 'double_data' | 'uint64_data';
  perElement: number;
  /** The element type on the wire of predictions, where it has one. */
  dtype?: DType;
}

type Row = [number, string, number, ElementType['field'], number, DType?];

const rows: Row[] = [
  [1, 'float', 32, 'float_data', 1, 'FP32'],
  [2, 'uint8', 8, 'int32_data', 1, 'UINT8'],
  [3, 'int8', 8, 'int32_data', 1, 'INT8'],
  [4, 'uint16', 16, 'int32_data', 1, 'UINT16'],
  [5, 'int16', 16, 'int32_data', 1, 'INT16'],
  [6, 'int32', 32, 'int32_data', 1, 'INT32'],
  [7, 'int64', 64, 'int64_data', 1, 'INT64'],
  [8, 'string', 0, 'string_data', 1, 'BYTES'],
  [9, 'bool', 8, 'int32_data', 1, 'BOOL'],
  [10, 'float16', 16, 'int32_data', 1, 'FP16'],
  [11, 'double', 64, 'double_data', 1, 'FP64'],
  [12, 'uint32', 32, 'uint64_data', 1, 'UINT32'],
  [13, 'uint64', 64, 'uint64_data', 1, 'UINT64'],
  [14, 'complex64', 64, 'float_data', 2],
  [15, 'complex128', 128, 'double_data', 2],
  [16, 'bfloat16', 16, 'int32_data', 1, 'BF16'],
  [17, 'float8e4m3fn', 8, 'int32_data', 1],
  [18, 'float8e4m3fnuz', 8, 'int32_data', 1],
  [19, 'float8e5m2', 8, 'int32_data', 1],
  [20, 'float8e5m2fnuz', 8, 'int32_data', 1],
  [21, 'uint4', 4, 'int32_data', 1],
  [22, 'int4', 4, 'int32_data', 1],
  [23, 'float4e2m1', 4, 'int32_data', 1],
  [24, 'float8e8m0', 8, 'int32_data', 1],
  [25, 'uint2', 2, 'int32_data', 1],
  [26, 'int2', 2, 'int32_data', 1],
];

/** The element type with the number that `onnx.proto` gives it. */
export function elementType(dataType: number): ElementType | undefined {
  return types.get(dataType);
}

const types = new Map<number, ElementType>(
  rows.map(([number, name, bits, field, perElement, dtype]) => [
    number,
    { name, bits, field, perElement, ...(dtype ? { dtype } : {}) },
  ]),
);

/** The numbers in `onnx.proto` of types that generated nodes use. */
export const ONNX_FLOAT = 1;
export const ONNX_INT64 = 7;
export const ONNX_BOOL = 9;
export const ONNX_BFLOAT16 = 16;
