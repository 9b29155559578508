import { spawn } from 'node:child_process';
import {
  chmod,
  cp,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { migrate, migrationNames } from '#database';
import pg from 'pg';
import { constantModel } from './support/models.js';
import { asAdmin, dropDatabase, ownDatabase, urlOf } from './support/postgres.js';
import { exitOf } from './support/processes.js';
import { digestOf, startRegistry, type TestRegistry } from './support/registry.js';
import { ownBucket, s3IsThere } from './support/s3.js';

const CLI = join('dist', 'apps', 'cli', 'main.js');

interface Fault {
  digest: string;
  fault: string;
  neededBy: { model: string; version: number }[];
}

let folder: string;
const databases: string[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-backup-'));
  // PostgreSQL may run as another user, who has to pass through.
  await chmod(folder, 0o711);
});
afterEach(async () => {
  for (const url of databases.splice(0)) await dropDatabase(url);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Starts a command on a database and a folder; nothing else of the environment comes along. */
function begin(args: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, ...env },
  });
  const ended = Promise.all([exitOf(child), text(child.stdout), text(child.stderr)]);
  return { child, ended: ended.then(([code, out, errors]) => ({ code, out, errors })) };
}

const slipway = (args: string[], env: NodeJS.ProcessEnv) => begin(args, env).ended;

/** A database without any table. */
async function emptyDatabase(): Promise<string> {
  const url = await ownDatabase();
  const name = new URL(url).pathname.slice(1);
  await asAdmin((admin) => admin.query(`DROP DATABASE ${name}`));
  await asAdmin((admin) => admin.query(`CREATE DATABASE ${name}`));
  databases.push(url);
  return url;
}

async function ask<T extends object>(url: string, sql: string, values?: unknown[]): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

/** A registry whose database and folder are known, with two models, a history, and a deleted version. */
async function filled(env: NodeJS.ProcessEnv = {}) {
  const database = await ownDatabase();
  databases.push(database);
  const data = await mkdtemp(join(folder, 'data-'));
  const settings = { DATABASE_URL: database, DATA_DIR: data, ...env };
  const registry = await startRegistry(settings);
  for (const value of [1, 2, 3]) await registry.logVersion('churn', constantModel(value));
  await registry.logVersion('a "quoted" \\ é', constantModel(1));
  for (const version of [1, 2]) {
    await registry.http
      .post(`/api/v1/models/churn/versions/${version}/promote`)
      .send({ reason: 'tab\tline\nback\\slash', wait: 0 })
      .expect(200);
  }
  await registry.http.delete('/api/v1/models/churn/versions/3').expect(204);
  await registry.http
    .put('/api/v1/models/churn/aliases/champion')
    .send({ version: 1, wait: 0 })
    .expect(200);
  return { registry, settings };
}

/** Everything that the API tells of what was logged; the state of serving is not part of it. */
async function resources({ http, url }: TestRegistry): Promise<unknown> {
  const { body: models } = await http.get('/api/v1/models?limit=1000').expect(200);
  const found: unknown[] = [];
  for (const model of models.items as { name: string; serving: unknown }[]) {
    const path = `/api/v1/models/${encodeURIComponent(model.name)}`;
    const { body: versions } = await http.get(`${path}/versions?limit=1000`).expect(200);
    const { body: transitions } = await http.get(`${path}/transitions?limit=1000`).expect(200);
    const files: unknown[] = [];
    for (const { version } of versions.items as { version: number }[]) {
      const at = `${path}/versions/${version}`;
      files.push((await http.get(`${at}/files`).expect(200)).body);
      files.push((await http.get(`${at}/lineage`).expect(200)).body);
      const bytes = await fetch(`${url}${at}/files/model.json`);
      files.push(digestOf(Buffer.from(await bytes.arrayBuffer())));
      files.push((await http.get(`${at}/program`).expect(200)).body);
    }
    found.push(model, versions, transitions, files);
  }
  return found;
}

