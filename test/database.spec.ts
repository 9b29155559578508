import {
  databaseOptions,
  HotPool,
  inTransaction,
  openDataSource,
  openPool,
  sqlState,
} from '#database';
import { isUnavailable } from '#platform';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Column, type DataSource, Entity, PrimaryColumn } from 'typeorm';
import { asAdmin, dropDatabase, ownDatabase } from './support/postgres.js';

@Entity()
class Account {
  @PrimaryColumn('integer')
  id: number;
  @Column('bigint')
  balance: number;
  @Column('jsonb', { default: {} })
  notes: object;
}

let url: string;
let db: DataSource;
const lost: Error[] = [];
beforeAll(async () => {
  url = await ownDatabase();
  const use = { name: 'database-spec', onLost: (error: Error) => lost.push(error) };
  db = await openDataSource(databaseOptions(url, [Account], use));
  await db.query('CREATE TABLE account (id integer PRIMARY KEY, balance bigint, notes jsonb)');
});
afterAll(async () => {
  await db.destroy();
  await dropDatabase(url);
});

it('keeps bigint columns as numbers and wide integers in JSON exact', async () => {
  const notes = { wide: 2n ** 63n - 1n, list: [{ n: -(2n ** 63n) + 1n }], small: 1 };
  await db.getRepository(Account).insert({ id: 1, balance: 2 ** 40, notes });
  expect(await db.getRepository(Account).findOneByOrFail({ id: 1 })).toEqual({
    id: 1,
    balance: 2 ** 40,
    notes,
  });
});

it('prepares a hot statement once a connection', async () => {
  const pool = HotPool.of(db);
  const statement = { name: 'account-by-id', text: 'SELECT balance FROM account WHERE id = $1' };
  expect(await pool.row(statement, [1])).toEqual({ balance: 2 ** 40 });
  expect(await pool.row(statement, [2])).toBeUndefined();
  expect(
    await pool.rows({ name: 'prepared', text: 'SELECT name FROM pg_prepared_statements' }),
  ).toEqual(expect.arrayContaining([{ name: 'account-by-id' }]));
});

it('runs a transaction again that PostgreSQL gave up', async () => {
  await db.query("INSERT INTO account VALUES (10, 0, '{}'), (11, 0, '{}')");
  let attempts = 0;
  let holding = 0;
  let bothHold = (): void => {};
  const held = new Promise<void>((resolve) => {
    bothHold = resolve;
  });
  const add = (first: number, second: number) =>
    inTransaction(db, async (manager) => {
      attempts++;
      await manager.increment(Account, { id: first }, 'balance', 1);
      if (++holding === 2) bothHold();
      await held;
      await manager.increment(Account, { id: second }, 'balance', 1);
    });
  // In opposite order: a deadlock, which PostgreSQL ends by giving up one of the two.
  await Promise.all([add(10, 11), add(11, 10)]);
  expect(attempts).toBeGreaterThan(2);
  const balances = await db.getRepository(Account).findBy([{ id: 10 }, { id: 11 }]);
  expect(balances.map(({ balance }) => balance)).toEqual([2, 2]);
});

it('tells a unique violation', async () => {
  const error: unknown = await db
    .query("INSERT INTO account VALUES (1, 0, '{}')")
    .catch((e: unknown) => e);
  expect(sqlState(error)).toBe('23505');
});

it('ends statements that take too long', async () => {
  const pool = openPool(url, { statementTimeout: 50 });
  const error: unknown = await pool.query('SELECT pg_sleep(5)').catch((e: unknown) => e);
  expect(isUnavailable(error)).toBe(true);
  await pool.end();
});

it('outlives the loss of its connections', async () => {
  const busy = db.query('SELECT pg_sleep(10)').catch((error: unknown) => error);
  await db.query('SELECT 1');
  await asAdmin((admin) =>
    admin.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'database-spec'",
    ),
  );
  expect(isUnavailable(await busy)).toBe(true);
  // A connection that was cut may be handed out once more before its end is noticed: its query says so.
  for (let answer: unknown; answer === undefined;) {
    answer = await db.query('SELECT 1 AS one').catch((error: unknown) => {
      expect(isUnavailable(error)).toBe(true);
      return undefined;
    });
    if (answer !== undefined) expect(answer).toEqual([{ one: 1 }]);
  }
  expect(lost.length).toBeGreaterThan(0);
});
