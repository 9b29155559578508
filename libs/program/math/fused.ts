import { productRest, sumRest } from './rests.js';

/**
 * a · b + c with one rounding, as processors and the products of matrices of BLAS compute it: the product in two parts (Dekker,
 * 1971), the sum in two (Knuth). The halves overflow beyond 2^996; there the sum is rounded twice. (In one case of about 2^50
 * the last bit differs.)
 */
export function fused(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const result = sum + (sumRest(product, c, sum) + productRest(a, b, product));
  return result === result ? result : sum;
}
