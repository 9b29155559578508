export { databaseOptions, type DatabaseUse, type Entities, migrate } from './data-source.js';
export { DatabaseModule } from './database.module.js';
export { openDataSource } from './exact-json.js';
export { HotPool, openPool, type Statement } from './hot-pool.js';
export { inTransaction, sqlState } from './transaction.js';
