import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DynamicModule, Type } from '@nestjs/common';
import { createHttpApp, type HttpAppOptions } from '#http';
import { Config, readConfig } from '#platform';
import request from 'supertest';
import { dropDatabase, ownDatabase } from './postgres.js';

/** Settings with a migrated database and a folder that no other suite uses; `release` removes both. */
export async function ownSettings(env: NodeJS.ProcessEnv = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  const database = env.DATABASE_URL ?? (await ownDatabase());
  const config = readConfig({
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'fatal',
    DATA_DIR: folder,
    DATABASE_URL: database,
    PORT: '0',
    SERVING_PORT: '0',
    ...env,
  });
  const release = async () => {
    if (!env.DATABASE_URL) await dropDatabase(database);
    await rm(folder, { recursive: true, force: true });
  };
  return { config, release };
}

/** A whole app as in production, listening on a free port of loopback. */
export async function startApp(
  module: Type | DynamicModule,
  config: Config,
  options: HttpAppOptions = {},
) {
  const app = await createHttpApp(module, config, options);
  const port = await app.listen(0, '127.0.0.1');
  const url = `http://127.0.0.1:${port}`;
  return { url, port, http: request(url), nest: app.nest, close: () => app.close() };
}
