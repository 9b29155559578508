import { fromBfloat16, fromFloat16, type RowRange, takeRows, type Tensor } from '#program';
import { shortestFloat32 } from './float32-text.js';

type BytesElement = string | Uint8Array | null;

/**
 * V2 tensors as JSON text: floats read back to the same value, NaN and the infinities are strings, 64-bit integers have all
 * their digits, BYTES that are not UTF-8 are base64. `rows`: only these of each.
 */
export function writeTensors(tensors: readonly Tensor[], rows?: RowRange): string {
  let text = '[';
  for (let i = 0; i < tensors.length; i++) {
    const tensor = tensors[i];
    if (tensor === undefined) continue;
    if (i > 0) text += ',';
    text += rows ? writeRows(tensor, rows) : writeTensor(tensor);
  }
  return `${text}]`;
}

/** A string as JSON. */
export function quote(text: string): string {
  // Names need no escapes as a rule, and then this is twice as fast as JSON.stringify.
  return /^[\w .:@+-]*$/.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** Parameters as they go out with the elements; says `content_type` where BYTES must be base64. */
export function outgoingParameters(tensor: Tensor): Record<string, unknown> | undefined {
  return needsBase64(tensor) ? { ...tensor.parameters, content_type: 'base64' } : tensor.parameters;
}

/** An element of a BYTES tensor as base64; null where it is missing. */
export function base64Of(element: BytesElement): string | null {
  if (element === null) return null;
  if (typeof element === 'string') return Buffer.from(element).toString('base64');
  return Buffer.from(element.buffer, element.byteOffset, element.byteLength).toString('base64');
}

export function needsBase64({ dtype, data, parameters }: Tensor): boolean {
  if (dtype !== 'BYTES') return false;
  if (parameters?.['content_type'] === 'base64') return true;
  return Array.isArray(data) && data.some((element) => element instanceof Uint8Array);
}

/** The same as `writeTensor` of `takeRows`, without the views that it makes where the numbers are floats. */
function writeRows(tensor: Tensor, rows: RowRange): string {
  const { name, dtype, shape, data, parameters } = tensor;
  const isFloat32 = data instanceof Float32Array;
  if (!(isFloat32 || data instanceof Float64Array) || parameters) {
    const [part] = takeRows([tensor], rows);
    return part ? writeTensor(part) : '';
  }
  const { from, count } = rows;
  let size = 1;
  let text = `{"name":${quote(name)},"shape":[${count}`;
  for (let i = 1; i < shape.length; i++) {
    const dimension = shape[i] ?? 1;
    size *= dimension;
    text += `,${dimension}`;
  }
  const end = (from + count) * size;
  if (end - from * size > SHORT) {
    const part = data.subarray(from * size, end);
    text += `],"datatype":"${dtype}","data":[${joinFloats(part, isFloat32 ? shortestFloat32 : asIs)}]}`;
    return text;
  }
  text += `],"datatype":"${dtype}","data":[`;
  for (let i = from * size; i < end; i++) {
    if (i > from * size) text += ',';
    text += floatText(data[i] ?? NaN, isFloat32 ? shortestFloat32 : asIs);
  }
  return `${text}]}`;
}

function writeTensor(tensor: Tensor): string {
  const parameters = outgoingParameters(tensor);
  let text = `{"name":${quote(tensor.name)},"shape":[${tensor.shape.join(',')}],"datatype":"${tensor.dtype}"`;
  if (parameters !== undefined) text += `,"parameters":${JSON.stringify(parameters)}`;
  return `${text},"data":[${writeData(tensor)}]}`;
}

function writeData(tensor: Tensor): string {
  const { dtype, data } = tensor;
  if (data instanceof Float32Array) return joinFloats(data, shortestFloat32);
  if (data instanceof Float64Array) return joinFloats(data, asIs);
  if (Array.isArray(data)) return joinBytes(data, needsBase64(tensor));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return data.join(',');
  switch (dtype) {
    case 'FP16':
      return joinFloats(Float32Array.from(data, fromFloat16), shortestFloat32);
    case 'BF16':
      return joinFloats(Float32Array.from(data, fromBfloat16), shortestFloat32);
    case 'BOOL':
      return Array.from(data, (bit) => (bit ? 'true' : 'false')).join(',');
    default:
      return data.join(',');
  }
}

function joinBytes(data: readonly BytesElement[], base64: boolean): string {
  return data.map((element) => JSON.stringify(base64 ? base64Of(element) : element)).join(',');
}

/** Below this many elements, adding strings is faster than a list for JSON.stringify; above it the list is. */
const SHORT = 16;

function joinFloats(data: Float32Array | Float64Array, shorten: (value: number) => number): string {
  if (data.length > SHORT) {
    const numbers = plainNumbers(data, shorten);
    if (numbers !== undefined) return JSON.stringify(numbers).slice(1, -1);
  }
  let text = '';
  for (let i = 0; i < data.length; i++) {
    if (i > 0) text += ',';
    text += floatText(data[i] ?? NaN, shorten);
  }
  return text;
}

/** The numbers as JSON.stringify is to write them; undefined where there is one that it would write wrongly. */
function plainNumbers(
  data: Float32Array | Float64Array,
  shorten: (value: number) => number,
): number[] | undefined {
  const numbers: number[] = [];
  for (let i = 0; i < data.length; i++) {
    const value = data[i] ?? NaN;
    if (!Number.isFinite(value) || Object.is(value, -0)) return undefined;
    numbers.push(shorten(value));
  }
  return numbers;
}

function asIs(value: number): number {
  return value;
}

function floatText(value: number, shorten: (value: number) => number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(shorten(value));
  return `"${value}"`;
}
