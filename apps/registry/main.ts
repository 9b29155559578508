import { createLogger, readConfig, runMain } from '#platform';
import { startRegistryApp } from './start.js';

await runMain(async () => {
  const config = readConfig();
  const logger = createLogger(config, 'registry');
  const app = await startRegistryApp(config, logger);
  const stop = (): void => {
    void app.close().finally(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Started by another process, this one ends with it.
  process.once('disconnect', stop);
  process.send?.({ ready: true, port: app.port });
  logger.info({ port: app.port }, 'registry');
});
