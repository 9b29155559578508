import { createLogger, notListening, readConfig, runMain } from '#platform';
import { Supervisor } from './supervisor.js';

await runMain(async () => {
  const config = readConfig();
  const log = createLogger(config, 'serving');
  const supervisor = new Supervisor(config, log);
  const stop = (): void => {
    void supervisor.stop().finally(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Started by another process, this one ends with it.
  process.once('disconnect', stop);
  const port = await supervisor.start().catch((error: NodeJS.ErrnoException) => {
    throw notListening(error, config.SERVING_PORT, config.HOST);
  });
  process.send?.({ ready: true, port });
  log.info({ port }, 'serving');
});
