import { Agent, request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { dropDatabase, ownDatabase } from './support/postgres.js';
import { until } from './support/processes.js';
import { startRegistry, type TestRegistry } from './support/registry.js';
import { ServedModels, stump } from './support/served-models.js';
import { ServingProcess } from './support/serving-process.js';
import { ownSettings } from './support/server.js';
import { TcpProxy } from './support/tcp-proxy.js';

interface Health {
  status: number;
  body: Record<string, unknown>;
  ms: number;
}

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).toReversed()) await step();
});

async function health(url: string, agent?: Agent): Promise<Health> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    request(url, { agent: agent ?? false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => {
        const ms = performance.now() - begun;
        resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text), ms });
      });
    })
      .on('error', reject)
      .end();
  });
}

/** Connections that have been used once each, so that a server that stops still answers on them. */
async function keptConnections(url: string, count: number): Promise<Agent> {
  const agent = new Agent({ keepAlive: true, maxSockets: count });
  await Promise.all(Array.from({ length: count }, () => health(`${url}/livez`, agent)));
  return agent;
}

describe('the registry', () => {
  async function start(): Promise<{
    registry: TestRegistry;
    proxy: TcpProxy;
    folder: string;
    port: number;
  }> {
    const database = await ownDatabase();
    cleanUp.push(() => dropDatabase(database));
    const proxy = new TcpProxy(new URL(database));
    const url = await proxy.open();
    cleanUp.push(() => proxy.cut());
    const { config } = await ownSettings({ DATABASE_URL: url });
    cleanUp.push(() => rm(config.DATA_DIR, { recursive: true, force: true }));
    const registry = await startRegistry({ DATABASE_URL: url, DATA_DIR: config.DATA_DIR });
    return { registry, proxy, folder: config.DATA_DIR, port: Number(new URL(url).port) };
  }

  it('is ready, and says which of database and store is away', async () => {
    const { registry, proxy, folder } = await start();
    cleanUp.push(() => registry.close());
    const ready = () => health(`${registry.url}/readyz`);
    const live = () => health(`${registry.url}/livez`);
    expect(await ready()).toMatchObject({
      status: 200,
      body: { ready: true, database: 'ok', store: 'ok' },
    });

    await proxy.cut();
    const away = await ready();
    expect(away).toMatchObject({ status: 503, body: { ready: false, store: 'ok' } });
    expect(away.body.database).toMatch(/ECONNREFUSED|terminated|closed|reset/i);
    expect((await live()).status).toBe(200);
    await proxy.open();
    await until(async () => (await ready()).status === 200);

    const store = join(folder, 'artifacts');
    await rename(store, `${store}-away`);
    await writeFile(store, '');
    const without = await ready();
    expect(without).toMatchObject({ status: 503, body: { ready: false, database: 'ok' } });
    expect(without.body.store).not.toBe('ok');
    expect((await live()).status).toBe(200);
    await rm(store);
    await rename(`${store}-away`, store);
    await until(async () => (await ready()).status === 200);
  }, 60_000);

  it('answers in time where the database says nothing at all', async () => {
    const { registry, proxy, port } = await start();
    cleanUp.push(() => registry.close());
    await proxy.cut();
    // Takes connections, and never says a word.
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
    cleanUp.push(async () => {
      silent.close();
      for (const socket of sockets) socket.destroy();
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => health(`${registry.url}/readyz`)),
    );
    for (const { status, body, ms } of answers) {
      expect([status, body.ready]).toEqual([503, false]);
      expect(body.database).not.toBe('ok');
      expect(ms).toBeLessThan(10_000);
    }
    // All of them waited for one question.
    expect(sockets.length).toBeLessThan(8);
    expect((await health(`${registry.url}/livez`)).status).toBe(200);
    const metrics = await fetch(`${registry.url}/metrics`);
    expect(metrics.status).toBe(200);
  }, 60_000);

  it('is not ready while it stops, but lives', async () => {
    const { registry } = await start();
    const agent = await keptConnections(registry.url, 2);
    const closing = registry.close();
    const [ready, live] = await Promise.all([
      health(`${registry.url}/readyz`, agent),
      health(`${registry.url}/livez`, agent),
    ]);
    expect(ready).toMatchObject({ status: 503, body: { ready: false, stopping: true } });
    expect(live.status).toBe(200);
    // Whoever comes new is refused at once.
    await expect(health(`${registry.url}/livez`)).rejects.toThrow('ECONNREFUSED');
    agent.destroy();
    await closing;
  }, 60_000);
});

describe('serving', () => {
  it('is ready when every model answers or has finally failed, and says what is missing', async () => {
    const { config, release } = await ownSettings();
    cleanUp.push(release);
    const folder = join(config.DATA_DIR, 'store');
    const models = await new ServedModels(config.DATABASE_URL, folder).open();
    cleanUp.push(() => models.close());
    const proxy = new TcpProxy(new URL(config.DATABASE_URL));
    const databaseUrl = await proxy.open();
    cleanUp.push(() => proxy.cut());
    const good = await models.model('good');
    await models.version(good, 1, stump(1));
    const broken = await models.model('broken');
    await models.version(broken, 1, stump(2));
    await models.query(
      `UPDATE model_version SET program_digest = 'sha256:' || repeat('0', 64) WHERE model_id = $1`,
      [broken],
    );
    await proxy.cut();

    // Nothing is known yet: PostgreSQL is away from the beginning.
    const serving = await ServingProcess.start({
      databaseUrl,
      dataDir: join(config.DATA_DIR, 'serving'),
      store: folder,
    });
    cleanUp.push(() => serving.stop());
    const url = `http://127.0.0.1:${serving.port}`;
    const ready = () => health(`${url}/readyz`);
    await until(async () => (await ready()).body.outage !== undefined);
    expect(await ready()).toMatchObject({
      status: 503,
      body: { status: 'loading', models: [], outage: 'PostgreSQL cannot be read (ECONNREFUSED)' },
    });
    expect((await health(`${url}/livez`)).status).toBe(200);

    // A model without its blob fails for good; the other answers.
    await models.follow(good, 1);
    await models.follow(broken, 1);
    await proxy.open();
    await until(async () => (await ready()).status === 200, 30_000);
    const { body } = await ready();
    expect(body).toMatchObject({ status: 'ok' });
    expect(body.outage).toBeUndefined();
    expect(body.models).toEqual([
      expect.objectContaining({ model: 'broken', state: 'failed', answering: null }),
    ]);

    // What is served does not need PostgreSQL; that it is away is said all the same.
    await proxy.cut();
    await until(async () => (await ready()).body.outage !== undefined);
    expect((await ready()).status).toBe(200);
    await proxy.open();
    await until(async () => (await ready()).body.outage === undefined, 30_000);

    const agent = await keptConnections(url, 24);
    const stopped = serving.stop();
    await until(async () => (await health(`${url}/readyz`, agent)).status === 503);
    expect((await health(`${url}/livez`, agent)).status).toBe(200);
    await expect(health(`${url}/livez`)).rejects.toThrow('ECONNREFUSED');
    agent.destroy();
    expect(await stopped).toBe(0);
  }, 90_000);
});
