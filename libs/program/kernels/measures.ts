type Floats = Float32Array | Float64Array;

/** A measure of a row of `x`, which begins at `from`, and one of `y`, which begins at `at`; sums run from the first column on. */
export type Measure = (x: Floats, from: number, y: Floats, at: number, width: number) => number;

/** Σ (x − y)² */
export function squares(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) {
    const difference = (x[from + i] ?? NaN) - (y[at + i] ?? NaN);
    sum += difference * difference;
  }
  return sum;
}

/** Σ |x − y| */
export function differences(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += Math.abs((x[from + i] ?? NaN) - (y[at + i] ?? NaN));
  return sum;
}

/** The largest |x − y| */
export function largest(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let most = 0;
  for (let i = 0; i < width; i++) {
    most = Math.max(most, Math.abs((x[from + i] ?? NaN) - (y[at + i] ?? NaN)));
  }
  return most;
}

/** Σ x · y */
export function dots(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += (x[from + i] ?? NaN) * (y[at + i] ?? NaN);
  return sum;
}
