import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Slipway } from './slipway.js';
import { isTraceparent, newTraceparent } from './trace.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** What the server does with the requests to come, one after another; then it answers `{}`. */
const script: Answer[] = [];
const seen: { method: string; url: string; headers: IncomingMessage['headers'] }[] = [];
const server = createServer((request, response) => {
  const { method = '', url = '', headers } = request;
  seen.push({ method, url, headers });
  request.resume().on('end', () => {
    const answer = script.shift() ?? ((_, end) => end.end('{}'));
    answer(request, response);
  });
});
let url: string;

const refuse =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    const problem = { status, code: 'UNAVAILABLE', detail: 'Not now.' };
    response.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
    response.end(JSON.stringify(problem));
  };
const cut: Answer = (request) => request.socket.destroy();

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  script.length = 0;
  seen.length = 0;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function client(retry = {}): Slipway {
  return new Slipway({ url, token: 'secret', actor: 'Zoë', retry: { minDelay: 1, ...retry } });
}

describe('retries', () => {
  it('repeats what may be repeated, after cuts, 429 and 503', async () => {
    script.push(cut, refuse(503), refuse(429), cut);
    await client().model('m');
    expect(seen.map(({ method }) => method)).toEqual(['GET', 'GET', 'GET', 'GET', 'GET']);
  });

  it('repeats a POST with one and the same key', async () => {
    script.push(cut, refuse(503));
    await client().rollback('m');
    expect(seen).toHaveLength(3);
    expect(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    await client().rollback('m');
    expect(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(2);
  });

  it('takes a deleted thing as deleted when the answer to its DELETE was lost', async () => {
    script.push(cut, refuse(404));
    await client().deleteModel('m');
    script.push(refuse(404));
    await expect(client().deleteModel('m')).rejects.toMatchObject({ status: 404 });
  });

  it('does not repeat a PATCH that may have arrived, nor what the server refused', async () => {
    script.push(cut);
    await expect(client().updateModel('m', { name: 'n' })).rejects.toMatchObject({
      code: 'UNREACHABLE',
    });
    script.push(refuse(409));
    await expect(client().rollback('m')).rejects.toMatchObject({
      status: 409,
      message: 'Not now.',
    });
    expect(seen).toHaveLength(2);
  });

  it('waits as long as the server says, but not for ever', async () => {
    script.push(refuse(503, { 'retry-after': '1' }));
    const before = Date.now();
    await client().model('m');
    expect(Date.now() - before).toBeGreaterThanOrEqual(990);
    script.push(refuse(503, { 'retry-after': '3600' }));
    await expect(client().model('m')).rejects.toMatchObject({ status: 503, retryAfter: 3600 });
  });

  it('gives up after so many attempts', async () => {
    script.push(...Array.from({ length: 10 }, () => cut));
    await expect(client({ attempts: 3 }).model('m')).rejects.toMatchObject({ status: 0 });
    expect(seen).toHaveLength(3);
  });
});

describe('requests', () => {
  it('say who asks', async () => {
    await client().model('a b');
    expect(seen[0]).toMatchObject({
      url: '/api/v1/models/a%20b',
      headers: {
        authorization: 'Bearer secret',
        'x-slipway-actor': Buffer.from('Zoë').toString('latin1'),
      },
    });
  });

  it('end when they are aborted, with the reason of the signal', async () => {
    const stop = new AbortController();
    script.push(() => stop.abort(new Error('enough')));
    await expect(client().model('m', { signal: stop.signal })).rejects.toThrow('enough');
    script.push(refuse(503, { 'retry-after': '20' }));
    const waiting = client().model('m', { signal: AbortSignal.timeout(50) });
    await expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('carry conditions', async () => {
    await client().deleteModel('m', { ifMatch: '"3"', force: true });
    expect(seen[0]).toMatchObject({
      url: '/api/v1/models/m?force=true',
      headers: { 'if-match': '"3"' },
    });
  });

  it('say when the server is none of ours', async () => {
    script.push((_, response) => response.end('<html>'));
    await expect(client().server()).rejects.toMatchObject({ code: 'NOT_A_SLIPWAY_SERVER' });
    script.push((_, response) => response.writeHead(502).end('<html>'));
    await expect(client().server()).rejects.toThrow('answered 502 Bad Gateway');
  });
});

describe('the trace of requests', () => {
  const traceparent = `00-${'4b'.repeat(16)}-${'f0'.repeat(8)}-01`;

  it('is the one that the caller names, or the one that it is in at the moment', async () => {
    await new Slipway({ url, trace: traceparent }).server();
    const moments = [newTraceparent(), undefined, newTraceparent(true)];
    const later = [...moments];
    const slipway = new Slipway({ url, trace: () => later.shift() });
    for (const _ of moments) await slipway.server();
    expect(seen.map(({ headers }) => headers.traceparent)).toEqual([traceparent, ...moments]);
  });

  it('is absent where nobody named one', async () => {
    await new Slipway({ url }).server();
    expect(seen[0]?.headers).not.toHaveProperty('traceparent');
  });

  it.each([
    '',
    'x',
    traceparent.toUpperCase(),
    traceparent.replace('00-', '01-'),
    traceparent.replaceAll('f0', '00'),
    traceparent.replaceAll('4b', '00'),
  ])('is refused where it is none: %j', async (trace) => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => new Slipway({ url, trace })).toThrow(refused);
    await expect(new Slipway({ url, trace: () => trace }).server()).rejects.toEqual(refused);
    expect(seen).toEqual([]);
  });

  it('that is new has ids that are none of zeros only', () => {
    for (let i = 0; i < 100; i++) expect(isTraceparent(newTraceparent())).toBe(true);
  });
});
