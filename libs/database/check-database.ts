import pg from 'pg';
import { StartError } from '#platform';

const OLDEST = 14;

/** @throws StartError, in one line without the password, where there is no PostgreSQL ≥ 14 at the URL. */
export async function checkDatabase(url: string): Promise<void> {
  const { host, pathname, username } = new URL(url);
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  const where = `PostgreSQL at ${host || 'the local socket'}${pathname} (DATABASE_URL)`;
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    const version = rows[0]?.server_version ?? '';
    if (Number.parseInt(version, 10) < OLDEST) {
      throw new StartError(`${where} is version ${version}; Slipway needs ${OLDEST} or newer`);
    }
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(
      `Cannot use ${where} as ${username || 'the default user'}: ${reasonOf(error)}`,
    );
  } finally {
    await client.end().catch(() => {});
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(', ');
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0] ?? message;
}
