import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { constantModel } from './support/models.js';
import { digestOf, startRegistry, type TestRegistry } from './support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

const versions = (name: string) => `/api/v1/models/${encodeURIComponent(name)}/versions`;

describe('versions', () => {
  it('are made from stored blobs, with everything that was said about them', async () => {
    const digest = await registry.upload(constantModel(1));
    const made = await registry.http
      .post(versions('iris'))
      .send({
        files: [{ path: 'model.json', digest }],
        description: 'first',
        tags: { a: 'b' },
        metadata: { x: [1] },
        metrics: { accuracy: 0.97, loss: 'NaN' },
        params: { trees: '100' },
        lineage: { run: 'r1', datasets: [{ name: 'iris', digest: 'd1', source: 's1' }] },
      })
      .expect(201);
    expect(made.body).toMatchObject({
      model: 'iris',
      version: 1,
      stage: 'None',
      aliases: [],
      description: 'first',
      tags: { a: 'b' },
      metadata: { x: [1] },
      metrics: { accuracy: 0.97, loss: 'NaN' },
      params: { trees: '100' },
      lineage: {
        run: 'r1',
        datasets: [{ name: 'iris', digest: 'd1', source: 's1' }],
        parents: [],
      },
      files: [{ path: 'model.json', digest, size: constantModel(1).length }],
      serving: { state: 'pending' },
    });
    const compiled = await registry.compiled('iris', 1);
    expect(compiled).toMatchObject({
      format: 'xgboost',
      signature: { inputs: [{ name: 'X', dtype: 'FP32', shape: [-1, 1] }] },
      serving: {
        state: 'servable',
        format: 'xgboost',
        importer: expect.stringMatching(/^xgboost@\d/),
      },
    });
  });

  it('are numbered densely under 50 parallel creators, and never again after a delete', async () => {
    const digest = await registry.upload(constantModel(2));
    const body = { files: [{ path: 'model.json', digest }] };
    const made = await Promise.all(
      Array.from({ length: 50 }, () => registry.http.post(versions('dense')).send(body)),
    );
    expect(made.map((m) => m.status)).toEqual(made.map(() => 201));
    const numbers = made.map((m) => m.body.version as number).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    await registry.http.delete(`${versions('dense')}/50`).expect(204);
    const next = await registry.http.post(versions('dense')).send(body).expect(201);
    expect(next.body.version).toBe(51);
    await registry.http.get(`${versions('dense')}/50`).expect(404);
    const latest = await registry.http.get(`${versions('dense')}/latest`).expect(200);
    expect(latest.body.version).toBe(51);
  });

  it('are not made, nor their model, when a blob is missing', async () => {
    const missing = [digestOf(Buffer.from('one')), digestOf(Buffer.from('two'))];
    const refused = await registry.http
      .post(versions('never'))
      .send({ files: missing.map((digest, i) => ({ path: `f${i}`, digest })) })
      .expect(409);
    expect(refused.body.code).toBe('BLOB_MISSING');
    expect(refused.body.errors.map((e: { pointer: string }) => e.pointer)).toEqual([
      '/files/0/digest',
      '/files/1/digest',
    ]);
    for (const digest of missing) expect(JSON.stringify(refused.body)).toContain(digest);
    await registry.http.get('/api/v1/models/never').expect(404);
  });

  it.each([
    '',
    '/a',
    'a//b',
    'a/./b',
    '../a',
    'a/..',
    'a\\b',
    'C:/a',
    'c:a',
    'a\0b',
    'e\u0301',
    `${'x'.repeat(1025)}`,
  ])('refuse the path %j', async (path) => {
    const digest = await registry.upload(Buffer.from('x'));
    const refused = await registry.http
      .post(versions('paths'))
      .send({
        files: [
          { path: 'good', digest },
          { path, digest },
        ],
      })
      .expect(400);
    expect(refused.body.errors[0].pointer).toBe('/files/1/path');
  });

  it('refuse a path that is the folder of another, and one that is listed twice', async () => {
    const digest = await registry.upload(Buffer.from('x'));
    for (const paths of [
      ['a', 'a/b'],
      ['a/b/c', 'a/b'],
      ['a', 'a'],
    ]) {
      await registry.http
        .post(versions('paths'))
        .send({ files: paths.map((path) => ({ path, digest })) })
        .expect(400);
    }
  });

  it.each([
    [{ files: [] }, '/files'],
    [{}, '/files'],
    [{ files: [{ path: 'a', digest: 'md5:1' }] }, '/files/0/digest'],
    [
      { files: [{ path: 'a', digest: digestOf(Buffer.from('')) }], metrics: { a: 'x' } },
      '/metrics',
    ],
  ])('refuse the body %j and point to %s', async (body, pointer) => {
    const refused = await registry.http.post(versions('bodies')).send(body).expect(400);
    expect(refused.body.errors.map((e: { pointer: string }) => e.pointer)).toContain(pointer);
  });

  it('change only in description, tags and metadata', async () => {
    const digest = await registry.upload(constantModel(3));
    await registry.http.post(versions('fixed')).send({ files: [{ path: 'model.json', digest }] });
    await registry.compiled('fixed', 1);
    const changed = await registry.http
      .patch(`${versions('fixed')}/1`)
      .send({ description: 'new', tags: { a: '1' } })
      .expect(200);
    expect(changed.body).toMatchObject({ description: 'new', tags: { a: '1' } });
    await registry.http
      .patch(`${versions('fixed')}/1`)
      .send({ metrics: { a: 1 } })
      .expect(400);
    await registry.http
      .patch(`${versions('fixed')}/1`)
      .send({ stage: 'Production' })
      .expect(400);
  });

  it('give their files back, in part and as archives', async () => {
    const bytes = Buffer.from('0123456789');
    const digest = await registry.upload(bytes);
    await registry.http
      .post(versions('files'))
      .send({ files: [{ path: 'sub dir/ünï.bin', digest }] })
      .expect(201);
    const list = await registry.http.get(`${versions('files')}/1/files`).expect(200);
    expect(list.body).toMatchObject({
      size: 10,
      files: [{ path: 'sub dir/ünï.bin', digest, size: 10 }],
    });
    const url = `${versions('files')}/1/files/sub%20dir/${encodeURIComponent('ünï.bin')}`;
    const whole = await registry.http.get(url).responseType('blob').expect(200);
    expect(Buffer.compare(whole.body, bytes)).toBe(0);
    expect(whole.headers.etag).toBe(`"${digest}"`);
    expect(whole.headers['content-disposition']).toMatch(/^attachment/);
    const part = await registry.http
      .get(url)
      .set('Range', 'bytes=2-4')
      .responseType('blob')
      .expect(206);
    expect(part.body.toString()).toBe('234');
    expect(part.headers['content-range']).toBe('bytes 2-4/10');
    await registry.http.get(url).set('Range', 'bytes=20-').expect(416);
    const head = await registry.http.head(url).expect(200);
    expect(head.headers['content-length']).toBe('10');
    await registry.http.get(`${versions('files')}/1/files/none`).expect(404);
    for (const [format, magic] of [
      ['tar', 'PaxHeader'],
      ['zip', 'PK'],
    ] as const) {
      const archive = await registry.http
        .get(`${versions('files')}/1/archive`)
        .query({ format })
        .responseType('blob')
        .expect(200);
      expect((archive.body as Buffer).subarray(0, magic.length).toString()).toBe(magic);
      expect((archive.body as Buffer).includes(bytes)).toBe(true);
    }
    await registry.http
      .get(`${versions('files')}/1/archive`)
      .query({ format: 'rar' })
      .expect(400);
  });

  it('give their Program where they have one, else 409 with the reason', async () => {
    const digest = await registry.upload(constantModel(4));
    await registry.http.post(versions('program')).send({ files: [{ path: 'model.json', digest }] });
    await registry.compiled('program', 1);
    const program = await registry.http.get(`${versions('program')}/1/program`).expect(200);
    expect(program.body).toMatchObject({
      schemaVersion: 1,
      weights: { digest: expect.stringMatching(/^sha256:/) },
    });
    const weights = await registry.http
      .get(`${versions('program')}/1/program/weights`)
      .responseType('blob');
    expect(digestOf(weights.body)).toBe(program.body.weights.digest);
    const text = await registry.upload(Buffer.from('not a model'));
    await registry.http
      .post(versions('program'))
      .send({ files: [{ path: 'notes.txt', digest: text }] });
    const refused = await registry.compiled('program', 2);
    expect(refused).toMatchObject({ format: null, serving: { state: 'unsupported' } });
    const none = await registry.http.get(`${versions('program')}/2/program`).expect(409);
    expect(none.body.detail).toContain(refused.serving.reason);
  });

  it('mark damaged models and golden rows that are not reproduced as failed, with the reason', async () => {
    const damaged = await registry.upload(constantModel(5).subarray(0, 200));
    await registry.http
      .post(versions('broken'))
      .send({ files: [{ path: 'model.json', digest: damaged }], format: 'xgboost' });
    expect((await registry.compiled('broken', 1)).serving).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/\w{3}/),
    });
    const good = await registry.upload(constantModel(5));
    const example = (value: number) => ({
      files: [{ path: 'model.json', digest: good }],
      inputExample: {
        inputs: [{ name: 'X', datatype: 'FP32', shape: [2, 1], data: [0, 1] }],
        expected: [{ name: 'predict', datatype: 'FP32', shape: [2], data: [value, value] }],
      },
    });
    await registry.http.post(versions('broken')).send(example(6)).expect(201);
    const wrong = await registry.compiled('broken', 2);
    expect(wrong.serving).toMatchObject({
      state: 'failed',
      difference: { output: 'predict', row: 0, expected: 6, got: 5, absolute: 1 },
    });
    await registry.http.post(versions('broken')).send(example(5)).expect(201);
    expect((await registry.compiled('broken', 3)).serving).toMatchObject({
      state: 'servable',
      difference: { output: 'predict', absolute: 0 },
    });
    // The same files without golden rows have none to be compared with.
    await registry.http
      .post(versions('broken'))
      .send({ files: [{ path: 'model.json', digest: good }] })
      .expect(201);
    const without = await registry.compiled('broken', 4);
    expect(without.serving.state).toBe('servable');
    expect(without.serving).not.toHaveProperty('difference');
  });

  it('are walked along their lineage, up and down', async () => {
    const digest = await registry.upload(constantModel(7));
    const files = [{ path: 'model.json', digest }];
    const dataset = { name: 'flowers', digest: 'd', source: 's' };
    await registry.http
      .post(versions('base'))
      .send({ files, lineage: { run: 'r7', datasets: [dataset] } });
    const derived = { files, lineage: { parents: [{ model: 'base', version: 1 }] } };
    await registry.http.post(versions('derived')).send(derived).expect(201);
    const walk = async (model: string, direction: string, depth = 10) => {
      const { body } = await registry.http
        .get(`${versions(model)}/1/lineage`)
        .query({ direction, depth })
        .expect(200);
      return body.nodes.map((n: { kind: string; name: string }) => `${n.kind} ${n.name}`).sort();
    };
    expect(await walk('derived', 'up')).toEqual([
      'dataset flowers',
      'run r7',
      'version base/1',
      'version derived/1',
    ]);
    expect(await walk('derived', 'up', 1)).toEqual(['version base/1', 'version derived/1']);
    expect(await walk('base', 'down')).toEqual(['version base/1', 'version derived/1']);
    const orphan = { files, lineage: { parents: [{ model: 'base', version: 9 }] } };
    const refused = await registry.http.post(versions('derived')).send(orphan).expect(400);
    expect(refused.body.errors[0].pointer).toBe('/lineage/parents/0');
  });

  it('are found by metrics, params and tags', async () => {
    const digest = await registry.upload(constantModel(8));
    for (const [i, accuracy] of [0.5, 0.7, 0.9].entries()) {
      await registry.http.post(versions('found')).send({
        files: [{ path: 'model.json', digest }],
        metrics: { accuracy },
        params: { depth: String(i) },
      });
    }
    const find = async (query: object) => {
      const { body } = await registry.http.get(versions('found')).query(query).expect(200);
      return body.items.map((v: { version: number }) => v.version);
    };
    expect(await find({})).toEqual([3, 2, 1]);
    expect(await find({ filter: 'metrics.accuracy > 0.6' })).toEqual([3, 2]);
    expect(await find({ filter: "params.depth = '1'" })).toEqual([2]);
    expect(await find({ order: 'version' })).toEqual([1, 2, 3]);
  });

  it('are named by words, and by nothing else', async () => {
    for (const word of ['0', '01', '-1', 'newest', '@', '@v1', '1.0']) {
      await registry.http.get(`${versions('found')}/${word}`).expect(400);
    }
    for (const word of ['99', '@nobody', 'production', 'staging']) {
      await registry.http.get(`${versions('found')}/${word}`).expect(404);
    }
  });
});
