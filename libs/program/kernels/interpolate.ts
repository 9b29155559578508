/**
 * numpy.interp: the line through the `count` points (`x[from + i]`, `y[i]`), x ascending; beyond the ends it stays.
 */
export function interpolate(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  { from, count }: { from: number; count: number },
  at: number,
): number {
  if (at !== at) return NaN;
  if (at <= (x[from] ?? NaN)) return y[0] ?? NaN;
  if (at >= (x[from + count - 1] ?? NaN)) return y[count - 1] ?? NaN;
  let low = 0;
  let high = count - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((x[from + middle] ?? NaN) <= at) low = middle;
    else high = middle;
  }
  const [x0 = NaN, x1 = NaN] = [x[from + low], x[from + high]];
  const [y0 = NaN, y1 = NaN] = [y[low], y[high]];
  return ((y1 - y0) / (x1 - x0)) * (at - x0) + y0;
}
