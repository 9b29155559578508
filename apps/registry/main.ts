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
  const logger = createLogger(config, 'registry');
  endWithParent();
  const app = await startRegistryApp(config, logger);
  stopOnSignals(() => app.close());
  tellReady(app.port);
});
