import { once } from 'node:events';
import { IncomingMessage, request as open, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Body, Controller, Get, HttpCode, Module, Param, Post, Query, Req } from '@nestjs/common';
import type { Config } from '#platform';
import { DomainError, RawBody, Stopping } from '#platform';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Type } from 'class-transformer';
import { IsInt, IsObject, IsOptional, IsString } from 'class-validator';
import { until } from './support/processes.js';
import { ownSettings, startApp } from './support/server.js';

class Thing {
  @IsOptional()
  @IsString()
  name?: string;
  @IsOptional()
  @IsObject()
  metadata?: object;
}
class Page {
  @IsOptional()
  @Type(() => Number)
  @IsInt()
  limit?: number;
}

/** How many requests have come that wait. */
let running = 0;

@Controller('things')
class ThingsController {
  constructor(private readonly stopping: Stopping) {}

  @Get()
  list(@Query() { limit }: Page): unknown {
    return { limit, big: 2n ** 63n };
  }
  @Post()
  create(@Body() thing: Thing): unknown {
    return thing;
  }
  @Get('fault')
  fault(): unknown {
    throw new Error('secret reason');
  }
  @Get('prototypes')
  prototypes(@Req() request: IncomingMessage & { res: ServerResponse }): unknown {
    const parentOf = (object: object) => Object.getPrototypeOf(Object.getPrototypeOf(object));
    return {
      request: parentOf(request) === IncomingMessage.prototype,
      response: parentOf(request.res) === ServerResponse.prototype,
    };
  }
  @Get('slow')
  async slow(): Promise<unknown> {
    running++;
    await sleep(300);
    return { slow: true };
  }
  @Get('forever')
  async forever(): Promise<unknown> {
    running++;
    await new Promise((resolve) => this.stopping.signal.addEventListener('abort', resolve));
    return { ended: true };
  }
  @Get(':name')
  get(@Param('name') name: string): unknown {
    throw DomainError.notFound(`Thing "${name}"`);
  }
  @Post('raw')
  @RawBody()
  @HttpCode(200)
  async raw(@Req() request: IncomingMessage): Promise<unknown> {
    let size = 0;
    for await (const chunk of request) size += (chunk as Buffer).length;
    return { size };
  }
}

@Module({ controllers: [ThingsController] })
class ThingsModule {}

let config: Config;
let app: Awaited<ReturnType<typeof startApp>>;
beforeAll(async () => {
  ({ config } = await ownSettings({ MAX_BODY: '10kB', DATABASE_URL: 'postgres://none/none' }));
  app = await startApp(ThingsModule, config);
});
afterAll(() => app.close());

function problem(status: number, code: string) {
  return (response: { status: number; body: Record<string, unknown>; type: string }) => {
    expect(response.body).toMatchObject({ status, code });
    expect(response.status).toBe(status);
    expect(response.type).toBe('application/problem+json');
  };
}

describe('answers', () => {
  it('carry the security headers and a request id', async () => {
    const { headers } = await app.http.get('/things').set('x-request-id', 'mine-1').expect(200);
    expect(headers).toMatchObject({
      'x-request-id': 'mine-1',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'permissions-policy': expect.any(String),
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'cache-control': 'no-store',
    });
    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).not.toHaveProperty('etag');
    const bad = await app.http.get('/nothing').set('x-request-id', 'a b');
    expect(bad.headers['x-request-id']).toMatch(/^[0-9a-f]{16}$/);
  });

  it('write 64-bit integers exactly', async () => {
    const { text } = await app.http.get('/things?limit=3');
    expect(text).toBe('{"limit":3,"big":9223372036854775808}');
  });
});

it('node:http makes requests as Express wants them, so that no prototype changes', async () => {
  const { body } = await app.http.get('/things/prototypes').expect(200);
  expect(body).toEqual({ request: true, response: true });
});

describe('wrong requests', () => {
  it('get problem documents', async () => {
    problem(404, 'NOT_FOUND')(await app.http.get('/nothing'));
    problem(404, 'NOT_FOUND')(await app.http.get('/things/x'));
    problem(400, 'INVALID_ARGUMENT')(await app.http.get('/things/%E0%A4%A'));
    problem(400, 'INVALID_ARGUMENT')(await app.http.get('/things?limit=x'));
    problem(400, 'INVALID_ARGUMENT')(await app.http.get('/things?limit=1&limit=2'));
    problem(400, 'INVALID_ARGUMENT')(await app.http.get('/things?lmit=1'));
    const fault = await app.http.get('/things/fault');
    problem(500, 'INTERNAL')(fault);
    expect(fault.text).not.toContain('secret');
  });

  it('learn which methods a path has', async () => {
    const response = await app.http.delete('/things');
    problem(405, 'METHOD_NOT_ALLOWED')(response);
    expect(response.headers.allow).toBe('GET, HEAD, POST');
  });

  it('that are no HTTP get one too', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(app.port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'));
      let got = '';
      socket.on('data', (chunk) => (got += chunk.toString()));
      socket.on('end', () => resolve(got)).on('error', reject);
    });
    expect(text).toMatch(/^HTTP\/1.1 400 [^]*"code":"INVALID_ARGUMENT"/);
  });
});

