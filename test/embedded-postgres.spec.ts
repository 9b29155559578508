import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDataDir } from '#platform';
import pg from 'pg';
import { exitOf, processesWith, startModule, until } from './support/processes.js';

const script = fileURLToPath(new URL('./support/run-postgres.js', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-pg-'));
  await chmod(folder, 0o711);
});
afterEach(async () => {
  for (const pid of processesWith(folder)) process.kill(pid, 'SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

async function start() {
  const { child, line } = await startModule(script, [folder]);
  return { child, ...(JSON.parse(line) as { url: string; guardian: number }) };
}

async function ask<T extends object>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

const onLinux = process.platform === 'linux' ? describe : describe.skip;
if (process.platform !== 'linux') {
  process.stderr.write(
    'Left out: what survives a killed server is read from /proc, which only Linux has\n',
  );
}

onLinux('the embedded PostgreSQL', () => {
  it('keeps what was committed when the server is killed, and leaves no process', async () => {
    const first = await start();
    await ask(first.url, 'CREATE TABLE kept AS SELECT 1 AS one');
    expect(processesWith(folder).length).toBeGreaterThanOrEqual(3);
    first.child.kill('SIGKILL');
    await until(() => processesWith(folder).length === 0);
    const second = await start();
    expect(await ask(second.url, 'SELECT * FROM kept')).toEqual([{ one: 1 }]);
    second.child.kill('SIGTERM');
    expect(await exitOf(second.child)).toBe(0);
    expect(processesWith(folder)).toEqual([]);
  });

  it('ends a PostgreSQL whose guardian was killed too, and starts anew', async () => {
    const first = await start();
    await ask(first.url, 'CREATE TABLE kept AS SELECT 1 AS one');
    process.kill(first.guardian, 'SIGKILL');
    first.child.kill('SIGKILL');
    await exitOf(first.child);
    expect(processesWith(folder).length).toBeGreaterThan(0);
    const second = await start();
    expect(await ask(second.url, 'SELECT * FROM kept')).toEqual([{ one: 1 }]);
    await expect(ask(first.url, 'SELECT 1')).rejects.toThrow();
    second.child.kill('SIGTERM');
    await exitOf(second.child);
  });

  it('starts at once after a kill, while the old one still stops', async () => {
    let { child, url } = await start();
    for (let round = 0; round < 3; round++) {
      child.kill('SIGKILL');
      ({ child, url } = await start());
      expect(await ask(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    }
    child.kill('SIGTERM');
    await exitOf(child);
  });

  it('is started again at the same port when it dies by itself', async () => {
    const { child, url } = await start();
    const pid = Number.parseInt(
      await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8'),
      10,
    );
    process.kill(pid, 'SIGKILL');
    await until(
      () =>
        ask(url, 'SELECT 1').then(
          () => true,
          () => false,
        ),
      20_000,
    );
    child.kill('SIGTERM');
    expect(await exitOf(child)).toBe(0);
  });

  it('keeps its password for its user alone, and asks for it', async () => {
    const { child, url } = await start();
    expect((await stat(join(folder, 'postgres-password'))).mode & 0o777).toBe(0o600);
    const guessed = new URL(url);
    guessed.password = 'postgres';
    await expect(ask(guessed.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
    child.kill('SIGTERM');
    await exitOf(child);
  });

  it('makes the cluster anew when its making was cut short', async () => {
    const cut = startModule(script, [folder]);
    cut.catch(() => {});
    await until(() => processesWith(`${folder}/postgres.new-`).length > 0);
    for (const pid of processesWith(folder)) process.kill(pid, 'SIGKILL');
    await expect(cut).rejects.toThrow();
    const { child, url } = await start();
    expect(await ask(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    child.kill('SIGTERM');
    await exitOf(child);
  });
});

describe('the lock on the data folder', () => {
  it('is held once, and free again after release', async () => {
    const held = await openDataDir(folder);
    await expect(openDataDir(join(folder, '.'))).rejects.toThrow(
      /Another Slipway server already runs/,
    );
    await held.release();
    await (await openDataDir(folder)).release();
  });

  it('says why a folder cannot be made', async () => {
    await expect(openDataDir('/dev/null/folder')).rejects.toThrow(/Cannot make the folder/);
  });
});
