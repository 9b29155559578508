import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { ownArtifacts } from '../support/artifacts.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import {
  contradictions,
  type RegisterChange,
  type RegisterRead,
} from '../support/register-history.js';
import { RegistryProcess } from '../support/registry-process.js';
import { digestOf } from '../support/registry-work.js';
import { Seeded } from '../support/seeded.js';
import { type Reply, StrictClient } from '../support/strict-client.js';

/** 50 writers at two registries on one database, all on one model: whoever wins, everybody sees one history. */

const WRITERS = 50;
const seeded = new Seeded();
const blob = Buffer.from('what all versions are made of');
const file = { path: 'data.bin', digest: digestOf(blob) };

let registries: RegistryProcess[];
let database: pg.Client;
let remove: () => Promise<void>;
/** One a registry. */
let clients: StrictClient[];

beforeAll(async () => {
  const own = await ownArtifacts();
  remove = own.remove;
  const registry = () => new RegistryProcess({ ...own.env, LOG_LEVEL: 'fatal' });
  registries = await Promise.all([registry().start(), registry().start()]);
  clients = registries.map((each) => new StrictClient(() => each.url));
  database = new pg.Client(own.env.DATABASE_URL);
  await database.connect();
  const location = (await at(0).ask('POST', '/api/v1/blobs/uploads'))?.headers.location;
  await at(0).ask('PUT', `${location}?digest=${file.digest}`, { bytes: blob });
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await database.end();
  await Promise.all(registries.map((each) => each.end()));
  await remove();
}, 120_000);

function at(writer: number): StrictClient {
  const client = clients[writer % clients.length];
  if (!client) throw new Error('There is no registry');
  return client;
}

/** Asked again while the answer is 503: so many writers may be too many for a moment. */
async function ask(writer: number, method: string, path: string, json?: unknown): Promise<Reply> {
  const key: Record<string, string> = method === 'POST' ? { 'idempotency-key': randomUUID() } : {};
  for (;;) {
    const answer = await at(writer).ask(method, path, { json, headers: key });
    if (!answer) throw new Error(`${method} ${path}: no answer`);
    if (answer.status !== 503) return answer;
    await sleep(100);
  }
}

function all<T>(work: (writer: number, own: Seeded) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: WRITERS }, (_, i) => work(i, seeded.fork())));
}

const violations = () => clients.flatMap((client) => client.violations);

it(
  'numbers of versions are dense, and no two are equal',
  async () => {
    const each = amount(4, 200);
    const made = await all(async (writer) => {
      const numbers: number[] = [];
      for (let i = 0; i < each; i++) {
        const answer = await ask(writer, 'POST', '/api/v1/models/counted/versions', {
          files: [file],
        });
        expect(answer.status).toBe(201);
        numbers.push(answer.json<{ version: number }>().version);
      }
      return numbers;
    });
    const numbers = made.flat().sort((a, b) => a - b);
    report('50 writers create versions of one model', {
      versions: numbers.length,
      highest: numbers.at(-1) ?? 0,
      '503 in between': clients.reduce((sum, { unavailable }) => sum + unavailable, 0),
    });
    expect(numbers).toEqual(Array.from({ length: WRITERS * each }, (_, i) => i + 1));
    // Nobody sees them in another order than that of their numbers.
    for (const own of made) expect(own).toEqual(own.toSorted((a, b) => a - b));
    expect(violations()).toEqual([]);
  },
  proofTimeout,
);

interface Register {
  name: string;
  path: (version: number) => string;
  method: string;
  body: (version: number, ifCurrent?: number | null) => object;
  read: (model: ModelAnswer) => number | null;
}

interface ModelAnswer {
  production: number | null;
  aliases: Record<string, number>;
}

const url = '/api/v1/models/contested';
const registers: Register[] = [
  {
    name: 'one alias',
    method: 'PUT',
    path: () => `${url}/aliases/champion`,
    body: (version, ifCurrent) => ({
      version,
      wait: 0,
      ...(ifCurrent !== undefined && { ifCurrent }),
    }),
    read: ({ aliases }) => aliases.champion ?? null,
  },
  {
    name: 'one stage',
    method: 'POST',
    path: (version) => `${url}/versions/${version}/promote`,
    body: (_, ifCurrent) => ({
      stage: 'Production',
      unserved: true,
      wait: 0,
      ...(ifCurrent !== undefined && { ifCurrent }),
    }),
    read: ({ production }) => production,
  },
];

