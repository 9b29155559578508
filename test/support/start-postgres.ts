import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgres, migrate } from '#database';
import { asAdmin, urlOf } from './postgres.js';

/** What the global teardown has to undo. */
export interface SharedPostgres {
  stop?: () => Promise<void>;
}

/** Starts PostgreSQL, unless `TEST_DATABASE_URL` names one, and migrates one database, which every suite then copies. */
export default async function startPostgres(): Promise<void> {
  process.env.TEST_DATABASE_URL ??= await startEmbedded();
  const template = `template_${randomUUID().replaceAll('-', '')}`;
  process.env.TEST_DATABASE_TEMPLATE = template;
  await asAdmin((admin) => admin.query(`CREATE DATABASE ${template}`));
  await migrate(urlOf(template));
}

async function startEmbedded(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  // mkdtemp makes folders of its user alone, but PostgreSQL may run as another one.
  await chmod(dataDir, 0o711);
  const postgres = await EmbeddedPostgres.start({
    dataDir,
    // What the tests write does not outlive them.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' },
  });
  const stop = async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  Object.assign(globalThis, { sharedPostgres: { stop } satisfies SharedPostgres });
  return postgres.url('postgres');
}
