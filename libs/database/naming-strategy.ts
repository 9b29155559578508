import { DefaultNamingStrategy, type Table } from 'typeorm';

/** Names tables, columns and constraints as PostgreSQL would, so that migrations read as plain SQL. */
export class PostgresNamingStrategy extends DefaultNamingStrategy {
  override tableName(entity: string, custom: string | undefined): string {
    return custom ?? snake(entity);
  }
  override columnName(property: string, custom: string | undefined, prefixes: string[]): string {
    return [...prefixes, custom ?? property].map(snake).join('_');
  }
  override joinColumnName(relation: string, referenced: string): string {
    return snake(`${relation}_${referenced}`);
  }
  override primaryKeyName(table: Table | string): string {
    return constraint(table, [], 'pkey');
  }
  override uniqueConstraintName(table: Table | string, columns: string[]): string {
    return constraint(table, columns, 'key');
  }
  override foreignKeyName(table: Table | string, columns: string[]): string {
    return constraint(table, columns, 'fkey');
  }
  override indexName(table: Table | string, columns: string[]): string {
    return constraint(table, columns, 'idx');
  }
}

function snake(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

function constraint(table: Table | string, columns: string[], suffix: string): string {
  return [typeof table === 'string' ? table : table.name, ...columns, suffix].join('_');
}
