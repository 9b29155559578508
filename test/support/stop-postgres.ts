import { asAdmin, template } from './postgres.js';
import type { SharedPostgres } from './start-postgres.js';

/** Stops the server that the global setup started; at somebody else's server, removes what the tests left. */
export default async function stopPostgres(): Promise<void> {
  const { sharedPostgres } = globalThis as { sharedPostgres?: SharedPostgres };
  if (sharedPostgres?.stop) await sharedPostgres.stop();
  else await asAdmin((admin) => admin.query(`DROP DATABASE IF EXISTS ${template()} WITH (FORCE)`));
}
