import { DomainError } from '#platform';
import { checkRows, concatRows, type RowRange, splitRows, type Tensor } from '#program';
import type { BatchSizes } from './batch-sizes.js';

/** What a batcher needs of a loaded version. */
export interface BatchTarget {
  /** True where rows are independent: only then are requests joined, and long ones cut. */
  readonly rowwise: boolean;
  /** True where `run` answers at once and on this thread; then long requests must be cut. */
  readonly synchronous: boolean;
  run(inputs: Tensor[], outputs: string[], deadline: number): Tensor[] | Promise<Tensor[]>;
}

/** A request, bound to its version's inputs already: nothing in it can be wrong for another one. */
export interface Job {
  inputs: Tensor[];
  /** Rows along the first dimension, where the target is rowwise. */
  rows: number;
  outputs: string[];
  /** Milliseconds since the epoch, after which nobody waits for the answer any longer. */
  deadline: number;
  /** Whether the client has gone: what has not begun then never does. */
  gone(): boolean;
  /** Of `done` and `failed` the first call counts. Where `rows` is given, only these of the outputs are the answer. */
  done(outputs: Tensor[], rows?: RowRange): void;
  failed(error: unknown): void;
}

export interface BatcherOptions {
  /** Jobs that may wait; above them `submit` refuses. */
  maxQueued?: number;
  /**
   * Called around every run that may hold the event loop, so that a supervisor knows what a frozen process was running: not
   * around runs of as many rows as have been run in no time before.
   */
  begin?: () => void;
  end?: () => void;
}

/** A synchronous batch is cut so that it holds the event loop about this long (ms). */
const SLICE = 8;
const FIRST_SLICE_ROWS = 256;
const MAX_BATCH_ROWS = 8192;
const SWEEP_EVERY = 100;
/** Runs of a synchronous version that take less (ms) are quick ones; what it does with a row is bounded. */
const QUICK = 0.5;
/** Batches in flight where rows are joined: the next one gathers while one runs. Elsewhere requests follow each other. */
const ROWWISE_IN_FLIGHT = 1;
const IN_FLIGHT = 32;

interface CutJob {
  job: Job;
  rest: Tensor[][];
  results: Tensor[][];
}

/**
 * Joins the requests that one turn of the event loop parsed into one batch. No timer: a request that comes alone runs at
 * once. Synchronous runs are cut into slices of some milliseconds, so that no request, however long, freezes the process.
 */
export class Batcher {
  /** Where batches are counted; a job that is cut counts as one batch. */
  sizes: BatchSizes | undefined;
  readonly #target: BatchTarget;
  readonly #options: BatcherOptions;
  readonly #maxQueued: number;
  #queue: Job[] = [];
  /** Jobs longer than a slice; one slice of the first of them runs in a turn, beside the short ones. */
  #cut: CutJob[] = [];
  /** Batches whose answers come later. */
  readonly #running = new Set<Job[]>();
  readonly #maxRunning: number;
  #armed = false;
  #sweeping = false;
  #sliceRows: number;
  #msPerRow = 0;
  /** A run of so many rows was quick; 0 where the last one of no more than these was not. */
  #quickRows = 0;
  readonly #flushBound = (): void => this.#flush();

  constructor(target: BatchTarget, options: BatcherOptions = {}) {
    this.#target = target;
    this.#sliceRows = target.synchronous ? FIRST_SLICE_ROWS : MAX_BATCH_ROWS;
    this.#maxRunning = target.synchronous ? 0 : target.rowwise ? ROWWISE_IN_FLIGHT : IN_FLIGHT;
    this.#options = options;
    this.#maxQueued = options.maxQueued ?? 4096;
  }

  /** @throws DomainError UNAVAILABLE where too many requests wait already */
  submit(job: Job): void {
    if (this.#queue.length + this.#cut.length >= this.#maxQueued) {
      const message = 'Too many requests wait for this version. Try again.';
      throw new DomainError('UNAVAILABLE', message, { retryAfter: 1 });
    }
    this.#queue.push(job);
    if (!this.#full) this.#arm();
  }

  /** Jobs that wait, those that are run in slices included. */
  get waiting(): number {
    return this.#queue.length + this.#cut.length;
  }

  get #full(): boolean {
    return this.#running.size > 0 && this.#running.size >= this.#maxRunning;
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#flushBound);
  }

