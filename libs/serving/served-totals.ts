import { latencyBounds, type MetricJson, type MetricValue } from '#platform';
import { requestBounds, rowBounds } from './batch-sizes.js';
import type { CountedVersion } from './request-counts.js';

/** A version that nobody has in memory or follows keeps its series so long (ms): it may come back, as after a crash. */
const KEPT = 5 * 60_000;

/** Bounds of the latency histogram, a few of the finer ones that are counted by. */
const SHOWN = latencyBounds.flatMap((ms, i) => (i % 4 === 0 ? [{ i, le: ms / 1000 }] : []));

interface Total extends CountedVersion {
  seenAt: number;
}

/**
 * What all processes of a replica have counted by version, those that have died included: told in differences, so that a
 * counter never falls while the replica lives.
 */
export class ServedTotals {
  readonly #totals = new Map<string, Total>();

  constructor(private readonly now: () => number = Date.now) {}

  add(differences: Iterable<CountedVersion>): void {
    for (const difference of differences) {
      const key = `${difference.modelId}/${difference.version}`;
      const total = this.#totals.get(key);
      if (!total) {
        this.#totals.set(key, { ...structuredClone(difference), seenAt: this.now() });
        continue;
      }
      // A model may have been renamed.
      total.model = difference.model;
      total.seenAt = this.now();
      total.requests += difference.requests;
      total.seconds += difference.seconds;
      total.batchRequests += difference.batchRequests;
      total.batchRows += difference.batchRows;
      addTo(total.buckets, difference.buckets);
      addTo(total.byRequests, difference.byRequests);
      addTo(total.byRows, difference.byRows);
      for (const [code, count] of Object.entries(difference.errors))
        total.errors[code] = (total.errors[code] ?? 0) + count;
    }
  }

  /** Drops the versions that are gone: neither in `present` now nor lately. */
  keep(present: Iterable<{ modelId: string; version: number }>): void {
    const now = this.now();
    for (const { modelId, version } of present) {
      const total = this.#totals.get(`${modelId}/${version}`);
      if (total) total.seenAt = now;
    }
    for (const [key, { seenAt }] of this.#totals) if (now - seenAt > KEPT) this.#totals.delete(key);
  }

  metrics(): MetricJson[] {
    const requests = metric(
      'counter',
      'requests_total',
      'Predictions that were answered, in whichever way',
    );
    const errors = metric(
      'counter',
      'request_errors_total',
      'Predictions that were answered with an error, by HTTP status; 499: the client had gone',
    );
    const durations = metric(
      'histogram',
      'request_duration_seconds',
      'Time from the last byte of a prediction request to its answer',
    );
    const batchRequests = metric('histogram', 'batch_requests', 'Requests that ran as one batch');
    const batchRows = metric('histogram', 'batch_rows', 'Rows that ran as one batch');
    for (const total of this.#totals.values()) {
      const labels = { model: total.model, version: String(total.version) };
      requests.values.push({ labels, value: total.requests });
      for (const [code, value] of Object.entries(total.errors))
        errors.values.push({ labels: { ...labels, code }, value });
      const shown = SHOWN.map(({ le }) => le);
      durations.values.push(
        ...histogram(durations.name, labels, shown, coarse(total.buckets), total.seconds),
      );
      batchRequests.values.push(
        ...histogram(
          batchRequests.name,
          labels,
          requestBounds,
          total.byRequests,
          total.batchRequests,
        ),
      );
      batchRows.values.push(
        ...histogram(batchRows.name, labels, rowBounds, total.byRows, total.batchRows),
      );
    }
    return [requests, errors, durations, batchRequests, batchRows];
  }
}

function metric(type: MetricJson['type'], name: string, help: string): MetricJson {
  return { name: `slipway_serving_${name}`, help, type, values: [] };
}

/** Adds element by element. */
function addTo(sums: number[], more: readonly number[]): void {
  for (const [i, value] of more.entries()) sums[i] = (sums[i] ?? 0) + value;
}

/** The buckets as `SHOWN` has them, and one above. */
function coarse(buckets: readonly number[]): number[] {
  const counts = SHOWN.map(() => 0).concat(0);
  let shown = 0;
  for (const [i, count] of buckets.entries()) {
    while (shown < SHOWN.length && i > (SHOWN[shown]?.i ?? 0)) shown++;
    counts[shown] = (counts[shown] ?? 0) + count;
  }
  return counts;
}

/** `counts` has one more element than `bounds`. */
function histogram(
  name: string,
  labels: Record<string, string>,
  bounds: readonly number[],
  counts: readonly number[],
  sum: number,
): MetricValue[] {
  let below = 0;
  const buckets = [...bounds, '+Inf'].map((le, i) => {
    below += counts[i] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: below },
  ];
}
