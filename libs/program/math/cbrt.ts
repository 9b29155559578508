import { productRest } from './rests.js';

/** The cube root, the same bits in every JavaScript engine; exact where it is a float64. */
export function cbrt(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const size = Math.abs(x);
  // Scaled by a cube, so that nothing below overflows or underflows.
  const scale = size < 2 ** -300 ? 2 ** -200 : size > 2 ** 300 ? 2 ** 200 : 1;
  const cube = size / scale / scale / scale;
  let root = 1;
  while (root * root * root < cube) root *= 2;
  while (root * root * root > cube) root /= 2;
  root *= 1.3;
  for (let i = 0; i < 5; i++) root -= (root - cube / (root * root)) / 3;
  const square = root * root;
  const product = square * root;
  const over =
    product - cube + productRest(square, root, product) + productRest(root, root, square) * root;
  root -= over / (3 * square);
  return Math.sign(x) * root * scale;
}
