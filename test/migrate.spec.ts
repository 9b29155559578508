import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MIGRATION_LOCK, migrationNames } from '#database';
import { freePort } from '#platform';
import pg from 'pg';
import { asAdmin, dropDatabase, ownDatabase } from './support/postgres.js';
import { exitOf, until } from './support/processes.js';

const CLI = join('dist', 'apps', 'cli', 'main.js');
const REGISTRY = join('dist', 'apps', 'registry', 'main.js');

let folder: string;
let url: string;
let client: pg.Client;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-migrate-'));
  url = await ownDatabase();
  client = new pg.Client(url);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await dropDatabase(url);
  await rm(folder, { recursive: true, force: true });
});

function begin(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, DATABASE_URL: url, DATA_DIR: folder, PORT: '0', ...env },
  });
  const ended = Promise.all([exitOf(child), text(child.stdout), text(child.stderr)]);
  return { child, ended: ended.then(([code, out, errors]) => ({ code, out, errors })) };
}

async function empty(): Promise<void> {
  await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
}

async function ran(): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
  return rows.map(({ name }) => name);
}

describe('slipway migrate', () => {
  it('runs each migration once, however many run it at once', async () => {
    await empty();
    const all = await Promise.all([1, 2, 3, 4].map(() => begin([CLI, 'migrate', '--json']).ended));
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const runs = all.flatMap(({ out }) => (JSON.parse(out) as { ran: string[] }).ran);
    expect(runs.toSorted()).toEqual(migrationNames.toSorted());
    expect(await ran()).toEqual(migrationNames);
    expect((await begin([CLI, 'migrate']).ended).out).toBe('the database is up to date\n');
  }, 120_000);

  it('may be killed at any moment and run again', async () => {
    for (let round = 0; round < 4; round++) {
      await empty();
      const { child, ended } = begin([CLI, 'migrate']);
      await sleep(150 + round * 140);
      child.kill('SIGKILL');
      await ended;
      expect((await begin([CLI, 'migrate']).ended).code).toBe(0);
      expect(await ran()).toEqual(migrationNames);
    }
  }, 120_000);

  it('waits for another one, and goes on when that is killed in its middle', async () => {
    await empty();
    const other = new pg.Client(url);
    other.on('error', () => {});
    await other.connect();
    await other.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await other.query('BEGIN; CREATE TABLE half (done boolean)');
    const waiting = begin([CLI, 'migrate']);
    const held = 'SELECT 1 FROM pg_locks WHERE objid = $1 AND NOT granted';
    await until(async () => (await client.query(held, [MIGRATION_LOCK])).rowCount === 1, 60_000);
    await asAdmin((admin) =>
      admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = $2)`,
        [MIGRATION_LOCK, new URL(url).pathname.slice(1)],
      ),
    );
    const { code, errors } = await waiting.ended;
    expect([code, errors]).toEqual([0, expect.stringContaining('waiting for it')]);
    await other.end().catch(() => {});
    const { rows } = await client.query(`SELECT to_regclass('half') AS half`);
    expect(rows).toEqual([{ half: null }]);
  }, 120_000);
});

describe('a registry by itself', () => {
  it('says in one line that migrations wait', async () => {
    await empty();
    const { code, errors } = await begin([REGISTRY]).ended;
    expect(code).toBe(69);
    expect(errors).toMatch(/^The database is not up to date: .*npx slipway migrate.*\n$/);
  }, 60_000);

  it('says that it needs a PostgreSQL', async () => {
    const { code, errors } = await begin([REGISTRY], { DATABASE_URL: '' }).ended;
    expect([code, errors]).toEqual([78, expect.stringContaining('DATABASE_URL is not set')]);
  }, 60_000);

  it('goes on at a database of the version after it', async () => {
    await begin([CLI, 'migrate']).ended;
    await client.query(`INSERT INTO migrations (timestamp, name) VALUES (9e15, 'FromTheFuture9')`);
    await client.query(`ALTER TABLE model_version ADD COLUMN future text NOT NULL DEFAULT ''`);
    const PORT = String(await freePort('127.0.0.1'));
    const { child, ended } = begin([REGISTRY], { PORT });
    const ready = () =>
      fetch(`http://127.0.0.1:${PORT}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await until(() => child.exitCode !== null || ready(), 50_000);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
    expect((await begin([CLI, 'migrate']).ended).code).toBe(0);
  }, 120_000);
});
