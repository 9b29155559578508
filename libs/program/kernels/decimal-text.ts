/* Decimal texts of floats and floats of decimal texts, exact to the last digit as C's printf and strtof are. */

/** A finite float as numerator / 2^shift. */
function fraction(x: number): { numerator: bigint; shift: bigint } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(x));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n);
  const mantissa = bits & 0xf_ffff_ffff_ffffn;
  const numerator = exponent === 0 ? mantissa : mantissa | (1n << 52n);
  const power = Math.max(exponent, 1) - 1075;
  return power >= 0
    ? { numerator: numerator << BigInt(power), shift: 0n }
    : { numerator, shift: BigInt(-power) };
}

/** |x| · 10^digits rounded to an integer, ties to even. */
function scaled(x: number, digits: number): bigint {
  const { numerator, shift } = fraction(x);
  const up = digits >= 0 ? numerator * 10n ** BigInt(digits) : numerator;
  const divisor = (digits < 0 ? 10n ** BigInt(-digits) : 1n) << shift;
  const quotient = up / divisor;
  const twice = (up % divisor) * 2n;
  const isUp = twice > divisor || (twice === divisor && (quotient & 1n) === 1n);
  return isUp ? quotient + 1n : quotient;
}

/** C's `%.{precision}f` without the sign. */
function fixed(x: number, precision: number): string {
  const digits = scaled(x, precision)
    .toString()
    .padStart(precision + 1, '0');
  if (precision === 0) return digits;
  return `${digits.slice(0, -precision)}.${digits.slice(-precision)}`;
}

/** The digits of |x|, `count` of them, and the power of ten of the first. */
function significant(x: number, count: number): { digits: string; exponent: number } {
  if (x === 0) return { digits: '0'.repeat(count), exponent: 0 };
  const [, power = '0'] = Math.abs(x).toExponential(0).split('e');
  for (let exponent = Number(power) - 1; ; exponent++) {
    const digits = scaled(x, count - 1 - exponent).toString();
    if (digits.length === count) return { digits, exponent };
    // Rounded up to the next power of ten.
    if (digits.length === count + 1 && /^10*$/.test(digits) && exponent >= Number(power))
      return { digits: digits.slice(0, count), exponent: exponent + 1 };
  }
}

function exponential(digits: string, exponent: number): string {
  const tail = digits.length > 1 ? `.${digits.slice(1)}` : '';
  const power = String(Math.abs(exponent)).padStart(2, '0');
  return `${digits.charAt(0)}${tail}e${exponent < 0 ? '-' : '+'}${power}`;
}

/** C's `%e`, `%f` and `%g` of a number; `precision` −1 is the default of 6. */
export function formatFloat(x: number, conversion: 'e' | 'f' | 'g', precision: number): string {
  const sign = x < 0 || Object.is(x, -0) ? '-' : '';
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return `${sign}inf`;
  const places = precision < 0 ? 6 : precision;
  if (conversion === 'f') return sign + fixed(x, places);
  if (conversion === 'e') {
    const { digits, exponent } = significant(x, places + 1);
    return sign + exponential(digits, exponent);
  }
  const count = Math.max(1, places);
  const { digits, exponent } = significant(x, count);
  const short = digits.replace(/0+$/, '') || '0';
  if (exponent < -4 || exponent >= count) return sign + exponential(short, exponent);
  const text = fixed(x, count - 1 - exponent);
  return sign + (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
}

/** The float32 that is nearest to a decimal number, rounded once (not to float64 first). */
export function nearestFloat32(text: string): number {
  const double = Number(text);
  const single = Math.fround(double);
  if (single === double || !Number.isFinite(double)) return single;
  const other = neighbour(single, double > single);
  // Only where the float64 is just between two float32 has the second rounding lost something.
  if (single + (other - single) / 2 !== double) return single;
  const order = compareDecimal(text, double);
  if (order === 0) return single;
  return order > 0 === other > single ? other : single;
}

function neighbour(single: number, up: boolean): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, single);
  const bits = view.getInt32(0);
  if (single === 0) view.setInt32(0, up ? 1 : -0x7fff_ffff);
  else view.setInt32(0, bits + (up === single > 0 ? 1 : -1));
  const next = view.getFloat32(0);
  // Beyond the largest number stands the power of two that would follow it.
  return Number.isFinite(next) ? next : Math.sign(next) * 2 ** 128;
}

/** Above 0: the decimal text is greater than the float64 that it was rounded to. */
function compareDecimal(text: string, double: number): number {
  const [, sign = '', whole = '', part = '', power = '0'] =
    /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text.trim()) ?? [];
  const exponent = Number(power) - part.length;
  const { numerator, shift } = fraction(double);
  let left = BigInt(`${whole}${part}` || '0') << shift;
  let right = numerator;
  if (exponent >= 0) left *= 10n ** BigInt(exponent);
  else right *= 10n ** BigInt(-exponent);
  const order = left === right ? 0 : left > right ? 1 : -1;
  return sign === '-' ? -order : order;
}
