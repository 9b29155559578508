import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { databaseOptions, type Entities } from '#database';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { template, urlOf } from './support/postgres.js';

/** The arrays `xxxEntities` that the libraries export. */
async function allEntities(): Promise<Entities> {
  const libraries = readdirSync('libs').filter((library) => /\w+Entities\b/.test(indexOf(library)));
  const found: unknown[] = [];
  // One after the other: jest links modules that are imported at once in a wrong order.
  for (const library of libraries) {
    const exported = (await import(`#${library}`)) as Record<string, unknown>;
    for (const [name, value] of Object.entries(exported)) {
      if (name.endsWith('Entities') && Array.isArray(value)) found.push(...value);
    }
  }
  return found as Entities;
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
