import { checkDatabase, checkMigrated } from '#database';
import {
  ConfigError,
  createLogger,
  endWithParent,
  readConfig,
  runMain,
  stopOnSignals,
  tellReady,
} from '#platform';
import { startRegistryApp } from './start.js';

await runMain(async () => {
  const config = readConfig();
  if (!config.DATABASE_URL) {
    throw new ConfigError(['DATABASE_URL is not set: the registry by itself has no PostgreSQL']);
  }
  endWithParent();
  await checkDatabase(config.DATABASE_URL);
  await checkMigrated(config.DATABASE_URL);
  const app = await startRegistryApp(config, createLogger(config, 'registry'));
  stopOnSignals(() => app.close());
  tellReady(app.port);
});
