import { rootsOfTwo } from './exp64.js';
import { powerOfTwo } from './power-of-two.js';

/** Parts of 2 in the table below. */
const PARTS = 32;

/** 2^(i / 32), nearest float64. */
const { powers: POWERS } = rootsOfTwo(PARTS);

/** Added and taken off again, it rounds a float64 to an integer, ties to even. */
const ROUNDER = 1.5 * 2 ** 52;

const CUBIC = 0.05550361559341535 / PARTS ** 3;
const QUADRATIC = 0.2402284522445722 / PARTS ** 2;
const LINEAR = 0.6931471806916203 / PARTS;

/**
 * e^x of a float32 as the C library computes it, in most cases to the last bit where rounding the exact value would not be:
 * e^x = 2^(k/32) · 2^r with a cubic for 2^r, all in float64, rounded once at the end. The method and its coefficients are
 * those of `expf` in ARM's optimized routines (2017), which glibc has had since 2.27 and musl since 1.2.
 */
export function exp32(x: number): number {
  // Outside, the answer is 0, Infinity or NaN, and the sums below would not be exact.
  if (!(Math.abs(x) < 200)) return x > 0 ? Infinity : x < 0 ? 0 : NaN;
  const scaled = x * (Math.LOG2E * PARTS);
  const steps = scaled + ROUNDER - ROUNDER;
  const r = scaled - steps;
  const part = steps & (PARTS - 1);
  const power = (POWERS[part] ?? 1) * powerOfTwo((steps - part) / PARTS);
  return Math.fround(((CUBIC * r + QUADRATIC) * (r * r) + (LINEAR * r + 1)) * power);
}
