import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { digestOf, startRegistry, type TestRegistry } from './support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

const octets = { 'content-type': 'application/octet-stream' };
const begin = async (): Promise<string> => {
  const { headers } = await registry.http.post('/api/v1/blobs/uploads').expect(202);
  expect(headers.location).toMatch(/^\/api\/v1\/blobs\/uploads\/[\da-f-]{36}$/);
  return String(headers.location);
};
const patch = (location: string, bytes: Buffer, range?: string) =>
  registry.http
    .patch(location)
    .set({ ...octets, ...(range === undefined ? {} : { 'content-range': range }) })
    .send(bytes);
const put = (location: string, digest: string, bytes = Buffer.alloc(0)) =>
  registry.http.put(`${location}?digest=${digest}`).set(octets).send(bytes);

describe('an upload', () => {
  const bytes = randomBytes(3000);
  const digest = digestOf(bytes);

  it('goes on where it was cut, and is a blob at its end', async () => {
    await registry.http.head(`/api/v1/blobs/${digest}`).expect(404);
    const location = await begin();
    const first = await patch(location, bytes.subarray(0, 1000), '0-999').expect(202);
    expect(first.headers).toMatchObject({ range: '0-999', location });
    const wrong = await patch(location, bytes.subarray(2000), '2000-2999').expect(416);
    expect(wrong.headers.range).toBe('0-999');
    expect(wrong.body.code).toBe('RANGE_NOT_SATISFIABLE');
    expect((await registry.http.get(location).expect(204)).headers.range).toBe('0-999');
    expect((await registry.http.head(location).expect(204)).headers.range).toBe('0-999');
    await patch(location, bytes.subarray(1000, 2000)).expect(202);
    const made = await put(location, digest, bytes.subarray(2000)).expect(201);
    expect(made.headers.location).toBe(`/api/v1/blobs/${digest}`);
    await registry.http.get(location).expect(404);
    const { headers } = await registry.http.head(`/api/v1/blobs/${digest}`).expect(200);
    expect(headers).toMatchObject({ 'content-length': '3000', etag: `"${digest}"` });
  });

  it('is begun once for an Idempotency-Key', async () => {
    const post = () => registry.http.post('/api/v1/blobs/uploads').set('Idempotency-Key', 'upload');
    const first = await post().expect(202);
    const again = await post().expect(202);
    expect(again.headers.location).toBe(first.headers.location);
    expect((await begin()) === first.headers.location).toBe(false);
    await registry.http.post('/api/v1/gc').set('Idempotency-Key', 'upload').expect(422);
  });

  it.each(['abc', '5-1', '0-', '-5', 'bytes 0-9/x', '0-9999999999999999', '0-5'])(
    'refuses the Content-Range %s',
    async (range) => {
      const { body } = await patch(await begin(), Buffer.alloc(10), range).expect(400);
      expect(body.detail).toContain('Content-Range');
    },
  );

  it('is given up by DELETE, by a wrong digest, and by no other mistake', async () => {
    const cancelled = await begin();
    await registry.http.delete(cancelled).expect(204);
    await registry.http.delete(cancelled).expect(404);
    await patch(cancelled, bytes).expect(404);
    const kept = await begin();
    for (const query of ['', '?digest=', '?digest=sha256:1', '?digest=a&digest=b']) {
      const { body } = await registry.http.put(kept + query).expect(400);
      expect(body.errors[0].pointer).toBe('/digest');
    }
    const { body } = await put(kept, digest, Buffer.from('other')).expect(400);
    expect(body.code).toBe('DIGEST_MISMATCH');
    await registry.http.get(kept).expect(404);
  });
});

describe('a blob', () => {
  const bytes = randomBytes(5000);
  const path = `/api/v1/blobs/${digestOf(bytes)}`;
  beforeAll(() => registry.upload(bytes));

  it.each<[string, number, string | undefined, number]>([
    ['bytes=0-9', 206, 'bytes 0-9/5000', 10],
    ['bytes=4990-', 206, 'bytes 4990-4999/5000', 10],
    ['bytes=-5', 206, 'bytes 4995-4999/5000', 5],
    ['bytes=-9999', 206, 'bytes 0-4999/5000', 5000],
    ['bytes=0-99999', 206, 'bytes 0-4999/5000', 5000],
    ['bytes=9-5', 200, undefined, 5000],
    ['bytes=0-1,5-6', 200, undefined, 5000],
    ['lines=1-2', 200, undefined, 5000],
    ['bytes=x', 200, undefined, 5000],
  ])('answers the range %s with %d', async (range, status, contentRange, length) => {
    const answer = await registry.http.get(path).set('range', range).expect(status);
    expect(answer.headers['content-range']).toBe(contentRange);
    expect(answer.body).toHaveLength(length);
  });

  it.each(['bytes=5000-', 'bytes=-0', 'bytes=99999999999999999999-'])(
    'has nothing at %s',
    async (range) => {
      const { headers, body } = await registry.http.get(path).set('range', range).expect(416);
      expect(headers['content-range']).toBe('bytes */5000');
      expect(body.code).toBe('RANGE_NOT_SATISFIABLE');
    },
  );

  it('is sent whole where If-Range does not fit, and not at all where it is known', async () => {
    await registry.http.get(path).set({ range: 'bytes=0-9', 'if-range': '"other"' }).expect(200);
    await registry.http
      .get(path)
      .set('if-none-match', `"${digestOf(bytes)}"`)
      .expect(304);
  });

  it('may be empty', async () => {
    const empty = await registry.upload(Buffer.alloc(0));
    const { headers } = await registry.http.get(`/api/v1/blobs/${empty}`).expect(200);
    expect(headers['content-length']).toBe('0');
    await registry.http.get(`/api/v1/blobs/${empty}`).set('range', 'bytes=0-').expect(416);
  });
});
