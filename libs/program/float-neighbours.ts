const float64 = new Float64Array(1);
const bits64 = new BigInt64Array(float64.buffer);
const float32 = new Float32Array(1);
const bits32 = new Int32Array(float32.buffer);

/** The largest float32 that is not greater than `x`; −Infinity where there is none. NaN stays NaN. */
export function floor32(x: number): number {
  const rounded = Math.fround(x);
  return rounded > x ? below32(rounded) : rounded;
}

/** The largest float32 that is less than the float32 `x`; −Infinity has none and stays. */
export function below32(x: number): number {
  if (Number.isNaN(x) || x === -Infinity) return x;
  if (x === 0) return -(2 ** -149);
  float32[0] = x;
  bits32[0] = (bits32[0] ?? 0) + (x > 0 ? -1 : 1);
  return float32[0];
}

/** The largest float64 that is less than `x`; −Infinity has none and stays. */
export function below64(x: number): number {
  if (Number.isNaN(x) || x === -Infinity) return x;
  if (x === 0) return -Number.MIN_VALUE;
  float64[0] = x;
  bits64[0] = (bits64[0] ?? 0n) + (x > 0 ? -1n : 1n);
  return float64[0];
}
