import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';

/** The Prometheus metrics of one process. Others add theirs with `registers: [metrics.registry]`. */
export class Metrics {
  readonly registry = new Registry();
  private readonly http = new Histogram({
    name: 'slipway_http_request_duration_seconds',
    help: 'Time from the request line to the end of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** `route` is a pattern (`/api/v1/models/:model`), never a path: paths are without number. */
  observeHttp(method: string, route: string, status: number, seconds: number): void {
    this.http.observe({ method, route, status: String(status) }, seconds);
  }

  /** The text that `/metrics` answers with; its content type is `registry.contentType`. */
  text(): Promise<string> {
    return this.registry.metrics();
  }
}
