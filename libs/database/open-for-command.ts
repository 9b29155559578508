import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, isHeld, openDataDir, StartError } from '#platform';
import { checkDatabase } from './check-database.js';
import { EmbeddedPostgres } from './embedded-postgres.js';

export interface OpenDatabase {
  url: string;
  /** Stops PostgreSQL where it was started for this. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** The embedded PostgreSQL is made where there is none. */
  create?: boolean;
  /** Refuses where a server runs on the same DATA_DIR. */
  alone?: boolean;
}

/** Milliseconds for a server that just starts to bring its PostgreSQL up. */
const PATIENCE = 20_000;

/**
 * The database that the settings name, for a command that is no server: that of `DATABASE_URL`, the embedded PostgreSQL
 * of a server that runs, or the embedded one started for as long as the command needs it.
 * @throws StartError that says what to do
 */
export async function openForCommand(
  { DATABASE_URL, DATA_DIR }: Pick<Config, 'DATABASE_URL' | 'DATA_DIR'>,
  { create = false, alone = false }: OpenOptions = {},
): Promise<OpenDatabase> {
  if (DATABASE_URL) {
    await checkDatabase(DATABASE_URL);
    return { url: DATABASE_URL, close: async () => undefined };
  }
  const made = await stat(join(DATA_DIR, 'postgres', 'PG_VERSION')).catch(() => undefined);
  if (!made && !create) {
    throw new StartError(
      `There is no database in ${DATA_DIR} (DATA_DIR): set DATA_DIR to the folder of the server, or DATABASE_URL to its PostgreSQL.`,
    );
  }
  if (await isHeld(DATA_DIR)) {
    if (!alone) return { url: await urlOfServer(DATA_DIR), close: async () => undefined };
    throw new StartError(`A Slipway server runs on ${DATA_DIR} (DATA_DIR): stop it first.`);
  }
  const held = await openDataDir(DATA_DIR);
  try {
    const postgres = await EmbeddedPostgres.start({ dataDir: DATA_DIR });
    const close = async () => {
      await postgres.stop();
      await held.release();
    };
    return { url: postgres.url(), close };
  } catch (error) {
    await held.release();
    throw error;
  }
}

async function urlOfServer(dataDir: string): Promise<string> {
  for (const late = Date.now() + PATIENCE; Date.now() < late; await sleep(100)) {
    const url = await EmbeddedPostgres.runningUrl(dataDir);
    if (url) return url;
  }
  throw new StartError(
    `A Slipway server holds ${dataDir} (DATA_DIR), but its PostgreSQL does not run: see the log of the server, and ${join(dataDir, 'postgres.log')}.`,
  );
}
