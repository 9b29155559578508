// What the registry makes of PostgreSQL: resolving a version by its alias, and a promotion, each beside pgbench with the
// very same statements, prepared, with as many clients, on one PostgreSQL, in turns. Run: node dist/bench/registry.js [rounds]
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { EmbeddedPostgres, migrate } from '#database';
import { createHttpApp } from '#http';
import { createLogger, readConfig, systemContext } from '#platform';
import { StagesService, VersionsService } from '#registry';
import { RegistryAppModule } from '../apps/registry/app.module.js';
import {
  pgbenchScript,
  type Script,
  pgbenchVersion,
  runPgbench,
  StatementRecorder,
} from './pgbench.js';
import { cpuOf, pinApart } from './server-process.js';
import { printResult, spread } from './result.js';

const CLIENTS = 8;
const MODELS = 200;
/** Models of one client: no two clients promote in the same model. */
const OWN = MODELS / CLIENTS;
const VERSIONS = 20;
/** The two versions of each model that take turns in Production; numbers that nothing else has. */
const [ONE, OTHER] = [7001, 7002];
const SECONDS = 2;
const rounds = Number(process.argv[2] ?? 7);
let server = 0;
/** Processor time (µs) that a call took this process, and PostgreSQL, the last time. */
let cost = { client: 0, server: 0 };
const recorder = new StatementRecorder();
const context = { ...systemContext, actor: 'local' };

const version = pgbenchVersion();
if (!version) {
  console.log(
    'pgbench is missing: the figures of the registry are left out (Debian: apt-get install postgresql-contrib)',
  );
} else {
  await bench();
}

