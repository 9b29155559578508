import pg from 'pg';

/** Milliseconds that an answer may take to come here after PostgreSQL should have ended its statement. */
const ON_ITS_WAY = 500;

/**
 * A connection that is given up where PostgreSQL says nothing although it should have ended the statement by now: it is
 * stopped, or the network swallows what is sent. Without this a statement would wait for as long as TCP does, which is
 * hours, and its connection would never leave the pool. Its loss never ends the process, whoever holds it.
 */
export class ImpatientClient extends pg.Client {
  constructor(config: pg.ClientConfig = {}) {
    super(config);
    // PostgreSQL may end a session in the very bytes that say it is ready. Whoever is handed the connection by a promise hears
    // of that a moment too late, and an error that nobody hears ends the process. They are told by their next statement.
    this.on('error', () => {});
    const { statement_timeout: limit } = config;
    if (!limit) return;
    let waiting: NodeJS.Timeout | undefined;
    const heard = () => clearTimeout(waiting);
    this.on('drain', heard);
    this.on('end', heard);
    const send = this.query.bind(this) as (...given: unknown[]) => unknown;
    const query = (...given: unknown[]) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => giveUp(this), limit + ON_ITS_WAY).unref();
      return send(...given);
    };
    Object.defineProperty(this, 'query', { value: query });
  }
}

function giveUp(client: pg.Client): void {
  const { connection } = client as unknown as { connection: pg.Connection };
  connection.stream.destroy();
}
