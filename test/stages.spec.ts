import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { constantModel } from './support/models.js';
import { startRegistry, type TestRegistry } from './support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

let name: string;
let number = 0;
beforeEach(async () => {
  name = `model-${++number}`;
});

const url = (rest = '') => `/api/v1/models/${name}${rest}`;
const promote = (version: number | string, body: object = {}) =>
  registry.http.post(url(`/versions/${version}/promote`)).send({ wait: 0, ...body });
const rollback = (body: object = {}) =>
  registry.http.post(url('/rollback')).send({ wait: 0, ...body });
const setAlias = (alias: string, body: object) =>
  registry.http.put(url(`/aliases/${alias}`)).send({ wait: 0, ...body });

/** Logs versions 1 … count, each servable. */
async function logVersions(count: number): Promise<void> {
  for (let i = 1; i <= count; i++) await registry.logVersion(name, constantModel(i));
}

async function logUnsupported(): Promise<number> {
  const digest = await registry.upload(Buffer.from('nothing that is known'));
  const { body } = await registry.http
    .post(url('/versions'))
    .send({ files: [{ path: 'notes.txt', digest }] })
    .expect(201);
  await registry.compiled(name, body.version);
  return body.version as number;
}

const stagesOf = async () => {
  const { body } = await registry.http
    .get(url('/versions'))
    .query({ order: 'version' })
    .expect(200);
  return body.items.map((v: { stage: string }) => v.stage);
};

describe('promote', () => {
  it('puts a version into Production and the one that was there into Archived, as one row of history', async () => {
    await logVersions(2);
    const first = await promote(1, { reason: 'the first' })
      .set('X-Slipway-Actor', 'ada')
      .expect(200);
    expect(first.body).toMatchObject({
      transition: {
        kind: 'stage',
        version: 1,
        from: 'None',
        to: 'Production',
        previousVersion: null,
        reason: 'the first',
        actor: 'ada',
        actorVerified: false,
      },
      model: { production: 1, serving: { wanted: 1 } },
      serving: 'loading',
    });
    const second = await promote(2).expect(200);
    expect(second.body).toMatchObject({
      transition: { version: 2, previousVersion: 1, actor: 'local' },
      model: { production: 2 },
    });
    expect(await stagesOf()).toEqual(['Archived', 'Production']);
    const again = await promote(2).expect(200);
    expect(again.body.transition).toBeNull();
    const { body } = await registry.http.get(url('/transitions')).expect(200);
    expect(body.items.map((t: { version: number }) => t.version)).toEqual([2, 1]);
  });

  it('refuses a race by ifCurrent', async () => {
    await logVersions(2);
    await promote(1, { ifCurrent: 2 }).expect(409);
    await promote(1, { ifCurrent: null }).expect(200);
    const late = await promote(2, { ifCurrent: null }).expect(409);
    expect(late.body).toMatchObject({ code: 'CONFLICT', current: 1 });
    await promote(2, { ifCurrent: 1 }).expect(200);
  });

  it('lets one of 20 racers win, and history is one chain', async () => {
    await logVersions(3);
    await promote(1).expect(200);
    const racers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => promote(2 + (i % 2), { ifCurrent: 1 })),
    );
    expect(racers.filter((r) => r.status === 200)).toHaveLength(1);
    expect(racers.filter((r) => r.status === 409)).toHaveLength(19);
    const { body } = await registry.http.get(url('/transitions')).expect(200);
    expect(body.items).toHaveLength(2);
    expect((await stagesOf()).filter((s: string) => s === 'Production')).toHaveLength(1);
  });

  it('waits for a pending version and refuses one that cannot be served, with the reason', async () => {
    const digest = await registry.upload(constantModel(1));
    await registry.http.post(url('/versions')).send({ files: [{ path: 'model.json', digest }] });
    await promote(1).expect(200);
    const unsupported = await logUnsupported();
    const refused = await promote(unsupported).expect(409);
    expect(refused.body.code).toBe('FAILED_PRECONDITION');
    const { body: version } = await registry.http.get(url(`/versions/${unsupported}`));
    expect(refused.body.detail).toContain(version.serving.reason);
    const recorded = await promote(unsupported, { unserved: true }).expect(200);
    expect(recorded.body).toMatchObject({
      serving: 'unserved',
      model: { production: unsupported, serving: { wanted: unsupported, state: 'unserved' } },
    });
    expect(recorded.body.model.serving.reason).toContain('version 1 goes on answering');
  });

  it('to Staging or Archived needs no servable version', async () => {
    const unsupported = await logUnsupported();
    const staged = await promote(unsupported, { stage: 'Staging' }).expect(200);
    expect(staged.body).toMatchObject({
      model: { staging: unsupported, production: null },
      serving: 'unserved',
    });
    await promote('staging', { stage: 'Archived' }).expect(200);
    expect(await stagesOf()).toEqual(['Archived']);
  });

  it.each([
    [{ stage: 'Live' }, '/stage'],
    [{ ifCurrent: 'x' }, '/ifCurrent'],
    [{ wait: -1 }, '/wait'],
    [{ unserved: 'yes' }, '/unserved'],
    [{ why: 'x' }, '/why'],
  ])('refuses the body %j', async (body, pointer) => {
    await logVersions(1);
    const refused = await promote(1, body).expect(400);
    expect(refused.body.errors[0].pointer).toBe(pointer);
  });

  it('takes no body and any content type', async () => {
    await logVersions(1);
    await registry.http
      .post(url('/versions/1/promote'))
      .set('Content-Type', 'application/x-www-form-urlencoded')
      .expect(200);
  });

  it('answers 404 for a model or version that is not there', async () => {
    await promote(1).expect(404);
    await logVersions(1);
    await promote(2).expect(404);
  });

  it('and setting an alias name the field of the body that names no version', async () => {
    await logVersions(1);
    const { body } = await setAlias('champion', { version: 'newest' }).expect(400);
    expect(body.errors[0].pointer).toBe('/version');
  });

  it('happens once for an Idempotency-Key', async () => {
    await logVersions(2);
    const post = (version: number) => promote(version).set('Idempotency-Key', `p-${name}`);
    const first = await post(1).expect(200);
    await promote(2).expect(200);
    const again = await post(1).expect(200);
    expect(again.text).toBe(first.text);
    expect((await registry.http.get(url()).expect(200)).body.production).toBe(2);
    await post(2).expect(422);
  });
});

