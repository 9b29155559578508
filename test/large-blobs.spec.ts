import { type ChildProcess, fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { request as open } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { digestFor } from './artifact-store.contract.js';
import { ownArtifacts } from './support/artifacts.js';
import { ownBucket, s3IsThere } from './support/s3.js';

const MiB = 1024 * 1024;
const stores: [string, (() => Promise<Record<string, string>>) | undefined][] = [
  ['a folder', undefined],
];
if (s3IsThere('large blobs and kills with the S3 driver')) stores.push(['S3', ownBucket]);

/** The registry as a process of its own, which can be measured and killed. */
class Server {
  private child: ChildProcess;
  private port = 0;

  constructor(private readonly env: Record<string, string>) {}

  async start(): Promise<void> {
    const main = join(import.meta.dirname, '..', 'apps', 'registry', 'main.js');
    this.child = fork(main, [], {
      env: { ...process.env, NODE_OPTIONS: '', PORT: '0', ...this.env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [ready] = (await once(this.child, 'message')) as [{ port: number }];
    this.port = ready.port;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    await exit;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async send(method: string, path: string, body?: Buffer, headers: Record<string, string> = {}) {
    const url = `http://127.0.0.1:${this.port}${path}`;
    return fetch(url, { method, headers, ...(body && { body: new Uint8Array(body) }) });
  }

  async begin(): Promise<string> {
    return String((await this.send('POST', '/api/v1/blobs/uploads')).headers.get('location'));
  }

  /** Where the server wants the upload to go on. */
  async offset(location: string): Promise<number> {
    const response = await this.send('GET', location);
    expect(response.status).toBe(204);
    const last = /^0-(\d+)$/.exec(response.headers.get('range') ?? '')?.[1];
    return last === undefined ? 0 : Number(last) + 1;
  }

  /** One request with a streamed body; gives the status. */
  async stream(method: string, path: string, body: Readable): Promise<number> {
    const sent = open({ host: '127.0.0.1', port: this.port, method, path });
    const answered = once(sent, 'response') as Promise<[import('node:http').IncomingMessage]>;
    await pipeline(body, sent);
    const [response] = await answered;
    response.resume();
    return response.statusCode ?? 0;
  }
}

describe.each(stores)('with %s', (_name, store) => {
  let server: Server;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const own = await ownArtifacts(store);
    remove = own.remove;
    server = new Server({ ...own.env, LOG_LEVEL: 'fatal' });
    await server.start();
  });

  afterAll(async () => {
    await server.end('SIGTERM');
    await remove();
  });

  it('an upload goes on after kill -9 where it was acknowledged', async () => {
    const chunk = 5 * MiB;
    const content = randomBytes(6 * chunk);
    const location = await server.begin();
    let sentAgain = 0;
    let kills = 0;
    for (let acknowledged = 0; acknowledged < content.length;) {
      const send = (from: number) => {
        const bytes = content.subarray(from, from + chunk);
        const range = { 'content-range': `${from}-${from + bytes.length - 1}` };
        return server.send('PATCH', location, bytes, range);
      };
      expect((await send(acknowledged)).status).toBe(202);
      acknowledged += Math.min(chunk, content.length - acknowledged);
      if (acknowledged % (2 * chunk) !== 0) continue;

      // In the midst of the next one, or just after it.
      const next = send(acknowledged).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      await server.end('SIGKILL');
      await next;
      kills += 1;
      await server.start();
      const offset = await server.offset(location);
      expect(offset).toBeGreaterThanOrEqual(acknowledged);
      sentAgain += Math.max(0, acknowledged + chunk - offset);
      acknowledged = offset;
    }
    const done = await server.send('PUT', `${location}?digest=${digestFor(content)}`);
    expect(done.status).toBe(201);
    const back = await server.send('GET', `/api/v1/blobs/${digestFor(content)}`);
    expect(Buffer.from(await back.arrayBuffer()).equals(content)).toBe(true);
    process.stderr.write(
      `kill -9: ${kills} times in ${content.length / MiB} MiB; ${Math.round(sentAgain / MiB)} MiB of what was under way sent again\n`,
    );
  }, 120_000);

  const linux = process.platform === 'linux';
  (linux ? it : it.skip)(
    `memory does not grow with a blob${linux ? '' : ' (needs /proc)'}`,
    async () => {
      const size = Number(process.env.TEST_LARGE_MIB ?? 256) * MiB;
      const hash = createHash('sha256');
      const block = randomBytes(MiB);
      async function* blocks(): AsyncGenerator<Buffer> {
        for (let at = 0; at < size; at += block.length) {
          block.writeUInt32LE(at / block.length);
          const copy = Buffer.from(block);
          hash.update(copy);
          yield copy;
        }
      }
      for (let i = 0; i < 20; i += 1) await server.begin();
      const location = await server.begin();
      const before = memoryOf(server.pid);
      expect(await server.stream('PATCH', location, Readable.from(blocks()))).toBe(202);
      const digest = `sha256:${hash.digest('hex')}`;
      expect((await server.send('PUT', `${location}?digest=${digest}`)).status).toBe(201);
      const up = memoryOf(server.pid, 'peak') - before;

      const again = createHash('sha256');
      const response = await server.send('GET', `/api/v1/blobs/${digest}`);
      for await (const chunk of response.body ?? []) again.update(chunk as Uint8Array);
      expect(`sha256:${again.digest('hex')}`).toBe(digest);
      const both = memoryOf(server.pid, 'peak') - before;
      const body = Buffer.from(JSON.stringify({ files: [{ path: 'large.bin', digest }] }));
      const json = { 'content-type': 'application/json' };
      const versions = '/api/v1/models/large/versions';
      expect((await server.send('POST', versions, body, json)).status).toBe(201);
      for (const format of ['tar', 'zip']) {
        const archive = await server.send('GET', `${versions}/1/archive?format=${format}`);
        let received = 0;
        for await (const chunk of archive.body ?? []) received += (chunk as Uint8Array).length;
        expect(received).toBeGreaterThan(size);
      }
      const all = memoryOf(server.pid, 'peak') - before;
      process.stderr.write(
        `memory: ${size / MiB} MiB up: +${up} MiB, and down: +${both} MiB, and as archives: +${all} MiB\n`,
      );
      expect(all).toBeLessThan(100);
    },
    120_000,
  );
});

/** MiB of resident memory now, or at its highest since the last look. */
function memoryOf(pid: number, when: 'now' | 'peak' = 'now'): number {
  const name = when === 'peak' ? 'VmHWM' : 'VmRSS';
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  if (when === 'now') writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
}
