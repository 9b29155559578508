import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { EmbeddedPostgres } from '#database';
import { Slipway } from '#sdk';
import pg from 'pg';
import { constantModel } from '../support/models.js';
import { overloaded, until } from '../support/processes.js';
import { childrenOf } from '../support/serving-process.js';
import { Product } from '../support/product.js';
import { amount, progress, proofTimeout, report } from '../support/proof.js';
import { RegistryAudit } from '../support/registry-audit.js';
import { RegistryWork } from '../support/registry-work.js';
import { Seeded } from '../support/seeded.js';
import { StrictClient } from '../support/strict-client.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { Traffic } from '../support/traffic.js';

/**
 * PostgreSQL away under load, in every way in which it can be away: predictions go on, the registry says 503 with
 * Retry-After within 10 seconds, and both come back by themselves with all that was acknowledged.
 */

/** The first time 20 s; in other ways shorter, in the short form. */
const AWAY = 20_000;
const SHORTER = amount(12_000, AWAY);
const models = ['alpha', 'beta'];
const body = JSON.stringify({
  inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 1], data: [0] }],
});

let folder: string;
let postgres: EmbeddedPostgres;
let proxy: TcpProxy;
let product: Product;
let work: RegistryWork;
let audit: RegistryAudit;
let client: StrictClient;
let traffic: Traffic;
const seeded = new Seeded();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-outage-'));
  await chmod(folder, 0o711);
  postgres = await EmbeddedPostgres.start({ dataDir: folder });
  proxy = new TcpProxy(new URL(postgres.url()));
  product = await Product.start({
    env: { DATABASE_URL: await proxy.open(), LOG_LEVEL: 'warn' },
  });
  const slipway = new Slipway({ url: product.url });
  const files = [{ path: 'model.json', data: constantModel(7) }];
  for (const name of ['live', 'other']) {
    await slipway.logModel({ name, files });
    await slipway.promote(name, 1, { wait: 30 });
  }
  client = new StrictClient(() => product.url);
  work = new RegistryWork({ url: () => product.url, seeded, models, patience: 30_000 });
  audit = new RegistryAudit({
    databaseUrl: () => postgres.url(),
    client,
    journal: work.journal,
    artifacts: join(product.folder, 'artifacts'),
  });
  traffic = new Traffic(`${product.servingUrl}/v2/models/live/infer`, body, {
    connections: 8,
    pause: 5,
  });
  await traffic.seen(1);
  work.start({ clients: 8, readers: 2 });
}, 120_000);

afterAll(async () => {
  await work.abandon();
  await traffic.stop();
  client.close();
  await product.remove();
  await proxy.cut();
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}, 120_000);

/** The processes of PostgreSQL, its first one first. */
function postgresProcesses(): number[] {
  const { guardianPid } = postgres;
  const [main] = guardianPid === undefined ? [] : childrenOf(guardianPid);
  return main === undefined ? [] : [main, ...childrenOf(main)];
}

function signalAll(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // A backend that has ended since.
    }
  }
}

let frozen: number[] = [];
interface Outage {
  lasts: number;
  begin: () => Promise<void> | void;
  end: () => Promise<unknown> | void;
}
const outages: [how: string, outage: Outage][] = [
  ['refuses connections', { lasts: AWAY, begin: () => proxy.cut(), end: () => proxy.open() }],
  [
    'is behind a network that swallows everything',
    { lasts: SHORTER, begin: () => proxy.treat('swallow'), end: () => proxy.treat('pass') },
  ],
  [
    'is frozen',
    {
      lasts: SHORTER,
      begin: () => signalAll((frozen = postgresProcesses()), 'SIGSTOP'),
      end: () => signalAll(frozen, 'SIGCONT'),
    },
  ],
];

it.each(outages)(
  'PostgreSQL %s for a while under load',
  async (how, { lasts, begin, end }) => {
    const before = count();
    const predicted = traffic.answers.length;
    await sleep(1000);
    await begin();
    progress(`PostgreSQL ${how}`);
    const asked = new StrictClient(() => product.url, 30_000);
    const away = await watch(asked, lasts);
    await end();
    progress(`it is back; ${found(asked).join('\n')}`);
    const ended = performance.now();
    // Asked once a moment by somebody who was not there before.
    await until(
      async () => (await asked.ask('GET', '/api/v1/models/live'))?.status === 200,
      60_000,
    );
    const back = performance.now() - ended;
    asked.close();
    progress(`the registry is back after ${back} ms`);
    const resume = await work.rest();
    const rested = performance.now() - ended;
    const violations = [...(await audit.look()), ...found(asked)];
    // What waits for PostgreSQL's notifications goes on too.
    const slipway = new Slipway({ url: product.url });
    const archived = await slipway.promote('other', 1, { stage: 'Archived', wait: 30 });
    const promoted = await slipway.promote('other', 1, { wait: 30 });
    resume();
    report(`PostgreSQL ${how}`, {
      seconds: lasts / 1000,
      'predictions meanwhile': traffic.answers.length - predicted,
      'predictions failed': traffic.failed.length,
      'registry 503': work.client.unavailable - before.unavailable + away,
      'slowest answer (ms)': Math.round(Math.max(asked.slowest, work.client.slowest)),
      'back after (ms)': Math.round(back),
      'what was begun ended after (ms)': Math.round(rested),
      'acknowledged versions': work.journal.acknowledgedVersions().length,
      violations: violations.length,
      seed: seeded.seed,
    });
    expect({ seed: seeded.seed, violations }).toEqual({ seed: seeded.seed, violations: [] });
    expect(away).toBeGreaterThan(0);
    expect(archived.transition).not.toBeNull();
    expect(promoted.serving).toBe('ready');
    if (overloaded()) return;
    expect(Math.max(asked.slowest, work.client.slowest)).toBeLessThan(10_000);
    expect(back).toBeLessThan(10_000);
  },
  proofTimeout,
);

