import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { ownDatabase, dropDatabase } from '../support/postgres.js';
import { amount, proofTimeout, report } from '../support/proof.js';
import { digestOf, startRegistry, type TestRegistry } from '../support/registry.js';
import { Seeded } from '../support/seeded.js';
import { StrictClient } from '../support/strict-client.js';

/** Whoever pages through a long list while others write sees each row that was there throughout, and sees it once. */

const BALLAST = 10_000;
const content = Buffer.from('of every version');
const seeded = new Seeded();
const path = '/api/v1/models/long/versions';

let registry: TestRegistry;
let database: string;
let client: StrictClient;

beforeAll(async () => {
  database = await ownDatabase();
  registry = await startRegistry({ DATABASE_URL: database });
  client = new StrictClient(() => registry.url);
  await registry.upload(content);
  await client.ask('POST', '/api/v1/models', { json: { name: 'long' } });
  const sql = new pg.Client(database);
  await sql.connect();
  // Values that many rows share, and values that some do not have: where paging goes wrong, if it does.
  await sql.query(
    `INSERT INTO model_version (model_id, version, created_by, description, tags, stage, format, metrics, params, size,
       serving_state, created_at, updated_at)
     SELECT m.id, n, 'test', CASE WHEN n % 3 = 0 THEN '' ELSE 'described ' || n % 50 END,
       jsonb_build_object('group', CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END, 'doomed', (n % 10 = 0)::text),
       CASE WHEN n % 4 = 0 THEN 'Staging' ELSE 'None' END, CASE WHEN n % 5 > 0 THEN 'onnx' END,
       CASE WHEN n % 7 > 0 THEN jsonb_build_object('auc', (n % 11) / 10.0) ELSE '{}' END,
       CASE WHEN n % 6 > 0 THEN jsonb_build_object('trees', (n % 9)::text) ELSE '{}' END, n % 13, 'unsupported',
       now() - make_interval(secs => n % 100), now() - make_interval(secs => n % 17)
     FROM registered_model m, generate_series(1, $1::int) AS n WHERE m.name = 'long'`,
    [BALLAST],
  );
  await sql.query(`UPDATE registered_model SET last_version = $1`, [BALLAST]);
  await sql.query(`ANALYZE model_version`);
  await sql.end();
}, 120_000);

afterAll(async () => {
  client.close();
  await registry.close();
  await dropDatabase(database);
}, 180_000);

interface Item {
  version: number;
  tags: { doomed?: string; group?: string };
}

/** Four that create versions, change them and delete them, also such as were there before, until they are stopped. */
function startWriters(): { stop: () => Promise<{ created: number; deleted: number }> } {
  let going = true;
  const done = { created: 0, deleted: 0 };
  const doomed = Array.from({ length: BALLAST / 10 }, (_, i) => 10 * (i + 1));
  const write = async (own: Seeded): Promise<void> => {
    while (going) {
      const json = {
        files: [{ path: 'data.bin', digest: digestOf(content) }],
        tags: { group: own.pick(['even', 'odd']), doomed: 'true' },
        metrics: { auc: own.int(0, 11) / 10 },
      };
      const made = await client.ask('POST', path, { json });
      if (made?.status === 201) done.created++;
      const mine = made?.status === 201 ? made.json<Item>().version : undefined;
      if (mine !== undefined && own.chance(0.5))
        await client.ask('PATCH', `${path}/${mine}`, { json: { description: 'changed' } });
      const [old] = own.chance(0.3) ? doomed.splice(own.int(0, doomed.length), 1) : [];
      for (const version of [old, own.chance(0.7) ? mine : undefined]) {
        if (version === undefined) continue;
        if ((await client.ask('DELETE', `${path}/${version}`))?.status === 204) done.deleted++;
      }
    }
  };
  const writers = Array.from({ length: 4 }, () => write(seeded.fork()));
  return {
    stop: async () => {
      going = false;
      await Promise.all(writers);
      return done;
    },
  };
}

const fields = ['version', 'stage', 'description', 'format', 'size', 'createdAt', 'updatedAt'];
const more = ['tags.group', 'metrics.auc', 'params.trees'];
const orders = [
  ...[...fields, ...more].flatMap((field) => [field, `-${field}`]),
  'stage,-metrics.auc,createdAt',
];
const filters: [string | undefined, (version: number) => boolean][] = [
  [undefined, () => true],
  ["tags.group = 'odd' AND metrics.auc >= 0.5", (n) => n % 2 === 1 && n % 7 > 0 && n % 11 >= 5],
];

it(
  `paging through ${BALLAST} versions while four write misses none and shows none twice`,
  async () => {
    const writers = startWriters();
    const passes = amount(1, 40);
    let pages = 0;
    let rows = 0;
    const violations: string[] = [];
    for (let pass = 1; pass <= passes; pass++) {
      for (const order of orders) {
        for (const [filter, holds] of filters) {
          const seen = new Set<number>();
          let next: string | undefined;
          do {
            const query = new URLSearchParams({
              order,
              limit: String(seeded.pick([1000, 997, filter ? 211 : 500])),
              ...(filter && { filter }),
              ...(next && { cursor: next }),
            });
            const answer = await client.ask('GET', `${path}?${query}`);
            if (answer?.status !== 200) {
              violations.push(`${order}: ${answer?.status} ${answer?.bytes.toString()}`);
              break;
            }
            const page = answer.json<{ items: Item[]; next?: string }>();
            for (const { version } of page.items) {
              if (seen.has(version)) violations.push(`${order} ${filter}: ${version} twice`);
              seen.add(version);
            }
            pages++;
            rows += page.items.length;
            next = page.next;
          } while (next);
          for (let version = 1; version <= BALLAST; version++) {
            const there = version % 10 > 0 && holds(version);
            if (there && !seen.has(version)) violations.push(`${order} ${filter}: no ${version}`);
          }
        }
      }
    }
    const { created, deleted } = await writers.stop();
    report('paging while four write', {
      lists: passes * orders.length * filters.length,
      pages,
      rows,
      created,
      deleted,
      violations: violations.length,
      seed: seeded.seed,
    });
    expect(violations.slice(0, 10)).toEqual([]);
    expect(client.violations).toEqual([]);
    expect(created).toBeGreaterThan(10);
    expect(deleted).toBeGreaterThan(10);
  },
  proofTimeout,
);
