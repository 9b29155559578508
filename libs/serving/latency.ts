import { latencyBounds } from '#platform';

const FIRST = latencyBounds[0] ?? 0;
const COUNT = latencyBounds.length;

/** Buckets of a histogram: one more than bounds. */
export const LATENCY_BUCKETS = COUNT + 1;

/** Index of the bucket that a latency of `ms` falls into: the first whose bound is not below it. */
export function latencyBucket(ms: number): number {
  if (!(ms > FIRST)) return 0;
  // The estimate is at most one off, through rounding.
  let index = Math.ceil(4 * Math.log2(ms / FIRST) - 0.001);
  if (index >= COUNT) return (latencyBounds[COUNT - 1] ?? 0) >= ms ? COUNT - 1 : COUNT;
  while ((latencyBounds[index] ?? Infinity) < ms) index++;
  return index;
}