describe('rollback', () => {
  it('pops what promote pushed', async () => {
    await logVersions(4);
    for (const version of [1, 2, 3]) await promote(version).expect(200);
    const back = await rollback({ reason: 'bad' }).expect(200);
    expect(back.body).toMatchObject({
      transition: {
        kind: 'rollback',
        version: 2,
        from: 'Archived',
        to: 'Production',
        previousVersion: 3,
      },
      model: { production: 2 },
    });
    await promote(4).expect(200);
    expect((await rollback().expect(200)).body.transition.version).toBe(2);
    expect((await rollback().expect(200)).body.transition.version).toBe(1);
    const none = await rollback().expect(409);
    expect(none.body.code).toBe('FAILED_PRECONDITION');
    expect(await stagesOf()).toEqual(['Production', 'Archived', 'Archived', 'Archived']);
  });

  it('skips deleted versions', async () => {
    await logVersions(3);
    for (const version of [1, 2, 3]) await promote(version).expect(200);
    await registry.http.delete(url('/versions/2')).expect(204);
    expect((await rollback().expect(200)).body.transition.version).toBe(1);
  });

  it('brings a version back after Production was emptied', async () => {
    await logVersions(1);
    await promote(1).expect(200);
    const emptied = await promote(1, { stage: 'Archived' }).expect(200);
    expect(emptied.body.model).toMatchObject({
      production: null,
      serving: { wanted: null, state: 'none' },
    });
    expect((await rollback().expect(200)).body.model.production).toBe(1);
  });

  it('refuses a race by ifCurrent and a model that never was in Production', async () => {
    await logVersions(2);
    await rollback().expect(409);
    await promote(1).expect(200);
    await promote(2).expect(200);
    await rollback({ ifCurrent: 1 }).expect(409);
    await rollback({ ifCurrent: 2 }).expect(200);
  });

  it('goes back to what serving answered before a version that was recorded only', async () => {
    await logVersions(1);
    await promote(1).expect(200);
    const unsupported = await logUnsupported();
    await promote(unsupported, { unserved: true }).expect(200);
    const back = await rollback().expect(200);
    expect(back.body.model).toMatchObject({ production: 1, serving: { wanted: 1 } });
  });
});

