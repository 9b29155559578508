import { fromBfloat16, fromFloat16, type Tensor } from '#program';
import { shortestFloat32 } from './float32-text.js';
import { readTensors, type TensorLimits } from './tensor-reader.js';
import { base64Of, needsBase64, outgoingParameters } from './tensor-writer.js';

/** A V2 tensor as parsed JSON has it. */
export interface TensorJson {
  name: string;
  shape: number[];
  datatype: string;
  parameters?: Record<string, unknown>;
  data: unknown[];
}

/**
 * Tensors out of JSON that was parsed elsewhere, such as the inputs and expected outputs of an input example. 64-bit
 * integers may be numbers up to 2^53, bigints, or strings of digits.
 *
 * @param pointer JSON pointer to the list, for errors.
 * @throws CodecError with a pointer to the first fault.
 */
export function decodeTensors(
  json: unknown,
  pointer = '',
  limits: TensorLimits = { maxRows: Infinity },
): Tensor[] {
  return readTensors(json, pointer, limits);
}

/**
 * Tensors as values for `JSON.stringify`, which `decodeTensors` reads back; 64-bit integers beyond 2^53 are strings of
 * digits. (`JSON.stringify` writes -0 as 0; `encodeTensorsText` does not.)
 */
export function encodeTensors(tensors: readonly Tensor[]): TensorJson[] {
  return tensors.map((tensor) => {
    const parameters = outgoingParameters(tensor);
    return {
      name: tensor.name,
      shape: tensor.shape,
      datatype: tensor.dtype,
      ...(parameters && { parameters }),
      data: elementsOf(tensor),
    };
  });
}

function elementsOf(tensor: Tensor): unknown[] {
  const { dtype, data } = tensor;
  if (Array.isArray(data)) return needsBase64(tensor) ? data.map(base64Of) : [...data];
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Array.from<bigint, unknown>(data, integerJson);
  }
  if (data instanceof Float64Array) {
    return Array.from(data, (value) => (Number.isFinite(value) ? value : String(value)));
  }
  if (dtype === 'BOOL') return Array.from(data, Boolean);
  if (dtype === 'FP16') return Array.from(data, (bits) => floatJson(fromFloat16(bits)));
  if (dtype === 'BF16') return Array.from(data, (bits) => floatJson(fromBfloat16(bits)));
  if (dtype === 'FP32') return Array.from(data, floatJson);
  return Array.from(data);
}

function integerJson(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function floatJson(value: number): number | string {
  return Number.isFinite(value) ? shortestFloat32(value) : String(value);
}
