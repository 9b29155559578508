/** ln 2 in two parts, the first with so few digits that products with exponents are exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** log((1 + s) / (1 − s)) / s − 2 in powers of s². */
const C2 = 0.6666666666666735;
const C4 = 0.3999999999940942;
const C6 = 0.2857142874366239;
const C8 = 0.22222198432149784;
const C10 = 0.1818357216161805;
const C12 = 0.15313837699209373;
const C14 = 0.14798198605116586;

const number = new Float64Array(1);
const words = new Int32Array(number.buffer);

/**
 * log(1 + x) of x ≥ 0 with the roundings of the C library's `log1p`, where a model's library is known to use that. The method
 * and its coefficients are those of fdlibm (Sun, 1993), which glibc has: 1 + x = 2^k (1 + f), s = f / (2 + f), a polynomial
 * in s², and a correction for what rounding took off 1 + x.
 */
export function log1pOfC(x: number): number {
  if (!(x < Infinity) || x < 2 ** -54) return x;
  if (x < 2 ** -29) return x - x * x * 0.5;
  if (x < Math.SQRT2 - 1) return combine(0, x, 0);
  const sum = 1 + x;
  number[0] = sum;
  const top = words[1] ?? 0;
  let k = (top >> 20) - 1023;
  const rest = (k > 0 ? 1 - (sum - x) : x - (sum - 1)) / sum;
  const upper = (top & 0xfffff) >= 0x6a09e;
  words[1] = (top & 0xfffff) | (upper ? 0x3fe00000 : 0x3ff00000);
  if (upper) k += 1;
  return combine(k, number[0] - 1, rest);
}

function combine(k: number, f: number, rest: number): number {
  const half = 0.5 * f * f;
  const low = k * LN2_LOW + rest;
  if (Math.abs(f) < 2 ** -20) {
    if (f === 0) return k * LN2_HIGH + low;
    const r = half * (1 - (2 / 3) * f);
    return k === 0 ? f - r : k * LN2_HIGH - (r - low - f);
  }
  const s = f / (2 + f);
  const z = s * s;
  const z2 = z * z;
  const z4 = z2 * z2;
  const r = z * C2 + z2 * (C4 + z * C6) + z4 * (C8 + z * C10) + z4 * z2 * (C12 + z * C14);
  if (k === 0) return f - (half - s * (half + r));
  return k * LN2_HIGH - (half - (s * (half + r) + low) - f);
}
