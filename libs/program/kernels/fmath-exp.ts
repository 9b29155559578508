import { rootsOfTwo } from './exp64.js';
import { powerOfTwo } from './power-of-two.js';

/** Parts of 2 in the table. */
const PARTS = 2048;
const { powers } = rootsOfTwo(PARTS);

/** Added and taken off again, it rounds a float64 to an integer, ties to even. */
const ROUNDER = 1.5 * 2 ** 52;
const PER_UNIT = PARTS / Math.LN2;
const UNIT = 1 / PER_UNIT;
const SIXTH = 0.16666666685227835;
const THREE = 3.0000000027955394;

/** Greater and smaller exponents count as these. */
const MOST = 709.782725693384;
const LEAST = -708.3964185322641;

/**
 * e^x as CatBoost computes it where it is quick rather than exact (softmax, exponents): `expd_v` of the library fmath, bit for
 * bit, whose error is some units in the last place.
 */
export function fmathExp(x: number): number {
  if (Number.isNaN(x)) return x;
  const exponent = Math.max(Math.min(x, MOST), LEAST);
  const steps = exponent * PER_UNIT + ROUNDER - ROUNDER;
  const t = steps * UNIT - exponent;
  const part = steps - Math.floor(steps / PARTS) * PARTS;
  const y = (THREE - t) * (t * t) * SIXTH - t + 1;
  return y * ((powers[part] ?? 1) * powerOfTwo((steps - part) / PARTS));
}
