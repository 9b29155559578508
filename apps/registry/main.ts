import { checkDatabase, checkMigrated } from '#database';
import {
  ConfigError,
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
  if (!config.DATABASE_URL) {
    throw new ConfigError(['DATABASE_URL is not set: the registry by itself has no PostgreSQL']);
  }
  endWithParent();
  await checkDatabase(config.DATABASE_URL);
  await checkMigrated(config.DATABASE_URL);
  const app = await startRegistryApp(config, logger);
  stopOnSignals(() => app.close());
  tellReady(app.port);
});
