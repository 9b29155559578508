import { createHttpApp } from '#http';
import { type Config, type Logger } from '#platform';
import { mountDocs } from './docs.js';
import { RegistryAppModule } from './app.module.js';

/** A registry that listens. */
export interface RunningRegistry {
  port: number;
  close(): Promise<void>;
}

/** Starts the registry on an up-to-date database. @throws StartError where it cannot listen */
export async function startRegistryApp(config: Config, logger: Logger): Promise<RunningRegistry> {
  const app = await createHttpApp(RegistryAppModule, config, { logger, configure: mountDocs });
  const port = await app.listen(config.PORT, config.HOST);
  return { port, close: () => app.close() };
}
