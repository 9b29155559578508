/** Bernoulli's numbers B(2n) / 2n of the series of {@link digamma}. */
const SERIES = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12];

/** ψ(x) for x > 0: steps up to 16, then the asymptotic series (Abramowitz and Stegun, 6.3.5 and 6.3.18). */
export function digamma(x: number): number {
  let steps = 0;
  let z = x;
  for (; z < 16; z++) steps += 1 / z;
  const square = 1 / (z * z);
  let sum = 0;
  for (const term of SERIES.toReversed()) sum = (sum + term) * square;
  return Math.log(z) - 0.5 / z - sum - steps;
}
