const FIRST = 0.05;
const COUNT = 82;

/**
 * Upper bounds (ms) of the latency buckets of `serving_minute.buckets`: four a doubling, the bounds of `#registry`, which
 * reads them. A last bucket takes what is above all.
 */
export const latencyBounds: readonly number[] = Array.from({ length: COUNT }, (_, i) =>
  Number((FIRST * 2 ** (i / 4)).toPrecision(6)),
);

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
