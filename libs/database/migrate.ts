import pg from 'pg';
import { DataSource, type MigrationInterface } from 'typeorm';
import { StartError } from '#platform';
import { migrations } from '../../migrations/index.js';
import { databaseOptions } from './data-source.js';

export interface MigrateOptions {
  /** The last migration to run; absent: all. */
  upTo?: string;
  /** Called once where another process migrates, or makes a backup, and is waited for. */
  onWait?: () => void;
}

/** How a database stands to this version of Slipway. Names are in the order in which they run. */
export interface MigrationState {
  /** What ran there, as far as this version knows it. */
  applied: string[];
  /** What this version would run. */
  pending: string[];
  /** What ran there and this version does not know: the database is of a newer one. */
  unknown: string[];
}

/**
 * Brings the schema up to date, each migration in a transaction of its own: a process that is killed leaves whole ones,
 * and the next call goes on. Processes that migrate at once wait for each other.
 * @returns the names of the migrations that ran now
 */
export async function migrate(
  url: string,
  { upTo, onWait }: MigrateOptions = {},
): Promise<string[]> {
  const last = upTo === undefined ? migrations.length : migrationNames.indexOf(upTo) + 1;
  const dataSource = new DataSource({
    ...databaseOptions(url, [], { name: 'slipway-migrations', size: 2, statementTimeout: 0 }),
    migrations: migrations.slice(0, last),
  });
  await dataSource.initialize();
  const lock = dataSource.createQueryRunner();
  try {
    const [row] = (await lock.query('SELECT pg_try_advisory_lock($1) AS taken', [
      MIGRATION_LOCK,
    ])) as { taken: boolean }[];
    if (!row?.taken) {
      onWait?.();
      await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    }
    return (await dataSource.runMigrations()).map(({ name }) => name);
  } finally {
    await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => {});
    await lock.release();
    await dataSource.destroy();
  }
}

/** "slipway" on a telephone keypad: any number that no other program locks. Held while migrating, shared by backups. */
export const MIGRATION_LOCK = 7547929;

/** The names under which TypeORM notes what ran. */
export const migrationNames = migrations.map((Migration) => {
  const migration: MigrationInterface = new Migration();
  return migration.name ?? Migration.name;
});

export async function migrationState(client: pg.ClientBase): Promise<MigrationState> {
  const ran = await ranMigrations(client);
  return {
    applied: migrationNames.filter((name) => ran.includes(name)),
    pending: migrationNames.filter((name) => !ran.includes(name)),
    unknown: ran.filter((name) => !migrationNames.includes(name)),
  };
}

async function ranMigrations(client: pg.ClientBase): Promise<string[]> {
  const { rows: found } = await client.query<{ there: boolean }>(
    `SELECT to_regclass('migrations') IS NOT NULL AS there`,
  );
  if (!found[0]?.there) return [];
  const { rows } = await client.query<{ name: string }>(`SELECT name FROM migrations ORDER BY id`);
  return rows.map(({ name }) => name);
}

/**
 * For processes that do not migrate themselves.
 * @throws StartError, in one line, where migrations wait to be run
 */
export async function checkMigrated(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { pending } = await migrationState(client);
    if (pending.length === 0) return;
    const what = pending.length === 1 ? 'migration waits' : 'migrations wait';
    throw new StartError(
      `The database is not up to date: ${pending.length} ${what} (${pending[0]} …). ` +
        'Run "npx slipway migrate" with this version, then start again.',
    );
  } finally {
    await client.end().catch(() => {});
  }
}
