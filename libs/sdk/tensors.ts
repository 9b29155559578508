import type { DType, InferTensor, TensorSpec } from './resources.js';
import { SlipwayError } from './slipway-error.js';

export type NumericArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** Values of a tensor, nested as its shape says. `null` is a missing value. Typed arrays stand for their last dimension. */
export type Nested = number | bigint | boolean | string | null | NumericArray | Nested[];

/** One element as it comes back. INT64 and UINT64 are numbers where a number holds them exactly, else bigints; bytes that are no text are `Uint8Array`. */
export type Element = number | bigint | boolean | string | null | Uint8Array;
export type NestedOutput = Element | NestedOutput[];

/**
 * Nested arrays as V2 tensors. An input takes its dtype from the signature (the spec of its name; the only spec, where there
 * is one input and one spec); where there is none, from its values: bigint INT64, boolean BOOL, string BYTES, number FP64.
 *
 * @throws SlipwayError `INVALID_ARGUMENT` where the arrays are ragged
 */
export function encodeInputs(inputs: Record<string, Nested>, specs: TensorSpec[]): InferTensor[] {
  const names = Object.keys(inputs);
  return Object.entries(inputs).map(([name, values]) => {
    const named = specs.find((spec) => spec.name === name);
    const alone = names.length === 1 && specs.length === 1 ? specs[0] : undefined;
    return encodeInput(name, values, named ?? alone);
  });
}

/** The outputs of an answer by name, nested as their shapes say. */
export function decodeOutputs(outputs: InferTensor[]): Record<string, NestedOutput> {
  return Object.fromEntries(outputs.map((output) => [output.name, decodeOutput(output)]));
}

function encodeInput(name: string, values: Nested, spec: TensorSpec | undefined): InferTensor {
  const bytes = spec?.dtype === 'BYTES';
  const shape = shapeOf(values, bytes);
  const leaves: Leaf[] = [];
  flatten(values, shape, 0, `/inputs/${name}`, leaves);
  const datatype = spec?.dtype ?? dtypeOf(values, leaves);
  const tensor = { name, datatype, shape: spec ? fitted(shape, spec.shape) : shape };
  if (!leaves.some((leaf) => leaf instanceof Uint8Array))
    return { ...tensor, data: leaves.map(wire) };
  return {
    ...tensor,
    parameters: { content_type: 'base64' },
    data: leaves.map((leaf) => base64Of(leaf)),
  };
}

type Leaf = number | bigint | boolean | string | null | Uint8Array;

/** The shape by the first element of each dimension; `flatten` sees to it that the others agree. */
function shapeOf(values: Nested, bytes: boolean): number[] {
  if (!isList(values) || (bytes && values instanceof Uint8Array)) return [];
  const first: Nested | undefined = values[0];
  return first === undefined ? [values.length] : [values.length, ...shapeOf(first, bytes)];
}

function flatten(values: Nested, shape: number[], depth: number, at: string, into: Leaf[]): void {
  if (depth === shape.length) {
    if (!isList(values) || values instanceof Uint8Array) return void into.push(values);
    throw ragged(at, `a single value was expected here, and there is an array`);
  }
  if (!isList(values)) throw ragged(at, `an array of ${shape[depth]} was expected here`);
  if (values.length !== shape[depth])
    throw ragged(
      at,
      `an array of ${shape[depth]} was expected here, and this one has ${values.length}`,
    );
  for (let i = 0; i < values.length; i++)
    flatten(values[i] ?? null, shape, depth + 1, `${at}/${i}`, into);
}

function isList(values: Nested): values is Nested[] | NumericArray {
  return Array.isArray(values) || ArrayBuffer.isView(values);
}

function ragged(pointer: string, message: string): SlipwayError {
  const detail = `The input is not rectangular: at ${pointer} ${message}.`;
  return new SlipwayError(detail, { code: 'INVALID_ARGUMENT', errors: [{ pointer, message }] });
}

/**
 * The shape as the signature writes it where only dimensions of one are missing: a list of values for `[-1, 1]`, a single
 * value for `[-1]`.
 */
function fitted(shape: number[], wanted: number[]): number[] {
  const fit = [...shape];
  if (fit.length === 0 && wanted[0] === -1) fit.push(1);
  while (fit.length > 0 && fit.length < wanted.length && wanted[fit.length] === 1) fit.push(1);
  return fit.length === wanted.length ? fit : shape;
}

function dtypeOf(values: Nested, leaves: Leaf[]): DType {
  let array: Nested | undefined = values;
  while (Array.isArray(array)) array = array[0];
  if (ArrayBuffer.isView(array)) return dtypeOfArray(array);
  const kinds = new Set(leaves.filter((leaf) => leaf !== null).map((leaf) => typeof leaf));
  if (kinds.has('string') || kinds.has('object')) return 'BYTES';
  if (kinds.has('number')) return 'FP64';
  if (kinds.has('bigint')) return 'INT64';
  return kinds.has('boolean') ? 'BOOL' : 'FP64';
}

function dtypeOfArray(array: NumericArray): DType {
  if (array instanceof Float32Array) return 'FP32';
  if (array instanceof Float64Array) return 'FP64';
  if (array instanceof BigInt64Array) return 'INT64';
  if (array instanceof BigUint64Array) return 'UINT64';
  if (array instanceof Int8Array) return 'INT8';
  if (array instanceof Int16Array) return 'INT16';
  if (array instanceof Int32Array) return 'INT32';
  if (array instanceof Uint16Array) return 'UINT16';
  return array instanceof Uint32Array ? 'UINT32' : 'UINT8';
}

/** JSON has neither NaN nor infinities; the server reads their names. */
function wire(leaf: Leaf): unknown {
  return typeof leaf === 'number' && !Number.isFinite(leaf) ? String(leaf) : leaf;
}

function base64Of(leaf: Leaf): string | null {
  if (leaf === null) return null;
  const bytes = leaf instanceof Uint8Array ? leaf : new TextEncoder().encode(String(leaf));
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

function decodeOutput({ datatype, shape, data, parameters }: InferTensor): NestedOutput {
  const base64 = datatype === 'BYTES' && parameters?.['content_type'] === 'base64';
  const elements = data.flat(Infinity).map((element) => decodeElement(element, datatype, base64));
  return nest(elements, shape, 0, 0, elements.length);
}

function decodeElement(element: unknown, datatype: DType, base64: boolean): Element {
  if (typeof element === 'string') {
    if (base64) return Uint8Array.from(atob(element), (character) => character.charCodeAt(0));
    return datatype === 'BYTES' ? element : Number(element);
  }
  if (typeof element === 'bigint') return datatype.endsWith('INT64') ? element : Number(element);
  return typeof element === 'number' || typeof element === 'boolean' ? element : null;
}

/** Elements `from` to `to` as arrays of the dimensions from `depth` on. */
function nest(
  elements: Element[],
  shape: number[],
  depth: number,
  from: number,
  to: number,
): NestedOutput {
  const length = shape[depth];
  if (length === undefined) return elements[from] ?? null;
  if (depth === shape.length - 1) return elements.slice(from, to);
  const step = length === 0 ? 0 : (to - from) / length;
  return Array.from({ length }, (_, i) =>
    nest(elements, shape, depth + 1, from + i * step, from + (i + 1) * step),
  );
}
