import type { DType } from '#program';
import type { OnnxTensor } from './onnx-model.js';
import { WireReader } from '../protobuf.js';

/** The elements of a small tensor that was checked, as little-endian bytes, from raw or typed data. */
export function readTensorValues(tensor: OnnxTensor, dtype: Exclude<DType, 'BYTES'>): Buffer {
  if (tensor.raw && tensor.raw.length > 0) return Buffer.from(tensor.raw);
  const reader = WireReader.open(tensor.bytes, `tensor ${tensor.name}`, { messages: 0 });
  const integers: bigint[] = [];
  const fixed: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 5 || reader.field === 7 || reader.field === 11) reader.int64s(integers);
    else if (reader.field === 4) fixed.push(reader.fixedBytes(4));
    else if (reader.field === 10) fixed.push(reader.fixedBytes(8));
    else reader.skip();
  }
  if (dtype === 'FP32' || dtype === 'FP64') return Buffer.concat(fixed);
  const width = { BOOL: 1, UINT8: 1, INT8: 1, UINT16: 2, INT16: 2, FP16: 2, BF16: 2 };
  const size = width[dtype as keyof typeof width] ?? (dtype.endsWith('64') ? 8 : 4);
  const bytes = Buffer.alloc(integers.length * 8);
  integers.forEach((value, index) => bytes.writeBigInt64LE(value, index * 8));
  return Buffer.concat(integers.map((_, index) => bytes.subarray(index * 8, index * 8 + size)));
}
