import type { MetricJson, ModelManager } from '#serving';

const SWAP_BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What one process tells Prometheus about its versions. */
export class ManagerMetrics {
  readonly #failures = new Map<string, { labels: Record<string, string>; value: number }>();
  readonly #swaps = SWAP_BOUNDS.map(() => 0);
  #swapCount = 0;
  #swapSeconds = 0;

  swapped(ms: number): void {
    const seconds = ms / 1000;
    this.#swapCount++;
    this.#swapSeconds += seconds;
    SWAP_BOUNDS.forEach((bound, i) => {
      if (seconds <= bound) this.#swaps[i] = (this.#swaps[i] ?? 0) + 1;
    });
  }

  loadFailed(model: string, reason: string): void {
    const key = `${reason}/${model}`;
    const failures = this.#failures.get(key) ?? {
      labels: { model, reason: REASONS[reason] ?? reason },
      value: 0,
    };
    failures.value++;
    this.#failures.set(key, failures);
  }

  json(manager: ModelManager): MetricJson[] {
    const { versions, bytes } = manager.resident;
    const name = 'slipway_serving_swap_duration_seconds';
    return [
      gauge('slipway_serving_loaded_versions', 'Versions in memory', versions),
      gauge('slipway_serving_resident_bytes', 'Bytes of the versions in memory, estimated', bytes),
      {
        name: 'slipway_serving_load_failures_total',
        help: 'Versions that could not be loaded: for now (the store is away), for want of memory, or for good',
        type: 'counter',
        aggregator: 'sum',
        values: [...this.#failures.values()],
      },
      {
        name,
        help: 'Time from the wish for a version until requests got it',
        type: 'histogram',
        aggregator: 'sum',
        values: [
          ...SWAP_BOUNDS.map((le, i) => ({
            metricName: `${name}_bucket`,
            labels: { le },
            value: this.#swaps[i] ?? 0,
          })),
          { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: this.#swapCount },
          { metricName: `${name}_sum`, labels: {}, value: this.#swapSeconds },
          { metricName: `${name}_count`, labels: {}, value: this.#swapCount },
        ],
      },
    ];
  }
}

/** The label `reason`, by what kind of retry follows. */
const REASONS: Record<string, string> = {
  soon: 'unavailable',
  later: 'memory',
  never: 'unloadable',
};

function gauge(name: string, help: string, value: number): MetricJson {
  return { name, help, type: 'gauge', aggregator: 'sum', values: [{ labels: {}, value }] };
}
