import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { request as open } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { digestFor } from './artifact-store.contract.js';
import { startRegistry, type TestRegistry } from './support/registry.js';

const MiB = 1024 * 1024;
const uploads = '/api/v1/blobs/uploads';

let registry: TestRegistry;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blobs-'));
  registry = await startRegistry({ DATA_DIR: folder });
});

afterAll(async () => {
  await registry.close();
  await rm(folder, { recursive: true, force: true });
});

async function begin(): Promise<string> {
  const { headers } = await registry.http.post(uploads).expect(202);
  return String(headers.location);
}

/** As fetch and browsers send it. */
function send(method: string, path: string, body?: Buffer, headers: Record<string, string> = {}) {
  return fetch(`${registry.url}${path}`, {
    method,
    headers,
    ...(body && { body: new Uint8Array(body) }),
  });
}

async function upload(content: Buffer): Promise<string> {
  const digest = digestFor(content);
  const response = await send('PUT', `${await begin()}?digest=${digest}`, content);
  expect(response.status).toBe(201);
  return digest;
}

async function problemOf(response: Response): Promise<Record<string, unknown>> {
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return (await response.json()) as Record<string, unknown>;
}

describe('an upload', () => {
  it('begins without a body, whatever the content type', async () => {
    for (const type of ['application/json', 'application/octet-stream', 'text/plain', 'x']) {
      const response = await send('POST', uploads, undefined, { 'content-type': type });
      expect(response.status).toBe(202);
      expect(response.headers.get('location')).toMatch(
        /^\/api\/v1\/blobs\/uploads\/[0-9a-f-]{36}$/,
      );
      expect(response.headers.get('range')).toBeNull();
    }
  });

  it('is begun once for an Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'one-upload' };
    const [first, again] = [
      await send('POST', uploads, undefined, key),
      await send('POST', uploads, undefined, key),
    ];
    expect(again.status).toBe(202);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect(await begin()).not.toBe(first.headers.get('location'));
  });

  it('walks the steps of the OCI specification', async () => {
    const content = randomBytes(3 * MiB);
    const location = await begin();
    const first = await send('PATCH', location, content.subarray(0, MiB), {
      'content-range': `0-${MiB - 1}`,
    });
    expect(first.status).toBe(202);
    expect(first.headers.get('range')).toBe(`0-${MiB - 1}`);
    expect(first.headers.get('location')).toBe(location);

    const status = await send('GET', location);
    expect(status.status).toBe(204);
    expect(status.headers.get('range')).toBe(`0-${MiB - 1}`);

    const second = await send('PATCH', location, content.subarray(MiB, 2 * MiB), {
      'content-range': `bytes ${MiB}-${2 * MiB - 1}/*`,
    });
    expect(second.headers.get('range')).toBe(`0-${2 * MiB - 1}`);

    const digest = digestFor(content);
    const end = await send('PUT', `${location}?digest=${digest}`, content.subarray(2 * MiB), {
      'content-range': `${2 * MiB}-${3 * MiB - 1}`,
    });
    expect(end.status).toBe(201);
    expect(end.headers.get('location')).toBe(`/api/v1/blobs/${digest}`);
    expect(await end.json()).toEqual({ digest, size: content.length });
    expect((await send('GET', location)).status).toBe(404);
  });

  it('takes bytes of any content type as they are', async () => {
    for (const type of [
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain; charset=latin1',
    ]) {
      const content = Buffer.from('{"not": json');
      const location = await begin();
      const patch = await send('PATCH', location, content, { 'content-type': type });
      expect(patch.headers.get('range')).toBe(`0-${content.length - 1}`);
      const path = `${location}?digest=${digestFor(content)}`;
      expect((await send('PUT', path, undefined, { 'content-type': type })).status).toBe(201);
    }
  });

  it('answers 416 with the present Range to bytes that belong elsewhere, also while they are still sent', async () => {
    const location = await begin();
    await send('PATCH', location, randomBytes(1000));
    const content = randomBytes(20 * MiB);
    for (const start of [0, 999, 1001]) {
      const response = await send('PATCH', location, content, {
        'content-range': `${start}-${start + content.length - 1}`,
      });
      expect(response.status).toBe(416);
      expect(response.headers.get('range')).toBe('0-999');
      expect(await problemOf(response)).toMatchObject({
        code: 'RANGE_NOT_SATISFIABLE',
        status: 416,
      });
    }
    const early = await send('PUT', `${location}?digest=${digestFor(content)}`, content, {
      'content-range': `0-${content.length - 1}`,
    });
    expect(early.status).toBe(416);
  });

  it.each([
    '',
    '5',
    '-5',
    '5-',
    '9-3',
    'bytes 0-5/x',
    'items 0-5',
    '0-5,7-9',
    '0x0-5',
    '0-99999999999999999999',
  ])('answers 400 to Content-Range "%s"', async (range) => {
    const location = await begin();
    const response = await send('PATCH', location, Buffer.from('abcdef'), {
      'content-range': range,
    });
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await send('GET', location)).headers.get('range')).toBeNull();
  });

  it('answers 400 where Content-Range and Content-Length differ', async () => {
    const response = await send('PATCH', await begin(), Buffer.from('abc'), {
      'content-range': '0-5',
    });
    expect(response.status).toBe(400);
  });

  it('answers 400 to a digest that is none', async () => {
    const location = await begin();
    for (const query of [
      '',
      '?digest=',
      '?digest=md5:abc',
      `?digest=sha256:${'A'.repeat(64)}`,
      '?digest=a&digest=b',
    ]) {
      const response = await send('PUT', `${location}${query}`, Buffer.from('abc'));
      expect(response.status).toBe(400);
      expect(await problemOf(response)).toMatchObject({
        code: 'INVALID_ARGUMENT',
        errors: [{ pointer: '/digest' }],
      });
    }
    for (const bad of ['sha256:abc', 'x', 'sha256:..%2f..%2fetc']) {
      expect((await send('GET', `/api/v1/blobs/${bad}`)).status).toBe(400);
    }
  });

  it('is gone, and nothing stored, after a wrong digest', async () => {
    const location = await begin();
    const wrong = digestFor(Buffer.from('other'));
    const response = await send('PUT', `${location}?digest=${wrong}`, Buffer.from('abc'));
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect((await send('GET', location)).status).toBe(404);
    expect((await send('HEAD', `/api/v1/blobs/${wrong}`)).status).toBe(404);
    expect((await send('HEAD', `/api/v1/blobs/${digestFor(Buffer.from('abc'))}`)).status).toBe(404);
  });

  it('can be given up', async () => {
    const location = await begin();
    await send('PATCH', location, randomBytes(1000));
    expect((await send('DELETE', location)).status).toBe(204);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const response = await send(method, location);
      expect(response.status).toBe(404);
      expect(await problemOf(response)).toMatchObject({ code: 'NOT_FOUND' });
    }
  });

  it('goes on where a cut has left it', async () => {
    const content = randomBytes(12 * MiB);
    const location = await begin();
    const cut = open(`${registry.url}${location}`, {
      method: 'PATCH',
      headers: { 'content-range': `0-${content.length - 1}`, 'content-length': content.length },
    });
    cut.on('error', () => {});
    cut.write(content.subarray(0, 5 * MiB));
    await once(cut, 'drain');
    await sleep(100);
    cut.destroy();
    const status = await send('GET', location);
    const received = Number(/^0-(\d+)$/.exec(status.headers.get('range') ?? '')?.[1]) + 1;
    expect(received).toBe(5 * MiB);
    const rest = await send(
      'PUT',
      `${location}?digest=${digestFor(content)}`,
      content.subarray(received),
      {
        'content-range': `${received}-${content.length - 1}`,
      },
    );
    expect(rest.status).toBe(201);
  });

  it('has one request that writes', async () => {
    const content = randomBytes(4 * MiB);
    const location = await begin();
    const both = await Promise.all([
      send('PATCH', location, content, { 'content-range': `0-${content.length - 1}` }),
      send('PATCH', location, content, { 'content-range': `0-${content.length - 1}` }),
    ]);
    const statuses = both.map(({ status }) => status).toSorted((x, y) => x - y);
    expect(statuses[0]).toBe(202);
    expect([409, 416]).toContain(statuses[1]);
    expect((await send('PUT', `${location}?digest=${digestFor(content)}`)).status).toBe(201);
  });
});

