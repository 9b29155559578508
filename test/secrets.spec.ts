import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '#platform';
import { Slipway } from '#sdk';
import { constantModel } from './support/models.js';
import { divisionModel } from './support/onnx-writer.js';
import { asAdmin, dropDatabase, ownDatabase } from './support/postgres.js';
import { exitOf, until } from './support/processes.js';
import { Product } from './support/product.js';
import { TcpProxy } from './support/tcp-proxy.js';

const TOKEN = 'token-Zq7vXw1pLm';
const PASSWORD = 'pass/word:Rt5@nBk8';
const SECRET_KEY = 's3secret+Jh3/dFg6=';
const ACCESS_KEY = 'AKIAsecretYw9sTr';
const OTHER_TOKEN = 'wrong-token-Pd4kVc';
const IN_QUERY = 'query-secret-Mb2xQz';
/** Stands where a parameter's name should; an answer may name it, a log must not. */
const AS_NAME = 'named-secret-Gs8yTi';
const COOKIE = 'cookie-secret-Ne6wUj';

/** Each as it is, in a URL, and in the header of HTTP Basic. */
const FORBIDDEN = [TOKEN, PASSWORD, SECRET_KEY, ACCESS_KEY, OTHER_TOKEN, IN_QUERY, COOKIE].flatMap(
  (secret) => [
    secret,
    encodeURIComponent(secret),
    Buffer.from(`:${secret}`).toString('base64'),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  ],
);

function leaksIn(what: string): string[] {
  return FORBIDDEN.filter((secret) => what.includes(secret));
}

const MAIN = join('dist', 'apps', 'server', 'main.js');

/** Starts the command with settings that it refuses; gives all that it printed. */
async function refusedStart(
  env: Record<string, string>,
): Promise<{ code: number | null; printed: string }> {
  const folder = join(tmpdir(), `slipway-secrets-${randomUUID()}`);
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH, DATA_DIR: folder, PORT: '0', SERVING_PORT: '0', ...env },
  });
  const [out, errors, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exitOf(child),
  ]);
  await rm(folder, { recursive: true, force: true });
  return { code, printed: out + errors };
}

/** A store as talkative as one may be: there is every bucket, and to all else it says back what it was told. */
async function talkativeStore(hasBucket: boolean): Promise<{ url: string; close: () => void }> {
  const store = createServer((request, response) => {
    if (hasBucket && request.method === 'HEAD') return response.writeHead(200).end();
    const said = `${request.url} ${JSON.stringify(request.headers)} ${SECRET_KEY} ${ACCESS_KEY}`;
    const message = said.replace(/[<&]/g, '.');
    response.writeHead(403, { 'content-type': 'application/xml' });
    return response.end(
      `<Error><Code>SignatureDoesNotMatch</Code><Message>${message}</Message></Error>`,
    );
  });
  await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
  const { port } = store.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => store.close() };
}

describe('a start that is refused', () => {
  it('lists faults without the values of secrets', async () => {
    const { code, printed } = await refusedStart({
      SLIPWAY_TOKEN: `${TOKEN} with a space`,
      DATABASE_URL: `mysql://me:${PASSWORD}@host/db?password=${PASSWORD}`,
      ARTIFACT_STORE: `s3://${ACCESS_KEY}:${SECRET_KEY}@bucket`,
      S3_ENDPOINT: `https://${ACCESS_KEY}:${SECRET_KEY}@s3.example.org/?X-Amz-Signature=${IN_QUERY}`,
      SERVING_URL: `https://me:${PASSWORD}@serving.example.org`,
      S3_SECRET_KEY: SECRET_KEY,
      PORT: 'x',
    });
    expect(code).toBe(78);
    expect(printed.split('\n').filter((line) => line.startsWith('  '))).toHaveLength(6);
    expect(leaksIn(printed)).toEqual([]);
  });

  it.each([`host=db password=${PASSWORD}`, `postgres//me:${PASSWORD}@host/db`])(
    'says nothing of a database in another form: %#',
    async (DATABASE_URL) => {
      const { code, printed } = await refusedStart({ DATABASE_URL });
      expect(code).toBe(78);
      expect(printed).toContain('DATABASE_URL=');
      expect(leaksIn(printed)).toEqual([]);
    },
  );

  it('says that the database is away, or refuses us, without the password', async () => {
    const port = await freePort('127.0.0.1');
    const password = encodeURIComponent(PASSWORD);
    const server = new URL(process.env.TEST_DATABASE_URL ?? '');
    for (const at of [`127.0.0.1:${port}`, server.host]) {
      const DATABASE_URL = `postgres://nobody:${password}@${at}/slipway`;
      const { code, printed } = await refusedStart({ DATABASE_URL, SLIPWAY_TOKEN: TOKEN });
      expect([code, printed]).toEqual([69, expect.stringMatching(/^Cannot use PostgreSQL/)]);
      expect(leaksIn(printed)).toEqual([]);
    }
  }, 30_000);

  it('says that the store is away, or refuses us, without its keys', async () => {
    const store = await talkativeStore(false);
    const database = await ownDatabase();
    try {
      for (const S3_ENDPOINT of [store.url, `http://127.0.0.1:${await freePort('127.0.0.1')}`]) {
        const { code, printed } = await refusedStart({
          DATABASE_URL: database,
          ARTIFACT_STORE: 's3://models',
          S3_ENDPOINT,
          S3_ACCESS_KEY: ACCESS_KEY,
          S3_SECRET_KEY: SECRET_KEY,
        });
        expect([code, printed]).toEqual([69, expect.stringContaining('Cannot use ARTIFACT_STORE')]);
        expect(leaksIn(printed)).toEqual([]);
      }
    } finally {
      store.close();
      await dropDatabase(database);
    }
  }, 60_000);
});

