import pg from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { readJson, writeJson } from '#platform';

/** Connects TypeORM so that integers above 2^53 in `json` and `jsonb` columns stay exact, as `bigint`. */
export async function openDataSource(options: DataSourceOptions | undefined): Promise<DataSource> {
  if (!options) throw new Error('No options of the data source');
  readJsonExactly();
  const dataSource = new DataSource(options);
  const { driver } = dataSource;
  const prepare = driver.preparePersistentValue.bind(driver);
  driver.preparePersistentValue = (value, column) => {
    try {
      return prepare(value, column) as unknown;
    } catch (error) {
      // TypeORM writes JSON with JSON.stringify, which refuses a bigint.
      if (column.type === 'jsonb' || column.type === 'json') return writeJson(value);
      throw error;
    }
  };
  return dataSource.initialize();
}

/** Makes the driver read JSON with {@link readJson}. Set once for the process: the driver knows no smaller scope. */
export function readJsonExactly(): void {
  // What has no long number, which is nearly all, needs no care.
  const read = (text: string): unknown =>
    LONG_NUMBER.test(text) ? readJson(text, { maxDepth: Infinity }) : JSON.parse(text);
  pg.types.setTypeParser(pg.types.builtins.JSON, read);
  pg.types.setTypeParser(pg.types.builtins.JSONB, read);
}

const LONG_NUMBER = /\d{16}/;
