import pg from 'pg';
import type { DataSource, EntityManager } from 'typeorm';
import { readJsonExactly } from './exact-json.js';
import { CONNECT_TIMEOUT, type DatabaseUse, sessionOptions } from './data-source.js';

/** A statement that PostgreSQL parses and plans once a connection: one name, one text. */
export interface Statement {
  name: string;
  text: string;
}

/** Named prepared statements on the driver's own pool, for paths that are asked often. */
export class HotPool {
  constructor(readonly pool: pg.Pool) {}

  /** The pool that TypeORM's PostgreSQL driver has opened already. */
  static of(dataSource: DataSource): HotPool {
    const { master } = dataSource.driver as unknown as { master: pg.Pool };
    return new HotPool(master);
  }

  /** The rows, with the columns named as in the text. */
  async rows<T extends object>({ name, text }: Statement, values: unknown[] = []): Promise<T[]> {
    const { rows } = await this.pool.query<T>({ name, text, values });
    return rows;
  }

  /** The first row, if there is one. */
  async row<T extends object>(
    statement: Statement,
    values: unknown[] = [],
  ): Promise<T | undefined> {
    const [first] = await this.rows<T>(statement, values);
    return first;
  }
}

/** As {@link HotPool.rows}, in the transaction of `manager`. */
export async function preparedRows<T extends object>(
  { queryRunner }: EntityManager,
  { name, text }: Statement,
  values: unknown[] = [],
): Promise<T[]> {
  // Also where its connection was lost meanwhile; in TypeORM's words, which are known to mean that.
  if (!queryRunner?.isTransactionActive) throw new Error('Transaction is not started yet');
  const client = (await queryRunner.connect()) as pg.PoolClient;
  const { rows } = await client.query<T>({ name, text, values });
  return rows;
}

/** A pool without TypeORM, for processes that only follow the database. A lost connection is told, never thrown. */
export function openPool(url: string, use: DatabaseUse = {}): pg.Pool {
  pg.defaults.parseInt8 = true;
  readJsonExactly();
  const pool = new pg.Pool({
    connectionString: url,
    max: use.size ?? 4,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    application_name: use.name ?? 'slipway',
    ...sessionOptions(use),
  });
  pool.on('error', use.onLost ?? (() => {}));
  return pool;
}