  #flush(): void {
    this.#armed = false;
    const started = performance.now();
    while (this.#queue.length && !this.#full) {
      const jobs = this.#take();
      if (jobs.length) this.#start(jobs);
      if (performance.now() - started >= SLICE) break;
    }
    if (this.#full) return;
    if (this.#cut.length) this.#runSlice();
    if (this.#queue.length || this.#cut.length) this.#arm();
  }

  /** The next batch: the oldest job and those after it that can be joined with it. */
  #take(): Job[] {
    const { rowwise, synchronous } = this.#target;
    const batch: Job[] = [];
    let rows = 0;
    let taken = 0;
    const now = Date.now();
    for (const job of this.#queue) {
      const [first] = batch;
      if (!this.#alive(job, now)) {
        taken++;
        continue;
      }
      const long = rowwise && synchronous && job.rows > this.#sliceRows;
      if (first && (!rowwise || long || rows + job.rows > this.#sliceRows || !fit(first, job)))
        break;
      if (long) {
        this.#cut.push({ job, rest: this.#slices(job), results: [] });
        this.sizes?.add(1, job.rows);
      } else batch.push(job);
      rows += job.rows;
      taken++;
    }
    if (taken === this.#queue.length) this.#queue = [];
    else this.#queue.splice(0, taken);
    return batch;
  }

  #start(jobs: Job[]): void {
    this.#count(jobs);
    let result: Tensor[] | Promise<Tensor[]>;
    try {
      result = this.#runAll(jobs);
      if (!(result instanceof Promise)) return this.#answer(jobs, result);
    } catch (error) {
      return this.#failed(jobs, error);
    }
    this.#running.add(jobs);
    this.#sweep();
    void result
      .then((outputs) => this.#answer(jobs, outputs))
      .catch((error: unknown) => this.#failed(jobs, error))
      .finally(() => {
        this.#running.delete(jobs);
        if (this.#queue.length) this.#arm();
      });
  }

  #count(jobs: Job[]): void {
    if (!this.sizes) return;
    let rows = 0;
    for (const job of jobs) rows += job.rows;
    this.sizes.add(jobs.length, rows);
  }

  #runAll(jobs: Job[]): Tensor[] | Promise<Tensor[]> {
    const [first, ...others] = jobs;
    if (!first) return [];
    if (!others.length) return this.#run(first.inputs, first.outputs, first.deadline);
    const inputs = concatRows(jobs.map((job) => job.inputs));
    const deadline = Math.max(...jobs.map((job) => job.deadline));
    return this.#run(inputs, first.outputs, deadline);
  }

  #run(inputs: Tensor[], outputs: string[], deadline: number): Tensor[] | Promise<Tensor[]> {
    if (!this.#target.synchronous) return this.#target.run(inputs, outputs, deadline);
    const rows = inputs[0]?.shape[0] ?? 1;
    const marked = rows > this.#quickRows;
    const started = performance.now();
    if (marked) this.#options.begin?.();
    try {
      return this.#target.run(inputs, outputs, deadline);
    } finally {
      if (marked) this.#options.end?.();
      this.#learn(rows, performance.now() - started);
    }
  }

  /** Follows what a row costs, so that slices keep their length in time. */
  #learn(rows: number, ms: number): void {
    if (ms >= QUICK) this.#quickRows = 0;
    else if (rows > this.#quickRows) this.#quickRows = rows;
    // A few rows that took no time say nothing about the cost of one.
    if (!rows || (rows < 16 && ms < 1)) return;
    const cost = ms / rows;
    this.#msPerRow = this.#msPerRow ? 0.8 * this.#msPerRow + 0.2 * cost : cost;
    this.#sliceRows = Math.max(1, Math.min(MAX_BATCH_ROWS, Math.floor(SLICE / this.#msPerRow)));
  }

  #slices(job: Job): Tensor[][] {
    const counts: number[] = [];
    for (let left = job.rows; left > 0; left -= this.#sliceRows)
      counts.push(Math.min(left, this.#sliceRows));
    return splitRows(job.inputs, counts);
  }

  #runSlice(): void {
    const [cut] = this.#cut;
    if (!cut) return;
    const { job, rest, results } = cut;
    const inputs = rest.shift();
    if (!this.#alive(job, Date.now()) || !inputs) {
      this.#cut.shift();
      return;
    }
    try {
      const outputs = this.#run(inputs, job.outputs, job.deadline);
      if (outputs instanceof Promise)
        throw new TypeError('a synchronous version answered with a promise');
      results.push(outputs);
      if (rest.length) {
        // The next one gets its slice: long requests share the time evenly.
        this.#cut.push(...this.#cut.splice(0, 1));
        return;
      }
      this.#cut.shift();
      job.done(concatRows(results));
    } catch (error) {
      this.#cut.shift();
      job.failed(error);
    }
  }

  #answer(jobs: Job[], outputs: Tensor[]): void {
    const [first] = jobs;
    if (jobs.length === 1 && first) {
      first.done(outputs);
      return;
    }
    let from = 0;
    let total = 0;
    for (const { rows } of jobs) total += rows;
    checkRows(outputs, total);
    for (const job of jobs) {
      job.done(outputs, { from, count: job.rows });
      from += job.rows;
    }
  }

  /** What went wrong in a batch of several may be the fault of one: each runs again by itself. */
  #failed(jobs: Job[], error: unknown): void {
    if (jobs.length === 1 || isOutage(error)) {
      for (const job of jobs) job.failed(error);
      return;
    }
    const now = Date.now();
    for (const job of jobs) {
      if (!this.#alive(job, now)) continue;
      let result: Tensor[] | Promise<Tensor[]>;
      try {
        result = this.#run(job.inputs, job.outputs, job.deadline);
      } catch (cause) {
        job.failed(cause);
        continue;
      }
      if (result instanceof Promise) {
        result.then(
          (outputs) => job.done(outputs),
          (cause: unknown) => job.failed(cause),
        );
      } else {
        job.done(result);
      }
    }
  }

  #alive(job: Job, now: number): boolean {
    if (job.gone()) return false;
    if (job.deadline > now) return true;
    job.failed(late());
    return false;
  }

  /** While a run is under way elsewhere, says 504 to those whose time is over. */
  #sweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    setTimeout(() => {
      this.#sweeping = false;
      const now = Date.now();
      for (const jobs of this.#running)
        for (const job of jobs) if (job.deadline <= now) job.failed(late());
      this.#queue = this.#queue.filter((job) => this.#alive(job, now));
      if (this.#running.size) this.#sweep();
    }, SWEEP_EVERY);
  }
}

function late(): DomainError {
  return new DomainError(
    'DEADLINE_EXCEEDED',
    'The prediction took longer than PREDICT_TIMEOUT allows.',
  );
}

function isOutage(error: unknown): boolean {
  return (
    error instanceof DomainError &&
    (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED')
  );
}

/**
 * Whether two jobs can run as one: the same outputs, and inputs that differ in their rows alone, of which all inputs of a
 * job have as many.
 */
function fit(a: Job, b: Job): boolean {
  if (!sameNames(a.outputs, b.outputs) || a.inputs.length !== b.inputs.length) return false;
  for (let i = 0; i < a.inputs.length; i++) {
    const [one, other] = [a.inputs[i], b.inputs[i]];
    if (!one || !other || one.name !== other.name || one.dtype !== other.dtype) return false;
    if (one.shape.length !== other.shape.length) return false;
    if (one.shape[0] !== a.rows || other.shape[0] !== b.rows) return false;
    for (let k = 1; k < one.shape.length; k++) if (one.shape[k] !== other.shape[k]) return false;
  }
  return true;
}

function sameNames(a: string[], b: string[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
