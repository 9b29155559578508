export { checkDatabase } from './check-database.js';
export { databaseOptions, type DatabaseUse, type Entities } from './data-source.js';
export { DatabaseModule } from './database.module.js';
export { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.js';
export { openDataSource } from './exact-json.js';
export { HotPool, openPool, preparedRows, type Statement } from './hot-pool.js';
export {
  checkMigrated,
  migrate,
  MIGRATION_LOCK,
  migrationNames,
  type MigrateOptions,
  type MigrationState,
  migrationState,
} from './migrate.js';
export { openForCommand, type OpenDatabase } from './open-for-command.js';
export { type ClusterState, inspectCluster } from './postgres-cluster.js';
export { inTransaction, sqlState } from './transaction.js';
export { addPoolMetrics } from './pool-metrics.js';
