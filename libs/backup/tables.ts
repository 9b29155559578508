import pg from 'pg';

/** A table of the schema, with the columns that can be written. */
export interface Table {
  name: string;
  columns: string[];
}

/** TypeORM's own, which says what ran; the manifest has that in words. */
const MIGRATIONS = 'migrations';

/** Every table of the schema, each after those that its foreign keys refer to. */
export async function tablesOf(client: pg.ClientBase): Promise<Table[]> {
  const { rows } = await client.query<Table & { parents: string[] }>(
    `SELECT c.relname::text AS name,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
             ORDER BY a.attnum) AS columns,
       ARRAY(SELECT DISTINCT p.relname::text FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid
             WHERE f.conrelid = c.oid AND f.contype = 'f' AND p.oid <> c.oid
               AND p.relnamespace = c.relnamespace) AS parents
     FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> $1
       AND c.relnamespace = current_schema()::regnamespace
     ORDER BY c.relname`,
    [MIGRATIONS],
  );
  const ordered: Table[] = [];
  let left = rows;
  while (left.length > 0) {
    const waiting = new Set(left.map(({ name }) => name));
    const ready = left.filter(({ parents }) => !parents.some((parent) => waiting.has(parent)));
    if (ready.length === 0) {
      throw new Error(`Tables refer to each other in a circle: ${[...waiting].join(', ')}`);
    }
    ordered.push(...ready.map(({ name, columns }) => ({ name, columns })));
    left = left.filter((table) => !ready.includes(table));
  }
  return ordered;
}

export async function sequencesOf(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname::text AS name FROM pg_class
     WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace ORDER BY relname`,
  );
  return rows.map(({ name }) => name);
}

/** `"table" ("first", "second")`, or a part of it. */
export function quoted(names: string[]): string {
  return names.map((name) => pg.escapeIdentifier(name)).join(', ');
}

/**
 * A connection for hours: nothing that our pools limit is limited, and values are written in one way whatever the
 * server's settings.
 */
export async function connectForBackup(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'slipway-backup',
    keepAlive: true,
  });
  // A lost connection fails the query that runs, or the next one.
  client.on('error', () => {});
  await client.connect();
  await client.query(`
    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;
    SET lock_timeout = 0; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC';
    SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'`);
  return client;
}
