import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** Set by the global setup of jest: the server that every suite shares. */
export function urlOf(database: string): string {
  const server = process.env.TEST_DATABASE_URL;
  if (!server) throw new Error('TEST_DATABASE_URL is not set: run the tests with `npm test`');
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

/** Name of the migrated database that the databases of the suites are copies of. */
export function template(): string {
  return process.env.TEST_DATABASE_TEMPLATE ?? 'template';
}

/** A migrated, empty database that no other suite uses; gives its URL. Dropped with the server. */
export async function ownDatabase(): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await asAdmin((admin) => admin.query(`CREATE DATABASE ${name} TEMPLATE ${template()}`));
  return urlOf(name);
}

/** Drops a database that {@link ownDatabase} made, together with its connections. */
export async function dropDatabase(url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1);
  await asAdmin((admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
}

export async function asAdmin<T>(work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client(urlOf('postgres'));
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
