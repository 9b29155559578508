import pg from 'pg';
import { EmbeddedPostgres, inspectCluster, migrationState } from '#database';
import { type Config, isHeld } from '#platform';
import { failure, ok, reasonOf, type Said, warning } from './finding.js';

const OLDEST = 14;
/** Seconds between the clocks of this machine and of PostgreSQL. */
const SKEW_TOLD = 5;
const SKEW_WRONG = 300;
/** What one server opens at most, and a few for commands. */
const CONNECTIONS = 30;

export async function checkDatabaseOf(config: Config): Promise<Said[]> {
  const { DATABASE_URL, DATA_DIR } = config;
  if (DATABASE_URL) return ask(DATABASE_URL, whereOf(DATABASE_URL));
  const { binaries, version, pid } = await inspectCluster(DATA_DIR);
  const url = await EmbeddedPostgres.runningUrl(DATA_DIR);
  if (url) {
    const said = await ask(url, `the embedded PostgreSQL of ${DATA_DIR} (process ${pid})`);
    if (await isHeld(DATA_DIR)) return said;
    const alone = 'it was left over by a server that was killed';
    return [warning(alone, 'nothing: the next start stops it and starts its own'), ...said];
  }
  if (await isHeld(DATA_DIR)) {
    const why = `a server runs on ${DATA_DIR}, but its PostgreSQL takes no connections`;
    return [failure(why, `wait a moment if it just started; else see ${DATA_DIR}/postgres.log`)];
  }
  const state = version === undefined ? 'is made at the first start' : 'is stopped, and can start';
  return [ok(`the embedded PostgreSQL ${binaries} of ${DATA_DIR} ${state}`)];
}

async function ask(url: string, where: string): Promise<Said[]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    query_timeout: 3_000,
    application_name: 'slipway-doctor',
  });
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    return [failure(`${where}: ${reasonOf(error)}`, nextOf(error))];
  }
  try {
    const said: Said[] = [];
    for (const check of [server, connections, clock, migrated, rights]) {
      const result = await check(client, where);
      if (result) said.push(result);
      if (result?.state === 'failure' && check === server) break;
    }
    return said;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function nextOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known: Record<string, string> = {
    '28P01': 'correct the user and the password of DATABASE_URL',
    '28000': 'correct the user of DATABASE_URL, or its line in pg_hba.conf',
    '3D000': 'create the database (CREATE DATABASE …), or correct DATABASE_URL',
    '53300': 'raise max_connections of PostgreSQL, or end what holds the others',
    '57P03': 'PostgreSQL just starts or stops: wait a moment and ask again',
    ENOTFOUND: 'correct the host of DATABASE_URL',
    EAI_AGAIN: 'correct the host of DATABASE_URL, or see why names are not found',
  };
  return (
    known[code] ?? 'see whether PostgreSQL runs and is reachable from here (host, port, firewall)'
  );
}

async function server(client: pg.Client, where: string): Promise<Said> {
  const { rows } = await client.query<{ version: string; standby: boolean; readonly: boolean }>(
    `SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only')::boolean AS readonly`,
  );
  const { version = '', standby, readonly } = rows[0] ?? {};
  if (Number.parseInt(version, 10) < OLDEST) {
    return failure(`${where} is version ${version}`, `upgrade it to PostgreSQL ${OLDEST} or newer`);
  }
  if (standby || readonly) {
    return failure(
      `${where} is read-only`,
      'name the primary in DATABASE_URL, or end its read-only mode',
    );
  }
  return ok(`${where} answers, version ${version}`);
}

async function connections(client: pg.Client): Promise<Said | undefined> {
  const { rows } = await client.query<{ most: number; used: number }>(
    `SELECT current_setting('max_connections')::int AS most,
       (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used`,
  );
  const { most = 0, used = 0 } = rows[0] ?? {};
  const message = `${used} of ${most} connections are used`;
  if (most - used >= CONNECTIONS || used > CONNECTIONS) return ok(message);
  return warning(message, `let max_connections leave at least ${CONNECTIONS} to each registry`);
}

async function clock(client: pg.Client): Promise<Said> {
  const sent = Date.now();
  const { rows } = await client.query<{ now: string }>(
    `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::text AS now`,
  );
  const received = Date.now();
  const now = Number(rows[0]?.now);
  const off = Math.max(0, sent - now, now - received) / 1000;
  if (off < SKEW_TOLD) return ok('its clock and ours agree');
  const message = `its clock and ours differ by ${Math.round(off)} s`;
  const next = 'set both clocks (NTP)';
  return off < SKEW_WRONG ? warning(message, next) : failure(message, next);
}

async function migrated(client: pg.Client): Promise<Said> {
  const { applied, pending, unknown } = await migrationState(client);
  if (unknown.length > 0) {
    return warning(
      `the schema is of a newer Slipway (${unknown.join(', ')})`,
      'upgrade this one; until then it works as the version before does',
    );
  }
  if (pending.length === 0) return ok(`the schema is up to date (${applied.length} migrations)`);
  return warning(
    `${pending.length} migrations wait (${pending.join(', ')})`,
    'run slipway migrate; slipway start does so by itself',
  );
}

async function rights(client: pg.Client): Promise<Said> {
  const { rows } = await client.query<{ create: boolean | null; lacking: string[] }>(
    `SELECT has_schema_privilege(current_schema(), 'CREATE') AS create,
       ARRAY(SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()
         AND NOT (has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')
           AND has_table_privilege(format('%I.%I', schemaname, tablename), 'INSERT')
           AND has_table_privilege(format('%I.%I', schemaname, tablename), 'UPDATE')
           AND has_table_privilege(format('%I.%I', schemaname, tablename), 'DELETE'))
         ORDER BY tablename) AS lacking`,
  );
  const { create, lacking = [] } = rows[0] ?? {};
  if (lacking.length > 0) {
    return failure(
      `this user may not read and write ${lacking.join(', ')}`,
      'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA … TO the user of DATABASE_URL',
    );
  }
  if (create) return ok('this user has the rights that it needs');
  return warning(
    'this user may not create tables, so it cannot migrate',
    'GRANT CREATE ON SCHEMA … to it, or run slipway migrate as a user who may',
  );
}

/** Never with the password. */
function whereOf(url: string): string {
  const { host, pathname, username } = new URL(url);
  return `PostgreSQL at ${host || 'the local socket'}${pathname} as ${username || 'the default user'}`;
}
