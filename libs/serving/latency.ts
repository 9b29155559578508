/** Width of a bucket: each bound is this many times the one before it. */
const GROWTH = 1.25;
const FIRST = 0.05;
const COUNT = 64;

/** Upper bounds (ms) of the latency buckets of `serving_minute.buckets`; a last bucket above them takes the rest. */
export const latencyBounds: readonly number[] = Array.from({ length: COUNT }, (_, i) => FIRST * GROWTH ** i);

/** Buckets of a histogram: one more than bounds. */
export const LATENCY_BUCKETS = COUNT + 1;

const PER_STEP = 1 / Math.log(GROWTH);

/** Index of the bucket that a latency of `ms` falls into. */
export function latencyBucket(ms: number): number {
  if (!(ms > FIRST)) return 0;
  const index = Math.ceil(Math.log(ms / FIRST) * PER_STEP - 1e-9);
  return index > COUNT ? COUNT : index;
}

/**
 * The latency (ms) below which a share `q` (0–1) of the requests stayed, interpolated inside its bucket: off by at most
 * the width of a bucket, 25 %. Undefined where nothing was counted.
 */
export function latencyQuantile(buckets: ArrayLike<number>, q: number): number | undefined {
  let total = 0;
  for (let i = 0; i < buckets.length; i++) total += buckets[i] ?? 0;
  if (!total) return undefined;
  const rank = q * total;
  let below = 0;
  for (let i = 0; i < buckets.length; i++) {
    const count = buckets[i] ?? 0;
    if (count && below + count >= rank) {
      const low = i ? (latencyBounds[i - 1] ?? 0) : 0;
      const high = latencyBounds[i] ?? low * GROWTH;
      return low + (high - low) * Math.max(0, Math.min(1, (rank - below) / count));
    }
    below += count;
  }
  return latencyBounds[COUNT - 1];
}
