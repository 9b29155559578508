import { checkDatabase } from '#database';
import {
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
  endWithParent();
  await checkDatabase(config.DATABASE_URL);
  const app = await startRegistryApp(config, createLogger(config, 'registry'));
  stopOnSignals(() => app.close());
  tellReady(app.port);
});