describe('a blob', () => {
  const content = randomBytes(100_000);
  let path: string;
  let digest: string;

  beforeAll(async () => {
    digest = await upload(content);
    path = `/api/v1/blobs/${digest}`;
  });

  it('is found by HEAD', async () => {
    const response = await send('HEAD', path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe(String(content.length));
    expect(response.headers.get('etag')).toBe(`"${digest}"`);
    expect(response.headers.get('accept-ranges')).toBe('bytes');
    const absent = await send('HEAD', `/api/v1/blobs/sha256:${'0'.repeat(64)}`);
    expect(absent.status).toBe(404);
  });

  it('is a download that no browser shows or keeps asking for', async () => {
    const response = await send('GET', path);
    expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${digest.replace(':', '-')}"`,
      'x-content-type-options': 'nosniff',
      'cache-control': expect.stringContaining('immutable'),
    });
    expect(headers['content-security-policy']).toContain('sandbox');
  });

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=0-', 0, 100_000],
    ['bytes=99999-', 99_999, 100_000],
    ['bytes=500-999', 500, 1000],
    ['bytes=-1', 99_999, 100_000],
    ['bytes=-200000', 0, 100_000],
    ['bytes=99000-200000', 99_000, 100_000],
  ])('gives the range %s', async (range, start, end) => {
    const response = await send('GET', path, undefined, { range });
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/100000`);
    expect(response.headers.get('content-length')).toBe(String(end - start));
    expect(Buffer.from(await response.arrayBuffer()).equals(content.subarray(start, end))).toBe(
      true,
    );
  });

  it.each(['bytes=100000-', 'bytes=100000-100001', 'bytes=-0'])(
    'has nothing at %s',
    async (range) => {
      const response = await send('GET', path, undefined, { range });
      expect(response.status).toBe(416);
      expect(response.headers.get('content-range')).toBe('bytes */100000');
      expect(await problemOf(response)).toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' });
    },
  );

  it.each(['bytes=5-3', 'bytes=a-b', 'items=0-5', 'bytes=0-1,5-6', 'bytes=-'])(
    'is given whole for %s',
    async (range) => {
      const response = await send('GET', path, undefined, { range });
      expect(response.status).toBe(200);
      expect((await response.arrayBuffer()).byteLength).toBe(content.length);
    },
  );

  it('is not sent again to who has it', async () => {
    for (const tag of [`"${digest}"`, `W/"${digest}"`, `"x", "${digest}"`, '*']) {
      const response = await send('GET', path, undefined, { 'if-none-match': tag });
      expect(response.status).toBe(304);
      expect(response.headers.get('etag')).toBe(`"${digest}"`);
    }
    expect((await send('GET', path, undefined, { 'if-none-match': '"x"' })).status).toBe(200);
  });

  it('goes on only as what it was (If-Range)', async () => {
    const range = 'bytes=500-';
    const same = await send('GET', path, undefined, { range, 'if-range': `"${digest}"` });
    expect(same.status).toBe(206);
    const other = await send('GET', path, undefined, { range, 'if-range': '"other"' });
    expect(other.status).toBe(200);
  });

  it('may be empty', async () => {
    const empty = await upload(Buffer.alloc(0));
    const response = await send('GET', `/api/v1/blobs/${empty}`);
    expect(response.headers.get('content-length')).toBe('0');
    expect((await response.arrayBuffer()).byteLength).toBe(0);
    const none = await send('GET', `/api/v1/blobs/${empty}`, undefined, { range: 'bytes=0-' });
    expect(none.status).toBe(416);
  });

  it('that the store has cut short is never taken for the whole', async () => {
    const damaged = await upload(randomBytes(5 * MiB));
    const hex = damaged.slice('sha256:'.length);
    const file = join(folder, 'artifacts', 'blobs', 'sha256', hex.slice(0, 2), hex);
    await truncate(file, 3 * MiB);
    const download = async () => (await send('GET', `/api/v1/blobs/${damaged}`)).arrayBuffer();
    await expect(download()).rejects.toThrow();
    await rm(file);
    const lost = await send('GET', `/api/v1/blobs/${damaged}`);
    expect(lost.status).toBe(503);
    expect(await problemOf(lost)).toMatchObject({ code: 'UNAVAILABLE' });
  });
});
