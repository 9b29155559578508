import { exp64, expm1Parts } from '../kernels/exp64.js';
import { log1p64, log64 } from './logarithms.js';

/*
 * The same bits in every JavaScript engine, as in logarithms.ts; within 2 units in the last place of the exact value.
 */

/** e^x − 1, exact for small x too. */
export function expm1(x: number): number {
  if (Math.abs(x) < 2 ** -54) return x;
  if (Math.abs(x) >= 0.25) return x > 45 ? exp64(x) : x < -45 ? -1 : expm1Parts(x);
  let series = 1 / 14;
  for (let n = 13; n >= 3; n--) series = (1 + x * series) / n;
  const square = x * x;
  // x + x²/2 + x³/6 …, the small parts first.
  return x !== x ? x : x + (0.5 * square + 0.5 * square * x * series);
}

export function sinh(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -28) return x;
  if (size > 40) return Math.sign(x) * exp64(size - 1) * (Math.E / 2);
  const t = expm1(size);
  return (Math.sign(x) * (t + t / (t + 1))) / 2;
}

export function cosh(x: number): number {
  const size = Math.abs(x);
  if (size > 40) return exp64(size - 1) * (Math.E / 2);
  const t = exp64(size);
  return (t + 1 / t) / 2;
}

export function tanh(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -28) return x;
  if (size > 22) return Math.sign(x);
  const t = expm1(2 * size);
  return x !== x ? x : (Math.sign(x) * t) / (t + 2);
}

export function asinh(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -28) return x;
  if (size > 2 ** 28) return Math.sign(x) * (log64(size) + Math.LN2);
  const square = size * size;
  return Math.sign(x) * log1p64(size + square / (1 + Math.sqrt(square + 1)));
}

export function acosh(x: number): number {
  if (!(x >= 1)) return NaN;
  if (x > 2 ** 28) return log64(x) + Math.LN2;
  const t = x - 1;
  return log1p64(t + Math.sqrt(2 * t + t * t));
}

export function atanh(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -28) return x;
  return (Math.sign(x) * log1p64((2 * size) / (1 - size))) / 2;
}