async function bench(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-registry-'));
  // PostgreSQL may run as another user, who has to pass through.
  chmodSync(folder, 0o711);
  const postgres = await EmbeddedPostgres.start({ dataDir: folder });
  try {
    const url = postgres.url();
    const [pid = ''] = readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
    server = Number(pid);
    console.log(`PostgreSQL and pgbench ${version}: ${pinApart(server)}`);
    await migrate(url);
    const admin = new pg.Client(url);
    await admin.connect();
    await fill(admin);
    const config = readConfig({
      DATA_DIR: folder,
      DATABASE_URL: url,
      PORT: '0',
      LOG_LEVEL: 'error',
    });
    const app = await createHttpApp(RegistryAppModule, config, {
      logger: createLogger(config, 'registry'),
    });
    try {
      await benchResolve(app.nest.get(VersionsService), url);
      await benchPromote(app.nest.get(StagesService), url, admin);
    } finally {
      await app.close();
      await admin.end();
    }
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Models named 0, 1, 2 …, because pgbench has only numbers. */
async function fill(admin: pg.Client): Promise<void> {
  await admin.query(`
    INSERT INTO registered_model (name, last_version, created_by)
      SELECT i::text, ${OTHER}, 'bench' FROM generate_series(0, ${MODELS - 1}) i;
    INSERT INTO model_version (model_id, version, created_by, serving_state, format, tags, metrics, params, manifest_digest, size,
        signature)
      SELECT m.id, v, 'bench', 'servable', 'xgboost', '{"team": "risk", "data": "2026-10"}', '{"auc": 0.93, "logloss": 0.21}',
        '{"trees": "200", "depth": "6"}', m.name || '/' || v, 123456,
        '{"inputs": [{"name": "X", "dtype": "FP32", "shape": [-1, 20]}], "outputs": [{"name": "predict", "dtype": "FP32", "shape": [-1]}]}'
      FROM registered_model m, generate_series(${OTHER - VERSIONS + 1}, ${OTHER}) v;
    INSERT INTO manifest_file (manifest_digest, path, digest, size)
      SELECT manifest_digest, p, 'sha256:' || encode(sha256((manifest_digest || p)::bytea), 'hex'), 61728
      FROM model_version, unnest(ARRAY['model.json', 'README.md']) p;
    INSERT INTO model_alias (model_id, alias, version) SELECT id, 'champion', ${ONE} FROM registered_model;
    SELECT setval('transition_id_seq', 1000000);
    SELECT setval('deployment_generation', 1000000);
  `);
}

async function benchResolve(versions: VersionsService, url: string): Promise<void> {
  const resolve = (model: number) => versions.get(context, String(model), '@champion');
  await resolve(1);
  const sent = await recorder.during(() => resolve(17));
  const script = pgbenchScript(sent, new Map<unknown, string>([['17', ':model']]), [
    `\\set model random(0, ${MODELS - 1})`,
  ]);
  show('Resolving a version by its alias', script);
  await compare('resolve a version by alias, in process', 0.9, sent.length, {
    ours: () => rateOf(() => resolve(Math.floor(Math.random() * MODELS))),
    pgbench: async () => runPgbench(url, script, CLIENTS, SECONDS),
  });
}

async function benchPromote(stages: StagesService, url: string, admin: pg.Client): Promise<void> {
  // Nothing serves here, so there is nothing to wait for.
  const promote = (model: number, number: number) =>
    stages.promote(context, String(model), String(number), 'Production', {
      wait: 0,
      reason: 'bench',
    });
  for (let model = 0; model < MODELS; model++) await promote(model, OTHER);
  const sent = await recorder.during(() => promote(17, ONE));
  await promote(17, OTHER);
  const script = pgbenchScript(
    sent,
    new Map<unknown, string>([
      ['17', ':model'],
      [ONE, ':version'],
      [OTHER, ':previous'],
    ]),
    [
      '\\set turn :turn + 1',
      `\\set model :client_id + ${CLIENTS} * (:turn % ${OWN})`,
      `\\set version ${ONE} + (:turn / ${OWN}) % 2`,
      `\\set previous ${ONE + OTHER} - :version`,
    ],
  );
  show('A promotion', script);
  /** Both begin with the same history length and the same version in Production. */
  const reset = async () => {
    for (let model = 0; model < MODELS; model++) await promote(model, OTHER);
    await admin.query('TRUNCATE event');
    await admin.query('VACUUM ANALYZE');
  };
  await compare('a transition, in process', 0.8, sent.length, {
    ours: async () => {
      await reset();
      const turns = Array.from({ length: CLIENTS }, () => 0);
      return rateOf((client) => {
        const turn = turns[client] ?? 0;
        turns[client] = turn + 1;
        return promote(client + CLIENTS * (turn % OWN), ONE + (Math.floor(turn / OWN) % 2));
      });
    },
    pgbench: async () => {
      await reset();
      return runPgbench(url, script, CLIENTS, SECONDS);
    },
  });
}

/** Calls a second of `CLIENTS` callers, each with one call under way. */
async function rateOf(call: (client: number) => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  const used = process.cpuUsage();
  const usedThere = cpuOf(server);
  const end = begun + SECONDS * 1000;
  let calls = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      while (performance.now() < end) {
        await call(client);
        calls++;
      }
    }),
  );
  const { user, system } = process.cpuUsage(used);
  cost = { client: (user + system) / calls, server: (cpuOf(server) - usedThere) / calls };
  return (calls * 1000) / (performance.now() - begun);
}

async function compare(
  what: string,
  goal: number,
  statements: number,
  { ours, pgbench }: Record<'ours' | 'pgbench', () => Promise<number>>,
): Promise<void> {
  await ours();
  const rates = { ours: [] as number[], pgbench: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    rates.pgbench.push(await pgbench());
    rates.ours.push(await ours());
  }
  printResult({
    what,
    ...spread(rates.ours.map((rate, i) => rate / (rates.pgbench[i] ?? NaN))),
    parts: {
      'registry /s': spread(rates.ours).ratio,
      'pgbench /s': spread(rates.pgbench).ratio,
      'registry CPU µs a call': cost.client,
      'PostgreSQL CPU µs a call': cost.server,
      'statements a call': statements,
      clients: CLIENTS,
    },
    goal: `>= ${goal}`,
    better: 'higher',
  });
}

function show(what: string, { text }: Script): void {
  console.log(`${what}, as pgbench runs it:\n${text.replaceAll(/^/gm, '  ')}`);
}
