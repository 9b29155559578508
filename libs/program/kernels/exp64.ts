import { fused } from '../math/fused.js';
import { sumRest } from '../math/rests.js';
import { powerOfTwo } from './power-of-two.js';

/** Parts of 2 in the tables below. */
const PARTS = 128;
const BITS = 160n;

/** 2^(i / 128) as nearest float64, and how much of it that leaves out, relative to it. */
const { powers, rests } = rootsOfTwo(PARTS);

/** Added and taken off again, it rounds a float64 to an integer, ties to even. */
const ROUNDER = 1.5 * 2 ** 52;

/** ln 2 / 128 in two parts, the first with so few digits that products with small integers are exact. */
const LN2_HIGH = 0.005415212348111709;
const LN2_LOW = 1.2864023111638344e-14;

const SQUARE = 0.49999999999996786;
const CUBE = 0.16666666666665886;
const FOURTH = 0.0416666808410674;
const FIFTH = 0.008333335853059549;

/** How much, relative to e^x, the roundings of {@link exp64} and of {@link fusedExp} may lie apart at most. */
const APART = 2 ** -59;

/**
 * e^x, at most 0.511 units in the last place from the exact value, the same in every JavaScript engine and as the C library
 * computes it on processors that multiply and add in one step (all servers of the last ten years). The method and its
 * coefficients are those of `exp` in ARM's optimized routines (2018), which glibc has had since 2.28 and musl since 1.2:
 * e^x = 2^(k/128) · e^r, with a polynomial of degree 5 for e^r.
 */
export function exp64(x: number): number {
  return exp64WithRest(x, 0);
}

/** e^(x + rest), where the rest is far below the last place of x. */
export function exp64WithRest(x: number, given: number): number {
  // Where the answer is 1 + x, the sums below would lose it.
  if (Math.abs(x) < 2 ** -54) return 1 + x;
  // Outside, powers of 2 are not exact.
  if (!(Math.abs(x) < 500)) return outside(x, given);
  const steps = x * (Math.LOG2E * PARTS) + ROUNDER - ROUNDER;
  const r = x - steps * LN2_HIGH - steps * LN2_LOW + given;
  const part = steps & (PARTS - 1);
  const square = r * r;
  const sum =
    (rests[part] ?? 0) + r + square * (SQUARE + r * CUBE) + square * square * (FOURTH + r * FIFTH);
  const power = (powers[part] ?? 1) * powerOfTwo((steps - part) / PARTS);
  const addend = power * sum;
  const apart = power * APART;
  const least = power + (addend - apart);
  // Where the last bit does not hang on the way in which each step was rounded, one step need not imitate the other.
  return least === power + (addend + apart) ? least : fusedExp(x, given, steps, part);
}

/** The same with each product added before it is rounded, as the compiler joins them in glibc's `__exp_fma`. */
function fusedExp(x: number, given: number, steps: number, part: number): number {
  const r = fused(steps, -LN2_LOW, x - steps * LN2_HIGH) + given;
  const square = r * r;
  const low = fused(fused(CUBE, r, SQUARE), square, (rests[part] ?? 0) + r);
  const sum = fused(square * square, fused(r, FIFTH, FOURTH), low);
  const power = (powers[part] ?? 1) * powerOfTwo((steps - part) / PARTS);
  return fused(power, sum, power);
}

/** In two factors, of which the first is a power of 2 and what it leaves out is a rest. */
function outside(x: number, given: number): number {
  if (!(Math.abs(x) < 1000)) return x > 0 ? Infinity : x < 0 ? 0 : NaN;
  const doublings = x > 0 ? 720 : -720;
  // 720 · 128 steps: the first product is exact, the second is a rest.
  const left = x - doublings * PARTS * LN2_HIGH;
  const factor = exp64WithRest(left, given - doublings * PARTS * LN2_LOW);
  return factor * powerOfTwo(doublings);
}

/** e^x − 1 for |x| from 0.25 to 500. */
export function expm1Parts(x: number): number {
  const steps = x * (Math.LOG2E * PARTS) + ROUNDER - ROUNDER;
  const r = x - steps * LN2_HIGH - steps * LN2_LOW;
  const part = steps & (PARTS - 1);
  const square = r * r;
  const sum =
    (rests[part] ?? 0) + r + square * (SQUARE + r * CUBE) + square * square * (FOURTH + r * FIFTH);
  const power = (powers[part] ?? 1) * powerOfTwo((steps - part) / PARTS);
  const difference = power - 1;
  return difference + (sumRest(power, -1, difference) + power * sum);
}

/**
 * 2^(i / parts), `parts` a power of 2, as nearest float64, and how much of it that leaves out, relative to it. Computed with
 * 160 binary places, so that they do not depend on an engine's `Math.pow`.
 */
export function rootsOfTwo(count: number): { powers: Float64Array; rests: Float64Array } {
  const powers = new Float64Array(count);
  const rests = new Float64Array(count);
  let root = 2n << BITS;
  for (let parts = 1; parts < count; parts *= 2) root = squareRoot(root << BITS);
  let power = 1n << BITS;
  for (let i = 0; i < count; i++) {
    const nearest = Number(power) / 2 ** Number(BITS);
    powers[i] = nearest;
    // A float64 from 1 to 2 has 52 binary places.
    const left = power - (BigInt(nearest * 2 ** 52) << (BITS - 52n));
    rests[i] = Number(left) / Number(power);
    power = (power * root) >> BITS;
  }
  return { powers, rests };
}

/** The integer square root, by Newton's method. */
function squareRoot(square: bigint): bigint {
  let root = square;
  for (let next = (root + 1n) >> 1n; next < root; next = (root + square / root) >> 1n) root = next;
  return root;
}
