/** A metric as data, as the registries of prom-client hand it on (`getMetricsAsJSON`). */
export interface MetricJson {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram' | 'summary';
  /** `metricName` differs from `name` in the parts of a histogram. */
  values: MetricValue[];
}

export interface MetricValue {
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

/**
 * The Prometheus text format (version 0.0.4) of metrics of several processes: those of one name become one, values with the
 * same labels are added up.
 */
export function metricsText(metrics: Iterable<MetricJson>): string {
  const merged = new Map<string, { metric: MetricJson; series: Map<string, Series> }>();
  for (const metric of metrics) {
    let { series } = merged.get(metric.name) ?? {};
    if (!series) {
      series = new Map();
      merged.set(metric.name, { metric, series });
    }
    for (const { metricName = metric.name, labels, value } of metric.values) {
      const pairs = labelPairs(labels);
      // The order of labels means nothing.
      const key = [metricName, ...pairs.toSorted()].join();
      const known = series.get(key);
      if (known) known.value += value;
      else
        series.set(key, { text: metricName + (pairs.length ? `{${pairs.join(',')}}` : ''), value });
    }
  }
  const lines: string[] = [];
  for (const { metric, series } of merged.values()) {
    const help = metric.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    lines.push(`# HELP ${metric.name} ${help}`, `# TYPE ${metric.name} ${metric.type}`);
    for (const { text, value } of series.values()) lines.push(`${text} ${numberText(value)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The media type of {@link metricsText}. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

interface Series {
  text: string;
  value: number;
}

function labelPairs(labels: Record<string, string | number>): string[] {
  return Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
