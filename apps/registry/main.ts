import { checkDatabase } from '#database';
import {
  createLogger,
  endWithParent,
  logCrashes,
  readConfig,
  runMain,
  stopOnSignals,
  tellReady,
} from '#platform';
import { startRegistryApp } from './start.js';

await runMain(async () => {
  const config = readConfig();
  const logger = createLogger(config, 'registry');
  logCrashes(logger);
  endWithParent();
  await checkDatabase(config.DATABASE_URL);
  const app = await startRegistryApp(config, logger);
  stopOnSignals(() => app.close());
  tellReady(app.port);
});
