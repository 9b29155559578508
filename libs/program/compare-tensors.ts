import { fromBfloat16, fromFloat16 } from './dtype.js';
import type { Tensor } from './tensor.js';

/** How far a number may be from what is expected: `|got − expected| ≤ atol + rtol · |expected|`. */
export interface Tolerance {
  rtol: number;
  atol: number;
}

/** Where an answer first is not what was expected. */
export interface Difference {
  /** Name of the tensor. */
  output: string;
  /** Indices into it; absent where the tensor is missing or its dtype or shape is another. */
  at?: number[];
  message: string;
}

/**
 * Compares answers with golden rows. Every expected tensor must be among `got` with its shape and kind of dtype (integers,
 * floating point, strings or booleans); NaN equals NaN, infinities and everything but floating point must be equal.
 */
export function compareTensors(
  got: Tensor[],
  expected: Tensor[],
  tolerance: Tolerance,
): Difference | undefined {
  for (const tensor of expected) {
    const found = got.find((candidate) => candidate.name === tensor.name);
    const difference = found
      ? compareTensor(found, tensor, tolerance)
      : { output: tensor.name, message: `no output "${tensor.name}" was made` };
    if (difference) return difference;
  }
  return undefined;
}

function compareTensor(
  got: Tensor,
  expected: Tensor,
  tolerance: Tolerance,
): Difference | undefined {
  const output = expected.name;
  if (kindOf(got) !== kindOf(expected)) {
    return { output, message: `is ${got.dtype} where ${expected.dtype} is expected` };
  }
  if (got.shape.join() !== expected.shape.join()) {
    const [is, should] = [got.shape, expected.shape].map((shape) => `[${shape.join(', ')}]`);
    return { output, message: `has shape ${is} where ${should} is expected` };
  }
  const allowed = kindOf(expected) === 'float' ? tolerance : { rtol: 0, atol: 0 };
  for (let i = 0; i < expected.data.length; i++) {
    const is = elementAt(got, i);
    const should = elementAt(expected, i);
    if (!close(is, should, allowed)) {
      const at = indicesOf(i, expected.shape);
      return {
        output,
        at,
        message: `is ${show(is)} at [${at.join(', ')}] where ${show(should)} is expected`,
      };
    }
  }
  return undefined;
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

function close(is: Element, should: Element, { rtol, atol }: Tolerance): boolean {
  if (is === should) return true;
  if (typeof is === 'number' && typeof should === 'number') {
    if (Number.isNaN(is) && Number.isNaN(should)) return true;
    return Number.isFinite(should) && Math.abs(is - should) <= atol + rtol * Math.abs(should);
  }
  return bytesOf(is) === bytesOf(should) && bytesOf(is) !== undefined;
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
