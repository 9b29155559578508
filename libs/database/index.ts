export { checkDatabase } from './check-database.js';
export { databaseOptions, type DatabaseUse, type Entities, migrate } from './data-source.js';
export { DatabaseModule } from './database.module.js';
export { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.js';
export { openDataSource } from './exact-json.js';
export { HotPool, openPool, preparedRows, type Statement } from './hot-pool.js';
export { inTransaction, sqlState } from './transaction.js';
