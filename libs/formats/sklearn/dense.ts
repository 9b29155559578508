import type { Matrix } from './fitted.js';

/** The inverse by Gauss and Jordan's elimination with partial pivoting; undefined where there is none. */
export function inverseOf({ rows: n, data }: Matrix): Matrix | undefined {
  const a = Float64Array.from(data);
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) inverse[i * n + i] = 1;
  for (let column = 0; column < n; column++) {
    const pivot = pivotOf(a, n, column);
    const top = a[pivot * n + column] ?? 0;
    if (top === 0 || !Number.isFinite(top)) return undefined;
    swapRows(a, n, pivot, column);
    swapRows(inverse, n, pivot, column);
    for (let row = 0; row < n; row++) {
      if (row === column) continue;
      const factor = (a[row * n + column] ?? 0) / top;
      if (factor === 0) continue;
      for (let i = column; i < n; i++)
        a[row * n + i] = (a[row * n + i] ?? 0) - factor * (a[column * n + i] ?? 0);
      for (let i = 0; i < n; i++) {
        inverse[row * n + i] =
          (inverse[row * n + i] ?? 0) - factor * (inverse[column * n + i] ?? 0);
      }
    }
  }
  for (let row = 0; row < n; row++) {
    const top = a[row * n + row] ?? 1;
    for (let i = 0; i < n; i++) inverse[row * n + i] = (inverse[row * n + i] ?? 0) / top;
  }
  return { rows: n, columns: n, data: inverse };
}

/** a · b */
export function product(a: Matrix, b: Matrix): Matrix {
  const data = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let k = 0; k < a.columns; k++) {
      const x = a.data[i * a.columns + k] ?? NaN;
      for (let j = 0; j < b.columns; j++) {
        const at = i * b.columns + j;
        data[at] = (data[at] ?? 0) + x * (b.data[k * b.columns + j] ?? NaN);
      }
    }
  }
  return { rows: a.rows, columns: b.columns, data };
}

/** log |A|; −Infinity where it is not positive. */
export function logDeterminant({ rows: n, data }: Matrix): number {
  const a = Float64Array.from(data);
  let sum = 0;
  let sign = 1;
  for (let column = 0; column < n; column++) {
    const pivot = pivotOf(a, n, column);
    if (pivot !== column) sign = -sign;
    swapRows(a, n, pivot, column);
    const top = a[column * n + column] ?? 0;
    if (top < 0) sign = -sign;
    sum += Math.log(Math.abs(top));
    for (let row = column + 1; row < n; row++) {
      const factor = (a[row * n + column] ?? 0) / top;
      for (let i = column; i < n; i++)
        a[row * n + i] = (a[row * n + i] ?? 0) - factor * (a[column * n + i] ?? 0);
    }
  }
  return sign > 0 ? sum : -Infinity;
}

function pivotOf(a: Float64Array, n: number, column: number): number {
  let pivot = column;
  for (let row = column + 1; row < n; row++) {
    if (Math.abs(a[row * n + column] ?? 0) > Math.abs(a[pivot * n + column] ?? 0)) pivot = row;
  }
  return pivot;
}

function swapRows(a: Float64Array, n: number, first: number, second: number): void {
  if (first === second) return;
  const row = a.slice(first * n, (first + 1) * n);
  a.copyWithin(first * n, second * n, (second + 1) * n);
  a.set(row, second * n);
}
