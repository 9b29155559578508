import type { DataSourceOptions } from 'typeorm';
import { migrations } from '../../migrations/index.js';
import { ImpatientClient } from './impatient-client.js';
import { PostgresNamingStrategy } from './naming-strategy.js';

/** Entity classes; never globs, which load other copies of the classes. */
export type Entities = Extract<DataSourceOptions['entities'], unknown[]>;

export interface DatabaseUse {
  /** Name of the connections in `pg_stat_activity`. */
  name?: string;
  /** Most connections. */
  size?: number;
  /** Milliseconds after which PostgreSQL ends a statement, and a connection that says nothing is given up; 0 never. */
  statementTimeout?: number;
  /** Told of a connection that was lost while idle; the pool opens another one when it needs it. */
  onLost?: (error: Error) => void;
}

// Together below 10 s: that long a request hangs at most where PostgreSQL says nothing any more.
export const CONNECT_TIMEOUT = 4_000;
const STATEMENT_TIMEOUT = 4_500;
/** Locks of a transaction whose process is cut off from PostgreSQL are free again after so long. */
const IDLE_IN_TRANSACTION_TIMEOUT = 8_000;

/**
 * How TypeORM connects. `bigint` columns come as numbers: identities and sizes stay below 2^53.
 * The pool is the driver's own; {@link HotPool} shares it.
 */
export function databaseOptions(url: string, entities: Entities = [], use: DatabaseUse = {}) {
  return {
    type: 'postgres',
    url,
    entities,
    migrations,
    migrationsTransactionMode: 'each',
    namingStrategy: new PostgresNamingStrategy(),
    parseInt8: true,
    // This names gen_random_uuid(), which PostgreSQL has without the extension.
    uuidExtension: 'pgcrypto',
    installExtensions: false,
    poolSize: use.size ?? 10,
    connectTimeoutMS: CONNECT_TIMEOUT,
    applicationName: use.name ?? 'slipway',
    poolErrorHandler: use.onLost ?? (() => {}),
    extra: sessionOptions(use),
  } satisfies DataSourceOptions;
}

/** What both pools, TypeORM's and {@link openPool}'s, set on their connections. */
export function sessionOptions({ statementTimeout = STATEMENT_TIMEOUT }: DatabaseUse) {
  return {
    Client: ImpatientClient,
    keepAlive: true,
    statement_timeout: statementTimeout,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT,
  };
}
