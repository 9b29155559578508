import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startRegistry, type TestRegistry } from './support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

const model = (name: string) => `/api/v1/models/${encodeURIComponent(name)}`;

describe('models', () => {
  it('are made, read, changed and deleted', async () => {
    const made = await registry.http
      .post('/api/v1/models')
      .send({ name: 'iris', description: 'flowers', tags: { team: 'botany', draft: 'yes' } })
      .expect(201);
    expect(made.body).toMatchObject({
      name: 'iris',
      description: 'flowers',
      tags: { team: 'botany', draft: 'yes' },
      metadata: {},
      production: null,
      staging: null,
      aliases: {},
      latestVersion: null,
      versionCount: 0,
      follow: 'production',
      serving: { wanted: null, answering: null, state: 'none' },
    });
    expect(made.headers.etag).toBe(made.body.etag);
    expect(made.body.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

    const changed = await registry.http
      .patch(model('iris'))
      .set('If-Match', made.body.etag)
      .send({ tags: { draft: null, owner: 'ada' }, metadata: { links: ['a'] } })
      .expect(200);
    expect(changed.body).toMatchObject({
      description: 'flowers',
      tags: { team: 'botany', owner: 'ada' },
      metadata: { links: ['a'] },
    });
    expect(changed.body.tags).not.toHaveProperty('draft');

    const late = await registry.http
      .patch(model('iris'))
      .set('If-Match', made.body.etag)
      .send({ description: 'x' })
      .expect(412);
    expect(late.body).toMatchObject({ status: 412, code: 'ETAG_MISMATCH' });

    await registry.http.delete(model('iris')).expect(204);
    const gone = await registry.http.get(model('iris')).expect(404);
    expect(gone.headers['content-type']).toContain('application/problem+json');
    expect(gone.body).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    await registry.http.post('/api/v1/models').send({ name: 'iris' }).expect(201);
  });

  it('cannot share a name', async () => {
    await registry.http.post('/api/v1/models').send({ name: 'twice' }).expect(201);
    const second = await registry.http.post('/api/v1/models').send({ name: 'twice' }).expect(409);
    expect(second.body.code).toBe('ALREADY_EXISTS');
    await registry.http.post('/api/v1/models').send({ name: 'Twice' }).expect(201);
  });

  it.each(['', ' a', 'a ', 'a/b', 'a:b', '.', '..', 'a\nb', 'x'.repeat(256)])(
    'refuses the name %j',
    async (name) => {
      const refused = await registry.http.post('/api/v1/models').send({ name }).expect(400);
      expect(refused.body.code).toBe('INVALID_ARGUMENT');
      expect(refused.body.errors[0].pointer).toBe('/name');
    },
  );

  it('take any other name, percent-encoded in paths', async () => {
    for (const name of ['ü ber', 'a?b#c%d', '模型', "o'neil", 'x'.repeat(255)]) {
      await registry.http.post('/api/v1/models').send({ name }).expect(201);
      const read = await registry.http.get(model(name)).expect(200);
      expect(read.body.name).toBe(name);
    }
  });

  it.each([
    [{ name: 'a', color: 'red' }, '/color'],
    [{ name: 3 }, '/name'],
    [{}, '/name'],
    [{ name: 'a', tags: { a: 1 } }, '/tags'],
    [{ name: 'a', metadata: [] }, '/metadata'],
  ])('refuse the body %j and point to %s', async (body, pointer) => {
    const refused = await registry.http.post('/api/v1/models').send(body).expect(400);
    expect(refused.body.errors[0].pointer).toBe(pointer);
  });

  it('are listed by name, filtered, ordered and paged', async () => {
    for (const name of ['list-c', 'list-a', 'list-b', 'list-d']) {
      const tags = { kind: name < 'list-c' ? 'early' : 'late' };
      await registry.http.post('/api/v1/models').send({ name, tags }).expect(201);
    }
    const list = (query: object) => registry.http.get('/api/v1/models').query(query).expect(200);
    const names = (body: { items: { name: string }[] }) => body.items.map((m) => m.name);
    const first = await list({ filter: "name LIKE 'list-%'", limit: 3 });
    expect(names(first.body)).toEqual(['list-a', 'list-b', 'list-c']);
    const second = await list({ filter: "name LIKE 'list-%'", limit: 3, cursor: first.body.next });
    expect(names(second.body)).toEqual(['list-d']);
    expect(second.body).not.toHaveProperty('next');
    const late = await list({ filter: "tags.kind = 'late'", order: '-name' });
    expect(names(late.body)).toEqual(['list-d', 'list-c']);
  });

  it.each(['nonsense', "color = 'red'", "name = 'a' OR name = 'b'", 'name >', "name = 'a"])(
    'refuse the filter %j',
    async (filter) => {
      const refused = await registry.http.get('/api/v1/models').query({ filter }).expect(400);
      expect(refused.body.code).toBe('INVALID_ARGUMENT');
    },
  );

  it.each([
    { limit: 0 },
    { limit: 1001 },
    { limit: 'x' },
    { cursor: 'x' },
    { order: 'color' },
    { page: 2 },
  ])('refuse the query %j', async (query) => {
    await registry.http.get('/api/v1/models').query(query).expect(400);
  });

  it('leave out the prompts that MLflow keeps as models', async () => {
    await registry.http
      .post('/api/v1/models')
      .send({ name: 'a-prompt', tags: { 'mlflow.prompt.is_prompt': 'true' } })
      .expect(201);
    const { body } = await registry.http
      .get('/api/v1/models')
      .query({ filter: "name = 'a-prompt'" });
    expect(body.items).toEqual([]);
  });

  it('repeat the first answer for an Idempotency-Key', async () => {
    const post = (body: object) =>
      registry.http.post('/api/v1/models').set('Idempotency-Key', 'key-1').send(body);
    const first = await post({ name: 'once' }).expect(201);
    const again = await post({ name: 'once' }).expect(201);
    expect(again.body.id).toBe(first.body.id);
    const other = await post({ name: 'other' }).expect(422);
    expect(other.body.code).toBe('IDEMPOTENCY_KEY_REUSED');
    // Word for word, whatever became of the model since.
    await registry.http.patch('/api/v1/models/once').send({ description: 'changed' }).expect(200);
    const later = await post({ name: 'once' }).expect(201);
    expect(later.text).toBe(first.text);
    expect(later.headers.etag).toBe(first.headers.etag);
    await registry.http.delete('/api/v1/models/once').expect(204);
    expect((await post({ name: 'once' }).expect(201)).text).toBe(first.text);
    await registry.http.get('/api/v1/models/once').expect(404);
  });

  it('give two requests with one key at a time one answer', async () => {
    const post = () =>
      registry.http.post('/api/v1/models').set('Idempotency-Key', 'twins').send({ name: 'twins' });
    const answers = await Promise.all(Array.from({ length: 8 }, async () => post().expect(201)));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });

  it('tell the live serving processes as a list like every other', async () => {
    await registry.http.post('/api/v1/models').send({ name: 'unserved' }).expect(201);
    await registry.http.get('/api/v1/models/unserved/serving').expect(200, { items: [] });
    await registry.http.get('/api/v1/models/unserved/stats').expect(200, { items: [] });
  });
});
