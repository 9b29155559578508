import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort, readConfig } from '#platform';
import { checkDataDir, checkMemory, checkNode } from '../libs/doctor/machine.js';
import { asAdmin, dropDatabase, ownDatabase, urlOf } from './support/postgres.js';
import { exitOf } from './support/processes.js';
import { Product } from './support/product.js';
import { ownBucket, s3IsThere } from './support/s3.js';

const CLI = join('dist', 'apps', 'cli', 'main.js');
/** Milliseconds in which no check may hang, and what a loaded machine takes beside. */
const ALL_CHECKS = 60_000;

interface Finding {
  check: string;
  state: string;
  message: string;
  next?: string;
}

let folder: string;
let sound: NodeJS.ProcessEnv;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-doctor-'));
  await chmod(folder, 0o711);
  sound = {
    DATABASE_URL: await ownDatabase(),
    DATA_DIR: join(folder, 'data'),
    PORT: String(await freePort('127.0.0.1')),
    SERVING_PORT: String(await freePort('127.0.0.1')),
    SERVING_MEMORY: '100MiB',
    SERVING_PROCESSES: '1',
  };
  await mkdir(join(folder, 'data'));
});
afterAll(async () => {
  await dropDatabase(sound.DATABASE_URL ?? '');
  await rm(folder, { recursive: true, force: true });
});

interface Diagnosis {
  code: number | null;
  findings: Finding[];
  /** All of one check. */
  of: (check: string) => Finding[];
  out: string;
}

/** Asks with sound settings but for those given; every promise about the form of findings is checked here. */
async function doctor(env: NodeJS.ProcessEnv = {}, user?: number): Promise<Diagnosis> {
  const child = spawn(process.execPath, [CLI, 'doctor', '--json'], {
    env: { PATH: process.env.PATH, ...sound, ...env },
    ...(user !== undefined && { uid: user, gid: user }),
  });
  const [code, out] = await Promise.all([exitOf(child), text(child.stdout)]);
  const { findings, failures } = JSON.parse(out) as { findings: Finding[]; failures: number };
  expect(code).toBe(failures > 0 ? 1 : 0);
  for (const finding of findings) {
    expect(finding.message).not.toContain('\n');
    expect([finding, finding.state === 'ok' || !!finding.next]).toEqual([finding, true]);
  }
  const of = (check: string) => findings.filter((finding) => finding.check === check);
  return { code, findings, of, out };
}

const failed = (message: RegExp, next?: RegExp) =>
  expect.objectContaining({
    state: 'failure',
    message: expect.stringMatching(message),
    ...(next && { next: expect.stringMatching(next) }),
  });
const warned = (message: RegExp) =>
  expect.objectContaining({ state: 'warning', message: expect.stringMatching(message) });

async function taken(): Promise<{ server: Server; port: string }> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { server, port: String((server.address() as AddressInfo).port) };
}

