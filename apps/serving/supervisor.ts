import { mkdir, open, readFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { openArtifactStore } from '#artifacts';
import { type Config, DomainError, type Logger } from '#platform';
import {
  DesiredState,
  type DesiredSnapshot,
  type ModelState,
  ProgramCache,
  StateReporter,
} from '#serving';
import pg from 'pg';
import { ConnectionDealer } from './connection-dealer.js';
import type { Call, CallError, FromWorker, WorkerFigures } from './messages.js';
import { ServingMetrics } from './serving-metrics.js';
import { type Culprit, TICK, type WorkerEnd, WorkerProcess } from './worker-process.js';

const DRAIN_LIMIT = 30_000;
const METRICS_WAIT = 1000;
const DATABASE_TIMEOUT = 5000;

/** What a worker has asked for and not given back; it ends with the worker. */
interface WorkerShare {
  holds: Map<string, number>;
  watched: string[];
  /** What it says of the followed models, by their ids. */
  states: Map<string, ModelState>;
}

/**
 * The first process of a serving replica: it holds the port, the connection to PostgreSQL and the disk cache, and keeps the
 * workers alive. It runs no model and reads no request.
 */
export class Supervisor {
  readonly #workers: WorkerProcess[];
  readonly #shares = new Map<WorkerProcess, WorkerShare>();
  readonly #dealer: ConnectionDealer;
  readonly #pool: pg.Pool;
  readonly #desired: DesiredState;
  readonly #cache: ProgramCache;
  #reporter: StateReporter | undefined;
  readonly #metrics: ServingMetrics;
  readonly #scrapes = new Map<number, (figures: WorkerFigures) => void>();
  #nextScrape = 0;
  #outage: string | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    private readonly config: Config,
    private readonly log: Logger,
  ) {
    const connection = {
      connectionString: config.DATABASE_URL,
      connectionTimeoutMillis: DATABASE_TIMEOUT,
      query_timeout: DATABASE_TIMEOUT,
      keepAlive: true,
      application_name: 'slipway-serving',
    };
    this.#pool = new pg.Pool({ ...connection, max: 4 });
    this.#pool.on('error', () => undefined);
    this.#metrics = new ServingMetrics(this.#pool);
    const folder = join(config.DATA_DIR, 'cache');
    this.#desired = new DesiredState({
      pool: this.#pool,
      connect: () => new pg.Client(connection),
      file: join(folder, 'serving.json'),
      log,
    });
    const store = openArtifactStore(config);
    this.#cache = new ProgramCache({ folder: join(folder, 'blobs'), store, log });
    const events = {
      message: (worker: WorkerProcess, message: FromWorker) => this.#heard(worker, message),
      ended: (worker: WorkerProcess, how: WorkerEnd, culprit?: Culprit) =>
        this.#ended(worker, how, culprit),
    };
    this.#workers = Array.from(
      { length: config.SERVING_PROCESSES },
      (_, i) => new WorkerProcess(i, events, log),
    );
    this.#dealer = new ConnectionDealer(this.#workers, log);
  }

  /** Opens the port and answers; gives the port's number. */
  async start(): Promise<number> {
    const { config, log } = this;
    const port = await this.#dealer.listen(config.SERVING_PORT, config.HOST);
    for (const worker of this.#workers) worker.start();
    this.#watch();
    await this.#cache.open();
    const url = config.SERVING_URL.replace(/:0$/, `:${port}`);
    this.#reporter = new StateReporter({
      pool: this.#pool,
      replica: await this.#replica(),
      url,
      log,
    });
    this.#reporter.start();
    this.#desired.onChange(() => this.#broadcast());
    await this.#desired.start();
    while (!this.#workers.some((worker) => worker.available) && !this.#stopping) await pause(5);
    return port;
  }

  /** Takes no more connections, lets requests end (30 s at most), ends the workers. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#dealer.close();
    for (const worker of this.#workers) worker.drain();
    const end = Date.now() + DRAIN_LIMIT;
    while (this.#workers.some((worker) => worker.running) && Date.now() < end) await pause(20);
    clearInterval(this.#ticker);
    for (const worker of this.#workers) worker.kill();
    await this.#desired.close();
    await this.#reporter?.close();
    await this.#pool.end().catch(() => undefined);
  }

  /** A stable id, so that a restart continues the rows of this replica. */
  async #replica(): Promise<string> {
    const file = join(this.config.DATA_DIR, 'replica');
    await mkdir(this.config.DATA_DIR, { recursive: true });
    const handle = await open(file, 'wx', 0o600).catch(() => undefined);
    if (handle) {
      await handle.writeFile(randomUUID());
      await handle.sync();
      await handle.close();
    }
    return (await readFile(file, 'utf8')).trim() || randomUUID();
  }

  #watch(): void {
    let last = performance.now();
    this.#ticker = setInterval(() => {
      const now = performance.now();
      const late = now - last > 2 * TICK;
      last = now;
      this.#tellOutage();
      if (late) return;
      for (const worker of this.#workers) worker.watch();
    }, TICK);
  }

  #heard(worker: WorkerProcess, message: FromWorker): void {
    const reporter = this.#reporter;
    const share = this.#shareOf(worker);
    switch (message.type) {
      case 'started':
        this.#tell(worker);
        worker.send({ type: 'outage', outage: this.#outage });
        return this.#dealer.flush();
      case 'beat':
        return reporter?.beat(worker.number, message.generation);
      case 'took':
        return this.#dealer.took(message.connection);
      case 'state':
        share.states.set(message.state.modelId, message.state);
        return reporter?.state(worker.number, message.state);
      case 'stateGone':
        share.states.delete(message.modelId);
        return reporter?.stateGone(worker.number, message.modelId);
      case 'counts':
        this.#metrics.totals.add(message.versions);
        this.#metrics.refused(message.refused);
        return reporter?.count(worker.number, message.minutes);
      case 'observed':
        return this.#metrics.observe(message.observation);
      case 'quarantine':
        return this.#quarantine(message.program, message.reason);
      case 'watch':
        share.watched = message.versionIds;
        return this.#desired.watch([...this.#shares.values()].flatMap(({ watched }) => watched));
      case 'release':
        return this.#release(share, message.digest);
      case 'metrics':
        return this.#scrapes.get(message.id)?.(message.figures);
      case 'call':
        void this.#answer(worker, message.id, message.call);
    }
  }

  async #answer(worker: WorkerProcess, id: number, call: Call): Promise<void> {
    try {
      worker.send({ type: 'answer', id, value: await this.#call(worker, call) });
    } catch (error) {
      worker.send({ type: 'answer', id, error: callError(error) });
    }
  }

  async #call(worker: WorkerProcess, call: Call): Promise<unknown> {
    switch (call.method) {
      case 'resolve':
        return this.#desired.resolve(call.model, call.word);
      case 'hold':
        return this.#hold(worker, call.digest);
      case 'discard':
        return this.#cache.discard(call.digest);
      case 'metrics':
        return this.#scrape();
    }
  }

  async #hold(worker: WorkerProcess, digest: string): Promise<string> {
    const share = this.#shareOf(worker);
    const path = await this.#cache.hold(digest);
    if (this.#shares.get(worker) === share)
      share.holds.set(digest, (share.holds.get(digest) ?? 0) + 1);
    else this.#cache.release(digest);
    return path;
  }

  #release(share: WorkerShare, digest: string): void {
    const count = share.holds.get(digest);
    if (!count) return;
    share.holds.set(digest, count - 1);
    this.#cache.release(digest);
  }

  #shareOf(worker: WorkerProcess): WorkerShare {
    let share = this.#shares.get(worker);
    if (!share) {
      share = { holds: new Map(), watched: [], states: new Map() };
      this.#shares.set(worker, share);
    }
    return share;
  }

  #ended(worker: WorkerProcess, how: WorkerEnd, culprit: Culprit | undefined): void {
    const share = this.#shares.get(worker);
    this.#shares.delete(worker);
    for (const [digest, count] of share?.holds ?? []) {
      for (let i = 0; i < count; i++) this.#cache.release(digest);
    }
    if (!this.#stopping) this.#metrics.processEnded(how);
    this.#reporter?.processDied(worker.number);
    if (culprit) this.#quarantine(culprit.program, culprit.reason);
    this.#dealer.lost(worker);
  }

  /** Keeps a Program apart from now on: here at once, elsewhere as soon as PostgreSQL knows. */
  #quarantine(program: string, reason: string): void {
    this.log.error({ program }, `a version is quarantined: it ${reason}`);
    this.#metrics.quarantined();
    this.#reporter?.quarantine(program, `It ${reason}.`);
    this.#broadcast();
  }

  #broadcast(): void {
    this.#tellOutage();
    for (const worker of this.#workers) this.#tell(worker);
  }

  #tell(worker: WorkerProcess): void {
    const { snapshot } = this.#desired;
    if (snapshot && worker.available)
      worker.send({ type: 'desired', snapshot: this.#asOfNow(snapshot) });
  }

  /** The wish with what PostgreSQL does not know yet, and without what only this process needs. */
  #asOfNow(snapshot: DesiredSnapshot): DesiredSnapshot {
    const pending = this.#reporter?.pendingQuarantines;
    return {
      ...snapshot,
      models: snapshot.models.map((model) => ({
        ...model,
        words: {},
        target: {
          ...model.target,
          quarantine: model.target.quarantine ?? pending?.get(model.target.program ?? '') ?? null,
        },
      })),
    };
  }

  /** Lets the workers know when PostgreSQL goes and comes back, because it is they who are asked. */
  #tellOutage(): void {
    const { outage } = this.#desired;
    if (outage === this.#outage) return;
    this.#outage = outage;
    for (const worker of this.#workers)
      if (worker.available) worker.send({ type: 'outage', outage });
  }

  /** One scrape shows all workers. */
  async #scrape(): Promise<string> {
    const workers = this.#workers.filter((worker) => worker.available);
    const answers = await Promise.all(workers.map((worker) => this.#figuresOf(worker)));
    const figures = answers.flatMap((answer) => answer ?? []);
    const { snapshot, lastRead, available } = this.#desired;
    const own = {
      processes: figures.length,
      waitingConnections: this.#dealer.waiting,
      cacheBytes: this.#cache.size,
      lastRead,
      databaseUp: available,
      snapshot: snapshot && this.#asOfNow(snapshot),
      states: workers.map((worker) => [...this.#shareOf(worker).states.values()]),
    };
    return this.#metrics.text(own, figures);
  }

  /** Undefined where the worker does not answer in time. */
  #figuresOf(worker: WorkerProcess): Promise<WorkerFigures | undefined> {
    const id = this.#nextScrape++;
    return new Promise((resolve) => {
      const end = (figures?: WorkerFigures): void => {
        clearTimeout(timer);
        this.#scrapes.delete(id);
        resolve(figures);
      };
      const timer = setTimeout(end, METRICS_WAIT);
      this.#scrapes.set(id, end);
      worker.send({ type: 'metrics', id });
    });
  }
}

function callError(error: unknown): CallError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof DomainError)
    return { code: error.code, message, retryAfter: error.retryAfter };
  return { code: 'INTERNAL', message, retryAfter: undefined };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
