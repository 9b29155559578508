/**
 * The number that prints as the shortest decimal which reads back to the float32 `value`: 0.1 for `Math.fround(0.1)`, which
 * itself prints as 0.10000000149011612. Decimals that lie exactly between two float32 are not taken, so that readers which go
 * through float64 and those which do not agree.
 *
 * Tries 8 significant digits, then fewer or 9, which always suffice, by arithmetic: `round(value × 10^k) / 10^k` is the
 * float64 nearest to that decimal as long as both are exact, that is up to 2^53 and 10^22; outside by `toPrecision`.
 */
export function shortestFloat32(value: number): number {
  if (value === 0) return value;
  const size = Math.abs(value);
  if (!(size >= 1e-13 && size < 1e15)) return shortestByText(value);
  // An integer below 2^24 has at most 8 digits, and those are exact.
  if (size < 16777216 && Math.floor(size) === size) return value;
  const scale = 7 - decimalExponent(size);
  const eight = rounded(size, scale);
  let best: number;
  if (readsBack(eight, size)) {
    best = eight;
    for (let fewer = 1; fewer < 8; fewer++) {
      const shorter = rounded(size, scale - fewer);
      if (!readsBack(shorter, size)) break;
      best = shorter;
    }
  } else {
    best = rounded(size, scale + 1);
    if (!readsBack(best, size)) return shortestByText(value);
  }
  return value < 0 ? -best : best;
}

const POWERS = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

/** `size` rounded to `scale` decimal places (negative: to tens, hundreds …). */
function rounded(size: number, scale: number): number {
  if (scale < 0) {
    const power = POWERS[-scale] ?? NaN;
    return Math.round(size / power) * power;
  }
  const power = POWERS[scale] ?? NaN;
  return Math.round(size * power) / power;
}

/**
 * Whether a decimal near `size` reads back to it: the same must hold for a number a millionth of the distance further away,
 * so that it is no tie, which readers that go through float64 and those that do not would see differently.
 */
function readsBack(candidate: number, size: number): boolean {
  return Math.fround(size + (candidate - size) * 1.000001) === size;
}

/** Largest `e` with `10^e <= size`. */
function decimalExponent(size: number): number {
  let exponent = 0;
  if (size >= 1) {
    while (size >= (POWERS[exponent + 1] ?? Infinity)) exponent++;
    return exponent;
  }
  while (exponent > -14 && size * (POWERS[-exponent] ?? NaN) < 1) exponent--;
  return exponent;
}

function shortestByText(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (readsBack(candidate, value)) return candidate;
  }
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : value;
}