/** Asks for as long as PostgreSQL is away. @returns how often the answer was 503 */
async function watch(asked: StrictClient, lasts: number): Promise<number> {
  const end = performance.now() + lasts;
  let last = 0;
  while (performance.now() < end) {
    const sent = performance.now();
    const answer = await asked.ask('GET', '/api/v1/models/live');
    const live = await asked.ask('GET', '/livez');
    if (live?.status !== 200) asked.violations.push(`livez: ${live?.status}`);
    // What was sent while it was away cannot have come from it.
    if (answer?.status === 503) last++;
    else if (sent > end - lasts + 500 && performance.now() < end)
      asked.violations.push(`${answer?.status} while PostgreSQL was away`);
    await sleep(100);
  }
  return last;
}

function count(): { unavailable: number } {
  const { unavailable } = work.client;
  return { unavailable };
}

/** What somebody has seen that must not be. */
function found(asked: StrictClient): string[] {
  const violations = [
    ...asked.violations,
    ...client.violations.splice(0),
    ...work.violations.splice(0),
    ...work.client.violations.splice(0),
    ...traffic.failed.slice(0, 3),
  ];
  if (violations.length > 0) progress(product.errors.join('\n'));
  return violations;
}

it(
  'immediate stops of PostgreSQL and killed connections at random, under load',
  async () => {
    const stops = amount(3, 30);
    const terminations = amount(25, 500);
    const { registry, serving, server, workers } = product.processes;
    const predicted = traffic.answers.length;
    const violations: string[] = [];
    let slowest = 0;
    let terminated = 0;
    const asked = new StrictClient(() => product.url, 30_000);
    for (let stop = 1; stop <= stops; stop++) {
      for (let i = 0; i < terminations / stops; i++) {
        await sleep(seeded.int(0, 60));
        terminated += await terminateOne();
      }
      // It may be starting again of its own accord.
      await until(() => postgresProcesses().length > 0, 60_000);
      const [main] = postgresProcesses();
      if (main !== undefined) signalAll([main], 'SIGQUIT');
      const begun = performance.now();
      await until(() => ![undefined, main].includes(postgresProcesses()[0]), 60_000);
      await until(async () => (await asked.ask('GET', '/readyz'))?.status === 200, 60_000);
      slowest = Math.max(slowest, performance.now() - begun);
      progress(`stop ${stop}: back after ${Math.round(performance.now() - begun)} ms`);
    }
    const resume = await work.rest();
    violations.push(...(await audit.look({ all: true })), ...found(asked));
    resume();
    asked.close();
    const now = product.processes;
    // Why one of them ended, where one did.
    if (now.registry !== registry) violations.push(...product.errors);
    report('PostgreSQL stopped at once, connections killed', {
      stops,
      'connections killed': terminated,
      'slowest to be ready again (ms)': Math.round(slowest),
      predictions: traffic.answers.length - predicted,
      'predictions failed': traffic.failed.length,
      'registry 503': work.client.unavailable,
      'acknowledged versions': work.journal.acknowledgedVersions().length,
      'acknowledged changes': work.journal.changes.filter((c) => c.acknowledged !== undefined)
        .length,
      violations: violations.length,
      seed: seeded.seed,
    });
    expect({ seed: seeded.seed, violations }).toEqual({ seed: seeded.seed, violations: [] });
    expect([now.server, now.registry, now.serving, now.workers]).toEqual([
      server,
      registry,
      serving,
      workers,
    ]);
  },
  proofTimeout,
);

it(
  'connections killed, one or all, many times a second, under load',
  async () => {
    const seconds = amount(6, 300);
    const { registry, serving, server, workers } = product.processes;
    const predicted = traffic.answers.length;
    const admin = new pg.Client(postgres.url());
    admin.on('error', () => {});
    await admin.connect();
    let killed = 0;
    for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
      await sleep(seeded.int(0, 25));
      // Of all at once nothing gets done.
      killed += await terminate(admin, seeded.int(0, 2) === 0 ? 1 : 1000);
    }
    await admin.end();
    const resume = await work.rest();
    const violations = [...(await audit.look({ all: true })), ...found(client)];
    resume();
    const now = product.processes;
    if (now.registry !== registry) violations.push(...product.errors);
    report('connections of PostgreSQL killed, again and again', {
      seconds,
      'connections killed': killed,
      predictions: traffic.answers.length - predicted,
      'predictions failed': traffic.failed.length,
      'acknowledged versions': work.journal.acknowledgedVersions().length,
      violations: violations.length,
      seed: seeded.seed,
    });
    expect({ seed: seeded.seed, violations }).toEqual({ seed: seeded.seed, violations: [] });
    expect([now.server, now.registry, now.serving, now.workers]).toEqual([
      server,
      registry,
      serving,
      workers,
    ]);
  },
  proofTimeout,
);

/** Ends connections of the product, at most so many. @returns how many */
async function terminate(admin: pg.Client, most: number): Promise<number> {
  const { rowCount } = await admin.query(
    `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
       WHERE application_name LIKE 'slipway%' AND backend_type = 'client backend' ORDER BY random() LIMIT $1) chosen`,
    [most],
  );
  return rowCount ?? 0;
}

/** Ends a connection of the product, whichever. @returns how many */
async function terminateOne(): Promise<number> {
  const admin = new pg.Client(postgres.url());
  admin.on('error', () => {});
  try {
    await admin.connect();
    return await terminate(admin, 1);
  } finally {
    await admin.end();
  }
}
