import { createLogger, notListening, readConfig, runMain } from '#platform';
import { Supervisor } from './supervisor.js';

/** Milliseconds that requests get to end when the parent has died. */
const ORPHANED_FOR = 5000;

await runMain(async () => {
  const config = readConfig();
  const log = createLogger(config, 'serving');
  const supervisor = new Supervisor(config, log);
  const stop = (): void => {
    void supervisor.stop().finally(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Started by another process, this one ends with it, whatever it still waits for.
  process.once('disconnect', () => {
    stop();
    setTimeout(() => process.exit(0), ORPHANED_FOR).unref();
  });
  const port = await supervisor.start().catch((error: NodeJS.ErrnoException) => {
    throw notListening(error, config.SERVING_PORT, config.HOST);
  });
  process.send?.({ ready: true, port });
  log.info({ port }, 'serving');
});
