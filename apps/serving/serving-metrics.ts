import type pg from 'pg';
import { Counter, Histogram } from 'prom-client';
import { addPoolMetrics } from '#database';
import { Metrics, type MetricJson, metricsText } from '#platform';
import type { DesiredSnapshot, ModelState } from '#serving';
import { ServedTotals } from '#serving';
import type { Observation, WorkerFigures } from './messages.js';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** What the supervisor is asked for at a scrape. */
export interface SupervisorFigures {
  /** Serving processes that live. */
  processes: number;
  /** Connections that wait for one. */
  waitingConnections: number;
  cacheBytes: number;
  /** When PostgreSQL was last read (`performance.now()`); undefined: not yet. */
  lastRead: number | undefined;
  databaseUp: boolean;
  snapshot: DesiredSnapshot | undefined;
  /** What each live process says of the followed models. */
  states: Iterable<ModelState[]>;
}

/**
 * What a serving replica tells Prometheus. It lives in the supervisor, which outlives the processes that serve: they tell what
 * happened as it happens, or in differences, so that nothing that was counted is lost with one of them.
 */
export class ServingMetrics {
  readonly totals = new ServedTotals();
  readonly #metrics = new Metrics('supervisor');
  readonly #began = performance.now();

  readonly #loads = this.#histogram(
    'load_duration_seconds',
    'Time that loading a version took: loaded, or not for now (unavailable), for want of memory, or for good (unloadable)',
    ['outcome'],
  );
  readonly #swaps = this.#histogram(
    'swap_duration_seconds',
    'Time from the wish for a version until requests got it',
    [],
  );
  readonly #loadFailures = this.#counter('load_failures', 'Versions that could not be loaded', [
    'model',
    'reason',
  ]);
  readonly #compartmentEnds = this.#counter(
    'compartment_restarts',
    'Compartments that ended and were replaced: frozen, over their memory, crashed, or killed by somebody else',
    ['reason'],
  );
  readonly #processEnds = this.#counter(
    'process_restarts',
    'Serving processes that ended and were replaced: frozen, crashed, or killed by somebody else',
    ['reason'],
  );
  readonly #quarantines = this.#counter(
    'quarantines',
    'Versions that were quarantined because they froze or ended a process',
    [],
  );
  readonly #refused = this.#counter(
    'refused_requests',
    'Predictions that were refused before they had a version, by HTTP status: no such model, no token, a wrong body',
    ['code'],
  );

  constructor(pool: pg.Pool) {
    addPoolMetrics(this.#metrics.registry, { serving: pool });
    // They are there from the beginning, so that their first rise is seen as one.
    for (const reason of ['frozen', 'memory', 'crashed', 'killed'] as const) {
      this.#compartmentEnds.inc({ reason }, 0);
      if (reason !== 'memory') this.#processEnds.inc({ reason }, 0);
    }
  }

  /** Something has happened in a serving process. */
  observe(observation: Observation): void {
    switch (observation.kind) {
      case 'loaded':
        return this.#loads.observe({ outcome: 'loaded' }, observation.ms / 1000);
      case 'loadFailed': {
        const outcome = OUTCOMES[observation.retry];
        this.#loadFailures.inc({ model: observation.model, reason: outcome });
        return this.#loads.observe({ outcome }, observation.ms / 1000);
      }
      case 'swapped':
        return this.#swaps.observe(observation.ms / 1000);
      case 'compartmentEnded':
        return this.#compartmentEnds.inc({ reason: observation.reason });
    }
  }

  processEnded(reason: 'frozen' | 'crashed' | 'killed'): void {
    this.#processEnds.inc({ reason });
  }

  quarantined(): void {
    this.#quarantines.inc();
  }

  refused(byStatus: Record<string, number>): void {
    for (const [code, count] of Object.entries(byStatus)) this.#refused.inc({ code }, count);
  }

  /** The text of `/metrics`. */
  async text(own: SupervisorFigures, workers: readonly WorkerFigures[]): Promise<string> {
    const followed = own.snapshot?.models ?? [];
    const resident = workers.flatMap(({ versions }) => versions);
    this.totals.keep([
      ...resident,
      ...followed.map(({ modelId, target }) => ({ modelId, version: target.version })),
    ]);
    await this.#forgetModels(followed.map(({ model }) => model));
    return metricsText([
      ...(await this.#metrics.json()),
      ...workers.flatMap(({ process }) => process),
      ...this.totals.metrics(),
      ...this.#gauges(own, workers),
    ]);
  }

  #gauges(own: SupervisorFigures, workers: readonly WorkerFigures[]): MetricJson[] {
    const byVersion = (name: string, help: string, field: 'bytes' | 'queued' | 'inFlight') =>
      gauge(
        name,
        help,
        ...workers.flatMap(({ versions }) =>
          versions.map(({ model, version, [field]: value }) => ({
            labels: { model, version: String(version) },
            value,
          })),
        ),
      );
    const { snapshot } = own;
    const since = performance.now() - (own.lastRead ?? this.#began);
    return [
      gauge('processes', 'Serving processes that live', own.processes),
      gauge(
        'connections',
        'Open connections of clients',
        ...workers.map(({ number, connections }) => ({
          labels: { process: String(number) },
          value: connections,
        })),
      ),
      gauge(
        'connections_waiting',
        'Connections that wait because no serving process can take one',
        own.waitingConnections,
      ),
      gauge(
        'loaded_versions',
        'Versions in memory, over all processes',
        workers.reduce((sum, { versions }) => sum + versions.length, 0),
      ),
      byVersion(
        'resident_bytes',
        'Bytes of a version in memory over all processes, estimated',
        'bytes',
      ),
      byVersion('queued_requests', 'Requests that wait for a batch', 'queued'),
      byVersion(
        'requests_in_flight',
        'Requests that a version is answering, or that wait for it',
        'inFlight',
      ),
      gauge(
        'compartments',
        'Processes that run ONNX',
        workers.reduce((sum, { compartments }) => sum + compartments, 0),
      ),
      gauge('cache_bytes', 'Bytes of the disk cache', own.cacheBytes),
      gauge('database_up', 'Whether PostgreSQL could be read last', Number(own.databaseUp)),
      gauge(
        'reconcile_age_seconds',
        'Time since PostgreSQL was last read for what must be served',
        since / 1000,
      ),
      gauge(
        'generations_behind',
        'Followed models whose newest wish some process has not acted on yet',
        snapshot ? behind(snapshot, [...own.states]) : 0,
      ),
      gauge(
        'quarantined_versions',
        'Followed versions that are quarantined',
        (snapshot?.models ?? []).filter(({ target }) => target.quarantine !== null).length,
      ),
      gauge(
        'model_processes',
        'Serving processes by what they say of a followed model',
        ...states(own),
      ),
    ];
  }

  /** Models that are not followed any longer have no series. */
  async #forgetModels(followed: string[]): Promise<void> {
    const names = new Set(followed);
    const { values } = await this.#loadFailures.get();
    for (const { labels } of values)
      if (!names.has(String(labels.model))) this.#loadFailures.remove(labels);
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    const registers = [this.#metrics.registry];
    return new Counter({ name: `slipway_serving_${name}_total`, help, labelNames, registers });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> {
    const registers = [this.#metrics.registry];
    const buckets = SECONDS;
    return new Histogram({ name: `slipway_serving_${name}`, help, labelNames, buckets, registers });
  }
}

/** What a failed load is called, by what kind of retry follows. */
const OUTCOMES = { soon: 'unavailable', later: 'memory', never: 'unloadable' } as const;

type GaugeValue = { labels: Record<string, string>; value: number };

function gauge(name: string, help: string, ...values: (number | GaugeValue)[]): MetricJson {
  return {
    name: `slipway_serving_${name}`,
    help,
    type: 'gauge',
    values: values.map((value) => (typeof value === 'number' ? { labels: {}, value } : value)),
  };
}

function behind({ models }: DesiredSnapshot, processes: ModelState[][]): number {
  const late = ({ modelId, generation }: DesiredSnapshot['models'][number]): boolean =>
    processes.some((states) => {
      const state = states.find((candidate) => candidate.modelId === modelId);
      return !state || state.generation < generation || state.state === 'loading';
    });
  return models.filter(late).length;
}

function states(own: SupervisorFigures): GaugeValue[] {
  const followed = own.snapshot?.models ?? [];
  const values = new Map<string, GaugeValue>();
  for (const { model } of followed) {
    for (const state of ['loading', 'ready', 'failed', 'quarantined'])
      values.set(`${state}/${model}`, { labels: { model, state }, value: 0 });
  }
  for (const { model, state } of [...own.states].flat()) {
    const value = values.get(`${state}/${model}`);
    if (value) value.value++;
  }
  return [...values.values()];
}
