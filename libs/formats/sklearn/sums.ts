/**
 * The sum of `length` numbers from `start` on, in the order of numpy: eight partial sums, and halves of what is longer than
 * 128 (numpy/core/src/umath/loops_utils.h.src, pairwise_sum).
 */
export function pairwiseSum(data: ArrayLike<number>, start: number, length: number): number {
  if (length < 8) {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += data[start + i] ?? 0;
    return sum;
  }
  if (length > 128) {
    const half = (length >> 1) - ((length >> 1) % 8);
    return pairwiseSum(data, start, half) + pairwiseSum(data, start + half, length - half);
  }
  const sums = Array.from({ length: 8 }, (_, i) => data[start + i] ?? 0);
  let i = 8;
  for (; i + 8 <= length; i += 8) {
    for (let k = 0; k < 8; k++) sums[k] = (sums[k] ?? 0) + (data[start + i + k] ?? 0);
  }
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = sums;
  let sum = a + b + (c + d) + (e + f + (g + h));
  for (; i < length; i++) sum += data[start + i] ?? 0;
  return sum;
}
