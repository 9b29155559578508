import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type MetricJson, metricsText } from './metrics-text.js';
import { productVersion } from './product-version.js';

/** How often the delay of the event loop is looked at (ms); a measured delay is beyond it. */
const RESOLUTION = 10;

/**
 * The Prometheus metrics of one process: those of Node, each with the label `process`, build and event loop. Others add theirs
 * with `registers: [metrics.registry]`.
 */
export class Metrics {
  readonly registry = new Registry();

  /** @param process who this is among the processes of one scrape */
  constructor(process: string) {
    collectDefaultMetrics({ register: this.registry, labels: { process } });
    new Gauge({
      name: 'slipway_build_info',
      help: 'Always 1; its labels say what runs',
      labelNames: ['version', 'node'],
      registers: [this.registry],
    }).set({ version: productVersion, node: globalThis.process.version }, 1);
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
    delay.enable();
    new Gauge({
      name: 'slipway_event_loop_lag_seconds',
      help: 'How late timers of the process came since the last scrape',
      labelNames: ['process', 'stat'],
      registers: [this.registry],
      collect() {
        for (const [stat, seconds] of Object.entries(lagsOf(delay)))
          this.set({ process, stat }, seconds);
        delay.reset();
      },
    });
  }

  /** The text that `/metrics` answers with; not the library's own, which writes a NaN as no reader but Prometheus takes it. */
  async text(): Promise<string> {
    return metricsText(await this.json());
  }

  /** The same as data, for whoever adds up several processes. */
  async json(): Promise<MetricJson[]> {
    return (await this.registry.getMetricsAsJSON()) as unknown as MetricJson[];
  }
}

function lagsOf(delay: IntervalHistogram): Record<'mean' | 'p99' | 'max', number> {
  const lag = (nanoseconds: number) => Math.max(0, (nanoseconds || 0) / 1e9 - RESOLUTION / 1e3);
  return { mean: lag(delay.mean), p99: lag(delay.percentile(99)), max: lag(delay.max) };
}
