import { exp64WithRest } from '../kernels/exp64.js';
import { productRest, sumRest } from './rests.js';

/*
 * Logarithms and powers by nothing but the operations that IEEE 754 rounds in one way only, so that every JavaScript engine
 * answers the same bits; `Math.log` and `Math.pow` are each engine's own. Within 0.6 units in the last place of the exact
 * value (1 for powers with exponents of the result beyond 2^±500).
 */

/** ln 2 and lg 2, the first part with so few digits that products with exponents are exact. */
const LN2 = { high: 0.6931471805598903, low: 5.497923018708371e-14 };
const LG2 = { high: 0.30102999566395283, low: 2.8363394551044964e-14 };
const PER_LN2 = { high: 1.4426950408889634, low: 2.0355273740931033e-17 };
const PER_LN10 = { high: 0.4342944819032518, low: 1.098319650216765e-17 };

/** Up to here, powers with whole exponents are products: exact where the answer is a float64. */
const MOST_FACTORS = 64;

const number = new Float64Array(1);
const words = new Int32Array(number.buffer);

/** What {@link decompose} found: x = 2^exponent · e^(high + low). */
let exponent = 0;
let high = 0;
let low = 0;

/** The natural logarithm. */
export function log64(x: number): number {
  if (!(x > 0 && x < Infinity)) return ofSpecial(x);
  decompose(x);
  return naturalSum();
}

/** The logarithm of 1 + x, exact for small x too. */
export function log1p64(x: number): number {
  if (!(x > -1 && x < Infinity)) return x === -1 ? -Infinity : x === Infinity ? x : NaN;
  if (Math.abs(x) < 2 ** -54) return x;
  if (Math.abs(x) < 0.25) {
    exponent = 0;
    const sum = 2 + x;
    quotientSeries(x, sum, 0, sumRest(2, x, sum));
  } else {
    const sum = 1 + x;
    decompose(sum, sumRest(1, x, sum));
  }
  return naturalSum();
}

/** The logarithm to the base 2; whole for powers of 2. */
export function log2(x: number): number {
  if (!(x > 0 && x < Infinity)) return ofSpecial(x);
  decompose(x);
  return scaledSum(exponent, 0, PER_LN2);
}

/** The logarithm to the base 10; whole for powers of 10. */
export function log10(x: number): number {
  if (!(x > 0 && x < Infinity)) return ofSpecial(x);
  decompose(x);
  return scaledSum(exponent * LG2.high, exponent * LG2.low, PER_LN10);
}

/** x to the power of y, with the special cases of `Math.pow`. */
export function pow64(x: number, y: number): number {
  if (!(x > 0 && x < Infinity && Math.abs(y) < Infinity)) {
    if (x < 0 && x > -Infinity && Number.isInteger(y)) {
      return y % 2 === 0 ? pow64(-x, y) : -pow64(-x, y);
    }
    // What is left is zero, infinite, NaN or 1, of which the standard says it exactly.
    return x ** y;
  }
  if (x === 1 || y === 0) return 1;
  if (Number.isInteger(y) && Math.abs(y) <= MOST_FACTORS) {
    const power = multiplied(x, Math.abs(y));
    if (power > 2 ** -900 && power < 2 ** 900)
      return y < 0 ? (1 - productRests / power) / power : power;
  }
  decompose(x);
  const whole = exponent * LN2.high;
  const large = whole + high;
  const small = sumRest(whole, high, large) + low + exponent * LN2.low;
  const sum = large + small;
  const rest = sumRest(large, small, sum);
  const product = sum * y;
  if (!(Math.abs(product) < 800)) return product > 0 ? Infinity : 0;
  return exp64WithRest(product, productRest(sum, y, product) + rest * y);
}

/** What {@link multiplied} leaves out. */
let productRests = 0;

/** x multiplied `times` times, rounded once. */
function multiplied(x: number, times: number): number {
  let power = 1;
  let rest = 0;
  let factor = x;
  let factorRest = 0;
  for (let left = times; left > 0; left >>= 1) {
    if (left & 1) {
      const next = power * factor;
      rest = productRest(power, factor, next) + power * factorRest + rest * factor;
      power = next + rest;
      rest = sumRest(next, rest, power);
    }
    const square = factor * factor;
    const squareRest = productRest(factor, factor, square) + 2 * factor * factorRest;
    factor = square + squareRest;
    factorRest = sumRest(square, squareRest, factor);
  }
  productRests = rest;
  return power;
}

function ofSpecial(x: number): number {
  return x === 0 ? -Infinity : x === Infinity ? x : NaN;
}

function naturalSum(): number {
  const whole = exponent * LN2.high;
  const sum = whole + high;
  return sum + (sumRest(whole, high, sum) + low + exponent * LN2.low);
}

/** whole + wholeRest + (high + low) · scale */
function scaledSum(whole: number, wholeRest: number, scale: { high: number; low: number }): number {
  const product = high * scale.high;
  const rest = productRest(high, scale.high, product) + high * scale.low + low * scale.high;
  const sum = whole + product;
  return sum + (sumRest(whole, product, sum) + rest + wholeRest);
}

/** Finds exponent, high and low of x + rest, x > 0 and the rest below its last place. */
function decompose(x: number, rest = 0): void {
  const normal = x < 2 ** -1022 ? x * 2 ** 54 : x;
  number[0] = normal;
  const top = words[1] ?? 0;
  exponent = (top >> 20) - 1023;
  words[1] = (top & 0xfffff) | 0x3ff00000;
  let part = number[0];
  if (part > Math.SQRT2) {
    part /= 2;
    exponent += 1;
  }
  const scaledRest = rest === 0 ? 0 : rest * (part / normal);
  if (normal !== x) exponent -= 54;
  const denominator = part + 1;
  quotientSeries(part - 1, denominator, scaledRest, sumRest(part, 1, denominator) + scaledRest);
}

/** log m = 2 artanh((m − 1) / (m + 1)): numerator and denominator each with what rounding took off. */
function quotientSeries(
  numerator: number,
  denominator: number,
  numeratorRest: number,
  denominatorRest: number,
): void {
  const s = numerator / denominator;
  const product = s * denominator;
  const left = numerator - product - productRest(s, denominator, product);
  const rest = (left + numeratorRest - s * denominatorRest) / denominator;
  const z = s * s;
  let series = 1 / 27;
  for (let odd = 25; odd >= 3; odd -= 2) series = series * z + 1 / odd;
  high = 2 * s;
  low = 2 * (rest + s * (z * series));
}
