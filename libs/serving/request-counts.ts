import { BatchSizes } from './batch-sizes.js';
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

/** All that was counted of one version since it was told last, for metrics. */
export interface CountedVersion {
  modelId: string;
  model: string;
  version: number;
  requests: number;
  seconds: number;
  /** Counts by `latencyBounds`. */
  buckets: number[];
  /** Answers that were errors, by HTTP status. */
  errors: Record<string, number>;
  /** Sums over all batches, and batches by the bounds of `BatchSizes`. */
  batchRequests: number;
  batchRows: number;
  byRequests: number[];
  byRows: number[];
}

const MINUTE = 60_000;

class Counts {
  requests = 0;
  errors = 0;
  ms = 0;
  readonly buckets = new Uint32Array(LATENCY_BUCKETS);
  readonly sizes = new BatchSizes();
  /** By HTTP status; made with the first error. */
  statuses: Map<number, number> | undefined;
  /** What was taken already. */
  told = { requests: 0, errors: 0, buckets: new Uint32Array(LATENCY_BUCKETS) };
  /** What {@link takeAll} gave out already. */
  given: Omit<CountedVersion, 'modelId' | 'model' | 'version'> | undefined;

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

  /** The difference to the last call; undefined where there is none. */
  takeAll(): CountedVersion | undefined {
    const { requests, sizes, statuses, given, modelId, model, version } = this;
    const same =
      requests === (given?.requests ?? 0) && sizes.requests === (given?.batchRequests ?? 0);
    // Its name comes with its first answer.
    if (same || !model) return undefined;
    const now = {
      requests,
      seconds: this.ms / 1000,
      buckets: [...this.buckets],
      errors: Object.fromEntries(statuses ?? []),
      batchRequests: sizes.requests,
      batchRows: sizes.rows,
      byRequests: [...sizes.byRequests],
      byRows: [...sizes.byRows],
    };
    this.given = now;
    if (!given) return { modelId, model, version, ...now };
    const less = (counts: number[], before: number[]) =>
      counts.map((count, i) => count - (before[i] ?? 0));
    const errors = Object.entries(now.errors).map(([status, count]) => [
      status,
      count - (given.errors[status] ?? 0),
    ]);
    return {
      modelId,
      model,
      version,
      requests: requests - given.requests,
      seconds: now.seconds - given.seconds,
      buckets: less(now.buckets, given.buckets),
      errors: Object.fromEntries(errors) as Record<string, number>,
      batchRequests: now.batchRequests - given.batchRequests,
      batchRows: now.batchRows - given.batchRows,
      byRequests: less(now.byRequests, given.byRequests),
      byRows: less(now.byRows, given.byRows),
    };
  }
}

/** Counts the requests of every version: a few additions a request, read once in a while. */
export class RequestCounts {
  readonly #counts = new Map<string, Counts>();
  #minute = Math.floor(Date.now() / MINUTE) * MINUTE;
  #last: Counts | undefined;
  readonly #past: CountedMinute[] = [];
  readonly #refused = new Map<number, number>();

  /** @param status HTTP status of the answer; from 400 on it is an error */
  record(model: string, modelId: string, version: number, status: number, ms: number): void {
    let counts = this.#last;
    // Mostly it is the version that was asked last.
    if (counts?.version !== version || counts.modelId !== modelId || counts.model !== model) {
      counts = this.#of(model, modelId, version);
      this.#last = counts;
    }
    const now = Date.now();
    if (now - this.#minute >= MINUTE) this.#turn(now);
    counts.requests++;
    if (status >= 400) {
      counts.errors++;
      counts.statuses ??= new Map();
      counts.statuses.set(status, (counts.statuses.get(status) ?? 0) + 1);
    }
    counts.ms += ms;
    const bucket = latencyBucket(ms);
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
  }

  /** What was counted since the last call. */
  take(): CountedMinute[] {
    this.#turn(Date.now());
    return this.#past.splice(0);
  }

  /** A prediction was refused before it had a version. */
  refuse(status: number): void {
    this.#refused.set(status, (this.#refused.get(status) ?? 0) + 1);
  }

  /** Where the batches of a version are counted. */
  sizesOf(modelId: string, version: number): BatchSizes {
    return this.#of('', modelId, version).sizes;
  }

  /** What was counted since the last call, for metrics: versions, and refusals by HTTP status. */
  takeAll(): { versions: CountedVersion[]; refused: Record<string, number> } {
    const versions = [...this.#counts.values()].flatMap((counts) => counts.takeAll() ?? []);
    const refused = Object.fromEntries(this.#refused);
    this.#refused.clear();
    return { versions, refused };
  }

  /** Forgets the versions that are not present any longer; what they have counted must have been taken. */
  keep(present: Iterable<{ modelId: string; version: number }>): void {
    const keys = new Set<string>();
    for (const { modelId, version } of present) keys.add(`${modelId}/${version}`);
    for (const [key, counts] of this.#counts) {
      const taken =
        counts.requests === counts.told.requests &&
        counts.requests === (counts.given?.requests ?? 0);
      if (!taken || keys.has(key)) continue;
      this.#counts.delete(key);
      if (this.#last === counts) this.#last = undefined;
    }
  }

  #of(model: string, modelId: string, version: number): Counts {
    const key = `${modelId}/${version}`;
    let counts = this.#counts.get(key);
    if (!counts) {
      counts = new Counts(modelId, version, model);
      this.#counts.set(key, counts);
    }
    if (model) counts.model = model;
    return counts;
  }

  #turn(now: number): void {
    for (const counts of this.#counts.values()) {
      const minute = counts.take(this.#minute);
      if (minute) this.#past.push(minute);
    }
    this.#minute = Math.floor(now / MINUTE) * MINUTE;
  }
}