describe('aliases', () => {
  it('move, are removed, and are history', async () => {
    await logVersions(2);
    const set = await setAlias('champion', { version: 1, reason: 'best' }).expect(200);
    expect(set.body).toMatchObject({
      transition: { kind: 'alias', version: 1, from: null, to: '@champion', previousVersion: null },
      model: { aliases: { champion: 1 } },
      serving: 'unserved',
    });
    await setAlias('champion', { version: 2, ifCurrent: 2 }).expect(409);
    await setAlias('champion', { version: 'latest', ifCurrent: 1 }).expect(200);
    expect((await setAlias('champion', { version: 2 }).expect(200)).body.transition).toBeNull();
    const read = await registry.http.get(url('/versions/@champion')).expect(200);
    expect(read.body).toMatchObject({ version: 2, aliases: ['champion'] });
    await registry.http.delete(url('/aliases/champion')).expect(204);
    await registry.http.delete(url('/aliases/champion')).expect(404);
    const { body } = await registry.http
      .get(url('/transitions'))
      .query({ filter: "kind = 'alias'" });
    expect(body.items).toMatchObject([
      { from: '@champion', to: null, previousVersion: 2 },
      { version: 2 },
      { version: 1 },
    ]);
  });

  it.each(['latest', 'v1', 'a b', 'ä', 'a.b'])('are not named %j', async (alias) => {
    await logVersions(1);
    await setAlias(encodeURIComponent(alias), { version: 1 }).expect(400);
  });

  it('are what serving follows, where the model says so', async () => {
    await logVersions(2);
    await promote(1).expect(200);
    const followed = await registry.http.patch(url()).send({ follow: '@champion' }).expect(200);
    expect(followed.body).toMatchObject({
      follow: '@champion',
      serving: { wanted: null, state: 'none' },
    });
    expect((await setAlias('champion', { version: 2 }).expect(200)).body.model.serving.wanted).toBe(
      2,
    );
    const unsupported = await logUnsupported();
    await setAlias('champion', { version: unsupported }).expect(409);
    await setAlias('champion', { version: 1 }).expect(200);
    expect((await rollback().expect(200)).body).toMatchObject({
      transition: { kind: 'rollback', version: 2, to: '@champion' },
      model: { production: 1, aliases: { champion: 2 }, serving: { wanted: 2 } },
    });
    await registry.http.patch(url()).send({ follow: 'champion' }).expect(400);
  });
});

describe('deleting', () => {
  it('spares a version that is wanted, while its predecessor answers because of it', async () => {
    await logVersions(1);
    const unsupported = await logUnsupported();
    await promote(1).expect(200);
    await promote(unsupported, { unserved: true }).expect(200);
    await registry.http.delete(url(`/versions/${unsupported}`)).expect(409);
    expect((await registry.http.get(url())).body.serving).toMatchObject({ wanted: unsupported });
    await rollback().expect(200);
    await registry.http.delete(url(`/versions/${unsupported}`)).expect(204);
    expect((await registry.http.get(url())).body.serving).toMatchObject({ wanted: 1 });
  });

  it('spares what is being served', async () => {
    await logVersions(2);
    await promote(1).expect(200);
    expect((await registry.http.delete(url('/versions/1')).expect(409)).body.code).toBe(
      'FAILED_PRECONDITION',
    );
    await registry.http.delete(url('/versions/2')).expect(204);
    await registry.http.delete(url()).expect(409);
    const { body: model } = await registry.http.get(url()).expect(200);
    await registry.http.delete(`${url()}?force=true`).expect(204);
    const history = await registry.http.get(`/api/v1/models/${model.id}/transitions`).expect(200);
    expect(history.body.items).toHaveLength(1);
    await logVersions(1);
    expect((await registry.http.get(url()).expect(200)).body).toMatchObject({
      latestVersion: 1,
      versionCount: 1,
    });
  });
});
