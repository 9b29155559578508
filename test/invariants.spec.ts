import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { FolderArtifactStore } from '#artifacts';
import pg from 'pg';
import { Invariants } from './support/invariants.js';
import { constantModel } from './support/models.js';
import { dropDatabase, ownDatabase } from './support/postgres.js';
import { startRegistry, type TestRegistry } from './support/registry.js';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The checker that the proofs by faults stand on must itself be able to fail. */

let registry: TestRegistry;
let invariants: Invariants;
let client: pg.Client;
let database: string;
let folder: string;

beforeAll(async () => {
  database = await ownDatabase();
  folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  registry = await startRegistry({ DATABASE_URL: database, DATA_DIR: folder });
  const store = new FolderArtifactStore(join(folder, 'artifacts'));
  invariants = await Invariants.open({ database, store, url: registry.url });
  client = new pg.Client(database);
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await invariants.close();
  await registry.close();
  await dropDatabase(database);
  await rm(folder, { recursive: true, force: true });
});

it('finds nothing wrong with what the API makes', async () => {
  const { http } = registry;
  for (const value of [1, 2, 3, 4]) await registry.logVersion('m', constantModel(value));
  const put = async (path: string, body: object) =>
    http
      .put(`/api/v1/models/m/${path}`)
      .send({ wait: 0, ...body })
      .expect(200);
  const post = async (path: string, body: object = {}) =>
    http
      .post(`/api/v1/models/m/${path}`)
      .send({ wait: 0, ...body })
      .expect(200);
  await post('versions/1/promote');
  await post('versions/2/promote');
  await post('versions/3/promote', { stage: 'Staging' });
  await post('versions/3/promote');
  await post('rollback');
  await put('aliases/champion', { version: 3 });
  await put('aliases/champion', { version: 4 });
  await put('aliases/gone', { version: 4 });
  await http.delete('/api/v1/models/m/aliases/gone').expect(204);
  await http.patch('/api/v1/models/m').send({ description: 'd', follow: '@champion' }).expect(200);
  await post('rollback');
  await http
    .patch('/api/v1/models/m/versions/2')
    .send({ tags: { a: 'b' } })
    .expect(200);
  await http.post('/api/v1/models/m/versions/2/check').expect(202);
  await http.delete('/api/v1/models/m/versions/4').expect(204);
  await registry.logVersion('m', constantModel(5));
  await registry.logVersion('removed', constantModel(1));
  await http.delete('/api/v1/models/removed').expect(204);
  await registry.compiled('m', 2);
  expect(await invariants.violations()).toEqual([]);
  expect(await invariants.untruths()).toEqual([]);
});

it.each([
  [`UPDATE registered_model SET last_version = 7 WHERE name = 'm'`, 'counted 7'],
  [`UPDATE model_version SET stage = 'Production'`, 'versions of "m" are in Production'],
  [`DELETE FROM blob_reference WHERE kind = 'version'`, 'does not keep it'],
  [`DELETE FROM blob_reference; DELETE FROM blob`, 'is not stored so'],
  [`UPDATE blob SET size = size + 1`, 'bytes'],
  [`UPDATE manifest_file SET path = 'other'`, 'have another digest'],
  [`UPDATE model_alias SET version = 4`, 'which is not there'],
  [`UPDATE model_alias SET version = 2`, 'the alias champion names 2'],
  [`UPDATE deployment SET wanted = 1`, 'the deployment wants 1'],
  [`DELETE FROM event WHERE kind = 'transition'`, '0 events tell of transition'],
  [
    `INSERT INTO event (transaction, kind, model_id, version, actor, data) SELECT transaction, kind, model_id, version, actor, data
     FROM event WHERE kind = 'version.created'`,
    '2 events tell of the making of version 1',
  ],
  [`UPDATE transition SET previous_version = 1 WHERE kind = 'rollback'`, 'replaced 1'],
  [`UPDATE transition SET below = id + 1`, 'none of its past'],
  [`DELETE FROM transition WHERE id = (SELECT max(id) FROM transition)`, 'which is not there'],
  [`UPDATE model_version SET revision = revision + 1 WHERE version = 1`, 'has the revision'],
  [
    `UPDATE model_version SET serving_state = 'pending' WHERE version = 1`,
    'nothing will compile it',
  ],
  [`UPDATE registered_model SET deleted_at = now()`, 'lives'],
  [`INSERT INTO upload (received, created_by) VALUES (5, 'test')`, 'has lost bytes of 5'],
  [`INSERT INTO idempotency_key (key, actor, request) VALUES ('k', 'a', 'r')`, 'idempotency key k'],
])('finds what %s has damaged', async (damage, found) => {
  const tables =
    `registered_model, model_version, blob, blob_reference, manifest_file, model_alias, deployment, event,
    transition, upload, idempotency_key`.split(/,\s*/);
  await client.query(`SET session_replication_role = replica; DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept;
    ${tables.map((table) => `CREATE TABLE kept.${table} AS TABLE ${table}`).join(';')}`);
  try {
    await client.query(damage);
    expect((await invariants.violations()).join('\n')).toContain(found);
  } finally {
    await client.query(
      tables.map((t) => `DELETE FROM ${t}; INSERT INTO ${t} TABLE kept.${t}`).join(';'),
    );
  }
  expect(await invariants.violations()).toEqual([]);
});
