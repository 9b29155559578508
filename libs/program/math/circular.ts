import { sumRest } from './rests.js';

/*
 * The same bits in every JavaScript engine, as in logarithms.ts; sine and cosine within 0.6 units in the last place of the
 * exact value, the others within 2.
 */

/** π/2 in parts: the first two with so few digits that products with integers below 2^20 are exact. */
const HALF_PI = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21] as const;
const HALF_PI_HIGH = 1.5707963267948966;
const HALF_PI_LOW = 6.123233995736766e-17;
/** Beyond, an angle is reduced with integers of any length. */
const LARGE = 2 ** 20;

/** The arcus tangent of k / 8 as nearest float64, and what that leaves out. */
const ARCUS = [
  [0, 0],
  [0.12435499454676144, -3.1253241424539383e-18],
  [0.24497866312686414, 1.0698755618734451e-17],
  [0.35877067027057225, -2.4623815582638635e-17],
  [0.4636476090008061, 2.2698777452961687e-17],
  [0.5585993153435624, -5.4556305485916264e-18],
  [0.6435011087932844, 1.5834785051444286e-17],
  [0.7188299996216245, -2.1478388444456983e-17],
  [0.7853981633974483, 3.061616997868383e-17],
] as const;

/** What {@link reduce} found: x = quarter turns · π/2 + angle + rest, with |angle| ≤ π/4. */
let angle = 0;
let rest = 0;

export function sin(x: number): number {
  if (Math.abs(x) < 2 ** -28) return x;
  const quarter = reduce(x);
  const size = quarter & 1 ? cosine() : sine();
  return quarter & 2 ? -size : size;
}

export function cos(x: number): number {
  const quarter = reduce(x);
  const size = quarter & 1 ? sine() : cosine();
  return (quarter + 1) & 2 ? -size : size;
}

export function tan(x: number): number {
  if (Math.abs(x) < 2 ** -28) return x;
  return reduce(x) & 1 ? -cosine() / sine() : sine() / cosine();
}

export function atan(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -28) return x;
  if (size > 1) {
    const inverse = 1 / size;
    return Math.sign(x) * (HALF_PI_HIGH - (arcusOf(inverse) - HALF_PI_LOW));
  }
  return Math.sign(x) * arcusOf(size);
}

export function asin(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -28 || size > 1) return size > 1 ? NaN : x;
  if (size > 0.5) return Math.sign(x) * (HALF_PI_HIGH - (2 * nearOne(size) - HALF_PI_LOW));
  return atan(x / Math.sqrt((1 - x) * (1 + x)));
}

export function acos(x: number): number {
  if (!(Math.abs(x) <= 1)) return NaN;
  if (x > 0.5) return 2 * nearOne(x);
  if (x < -0.5) return 2 * (HALF_PI_HIGH - (nearOne(-x) - HALF_PI_LOW));
  return HALF_PI_HIGH - (asin(x) - HALF_PI_LOW);
}

/** Half the arcus cosine of x from ½ to 1. */
function nearOne(x: number): number {
  return x === 1 ? 0 : atan(Math.sqrt((1 - x) / (1 + x)));
}

/** The arcus tangent from 0 to 1: that of the nearest k / 8 plus that of a small number, as a series. */
function arcusOf(x: number): number {
  const nearest = Math.round(x * 8);
  const base = nearest / 8;
  const [high, low] = ARCUS[nearest] ?? [NaN, NaN];
  const t = (x - base) / (1 + x * base);
  const z = t * t;
  let series = 1 / 19;
  for (let odd = 17; odd >= 3; odd -= 2) series = 1 / odd - z * series;
  return high + (t - t * z * series + low);
}

function sine(): number {
  const z = angle * angle;
  let series = 1 / (18 * 19);
  for (let n = 16; n >= 4; n -= 2) series = (1 - z * series) / (n * (n + 1));
  const cube = (angle * z) / 6;
  return angle + (rest * (1 - z / 2) - cube * (1 - z * series));
}

function cosine(): number {
  const z = angle * angle;
  let series = 1 / (17 * 18);
  for (let n = 15; n >= 3; n -= 2) series = (1 - z * series) / (n * (n + 1));
  const half = z / 2;
  const first = 1 - half;
  return first + (1 - first - half + half * z * series - angle * rest);
}

/** Finds angle and rest; answers the quarter turns modulo 4. NaN and infinities give NaN. */
function reduce(x: number): number {
  if (!(Math.abs(x) < LARGE)) return reduceLarge(x);
  const turns = Math.round(x / HALF_PI_HIGH);
  const first = x - turns * HALF_PI[0];
  const second = turns * HALF_PI[1];
  const difference = first - second;
  const left = sumRest(first, -second, difference) - turns * HALF_PI[2];
  angle = difference + left;
  rest = sumRest(difference, left, angle);
  return turns & 3;
}

const BITS = 1200n;
const KEPT = 200n;
let halfPi = 0n;

function reduceLarge(x: number): number {
  if (!Number.isFinite(x)) {
    angle = NaN;
    rest = NaN;
    return 0;
  }
  halfPi ||= 2n * (4n * inverseArcus(5n) - inverseArcus(239n));
  const whole = Math.trunc(x);
  // A float64 beyond 2^20 is a multiple of 2^-32.
  const fraction = BigInt((x - whole) * 2 ** 32) << (BITS - 32n);
  const units = (BigInt(whole) << BITS) + fraction;
  const turns = (2n * units + halfPi) / (2n * halfPi) - (units < 0n ? 1n : 0n);
  const left = (units - turns * halfPi) >> (BITS - KEPT);
  const scale = 2 ** -Number(KEPT);
  angle = Number(left) * scale;
  rest = Number(left - BigInt(angle / scale)) * scale;
  return Number(BigInt.asUintN(2, turns));
}

/** The arcus tangent of 1 / n, in units of 2^-BITS. */
function inverseArcus(n: bigint): bigint {
  let power = (1n << BITS) / n;
  let sum = power;
  for (let odd = 3n, sign = -1n; power > 0n; odd += 2n, sign = -sign) {
    power /= n * n;
    sum += (sign * power) / odd;
  }
  return sum;
}
