import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { databaseOptions, type Entities } from '#database';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { template, urlOf } from './support/postgres.js';

/** The arrays `xxxEntities` that the libraries export. */
async function allEntities(): Promise<Entities> {
  const libraries = readdirSync('libs').filter((library) => /\w+Entities\b/.test(indexOf(library)));
  const modules = await Promise.all(
    libraries.map((library) => import(`#${library}`) as Promise<Record<string, unknown>>),
  );
  return modules.flatMap((exported) =>
    Object.entries(exported).flatMap(([name, value]) =>
      /^(?!type)\w+Entities$/.test(name) && Array.isArray(value) ? (value as Entities) : [],
    ),
  );
}

function indexOf(library: string): string {
  try {
    return readFileSync(join('libs', library, 'index.ts'), 'utf8');
  } catch {
    return '';
  }
}

let db: DataSource;
beforeAll(async () => {
  db = new DataSource(databaseOptions(urlOf(template()), await allEntities()));
  await db.initialize();
});
afterAll(() => db.destroy());

it('migrations make exactly the schema that the entities describe', async () => {
  const drift = await db.driver.createSchemaBuilder().log();
  expect(drift.upQueries.map(({ query }) => query)).toEqual([]);
});

it('all migrations have run', async () => {
  expect(await db.showMigrations()).toBe(false);
});