describe('slipway backup and restore', () => {
  it('bring everything to another database and store, where numbers go on', async () => {
    const { registry, settings } = await filled();
    const before = await resources(registry);
    const backup = join(folder, 'whole');
    const made = await slipway(['backup', backup, '--blobs', '--deep'], settings);
    expect(made).toMatchObject({ code: 0 });
    expect(made.out).toContain('none is missing');
    await registry.close();

    const target = { DATABASE_URL: await emptyDatabase(), DATA_DIR: join(folder, 'elsewhere') };
    expect(await slipway(['restore', backup, '--deep'], target)).toMatchObject({ code: 0 });
    const restored = await startRegistry(target);
    expect(await resources(restored)).toEqual(before);
    // 3 was deleted before the backup: its number is not used again.
    expect(await restored.logVersion('churn', constantModel(9))).toBe(4);
    const { body } = await restored.http
      .post('/api/v1/models/churn/rollback')
      .send({ wait: 0 })
      .expect(200);
    expect(body.transition.version).toBe(1);
    await restored.close();
    const again = await slipway(['restore', backup], target);
    expect(again).toMatchObject({ code: 1 });
    expect(again.errors).toContain('only into an empty database');
  }, 120_000);

  it('take one moment while others write, and only new blobs the next time', async () => {
    const { registry, settings } = await filled();
    const backup = join(folder, 'loaded');
    let writing = true;
    const writers = ['a', 'b', 'c'].map(async (model) => {
      for (let value = 10; writing; value++) {
        const digest = await registry.upload(constantModel(value));
        await registry.http
          .post(`/api/v1/models/${model}/versions`)
          .send({ files: [{ path: 'model.json', digest }] })
          .expect(201);
      }
    });
    await sleep(300);
    const first = await slipway(['backup', backup, '--blobs', '--json'], settings);
    const second = await slipway(['backup', backup, '--blobs', '--json'], settings);
    writing = false;
    await Promise.all(writers);
    await registry.close();
    expect([first.code, second.code]).toEqual([0, 0]);
    const [one, two] = [JSON.parse(first.out), JSON.parse(second.out)];
    expect(one.check.copied).toBe(one.check.checked);
    expect(two.check.copied).toBe(two.check.checked - one.check.checked);

    const target = { DATABASE_URL: await emptyDatabase(), DATA_DIR: join(folder, 'loaded-data') };
    expect(await slipway(['restore', backup, '--deep'], target)).toMatchObject({ code: 0 });
    const gaps = await ask(
      target.DATABASE_URL,
      `SELECT m.name FROM registered_model m JOIN model_version v ON v.model_id = m.id
       GROUP BY m.name, m.last_version HAVING count(*) <> m.last_version OR max(v.version) <> m.last_version`,
    );
    expect(gaps).toEqual([]);
  }, 120_000);

  it('name exactly the blobs that an older store lacks, and who needs them', async () => {
    const { registry, settings } = await filled();
    const older = join(folder, 'older-store');
    await cp(join(settings.DATA_DIR, 'artifacts'), older, { recursive: true });
    await registry.logVersion('late', constantModel(77));
    const { body } = await registry.http.get('/api/v1/models/late/versions/1/program').expect(200);
    const backup = join(folder, 'newer');
    expect(await slipway(['backup', backup], settings)).toMatchObject({ code: 0 });
    await registry.close();

    const stored = new Set(await blobsIn(older));
    const needed = (await blobsIn(join(settings.DATA_DIR, 'artifacts'))).filter(
      (digest) => !stored.has(digest),
    );
    expect(needed).toContain(digestOf(constantModel(77)));
    expect(needed).toContain(body.weights.digest);
    const target = {
      DATABASE_URL: await emptyDatabase(),
      DATA_DIR: join(folder, 'older-data'),
      ARTIFACT_STORE: `file://${older}`,
    };
    const restored = await slipway(['restore', backup, '--json'], target);
    expect(restored.code).toBe(1);
    const faults = JSON.parse(restored.out).faults as Fault[];
    expect(faults.map(({ digest }) => digest).toSorted()).toEqual(needed.toSorted());
    for (const { fault, neededBy } of faults) {
      expect([fault, neededBy[0]?.model, neededBy[0]?.version]).toEqual(['missing', 'late', 1]);
    }
    // Logged once more, the versions are whole again.
    const again = await startRegistry(target);
    await again.logVersion('late', constantModel(77));
    await again.http.get('/api/v1/models/late/versions/1/files/model.json').expect(200);
    await again.close();
  }, 120_000);

  it('leave only garbage in a store that is newer', async () => {
    const { registry, settings } = await filled();
    const backup = join(folder, 'older');
    await slipway(['backup', backup], settings);
    await registry.logVersion('late', constantModel(78));
    await registry.close();
    const target = { ...settings, DATABASE_URL: await emptyDatabase() };
    const known = await blobsIn(join(settings.DATA_DIR, 'artifacts'));
    expect(await slipway(['restore', backup, '--deep'], target)).toMatchObject({ code: 0 });
    const restored = await startRegistry(target);
    const before = await resources(restored);
    // The bytes of the version that was deleted before the backup are garbage, too.
    const { body } = await restored.http.post('/api/v1/gc').send({ graceSeconds: 0 }).expect(200);
    expect(body.blobs).toBeGreaterThan(0);
    const rows = await ask<{ digest: string }>(target.DATABASE_URL, 'SELECT digest FROM blob');
    const left = await blobsIn(join(settings.DATA_DIR, 'artifacts'));
    expect(left.toSorted()).toEqual(rows.map(({ digest }) => digest).toSorted());
    expect(known.length - left.length).toBe(body.blobs);
    expect(await resources(restored)).toEqual(before);
    await restored.close();
  }, 120_000);

  it('find damage in the store and in the backup by its name', async () => {
    const { registry, settings } = await filled();
    await registry.close();
    const digest = digestOf(constantModel(2));
    const file = pathOf(join(settings.DATA_DIR, 'artifacts'), digest);
    const sound = await readFile(file);
    await writeFile(file, Buffer.from(sound.toString().replace('NaN', 'NaM').replace('0', '1')));
    const backup = join(folder, 'damaged');
    expect(await slipway(['backup', backup], settings)).toMatchObject({ code: 0 });
    const deep = await slipway(['backup', backup, '--deep'], settings);
    expect(deep).toMatchObject({ code: 1 });
    expect(deep.out).toContain(`damaged: ${digest}`);
    expect(deep.out).toContain('needed by churn/2');
    await writeFile(file, sound);
    expect(await slipway(['backup', backup, '--blobs'], settings)).toMatchObject({ code: 0 });

    const target = { DATABASE_URL: await emptyDatabase(), DATA_DIR: join(folder, 'damaged-data') };
    const [tables = ''] = (await readdir(backup)).filter((name) => name.startsWith('database'));
    const table = join(backup, tables, 'model_version.copy');
    await truncate(table, (await stat(table)).size - 1);
    const refused = await slipway(['restore', backup], target);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.errors).toContain(`${table} of the backup is damaged`);
    const made = `SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = 'public'`;
    expect(await ask(target.DATABASE_URL, made)).toEqual([{ tables: 0 }]);
    await rm(join(backup, 'manifest.json'));
    expect((await slipway(['restore', backup], target)).errors).toContain('is no whole backup');
  }, 120_000);

  it('leave a whole backup or none when they are killed', async () => {
    const { registry, settings } = await filled();
    await registry.close();
    const backup = join(folder, 'killed');
    let whole = 0;
    for (let round = 0; round < 4; round++) {
      const { child, ended } = begin(['backup', backup, '--blobs'], settings);
      await sleep(200 + round * 180);
      child.kill('SIGKILL');
      await ended;
      const manifest = await readFile(join(backup, 'manifest.json'), 'utf8').catch(() => undefined);
      if (!manifest) continue;
      whole++;
      const { folder: tables } = JSON.parse(manifest) as { folder: string };
      expect(await readdir(join(backup, tables))).toContain('blobs.jsonl');
    }
    expect(await slipway(['backup', backup, '--blobs'], settings)).toMatchObject({ code: 0 });
    const left = (await readdir(backup)).filter((name) => name.startsWith('database'));
    expect([left.length, whole >= 0]).toEqual([1, true]);
    const target = { DATABASE_URL: await emptyDatabase(), DATA_DIR: join(folder, 'killed-data') };
    expect(await slipway(['restore', backup, '--deep'], target)).toMatchObject({ code: 0 });
  }, 120_000);

  it('restore a backup of an older schema, and migrate it', async () => {
    const database = await emptyDatabase();
    const [first] = migrationNames;
    if (!first) throw new Error('There is no migration');
    await migrate(database, { upTo: first });
    await ask(
      database,
      `INSERT INTO registered_model (name, created_by, last_version) VALUES ('old', 'test', 3)`,
    );
    const settings = { DATABASE_URL: database, DATA_DIR: join(folder, 'old-data') };
    const backup = join(folder, 'old');
    expect(await slipway(['backup', backup], settings)).toMatchObject({ code: 0 });
    const target = { ...settings, DATABASE_URL: await emptyDatabase() };
    const restored = await slipway(['restore', backup, '--json'], target);
    expect(JSON.parse(restored.out)).toMatchObject({ migrated: migrationNames.slice(1) });
    const registry = await startRegistry(target);
    expect(await registry.logVersion('old', constantModel(1))).toBe(4);
    await registry.close();

    const manifest = join(backup, 'manifest.json');
    const newer = (await readFile(manifest, 'utf8')).replace(first, 'FromTheFuture9999999999999');
    await writeFile(manifest, newer);
    const refused = await slipway(['restore', backup], {
      ...settings,
      DATABASE_URL: await emptyDatabase(),
    });
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.errors).toContain('FromTheFuture9999999999999');
  }, 120_000);

  it('tell the events of the old database, and new ones after them', async () => {
    const { registry, settings } = await filled();
    await registry.close();
    // As in a database that has lived longer than the one that it is restored to.
    await ask(settings.DATABASE_URL, `UPDATE event SET transaction = transaction + 1000000000`);
    const [seen] = await ask<{ position: string }>(
      settings.DATABASE_URL,
      `SELECT transaction || '-' || id AS position FROM event ORDER BY id LIMIT 1`,
    );
    const backup = join(folder, 'events');
    await slipway(['backup', backup, '--blobs'], settings);
    const target = { DATABASE_URL: await emptyDatabase(), DATA_DIR: join(folder, 'events-data') };
    expect(await slipway(['restore', backup], target)).toMatchObject({ code: 0 });
    const restored = await startRegistry(target);
    const follow = (id: string) =>
      fetch(`${restored.url}/api/v1/events`, { headers: { 'Last-Event-ID': id } });
    expect((await follow(seen?.position ?? '')).status).toBe(410);
    await restored.http.post('/api/v1/models').send({ name: 'after' }).expect(201);
    const names: string[] = [];
    const { body } = await follow('0-0');
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      names.push(
        ...[...chunk.matchAll(/"kind":"([\w.]+)","model":"(\w+)/g)].map(([, , m]) => m ?? ''),
      );
      if (names.includes('after')) break;
    }
    expect(names[0]).toBe('churn');
    expect(names.at(-1)).toBe('after');
    await restored.close();
  }, 60_000);

  it('refuse a folder of other things, and an empty database', async () => {
    const database = await emptyDatabase();
    const settings = { DATABASE_URL: database, DATA_DIR: join(folder, 'none') };
    const nothing = await slipway(['backup', join(folder, 'nothing')], settings);
    expect(nothing).toMatchObject({ code: 1 });
    expect(nothing.errors).toContain('nothing to back up');
    const foreign = await slipway(['backup', join(folder, '..')], settings);
    expect(foreign.errors).toContain('is no folder of backups');
    const away = { ...settings, DATABASE_URL: urlOf('no_such_database') };
    expect(await slipway(['backup', join(folder, 'away')], away)).toMatchObject({ code: 69 });
  }, 60_000);

  it('find the PostgreSQL of a folder', async () => {
    const settings = { DATA_DIR: join(folder, 'embedded') };
    expect((await slipway(['backup', join(folder, 'e1')], settings)).errors).toContain(
      'There is no database in',
    );
    expect(await slipway(['migrate'], settings)).toMatchObject({ code: 0 });
    expect(await slipway(['backup', join(folder, 'e1')], settings)).toMatchObject({ code: 0 });
  }, 120_000);

  const withS3 = s3IsThere('backup of a bucket') ? it : it.skip;
  withS3(
    'move from a bucket to a folder and back',
    async () => {
      const { registry, settings } = await filled(await ownBucket());
      const before = await resources(registry);
      const backup = join(folder, 'bucket');
      expect(await slipway(['backup', backup, '--blobs'], settings)).toMatchObject({ code: 0 });
      await registry.close();
      const target = {
        DATABASE_URL: await emptyDatabase(),
        DATA_DIR: join(folder, 'bucket-data'),
        ...(await ownBucket()),
      };
      expect(await slipway(['restore', backup, '--deep'], target)).toMatchObject({ code: 0 });
      const restored = await startRegistry(target);
      expect(await resources(restored)).toEqual(before);
      await restored.close();
    },
    120_000,
  );
});

/** The digests of the blobs of a folder store. */
async function blobsIn(store: string): Promise<string[]> {
  const names = await readdir(join(store, 'blobs', 'sha256'), { recursive: true });
  return names.filter((name) => /\/[0-9a-f]{64}$/.test(name)).map((n) => `sha256:${n.slice(3)}`);
}

function pathOf(store: string, digest: string): string {
  const hex = digest.slice('sha256:'.length);
  return join(store, 'blobs', 'sha256', hex.slice(0, 2), hex);
}
