/** Added and taken off, it cuts a float64 into halves of 26 bits (Dekker, 1971). */
const SPLITTER = 2 ** 27 + 1;

/**
 * a · b + c with one rounding, as processors and the products of matrices of BLAS compute it. The halves overflow beyond
 * 2^996; there the sum is rounded twice. (In one case of about 2^50 the last bit differs.)
 */
export function fused(a: number, b: number, c: number): number {
  const product = a * b;
  const wideA = a * SPLITTER;
  const highA = wideA - (wideA - a);
  const lowA = a - highA;
  const wideB = b * SPLITTER;
  const highB = wideB - (wideB - b);
  const lowB = b - highB;
  const rest = lowA * lowB - (product - highA * highB - lowA * highB - highA * lowB);
  const sum = product + c;
  const part = sum - product;
  const lost = product - (sum - part) + (c - part);
  const result = sum + (lost + rest);
  return result === result ? result : sum;
}
