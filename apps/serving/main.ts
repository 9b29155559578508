import {
  createLogger,
  endWithParent,
  logCrashes,
  notListening,
  readConfig,
  runMain,
  stopOnSignals,
  tellReady,
} from '#platform';
import { Supervisor } from './supervisor.js';

await runMain(async () => {
  const config = readConfig();
  const logger = createLogger(config, 'serving');
  logCrashes(logger);
  endWithParent();
  const supervisor = new Supervisor(config, logger);
  stopOnSignals(() => supervisor.stop());
  const port = await supervisor.start().catch((error: NodeJS.ErrnoException) => {
    throw notListening(error, config.SERVING_PORT, config.HOST);
  });
  tellReady(port);
  logger.info({ port }, 'serving');
});