describe('JSON bodies', () => {
  const post = () => app.http.post('/things');

  it('are read and validated', async () => {
    await post().send({ name: 'a' }).expect(201, { name: 'a' });
    const response = await post().send({ nam: 'a' });
    problem(400, 'INVALID_ARGUMENT')(response);
    expect(response.body.errors).toEqual([
      { pointer: '/nam', message: expect.stringContaining('"name"') },
    ]);
  });

  it('keep wide integers, and keys that objects have by themselves', async () => {
    const body =
      '{"metadata":{"wide":9223372036854775807,"constructor":{"prototype":1},"toString":null,"list":[[{}]]}}';
    const { text } = await post().set('content-type', 'application/json').send(body).expect(201);
    expect(text).toBe(body);
  });

  it('may be absent, whatever the content type says', async () => {
    await post().expect(201, {});
    await post().set('content-type', 'text/plain').expect(201, {});
    const chunked = await fetch(`${app.url}/things`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: new ReadableStream({ start: (controller) => controller.close() }),
      duplex: 'half',
    } as RequestInit);
    expect([chunked.status, await chunked.json()]).toEqual([201, {}]);
  });

  it('of another content type, charset or encoding are refused', async () => {
    for (const [type, encoding] of [
      ['text/plain', 'identity'],
      ['application/x-www-form-urlencoded', 'identity'],
      ['application/json; charset=latin1', 'identity'],
      ['application/json', 'gzip'],
    ] as const) {
      const response = await post()
        .set('content-type', type)
        .set('content-encoding', encoding)
        .send('{"name":"a"}');
      problem(415, 'UNSUPPORTED_MEDIA_TYPE')(response);
    }
    await post().set('content-type', 'application/problem+json').send('{}').expect(201);
  });

  it.each(['[]', '1', 'null', '{', '{"a":1}}', '"\u0000"'])('%s is refused', async (body) => {
    problem(
      400,
      'INVALID_ARGUMENT',
    )(await post().set('content-type', 'application/json').send(body));
  });

  it('over the limit are refused before they are read', async () => {
    problem(413, 'PAYLOAD_TOO_LARGE')(await post().send({ name: 'x'.repeat(20_000) }));
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': 10 ** 12 };
      const sent = open(`${app.url}/things`, { method: 'POST', headers }, (response) => {
        response.resume();
        sent.destroy();
        resolve(response.statusCode);
      });
      sent.on('error', reject);
      sent.flushHeaders();
    });
    expect(answer).toBe(413);
    const endless = await fetch(`${app.url}/things`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new ReadableStream({ pull: (to) => to.enqueue(Buffer.alloc(9_000, 0x20)) }),
      duplex: 'half',
    } as RequestInit);
    expect(endless.status).toBe(413);
  });

  it('of raw routes are left to the handler', async () => {
    const { body } = await app.http
      .post('/things/raw')
      .set('content-type', 'application/octet-stream')
      .send(Buffer.alloc(50_000));
    expect(body).toEqual({ size: 50_000 });
  });
});

it('closes after the running requests', async () => {
  const other = await startApp(ThingsModule, config);
  const asked = [fetch(`${other.url}/things/slow`), fetch(`${other.url}/things/forever`)];
  await until(() => running === 2);
  // Such as browsers keep in stock.
  const silent = connect(other.port, '127.0.0.1');
  await once(silent, 'connect');
  const begun = Date.now();
  await other.close();
  silent.destroy();
  const answers = await Promise.all(asked.map(async (r) => (await r).json()));
  expect(answers).toEqual([{ slow: true }, { ended: true }]);
  expect(Date.now() - begun).toBeLessThan(5_000);
  await expect(fetch(`${other.url}/things`)).rejects.toThrow();
});

it('says which port is in use', async () => {
  const { nest } = app;
  expect(nest).toBeDefined();
  const { createHttpApp } = await import('#platform');
  const second = await createHttpApp(ThingsModule, config);
  await expect(second.listen(app.port, '127.0.0.1')).rejects.toThrow(
    `Cannot listen on 127.0.0.1 port ${app.port}: it is in use`,
  );
  await second.close();
});
