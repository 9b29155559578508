import { rootsOfTwo } from './exp64.js';
import { powerOfTwo } from './power-of-two.js';

/** Parts of 2 in the tables: for float64 and for float32. */
const PARTS = 128;
const FEW_PARTS = 32;
const { powers, rests } = rootsOfTwo(PARTS);
const { powers: fewPowers } = rootsOfTwo(FEW_PARTS);

/** Added and taken off again, they round a float64 to a multiple of 1 / parts, ties to even. */
const ROUNDER = (1.5 * 2 ** 52) / PARTS;
const FEW_ROUNDER = (1.5 * 2 ** 52) / FEW_PARTS;

/** Polynomials of `exp2` and of `exp2f`. */
const C1 = 0.6931471805599453;
const C2 = 0.24022650695909065;
const C3 = 0.0555041086686087;
const C4 = 0.009618131975721055;
const C5 = 0.0013332074570119598;
const F1 = 0.6931471806916203;
const F2 = 0.2402284522445722;
const F3 = 0.05550361559341535;

/**
 * 2^x as the C library computes it (`exp2` of ARM's optimized routines, in glibc since 2.28), but for one case in some
 * hundreds of thousands: 2^x = 2^(k/128) · 2^r, with a polynomial of degree 5 for 2^r.
 */
export function exp2Wide(x: number): number {
  if (!(Math.abs(x) < 1000)) return 2 ** x;
  const steps = x + ROUNDER - ROUNDER;
  const r = x - steps;
  const k = steps * PARTS;
  const part = k & (PARTS - 1);
  const square = r * r;
  const sum =
    (rests[part] ?? 0) + r * C1 + square * (C2 + r * C3) + square * square * (C4 + r * C5);
  const power = (powers[part] ?? 1) * powerOfTwo((k - part) / PARTS);
  return power + power * sum;
}

/** 2^x of a float32, rounded to one, as the C library's `exp2f` and `powf(2, x)` compute it. */
export function exp2Narrow(x: number): number {
  if (!(Math.abs(x) < 150)) return Math.fround(2 ** x);
  const steps = x + FEW_ROUNDER - FEW_ROUNDER;
  const r = x - steps;
  const k = steps * FEW_PARTS;
  const part = k & (FEW_PARTS - 1);
  const sum = (F3 * r + F2) * (r * r) + (F1 * r + 1);
  return Math.fround(sum * (fewPowers[part] ?? 1) * powerOfTwo((k - part) / FEW_PARTS));
}
