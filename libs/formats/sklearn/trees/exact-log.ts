const BITS = 160n;
const ONE = 1n << BITS;
const MANTISSA = 52;

/** The float64 next to the natural logarithm of a positive number; JavaScript's own may be one off. */
export function exactLog(x: number): number {
  return nearest(fixedLog(fixed(x)));
}

/** The float64 next to e^x, for x from −700 to 700. */
export function exactExp(x: number): number {
  const halvings = 16n;
  const part = fixed(x) >> halvings;
  let term = ONE;
  let sum = ONE;
  for (let i = 1n; term !== 0n && i < 200n; i++) {
    term = (term * part) / ONE / i;
    sum += term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) >> BITS;
  return nearest(sum);
}

/** ln(v) by 2·artanh((m − 1) / (m + 1)) of the mantissa m from 1 to 2, and ln 2 for each power. */
function fixedLog(value: bigint): bigint {
  let mantissa = value;
  let power = 0n;
  for (; mantissa >= 2n * ONE; power++) mantissa >>= 1n;
  for (; mantissa < ONE; power--) mantissa <<= 1n;
  return artanh(mantissa) + power * artanh(2n * ONE);
}

function artanh(mantissa: bigint): bigint {
  const ratio = ((mantissa - ONE) << BITS) / (mantissa + ONE);
  const square = (ratio * ratio) >> BITS;
  let sum = 0n;
  for (let term = ratio, i = 1n; term !== 0n; i += 2n) {
    sum += term / i;
    term = (term * square) >> BITS;
  }
  return 2n * sum;
}

function fixed(x: number): bigint {
  const exponent = Math.floor(Math.log2(Math.abs(x) || 1)) - MANTISSA - 1;
  const whole = BigInt(Math.trunc(x * 2 ** -exponent));
  const shift = BITS + BigInt(exponent);
  return shift >= 0n ? whole << shift : whole >> -shift;
}

function nearest(value: bigint): number {
  const length = value.toString(2).length;
  const drop = BigInt(Math.max(0, length - 64));
  // Number() of a BigInt rounds to the nearest.
  return Number(value >> drop) * 2 ** (Number(drop) - Number(BITS));
}
