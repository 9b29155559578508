import type { Socket } from 'node:net';
import {
  checkAccess,
  type Config,
  createLogger,
  isStarting,
  logCrashes,
  type Logger,
  Metrics,
  readConfig,
  productVersion,
} from '#platform';
import {
  CompartmentPool,
  type ManagerObserver,
  ModelManager,
  ProgramLoader,
  RequestCounts,
  RunMarker,
} from '#serving';
import { DealtServer } from './dealt-server.js';
import { Front } from './front.js';
import type { Observation, ToWorker } from './messages.js';
import { SupervisorLink } from './supervisor-link.js';

/** The file that the supervisor reads when this process has frozen or died; see `worker-process.ts`. */
const MARK_DESCRIPTOR = 4;
const BEAT_EVERY = 100;
const COUNTS_EVERY = 2000;

/** One serving process: HTTP, kernels and forests on this thread, ONNX in compartments. It knows no database. */
class Worker {
  readonly #link = new SupervisorLink();
  readonly #marker = new RunMarker(MARK_DESCRIPTOR);
  readonly #counts = new RequestCounts();
  readonly #metrics: Metrics;
  readonly #compartments: CompartmentPool;
  readonly #manager: ModelManager;
  readonly #server: DealtServer;
  #generation = 0;
  #outage: string | undefined;

  constructor(
    private readonly number: number,
    config: Config,
    log: Logger,
  ) {
    this.#metrics = new Metrics(String(number));
    const memory = Math.floor(config.SERVING_MEMORY / config.SERVING_PROCESSES);
    const timeout = config.PREDICT_TIMEOUT;
    const link = this.#link;
    const marker = this.#marker;
    this.#compartments = new CompartmentPool({
      memory,
      timeout,
      // The key of a version begins with the digest of its Program; see ProgramLoader.
      onQuarantine: (key, reason) =>
        link.send({ type: 'quarantine', program: key.replace(/#.*/, ''), reason }),
      onEnd: ({ pid, ...end }) => {
        this.#observed({ kind: 'compartmentEnded', reason: end.kind });
        log.warn({ child: 'compartment', childPid: pid, ...end }, `a compartment ${end.reason}`);
      },
    });
    const compartments = this.#compartments;
    const sizesOf = (modelId: string, version: number) => this.#counts.sizesOf(modelId, version);
    const loader = new ProgramLoader({ files: link, compartments, marker, timeout, sizesOf, log });
    const observer = this.#observer();
    this.#manager = new ModelManager({ loader, resolver: link, memory, log, observer });
    const front = new Front({
      config,
      manager: this.#manager,
      counts: this.#counts,
      checkAccess: checkAccess(config),
      starting: () => isStarting(config),
      metrics: () => link.metrics(),
      outage: () => this.#outage,
      marker,
      version: productVersion,
      log,
    });
    this.#server = new DealtServer(front);
  }

  start(): void {
    process.on('message', (message: ToWorker, socket: Socket | undefined) => {
      this.#told(message, socket);
    });
    setInterval(() => {
      const { ready } = this.#manager;
      this.#link.send({ type: 'beat', ready, generation: this.#generation });
    }, BEAT_EVERY);
    setInterval(() => this.#tellCounts(), COUNTS_EVERY);
    this.#link.send({ type: 'started' });
  }

  #observer(): ManagerObserver {
    const link = this.#link;
    return {
      stateChanged: (state) => link.send({ type: 'state', state }),
      stateGone: (modelId) => link.send({ type: 'stateGone', modelId }),
      watchChanged: (versionIds) => link.send({ type: 'watch', versionIds }),
      swapped: (_, ms) => this.#observed({ kind: 'swapped', ms }),
      loaded: (ms) => this.#observed({ kind: 'loaded', ms }),
      loadFailed: (model, retry, ms) => this.#observed({ kind: 'loadFailed', model, retry, ms }),
    };
  }

  #told(message: ToWorker, socket: Socket | undefined): void {
    switch (message.type) {
      case 'connection':
        this.#link.send({ type: 'took', connection: message.connection });
        // A client that has gone in between left no socket.
        if (socket) this.#server.take(socket);
        return;
      case 'desired':
        for (const { generation } of message.snapshot.models) {
          this.#generation = Math.max(this.#generation, generation);
        }
        return this.#manager.update(message.snapshot);
      case 'outage':
        this.#outage = message.outage;
        return;
      case 'answer':
        return this.#link.answered(message);
      case 'metrics':
        return void this.#tellMetrics(message.id);
      case 'drain':
        return void this.#leave();
    }
  }

  #observed(observation: Observation): void {
    this.#link.send({ type: 'observed', observation });
  }

  #tellCounts(): void {
    const minutes = this.#counts.take();
    const { versions, refused } = this.#counts.takeAll();
    if (minutes.length || versions.length || Object.keys(refused).length)
      this.#link.send({ type: 'counts', minutes, versions, refused });
    this.#counts.keep(this.#manager.resident);
  }

  /** The counts go first, so that a scrape has every prediction that was answered before it. */
  async #tellMetrics(id: number): Promise<void> {
    const process = await this.#metrics.json();
    this.#tellCounts();
    const figures = {
      number: this.number,
      versions: this.#manager.resident,
      connections: this.#server.connections,
      compartments: this.#compartments.compartments.length,
      process,
    };
    this.#link.send({ type: 'metrics', id, figures });
  }

  async #leave(): Promise<void> {
    await this.#server.drain();
    this.#tellCounts();
    this.#compartments.close();
    process.disconnect();
  }
}

const config = readConfig();
const number = Number(process.argv[2]);
const log = createLogger(config, 'serving-worker').child({ process: number });
logCrashes(log);
process.on('disconnect', () => process.exit(0));
// The supervisor says when to stop; a signal to the whole group must not cut off requests.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
new Worker(number, config, log).start();
