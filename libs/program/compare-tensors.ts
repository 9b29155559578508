import { fromBfloat16, fromFloat16 } from './dtype.js';
import type { Tensor } from './tensor.js';

/** How far a number may be from what is expected: `|got − expected| ≤ atol + rtol · |expected|`. */
export interface Tolerance {
  rtol: number;
  atol: number;
}

/** Where an answer is farthest from what was expected. */
export interface Difference {
  /** Name of the tensor. */
  output: string;
  /** Indices into it; absent where the tensor is missing or its dtype or shape is another. */
  at?: number[];
  /** `|got − expected|` of two numbers; absent where that is no finite number, or where they are none. */
  absolute?: number;
  /** `absolute / |expected|`; absent where the expected number is 0 and the other is not. */
  relative?: number;
  message: string;
}

export interface Comparison {
  /** Whether all is as expected, within the tolerance. */
  equal: boolean;
  /** The greatest difference, in parts of what is allowed; absent where there was nothing to compare. */
  greatest?: Difference;
}

/**
 * Compares answers with golden rows. Every expected tensor must be among `got` with its shape and kind of dtype (integers,
 * floating point, strings or booleans); NaN equals NaN, infinities and everything but floating point must be equal.
 */
export function compareTensors(
  got: Tensor[],
  expected: Tensor[],
  tolerance: Tolerance,
): Comparison {
  let worst: Measured | undefined;
  for (const tensor of expected) {
    const found = got.find((candidate) => candidate.name === tensor.name);
    const difference = found
      ? anotherKind(found, tensor)
      : { output: tensor.name, message: `no output "${tensor.name}" was made` };
    if (difference) return { equal: false, greatest: difference };
    const measured = found && greatestIn(found, tensor, tolerance);
    if (measured && !(worst && worst.excess >= measured.excess)) worst = measured;
  }
  if (!worst) return { equal: true };
  const { got: answered, expected: wanted, index, excess } = worst;
  return { equal: excess <= 1, greatest: described(answered, wanted, index) };
}

/** A tensor with the place of its greatest difference, and how many times that is what is allowed: 0 where it is equal. */
interface Measured {
  got: Tensor;
  expected: Tensor;
  index: number;
  excess: number;
}

function anotherKind(got: Tensor, expected: Tensor): Difference | undefined {
  const output = expected.name;
  if (kindOf(got) !== kindOf(expected)) {
    return { output, message: `is ${got.dtype} where ${expected.dtype} is expected` };
  }
  if (got.shape.join() !== expected.shape.join()) {
    const [is, should] = [got.shape, expected.shape].map((shape) => `[${shape.join(', ')}]`);
    return { output, message: `has shape ${is} where ${should} is expected` };
  }
  return undefined;
}

function greatestIn(got: Tensor, expected: Tensor, tolerance: Tolerance): Measured | undefined {
  if (expected.data.length === 0) return undefined;
  const allowed = kindOf(expected) === 'float' ? tolerance : { rtol: 0, atol: 0 };
  let index = 0;
  let excess = -1;
  for (let i = 0; i < expected.data.length; i++) {
    const its = excessOf(elementAt(got, i), elementAt(expected, i), allowed);
    if (its > excess) [index, excess] = [i, its];
  }
  return { got, expected, index, excess };
}

function described(got: Tensor, expected: Tensor, index: number): Difference {
  const is = elementAt(got, index);
  const should = elementAt(expected, index);
  const at = indicesOf(index, expected.shape);
  const place = `at [${at.join(', ')}]`;
  const message =
    excessOf(is, should, { rtol: 0, atol: 0 }) === 0
      ? 'is as expected'
      : `is ${show(is)} ${place} where ${show(should)} is expected`;
  return { output: expected.name, at, ...distance(is, should), message };
}

function distance(is: Element, should: Element): Pick<Difference, 'absolute' | 'relative'> {
  if (typeof is !== 'number' || typeof should !== 'number') return {};
  if (Object.is(is, should) || is === should) return { absolute: 0, relative: 0 };
  const absolute = Math.abs(is - should);
  const relative = absolute / Math.abs(should);
  return {
    ...(Number.isFinite(absolute) && { absolute }),
    ...(Number.isFinite(relative) && { relative }),
  };
}

type Element = number | bigint | string | null | Uint8Array;

function kindOf({ dtype }: Tensor): string {
  if (dtype === 'BYTES' || dtype === 'BOOL') return dtype;
  return dtype.startsWith('FP') || dtype === 'BF16' ? 'float' : 'integer';
}

function elementAt({ dtype, data }: Tensor, i: number): Element {
  const element = data[i] ?? null;
  if (dtype === 'FP16') return fromFloat16(Number(element));
  if (dtype === 'BF16') return fromBfloat16(Number(element));
  // Integers of different width compare as one kind.
  if (typeof element === 'bigint' && BigInt(Number(element)) === element) return Number(element);
  return element;
}

/** How many times the allowed difference two elements differ by. */
function excessOf(is: Element, should: Element, { rtol, atol }: Tolerance): number {
  if (is === should) return 0;
  if (typeof is === 'number' && typeof should === 'number') {
    if (Number.isNaN(is) && Number.isNaN(should)) return 0;
    if (!Number.isFinite(is) || !Number.isFinite(should)) return Infinity;
    return Math.abs(is - should) / (atol + rtol * Math.abs(should));
  }
  return bytesOf(is) === bytesOf(should) && bytesOf(is) !== undefined ? 0 : Infinity;
}

/** Strings and bytes alike as a text that is equal where the bytes are. */
function bytesOf(element: Element): string | undefined {
  if (typeof element === 'string') return new TextEncoder().encode(element).join();
  return element instanceof Uint8Array ? element.join() : undefined;
}

function indicesOf(index: number, shape: number[]): number[] {
  const indices: number[] = [];
  let rest = index;
  for (const dimension of shape.toReversed()) {
    indices.unshift(rest % dimension);
    rest = Math.floor(rest / dimension);
  }
  return indices;
}

function show(element: Element): string {
  if (typeof element === 'string') return JSON.stringify(element);
  return element instanceof Uint8Array ? `${element.length} bytes` : String(element);
}
