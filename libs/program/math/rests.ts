/** Splits a float64 into halves whose products are exact (Dekker, 1971). */
const SPLITTER = 2 ** 27 + 1;

/** What rounding took off `product` = a · b; exact while nothing overflows or underflows. */
export function productRest(a: number, b: number, product: number): number {
  const largeA = SPLITTER * a;
  const highA = largeA - (largeA - a);
  const lowA = a - highA;
  const largeB = SPLITTER * b;
  const highB = largeB - (largeB - b);
  const lowB = b - highB;
  return highA * highB - product + highA * lowB + lowA * highB + lowA * lowB;
}

/** What rounding took off `sum` = a + b; exact (Knuth). */
export function sumRest(a: number, b: number, sum: number): number {
  const partB = sum - a;
  return a - (sum - partB) + (b - partB);
}
