import { request } from 'node:http';
import { Controller, Get, Module, Post, Req } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { contextOf } from '#platform';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ownSettings, startApp } from './support/server.js';

@Controller()
class WhoController {
  @Get(['who', 'livez', 'metrics', 'readyz'])
  who(@Req() asked: IncomingMessage): unknown {
    return contextOf(asked);
  }
  @Post('who')
  change(@Req() asked: IncomingMessage): unknown {
    return contextOf(asked);
  }
}

@Module({ controllers: [WhoController] })
class WhoModule {}

const unused = { DATABASE_URL: 'postgres://none/none' };

/** node:http, because fetch does not let a caller choose Host, Origin and Sec-Fetch-Site. */
function ask(port: number, method: string, path: string, headers: Record<string, string>) {
  return new Promise<{ status: number; body: Record<string, unknown> }>((resolve, reject) => {
    request({ port, host: '127.0.0.1', method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text || '{}') }),
      );
    })
      .on('error', reject)
      .end();
  });
}

describe('on loopback', () => {
  let app: Awaited<ReturnType<typeof startApp>>;
  beforeAll(async () => {
    const { config } = await ownSettings({ ...unused, SERVING_URL: 'https://models.example.org' });
    app = await startApp(WhoModule, config);
  });
  afterAll(() => app.close());
  const status = async (method: string, headers: Record<string, string>) =>
    (await ask(app.port, method, '/who', headers)).status;

  it.each([
    'localhost',
    'LocalHost:5000',
    '127.0.0.1:80',
    '[::1]:5000',
    'localhost.',
    'models.example.org',
  ])('the host %s is ours', async (host) => expect(await status('GET', { host })).toBe(200));

  it.each(['evil.org', 'localhost.evil.org', '127.0.0.1.nip.io:5000', '0.0.0.0', 'a@localhost'])(
    'the host "%s" is refused: a rebound name',
    async (host) => {
      expect(await status('GET', { host })).toBe(403);
      expect(await status('POST', { host })).toBe(403);
    },
  );

  it('pages of another origin change nothing', async () => {
    const host = `localhost:${app.port}`;
    for (const headers of [
      { origin: 'https://evil.org' },
      { origin: 'null' },
      { origin: 'http://localhost:1' },
      { origin: `http://127.0.0.1:${app.port}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: `http://${host}`, 'sec-fetch-site': 'cross-site' },
    ] as Record<string, string>[]) {
      expect([headers, await status('POST', { host, ...headers })]).toEqual([headers, 403]);
    }
    expect(
      await status('POST', { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }),
    ).toBe(201);
    expect(await status('POST', { host })).toBe(201);
    expect(await status('GET', { host, origin: 'https://evil.org' })).toBe(200);
  });

  it('says who asks', async () => {
    const who = async (headers: Record<string, string>) =>
      (await ask(app.port, 'GET', '/who', { host: 'localhost', ...headers })).body;
    expect(await who({})).toMatchObject({ actor: 'local', actorVerified: true });
    expect(await who({ authorization: 'Bearer whatever' })).toMatchObject({ actor: 'local' });
    expect(await who({ 'x-slipway-actor': 'ann' })).toMatchObject({
      actor: 'ann',
      actorVerified: false,
    });
  });
});

describe('with a token', () => {
  let app: Awaited<ReturnType<typeof startApp>>;
  beforeAll(async () => {
    const { config } = await ownSettings({ ...unused, HOST: '0.0.0.0', SLIPWAY_TOKEN: 'secret' });
    app = await startApp(WhoModule, config);
  });
  afterAll(() => app.close());
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

  it.each([
    undefined,
    'Bearer',
    'Bearer wrong',
    'Bearer secretx',
    'secret',
    basic('secret:'),
    basic('a:b'),
  ])('%s is refused', async (authorization) => {
    const headers = { host: 'x', ...(authorization && { authorization }) };
    for (const method of ['GET', 'POST']) {
      expect((await ask(app.port, method, '/who', headers)).body).toMatchObject({
        status: 401,
        code: 'UNAUTHENTICATED',
      });
    }
  });

  it.each(['Bearer secret', 'bearer secret', basic('anybody:secret'), basic(':secret')])(
    '%s is accepted',
    async (authorization) => {
      const { body } = await ask(app.port, 'GET', '/who', { host: 'x', authorization });
      expect(body).toMatchObject({ actor: 'token', actorVerified: true });
    },
  );

  it('health and metrics are open, and only to read', async () => {
    for (const path of ['/livez', '/readyz', '/metrics', '/livez?verbose']) {
      expect((await ask(app.port, 'GET', path, { host: 'x' })).status).toBe(200);
    }
    expect((await ask(app.port, 'POST', '/livez', { host: 'x' })).status).toBe(401);
    expect((await ask(app.port, 'GET', '/metrics/../who', { host: 'x' })).status).toBe(401);
  });
});