describe('the product', () => {
  const role = `role_${randomUUID().replaceAll('-', '')}`;
  /** All that it has answered, headers included. */
  let answers = '';
  let database: string;
  let proxy: TcpProxy;
  let product: Product;

  beforeAll(async () => {
    database = await ownDatabase();
    await asAdmin((admin) =>
      admin.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD ${admin.escapeLiteral(PASSWORD)}`),
    );
    proxy = new TcpProxy(new URL(database));
    const url = new URL(await proxy.open());
    url.username = role;
    url.password = encodeURIComponent(PASSWORD);
    product = await Product.start({
      env: {
        LOG_LEVEL: 'trace',
        SLIPWAY_TOKEN: TOKEN,
        DATABASE_URL: url.href,
        S3_ACCESS_KEY: ACCESS_KEY,
        S3_SECRET_KEY: SECRET_KEY,
      },
    });
  }, 90_000);
  afterAll(async () => {
    await product.remove();
    await proxy.cut();
    await dropDatabase(database);
    await asAdmin((admin) => admin.query(`DROP ROLE ${role}`));
  });

  async function ask(
    url: string,
    options: { method?: string; body?: string; headers?: Record<string, string> } = {},
    token = TOKEN,
  ): Promise<number> {
    const answer = await fetch(url, {
      ...options,
      headers: {
        authorization: `Bearer ${token}`,
        cookie: `session=${COOKIE}`,
        'content-type': 'application/json',
        ...options.headers,
      },
    });
    answers += JSON.stringify([...answer.headers]) + (await answer.text());
    return answer.status;
  }

  /** Some of every kind; what each is answered with does not matter here. */
  async function askAll(): Promise<void> {
    const { url, servingUrl } = product;
    const query = `?token=${IN_QUERY}&X-Amz-Signature=${IN_QUERY}&limit=x&${AS_NAME}`;
    const basic = Buffer.from(`someone:${OTHER_TOKEN}`).toString('base64');
    const row = '{"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}';
    const least = '-9223372036854775808';
    const deadly = `{"inputs": [{"name": "a", "datatype": "INT64", "shape": [1], "data": [${least}]},
      {"name": "b", "datatype": "INT64", "shape": [1], "data": [-1]}]}`;
    for (const path of ['/livez', '/readyz', '/metrics', '/docs', '/api/v1/server', '/nothing']) {
      await ask(url + path + query);
      await ask(servingUrl + path + query);
    }
    await ask(`${url}/api/v1/models${query}`);
    await ask(`${url}/api/v1/models`, {}, OTHER_TOKEN);
    await ask(`${url}/api/v1/models`, { headers: { authorization: `Basic ${basic}` } });
    await ask(`${url}/api/v1/models`, { method: 'POST', body: '{"name": 1, "broken' });
    await ask(`${url}/api/v1/models/%ff${query}`);
    await ask(`${url}/api/v1/blobs/uploads`, { method: 'POST' });
    await ask(`${url}/api/v1/gc`, { method: 'POST', body: '{}' });
    for (const model of ['churn', 'division', 'nobody']) {
      for (const body of [row, deadly, '{']) {
        await ask(`${url}/api/v1/models/${model}/infer${query}`, { method: 'POST', body });
        await ask(`${servingUrl}/v2/models/${model}/infer${query}`, { method: 'POST', body });
      }
      await ask(`${servingUrl}/v2/models/${model}/infer`, { method: 'POST' }, OTHER_TOKEN);
    }
  }

  it('keeps its secrets, whatever is asked and whatever fails', async () => {
    const slipway = new Slipway({ url: product.url, token: TOKEN });
    const log = async (name: string, path: string, data: Uint8Array) => {
      const { version } = await slipway.logModel({ name, files: [{ path, data }] });
      await slipway.checked(name, version);
      await slipway.promote(name, version, { wait: 20 });
    };
    await log('churn', 'model.json', constantModel(1));
    await log('division', 'model.onnx', divisionModel());
    await askAll();

    await proxy.cut();
    await until(async () => (await ask(`${product.url}/readyz`)) === 503);
    await askAll();
    await proxy.open();
    await until(async () => (await ask(`${product.url}/readyz`)) === 200, 30_000);

    const store = join(product.folder, 'artifacts');
    await rename(store, `${store}-away`);
    await writeFile(store, 'not a folder');
    await until(async () => (await ask(`${product.url}/readyz`)) === 503);
    await askAll();
    await rm(store);
    await rename(`${store}-away`, store);

    const { workers, registry } = product.processes;
    for (const pid of [...workers, registry]) process.kill(pid, 'SIGSEGV');
    await until(async () => {
      const ready = [product.url, product.servingUrl].map((url) =>
        ask(`${url}/readyz`).catch(() => 0),
      );
      return (await Promise.all(ready)).every((status) => status === 200);
    }, 60_000);
    await askAll();

    expect(product.log.length).toBeGreaterThan(10_000);
    expect(answers.length).toBeGreaterThan(10_000);
    expect(leaksIn(product.log)).toEqual([]);
    expect(product.log).not.toContain(AS_NAME);
    expect(leaksIn(product.lines.join('\n'))).toEqual([]);
    expect(leaksIn(answers)).toEqual([]);
  }, 150_000);

  it('has no secrets in the command lines of its processes, nor those of others in their environments', () => {
    const { all, workers, compartments, server } = product.processes;
    expect(compartments.length).toBeGreaterThan(0);
    const read = (pid: number, file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8');
    for (const pid of all) expect(leaksIn(read(pid, 'cmdline'))).toEqual([]);
    for (const pid of compartments) expect(leaksIn(read(pid, 'environ'))).toEqual([]);
    // These check the token themselves; they need neither the database nor the store.
    for (const pid of workers) {
      const environment = read(pid, 'environ');
      expect(environment).toContain(TOKEN);
      expect(leaksIn(environment.replaceAll(TOKEN, ''))).toEqual([]);
    }
    expect(leaksIn(read(server, 'environ')).length).toBeGreaterThan(3);
  });

  it('has none in the environment of a compile process', async () => {
    const slipway = new Slipway({ url: product.url, token: TOKEN });
    const leaks: string[] = [];
    let seen = 0;
    const watching = setInterval(() => {
      const { compiling } = product.processes;
      for (const pid of compiling) {
        try {
          const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
          seen += Number(environment.length > 0);
          leaks.push(...leaksIn(environment));
        } catch {
          // It has ended in between.
        }
      }
    }, 5);
    for (let value = 10; value < 40 && seen === 0; value++) {
      const files = [{ path: 'model.json', data: constantModel(value) }];
      const { version } = await slipway.logModel({ name: 'churn', files });
      await slipway.checked('churn', version);
    }
    clearInterval(watching);
    expect(seen).toBeGreaterThan(0);
    expect(leaks).toEqual([]);
  }, 60_000);
});

it('a store that says back what it was told gives nothing away', async () => {
  const store = await talkativeStore(true);
  const product = await Product.start({
    env: {
      LOG_LEVEL: 'trace',
      ARTIFACT_STORE: 's3://models/prefix',
      S3_ENDPOINT: store.url,
      S3_ACCESS_KEY: ACCESS_KEY,
      S3_SECRET_KEY: SECRET_KEY,
    },
  });
  try {
    const begun = await fetch(`${product.url}/api/v1/blobs/uploads`, { method: 'POST' });
    const answer = await fetch(`${product.url}${begun.headers.get('location')}`, {
      method: 'PATCH',
      body: new Uint8Array(6 * 2 ** 20),
    });
    expect(answer.status).toBe(503);
    const said = await answer.text();
    expect(said).toContain('***');
    expect(leaksIn(said)).toEqual([]);
    expect(leaksIn(product.log)).toEqual([]);
  } finally {
    await product.remove();
    store.close();
  }
}, 90_000);

describe('the embedded PostgreSQL', () => {
  it('has a password that is nowhere to be read but in its file', async () => {
    const product = await Product.start({ embedded: true, env: { LOG_LEVEL: 'trace' } });
    try {
      const password = readFileSync(join(product.folder, 'postgres-password'), 'utf8').trim();
      const { all, guardian, postgres } = product.processes;
      expect(all).toEqual(expect.arrayContaining([guardian, postgres]));
      for (const pid of all)
        expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password);
      for (const pid of [guardian, postgres])
        expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain(password);
      process.kill(postgres ?? 0, 'SIGKILL');
      await until(() => product.log.includes('PostgreSQL ended'));
      await until(() => fetch(`${product.url}/readyz`).then((answer) => answer.ok), 60_000);
      expect(product.log).not.toContain(password);
      expect(readFileSync(join(product.folder, 'postgres.log'), 'utf8')).not.toContain(password);
    } finally {
      await product.remove();
    }
  }, 120_000);
});
