import { latencyBounds } from '#platform';
import { LATENCY_BUCKETS, latencyBucket } from './latency.js';

/** Requests of one version in one minute, as far as they were not told before. */
export interface CountedMinute {
  modelId: string;
  version: number;
  /** Start of the minute, milliseconds since the epoch. */
  minute: number;
  requests: number;
  errors: number;
  /** Counts by `latencyBounds`. */
  buckets: number[];
}

const MINUTE = 60_000;
/** Bounds of the histogram of `/metrics`, a few of the finer ones. */
const METRIC_BOUNDS = latencyBounds.flatMap((bound, i) =>
  i % 4 === 0 ? [{ i, seconds: bound / 1000 }] : [],
);

class Counts {
  requests = 0;
  errors = 0;
  ms = 0;
  readonly buckets = new Uint32Array(LATENCY_BUCKETS);
  /** What was taken already. */
  told = { requests: 0, errors: 0, buckets: new Uint32Array(LATENCY_BUCKETS) };

  constructor(
    readonly modelId: string,
    readonly version: number,
    public model: string,
  ) {}

  take(minute: number): CountedMinute | undefined {
    const requests = this.requests - this.told.requests;
    if (!requests) return undefined;
    const errors = this.errors - this.told.errors;
    const buckets = Array.from(this.buckets, (count, i) => count - (this.told.buckets[i] ?? 0));
    this.told = { requests: this.requests, errors: this.errors, buckets: this.buckets.slice() };
    return { modelId: this.modelId, version: this.version, minute, requests, errors, buckets };
  }
}

/** A metric as prom-client's registries hand it on (`getMetricsAsJSON`). */
export interface MetricJson {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  aggregator: 'sum';
  values: { metricName?: string; labels: Record<string, string | number>; value: number }[];
}

/** Counts the requests of every version: a few additions a request, read once in a while. */
export class RequestCounts {
  readonly #counts = new Map<string, Counts>();
  #minute = Math.floor(Date.now() / MINUTE) * MINUTE;
  #last: Counts | undefined;
  readonly #past: CountedMinute[] = [];

  /** @param status HTTP status of the answer; from 400 on it is an error */
  record(model: string, modelId: string, version: number, status: number, ms: number): void {
    let counts = this.#last;
    // Mostly it is the version that was asked last.
    if (counts?.version !== version || counts.modelId !== modelId) {
      counts = this.#of(modelId, version, model);
      this.#last = counts;
    }
    counts.model = model;
    const now = Date.now();
    if (now - this.#minute >= MINUTE) this.#turn(now);
    counts.requests++;
    if (status >= 400) counts.errors++;
    counts.ms += ms;
    const bucket = latencyBucket(ms);
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
  }

  #of(modelId: string, version: number, model: string): Counts {
    const key = `${modelId}/${version}`;
    let counts = this.#counts.get(key);
    if (!counts) {
      counts = new Counts(modelId, version, model);
      this.#counts.set(key, counts);
    }
    return counts;
  }

  /** What was counted since the last call. */
  take(): CountedMinute[] {
    this.#turn(Date.now());
    return this.#past.splice(0);
  }

  /** All counts since the start, for Prometheus. */
  metrics(): MetricJson[] {
    const requests = counter(
      'slipway_serving_requests_total',
      'Predictions that were answered, in whichever way',
    );
    const errors = counter(
      'slipway_serving_request_errors_total',
      'Predictions that were answered with an error',
    );
    const name = 'slipway_serving_request_duration_seconds';
    const help = 'Time from the last byte of a prediction request to its answer';
    const durations: MetricJson = { name, help, type: 'histogram', aggregator: 'sum', values: [] };
    for (const counts of this.#counts.values()) {
      const labels = { model: counts.model, version: String(counts.version) };
      requests.values.push({ labels, value: counts.requests });
      errors.values.push({ labels, value: counts.errors });
      let below = 0;
      let next = 0;
      for (const { i, seconds } of METRIC_BOUNDS) {
        for (; next <= i; next++) below += counts.buckets[next] ?? 0;
        durations.values.push({
          metricName: `${name}_bucket`,
          labels: { ...labels, le: seconds },
          value: below,
        });
      }
      durations.values.push(
        { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: counts.requests },
        { metricName: `${name}_sum`, labels, value: counts.ms / 1000 },
        { metricName: `${name}_count`, labels, value: counts.requests },
      );
    }
    return [requests, errors, durations];
  }

  #turn(now: number): void {
    for (const counts of this.#counts.values()) {
      const minute = counts.take(this.#minute);
      if (minute) this.#past.push(minute);
    }
    this.#minute = Math.floor(now / MINUTE) * MINUTE;
  }
}

function counter(name: string, help: string): MetricJson {
  return { name, help, type: 'counter', aggregator: 'sum', values: [] };
}