it.each(registers)(
  '50 writers on $name make one linear history',
  async (register) => {
    const versions = 5;
    const each = amount(8, 400);
    while (
      ((await ask(0, 'GET', url)).json<{ versionCount?: number }>().versionCount ?? 0) < versions
    )
      await ask(0, 'POST', `${url}/versions`, { files: [file] });
    const changes: RegisterChange[] = [];
    const reads: RegisterRead[] = [];
    let won = 0;
    let lost = 0;
    const watching = watchProduction();
    await all(async (writer, own) => {
      let seen: number | null = null;
      for (let i = 0; i < each; i++) {
        const version = own.int(1, versions + 1);
        const drawn = own.next();
        const sentAt = performance.now();
        if (drawn < 0.3) {
          const answer = await ask(writer, 'GET', url);
          seen = register.read(answer.json());
          reads.push({ sentAt, answeredAt: performance.now(), value: seen });
          continue;
        }
        const ifCurrent = drawn < 0.85 ? seen : undefined;
        const answer = await ask(
          writer,
          register.method,
          register.path(version),
          register.body(version, ifCurrent),
        );
        const times = { sentAt, answeredAt: performance.now() };
        if (answer.status === 409) {
          lost++;
          const { current } = answer.json<{ current: number | null }>();
          expect(ifCurrent).toBeDefined();
          expect(current).not.toBe(ifCurrent);
          reads.push({ ...times, value: current });
          seen = current;
          continue;
        }
        expect(answer.status).toBe(200);
        const { transition } = answer.json<{
          transition: { id: number; previousVersion: number | null } | null;
        }>();
        seen = version;
        if (transition) {
          if (ifCurrent !== undefined) won++;
          const { id: order, previousVersion: previous } = transition;
          const demanded = ifCurrent === undefined ? {} : { ifCurrent };
          changes.push({ ...times, order, value: version, previous, ...demanded });
        } else reads.push({ ...times, value: version });
      }
    });
    const watched = await watching();
    const found = contradictions(null, changes, reads);
    report(`50 writers on ${register.name}`, {
      operations: changes.length + reads.length,
      changes: changes.length,
      'compare-and-set won': won,
      'lost (409)': lost,
      'looks at the rows': watched.looks,
      'moments with several in Production': watched.several,
      contradictions: found.length,
      seed: seeded.seed,
    });
    expect(found.slice(0, 5)).toEqual([]);
    expect(violations()).toEqual([]);
    expect(watched.several).toBe(0);
    expect(lost).toBeGreaterThan(0);
    const { rows } = await database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM transition t JOIN registered_model m ON m.id = t.model_id
       WHERE m.name = 'contested' AND (t.to_value = '@champion') = $1`,
      [register.name === 'one alias'],
    );
    expect(rows[0]?.count).toBe(changes.length);
  },
  proofTimeout,
);

/** Looks at the rows all the time, until the returned function is called. */
function watchProduction(): () => Promise<{ looks: number; several: number }> {
  let going = true;
  let looks = 0;
  let several = 0;
  const watching = (async () => {
    while (going) {
      const { rows } = await database.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM model_version v JOIN registered_model m ON m.id = v.model_id
         WHERE m.name = 'contested' AND v.stage = 'Production' AND v.deleted_at IS NULL`,
      );
      looks++;
      if ((rows[0]?.count ?? 0) > 1) several++;
    }
  })();
  return async () => {
    going = false;
    await watching;
    return { looks, several };
  };
}

it(
  'an Idempotency-Key 100 times at once at two registries, one of them killed, has one effect and one answer',
  async () => {
    const rounds = amount(4, 60);
    let answered = 0;
    let kills = 0;
    for (let round = 1; round <= rounds; round++) {
      const key = randomUUID();
      const json = { files: [file], tags: { round: key } };
      const post = (i: number) =>
        at(i).ask('POST', '/api/v1/models/keyed/versions', {
          json,
          headers: { 'idempotency-key': key },
        });
      const bodies = new Set<string>();
      let open = Array.from({ length: 100 }, (_, i) => i);
      const [victim] = registries;
      for (let wave = 0; open.length > 0; wave++) {
        const sent = Promise.all(open.map(async (i) => ({ i, answer: await post(i) })));
        if (wave === 0 && round % 2 === 0 && victim) {
          await sleep(seeded.int(0, 150));
          await victim.end('SIGKILL');
          kills++;
          await victim.start();
        }
        const results = await sent;
        const done = results.filter(({ answer }) => answer?.status === 201);
        for (const { answer } of done) bodies.add(answer?.bytes.toString() ?? '');
        answered += done.length;
        open = results.filter(({ answer }) => answer?.status !== 201).map(({ i }) => i);
        for (const { answer } of results) if (answer) expect([201, 503]).toContain(answer.status);
        await sleep(open.length > 0 ? 100 : 0);
      }
      expect([...bodies]).toHaveLength(1);
      const { rows } = await database.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM model_version WHERE tags->>'round' = $1`,
        [key],
      );
      expect(rows[0]?.count).toBe(1);
      const other = await at(0).ask('POST', '/api/v1/models/keyed/versions', {
        json: { ...json, description: 'another request' },
        headers: { 'idempotency-key': key },
      });
      expect(other?.status).toBe(422);
    }
    report('one Idempotency-Key, 100 requests', { rounds, kills, 'equal answers': answered });
    expect(violations()).toEqual([]);
  },
  proofTimeout,
);