describe('slipway doctor', () => {
  it(
    'finds nothing where nothing is wrong, and leaves nothing',
    async () => {
      await mkdir(join(folder, 'data', 'artifacts'));
      const { code, findings } = await doctor();
      // The disk and the memory of the machine are what they are.
      const others = findings.filter(({ check }) => check !== 'disk' && check !== 'memory');
      expect(others.filter(({ state }) => state !== 'ok')).toEqual([]);
      expect(code).toBe(0);
      const left = await readdir(join(folder, 'data'), { recursive: true, withFileTypes: true });
      expect(left.filter((entry) => entry.isFile())).toEqual([]);
    },
    ALL_CHECKS,
  );

  it(
    'tells all faults of the configuration without secrets, and checks the rest',
    async () => {
      const { of, out } = await doctor({
        PORT: 'x',
        MAX_ROWS: 'y',
        DATABASE_URL: 'postgres://me:hunter2/@x@host:port/slipway',
        ARTIFACT_STORE: 's3://bucket',
        S3_SECRET_KEY: 'hunter2',
        SLIPWAY_TOKN: 'hunter2',
      });
      expect(of('configuration')).toEqual(
        expect.arrayContaining([
          failed(/^PORT="x"/),
          failed(/^MAX_ROWS/),
          failed(/^DATABASE_URL/),
          failed(/^S3_ACCESS_KEY is not set/),
          warned(/^SLIPWAY_TOKN.*SLIPWAY_TOKEN/),
        ]),
      );
      for (const check of ['database', 'store', 'ports'])
        expect(of(check)).toEqual([warned(/^not checked: \w+ is wrong/)]);
      expect(of('node')[0]?.state).toBe('ok');
      expect(out).not.toContain('hunter2');
    },
    ALL_CHECKS,
  );

  it(
    'says who has a port',
    async () => {
      const { server, port } = await taken();
      const { of } = await doctor({ PORT: port });
      const who = new RegExp(`^PORT ${port} is taken by .*\\(process ${process.pid}\\)`);
      expect(of('ports')).toEqual([failed(who), expect.objectContaining({ state: 'ok' })]);
      server.close();
      expect((await doctor({ HOST: '192.0.2.1', SLIPWAY_TOKEN: 't' })).of('ports')[0]).toEqual(
        failed(/cannot be opened: .*EADDRNOTAVAIL/),
      );
    },
    ALL_CHECKS,
  );

  it(
    'says what is wrong with the database',
    async () => {
      const database = async (url: string) => (await doctor({ DATABASE_URL: url })).of('database');
      const { server, port } = await taken();
      const silent = database(`postgres://me:secret@127.0.0.1:${port}/x`);
      const away = database(`postgres://me:secret@127.0.0.1:${await freePort('127.0.0.1')}/x`);
      const wrong = new URL(sound.DATABASE_URL ?? '');
      wrong.password = 'wrong';
      expect(await database(wrong.href)).toEqual([
        failed(/password authentication failed/, /password/),
      ]);
      expect(await database(urlOf('none_such'))).toEqual([
        failed(/does not exist/, /CREATE DATABASE/),
      ]);
      expect(await away).toEqual([failed(/ECONNREFUSED/, /whether PostgreSQL runs/)]);
      expect(await silent).toEqual([failed(/timeout/, /whether PostgreSQL runs/)]);
      server.close();
    },
    ALL_CHECKS,
  );

  it(
    'says what the schema and the rights lack',
    async () => {
      const url = await ownDatabase();
      const name = new URL(url).pathname.slice(1);
      const role = `reader_${name}`;
      const inside = async (sql: string) => {
        const { default: pg } = await import('pg');
        const client = new pg.Client(url);
        await client.connect();
        await client.query(sql);
        await client.end();
      };
      const found = async (as = url) => (await doctor({ DATABASE_URL: as })).of('database');
      await inside(`INSERT INTO migrations (timestamp, name) VALUES (9, 'FromTheFuture9')`);
      expect(await found()).toContainEqual(warned(/newer Slipway \(FromTheFuture9\)/));
      await inside(`DELETE FROM migrations`);
      expect(await found()).toContainEqual(warned(/migrations wait \(InitialSchema/));
      await asAdmin((admin) => admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'`));
      await inside(`GRANT SELECT ON migrations TO ${role}`);
      const reader = new URL(url);
      reader.username = role;
      reader.password = 'p';
      expect(await found(reader.href)).toContainEqual(
        failed(/may not read and write .*model_version/),
      );
      await asAdmin((admin) =>
        admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`),
      );
      expect(await found()).toEqual([failed(/is read-only/)]);
      await dropDatabase(url);
      await asAdmin((admin) => admin.query(`DROP ROLE ${role}`));
    },
    ALL_CHECKS,
  );

  const asRoot = process.getuid?.() === 0 ? it : it.skip;
  if (process.getuid?.() !== 0)
    process.stderr.write('Left out: folders of another user need root\n');
  asRoot(
    'says that a folder cannot be written',
    async () => {
      const data = join(folder, 'closed');
      await mkdir(join(data, 'artifacts', 'uploads'), { recursive: true });
      await mkdir(join(data, 'artifacts', 'blobs', 'sha256'), { recursive: true });
      const closed = await doctor({ DATA_DIR: data }, 65_534);
      expect(closed.of('disk')).toEqual([failed(/cannot write to .*EACCES/, /DATA_DIR/)]);
      expect(closed.of('store')).toEqual([failed(/cannot reach/, /writable/)]);
    },
    ALL_CHECKS,
  );

  it(
    'says that the store is away',
    async () => {
      const s3 = {
        S3_ACCESS_KEY: 'key',
        S3_SECRET_KEY: 'hunter2',
        ARTIFACT_STORE: 's3://bucket/x',
      };
      const refused = `http://127.0.0.1:${await freePort('127.0.0.1')}`;
      const { server, port } = await taken();
      const [one, two] = await Promise.all([
        doctor({ ...s3, S3_ENDPOINT: refused }),
        doctor({ ...s3, S3_ENDPOINT: `http://127.0.0.1:${port}` }),
      ]);
      server.close();
      expect(one.of('store')).toEqual([failed(/cannot reach.*ECONNREFUSED/, /S3_ENDPOINT/)]);
      expect(two.of('store')[0]).toEqual(failed(/cannot reach|no answer within/));
      expect(one.out + two.out).not.toContain('hunter2');
      expect((await doctor({ ARTIFACT_STORE: `file://${folder}/unmounted` })).of('store')).toEqual([
        warned(/the next start makes it/),
      ]);
    },
    ALL_CHECKS,
  );

  const withS3 = s3IsThere('doctor of a bucket') ? it : it.skip;
  withS3(
    'tries everything that a bucket must do',
    async () => {
      const bucket = await ownBucket();
      const { of } = await doctor(bucket);
      expect(of('store')[0]).toMatchObject({
        state: 'ok',
        message: expect.stringContaining('write once (If-None-Match), write in parts, delete'),
      });
      const wrong = await doctor({ ...bucket, S3_SECRET_KEY: 'hunter2hunter2' });
      expect(wrong.of('store')[0]).toEqual(failed(/cannot reach/, /S3_SECRET_KEY/));
      const absent = await doctor({ ...bucket, ARTIFACT_STORE: 's3://no-such-bucket-here' });
      expect(absent.of('store')[0]).toEqual(failed(/does not exist/, /create the bucket/));
    },
    ALL_CHECKS,
  );

  it('knows the embedded PostgreSQL, stopped and running, and its server', async () => {
    const stopped = await doctor({ DATABASE_URL: '', DATA_DIR: join(folder, 'new') });
    expect(stopped.of('database')[0]?.message).toContain('is made at the first start');
    expect(await readdir(folder)).not.toContain('new');

    const product = await Product.start({ embedded: true });
    const env = {
      DATABASE_URL: '',
      DATA_DIR: product.folder,
      PORT: new URL(product.url).port,
      SERVING_PORT: new URL(product.servingUrl).port,
    };
    const running = await doctor(env);
    expect(running.of('database').map(({ state }) => state)).toEqual([
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
    ]);
    expect(running.of('ports').map(({ message }) => message)).toEqual([
      expect.stringMatching(/is taken by a running Slipway, .*\(process \d+\)/),
      expect.stringMatching(/is taken by a running Slipway/),
    ]);
    expect(running.of('server').map(({ message }) => message)).toEqual([
      expect.stringMatching(/^the registry is ready \(version/),
      expect.stringMatching(/^serving is ready/),
    ]);
    await product.stop();
    expect((await doctor(env)).of('database')[0]?.message).toContain('is stopped, and can start');
    await writeFile(join(product.folder, 'postgres', 'PG_VERSION'), '9\n');
    expect((await doctor(env)).of('database')).toEqual([failed(/was made by PostgreSQL 9/)]);
    await rm(join(product.folder, 'postgres-password'));
    await writeFile(join(product.folder, 'postgres', 'PG_VERSION'), '18\n');
    expect((await doctor(env)).of('database')).toEqual([failed(/postgres-password is missing/)]);
    await product.remove();
  }, 120_000);

  it('knows how much memory, disk and Node are needed', async () => {
    expect(checkNode('20.18.3')).toMatchObject({ state: 'failure' });
    expect(checkNode('22.1.0')).toMatchObject({ state: 'ok' });
    const config = readConfig({ DATA_DIR: folder, SERVING_MEMORY: '1GiB', SERVING_PROCESSES: '2' });
    expect(await checkMemory(config, 2 ** 29)).toMatchObject({ state: 'failure' });
    expect(await checkMemory(config, 1.25 * 2 ** 30)).toMatchObject({ state: 'warning' });
    const [full] = await checkDataDir(config, [Infinity, Infinity]);
    expect(full).toEqual(failed(/free: PostgreSQL stops/, /slipway gc/));
    const [few] = await checkDataDir(config, [0, Infinity]);
    expect(few).toEqual(warned(/free$/));
    const shared = readConfig({ DATA_DIR: '/dev/shm' });
    expect(await checkDataDir(shared, [0, 0])).toContainEqual(warned(/kind tmpfs/));
  });
});
