import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { checkAccess, createLogger, Metrics, readConfig } from '#platform';
import {
  CompartmentPool,
  type MetricJson,
  ModelManager,
  ProgramLoader,
  RequestCounts,
  RunMarker,
} from '#serving';
import { Front } from './front.js';
import { ManagerMetrics } from './manager-metrics.js';
import type { ToWorker } from './messages.js';
import { SupervisorLink } from './supervisor-link.js';
import { productVersion } from './version.js';

/** The file that the supervisor reads when this process has frozen or died; see `worker-process.ts`. */
const MARK_DESCRIPTOR = 4;
const BEAT_EVERY = 100;
const COUNTS_EVERY = 2000;
/** After a drain began, idle connections stay open this long: a request that was just sent on one is still answered. */
const DRAIN_GRACE = 1000;
const KEEP_ALIVE = 75_000;

/** One serving process: HTTP, kernels and forests on this thread, ONNX in compartments. It knows no database. */
function startWorker(): void {
  const config = readConfig();
  const log = createLogger(config, 'serving').child({ process: Number(process.argv[2]) });
  const link = new SupervisorLink();
  const marker = new RunMarker(MARK_DESCRIPTOR);
  const counts = new RequestCounts();
  const memory = Math.floor(config.SERVING_MEMORY / config.SERVING_PROCESSES);
  const timeout = config.PREDICT_TIMEOUT;
  const compartments = new CompartmentPool({
    memory,
    timeout,
    // The key of a version begins with the digest of its Program; see ProgramLoader.
    onQuarantine: (key, reason) =>
      link.send({ type: 'quarantine', program: key.replace(/#.*/, ''), reason }),
    onEnd: (end) => log.warn(end, `a compartment ${end.reason}`),
  });
  const metrics = new ManagerMetrics();
  const manager = new ModelManager({
    loader: new ProgramLoader({ files: link, compartments, marker, timeout, log }),
    resolver: link,
    memory,
    log,
    observer: {
      stateChanged: (state) => link.send({ type: 'state', state }),
      stateGone: (modelId) => link.send({ type: 'stateGone', modelId }),
      watchChanged: (versionIds) => link.send({ type: 'watch', versionIds }),
      swapped: (_, ms) => metrics.swapped(ms),
      loadFailed: (model, _, retry) => metrics.loadFailed(model, retry),
    },
  });
  const front = new Front({
    config,
    manager,
    counts,
    checkAccess: checkAccess(config),
    metrics: () => link.metrics(),
    marker,
    version: productVersion(),
    log,
  });
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE, noDelay: true }, front.handle);
  server.on('checkContinue', front.handle);
  // Connections come from the supervisor, so nothing listens here; timeouts of slow clients begin with this event only.
  server.emit('listening');
  const sockets = new Set<Socket>();
  const processMetrics = new Metrics().registry;
  let generation = 0;

  const take = (connection: number, socket: Socket | undefined): void => {
    link.send({ type: 'took', connection });
    if (!socket) return;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    server.emit('connection', socket);
    socket.resume();
  };
  const drain = (): void => {
    front.draining = true;
    const end = (): void => {
      server.closeIdleConnections();
      if (!front.active && !sockets.size) leave();
    };
    const poll = (): void => {
      if (!sockets.size) leave();
    };
    setTimeout(() => setInterval(end, 20), DRAIN_GRACE);
    setInterval(poll, 20);
  };
  const leave = (): void => {
    link.send({ type: 'counts', minutes: counts.take() });
    compartments.close();
    process.disconnect();
  };

  process.on('message', (message: ToWorker, handle: Socket | undefined) => {
    if (message.type === 'connection') take(message.connection, handle);
    else if (message.type === 'answer') link.answered(message);
    else if (message.type === 'drain') drain();
    else if (message.type === 'desired') {
      for (const model of message.snapshot.models)
        generation = Math.max(generation, model.generation);
      manager.update(message.snapshot);
    } else {
      void processMetrics.getMetricsAsJSON().then((own) => {
        const all = [
          ...(own as unknown as MetricJson[]),
          ...counts.metrics(),
          ...metrics.json(manager),
        ];
        link.send({ type: 'metrics', id: message.id, metrics: all });
      });
    }
  });
  process.on('disconnect', () => process.exit(0));
  // The supervisor says when to stop; a signal to the whole group must not cut off requests.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => undefined);
  setInterval(() => link.send({ type: 'beat', ready: manager.ready, generation }), BEAT_EVERY);
  setInterval(() => {
    const minutes = counts.take();
    if (minutes.length) link.send({ type: 'counts', minutes });
  }, COUNTS_EVERY);
  link.send({ type: 'started' });
}

startWorker();
