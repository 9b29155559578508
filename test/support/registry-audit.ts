import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Journal, wholeness } from './registry-work.js';
import type { StrictClient } from './strict-client.js';

/** Where an audit looks. */
export interface Audited {
  databaseUrl: () => string;
  client: StrictClient;
  journal: Journal;
  /** The folder of the store, where it is one. */
  artifacts?: string;
}

/**
 * Looks at the database, the store and the API of a registry that rests, and says all that is not as it must be: what was
 * acknowledged is there and whole, what was not is there wholly or not at all, numbers are dense, each history is one
 * chain, and nothing refers to a blob that is missing.
 */
export class RegistryAudit {
  /** Blobs whose bytes were hashed already: they never change. */
  readonly #hashed = new Set<string>();
  readonly #read = new Set<string>();
  blobs = 0;

  constructor(private readonly audited: Audited) {}

  /** @param all read again what an earlier look has read */
  async look({ all = false } = {}): Promise<string[]> {
    if (all) {
      this.#hashed.clear();
      this.#read.clear();
    }
    for (let tried = 1; ; tried++) {
      try {
        return await this.#look();
      } catch (error) {
        // Where its guardian was killed, PostgreSQL is started again a moment later.
        if (tried === 10 || !lost.test(explain(error))) throw error;
        await sleep(1000);
      }
    }
  }

  async #look(): Promise<string[]> {
    const client = new pg.Client(this.audited.databaseUrl());
    client.on('error', () => undefined);
    await client.connect();
    try {
      const rows = async (sql: string, values: unknown[] = []): Promise<Row[]> =>
        (await client.query<Row>(sql, values)).rows;
      return [
        ...(await unsound(rows)),
        ...(await this.#intents(rows)),
        ...(await histories(rows)),
        ...(await this.#bytes(rows)),
        ...(await this.#throughTheApi()),
      ];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Each intent has at most one effect; an acknowledged one has exactly that which the answer said. */
  async #intents(rows: Query): Promise<string[]> {
    const problems: string[] = [];
    const versions = groupBy(
      await rows(`SELECT v.tags->>'intent' AS intent, m.name AS model, v.version, v.deleted_at IS NOT NULL AS deleted,
          v.manifest_digest AS manifest
        FROM model_version v JOIN registered_model m ON m.id = v.model_id`),
      'intent',
    );
    for (const { intent, model, acknowledged, deleting } of this.audited.journal.versions) {
      const made = versions.get(intent) ?? [];
      const what = `version ${model}/${acknowledged} of ${intent}`;
      if (made.length > 1) problems.push(`${what}: made ${made.length} times`);
      if (acknowledged === undefined) continue;
      const [row] = made;
      if (!row || row.version !== acknowledged || row.model !== model)
        problems.push(`${what}: acknowledged, but the database has ${JSON.stringify(made)}`);
      else if (row.deleted && !deleting) problems.push(`${what}: deleted, nobody asked for it`);
      else if (!row.deleted && deleting === 'acknowledged')
        problems.push(`${what}: its deletion was acknowledged, and it is there`);
    }
    const changes = groupBy(await rows(`SELECT id, reason FROM transition`), 'reason');
    for (const { intent, model, acknowledged } of this.audited.journal.changes) {
      const made = changes.get(intent) ?? [];
      if (made.length > 1) problems.push(`change ${intent} of ${model}: made ${made.length} times`);
      if (acknowledged == null) continue;
      if (Number(made[0]?.id) !== acknowledged)
        problems.push(`change ${intent} of ${model}: acknowledged as ${acknowledged}, not there`);
    }
    return problems;
  }

  /** The bytes of every blob are those of its digest. */
  async #bytes(rows: Query): Promise<string[]> {
    const { artifacts } = this.audited;
    const blobs = await rows(`SELECT digest FROM blob`);
    this.blobs = blobs.length;
    if (artifacts === undefined) return [];
    const problems: string[] = [];
    for (const { digest } of blobs) {
      if (this.#hashed.has(String(digest))) continue;
      const hex = String(digest).slice('sha256:'.length);
      const hash = createHash('sha256');
      const path = join(artifacts, 'blobs', 'sha256', hex.slice(0, 2), hex);
      const found = await pipeline(createReadStream(path), hash).then(
        () => hash.digest('hex'),
        (error: unknown) => String(error),
      );
      if (found === hex) this.#hashed.add(String(digest));
      else problems.push(`blob ${hex}: has a row, but in the store is ${found}`);
    }
    return problems;
  }

  async #throughTheApi(): Promise<string[]> {
    const { client, journal } = this.audited;
    const problems: string[] = [];
    for (const version of journal.acknowledgedVersions()) {
      if (version.deleting || this.#read.has(version.intent)) continue;
      const { model, acknowledged } = version;
      const answer = await client.ask('GET', `/api/v1/models/${model}/versions/${acknowledged}`);
      if (answer?.status !== 200) {
        problems.push(`version ${model}/${acknowledged}: ${answer?.status} instead of 200`);
        continue;
      }
      const wrong = await wholeness(client, model, acknowledged, version);
      if (wrong.length === 0) this.#read.add(version.intent);
      problems.push(...wrong);
    }
    return problems;
  }
}

type Row = Record<string, string | number | boolean | null>;
type Query = (sql: string, values?: unknown[]) => Promise<Row[]>;

/** What no row may be, each as a query for those that are. */
const UNSOUND: Record<string, string> = {
  'numbers are not dense': `SELECT m.name, m.last_version, count(v.version), min(v.version), max(v.version)
    FROM registered_model m LEFT JOIN model_version v ON v.model_id = m.id GROUP BY m.id
    HAVING count(v.version) <> m.last_version OR coalesce(min(v.version), 1) <> 1
      OR coalesce(max(v.version), 0) <> m.last_version`,
  'a version without its files': `SELECT v.version, v.size, f.size AS files FROM model_version v
    LEFT JOIN LATERAL (SELECT sum(size) AS size FROM manifest_file f WHERE f.manifest_digest = v.manifest_digest) f ON true
    WHERE f.size IS DISTINCT FROM v.size`,
  'a file of a version that keeps no blob': `SELECT v.version, f.path, f.digest FROM model_version v
    JOIN manifest_file f ON f.manifest_digest = v.manifest_digest
    LEFT JOIN blob_reference r ON r.digest = f.digest AND r.kind = 'version' AND r.owner = v.id::text
    LEFT JOIN blob b ON b.digest = f.digest AND b.size = f.size
    WHERE v.deleted_at IS NULL AND (r.digest IS NULL OR b.digest IS NULL)`,
  'a Program that keeps no blob': `SELECT v.version, v.program_digest FROM model_version v
    LEFT JOIN blob_reference r ON r.digest = v.program_digest AND r.kind = 'program' AND r.owner = v.id::text
    WHERE v.deleted_at IS NULL AND v.program_digest IS NOT NULL AND r.digest IS NULL`,
  'a blob that a deleted version keeps': `SELECT v.version, r.kind, r.digest FROM blob_reference r
    JOIN model_version v ON v.id::text = r.owner WHERE v.deleted_at IS NOT NULL`,
  'a version that is neither compiled nor waits for it': `SELECT v.version FROM model_version v
    LEFT JOIN compile_job j ON j.version_id = v.id
    WHERE v.deleted_at IS NULL AND v.serving_state = 'pending' AND j.version_id IS NULL`,
  'several versions in Production': `SELECT model_id, count(*) FROM model_version
    WHERE stage = 'Production' AND deleted_at IS NULL GROUP BY model_id HAVING count(*) > 1`,
  'a version without its event': `SELECT v.model_id, v.version FROM model_version v
    WHERE (SELECT count(*) FROM event e WHERE e.kind = 'version.created' AND e.model_id = v.model_id
      AND e.version = v.version) <> 1`,
  'a transition without its event': `SELECT t.id FROM transition t
    WHERE (SELECT count(*) FROM event e WHERE e.kind = 'transition' AND (e.data->>'id')::bigint = t.id) <> 1`,
  'a deployment that is not what Production says': `SELECT m.name, d.wanted, v.version FROM registered_model m
    LEFT JOIN deployment d ON d.model_id = m.id AND d.variant = 'primary'
    LEFT JOIN model_version v ON v.model_id = m.id AND v.stage = 'Production' AND v.deleted_at IS NULL
    WHERE m.follow = 'production' AND m.deleted_at IS NULL AND d.wanted IS DISTINCT FROM v.version`,
  'an alias of a version that is not there': `SELECT a.alias, a.version FROM model_alias a
    LEFT JOIN model_version v ON v.model_id = a.model_id AND v.version = a.version AND v.deleted_at IS NULL
    WHERE v.id IS NULL`,
  'a transaction that nobody ends': `SELECT pid, state, left(query, 200) AS query FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start < now() - interval '15 seconds' AND backend_type = 'client backend'`,
};

async function unsound(rows: Query): Promise<string[]> {
  const problems: string[] = [];
  for (const [what, sql] of Object.entries(UNSOUND))
    problems.push(...(await rows(sql)).map((row) => `${what}: ${JSON.stringify(row)}`));
  return problems;
}

/** Every transition goes on where the one before it ended, and the last one is how things are now. */
async function histories(rows: Query): Promise<string[]> {
  const problems: string[] = [];
  const stages = new Map<string, string>();
  const aliases = new Map<string, number>();
  const deleted = new Set<string>();
  for (const row of await rows(
    `SELECT e.kind = 'version.deleted' AS deletion, coalesce(t.model_id, e.model_id) AS model, t.id, t.alias,
       coalesce(t.version, e.version) AS version, t.from_value AS before, t.to_value AS after,
       t.previous_version AS previous
     FROM event e LEFT JOIN transition t ON e.kind = 'transition' AND t.id = (e.data->>'id')::bigint
     WHERE e.kind IN ('transition', 'version.deleted')
     -- The row of the model is locked when an event is written: their ids are in the order of the changes of a model.
     ORDER BY e.id`,
  )) {
    const { model, version, alias } = row;
    const of = (number: Row[string] | undefined) => `${model}/${number}`;
    if (row.deletion) {
      deleted.add(of(version));
      stages.delete(of(version));
      for (const [name, held] of aliases)
        if (name.startsWith(`${model}@`) && held === version) aliases.delete(name);
      continue;
    }
    const told = `transition ${row.id} of version ${version}`;
    if (deleted.has(of(version))) problems.push(`${told}: the version was deleted before`);
    if (alias !== null) {
      const name = `${model}@${alias}`;
      const holder = aliases.get(name) ?? null;
      if (row.previous !== holder)
        problems.push(`${told}: follows ${row.previous} as @${alias}, but ${holder} held it`);
      if (version === null || row.after === null) aliases.delete(name);
      else aliases.set(name, Number(version));
      continue;
    }
    const before = stages.get(of(version)) ?? 'None';
    if (row.before !== before) problems.push(`${told}: from ${row.before}, but it was ${before}`);
    const holders = [...stages]
      .filter(([held, stage]) => held.startsWith(`${model}/`) && stage === row.after)
      .map(([held]) => Number(held.split('/')[1]));
    // Several may be in Staging or Archived: the one that entered last is told.
    const previous = row.previous === null ? [] : [Number(row.previous)];
    if (row.after === 'Production' && previous.join() !== holders.join())
      problems.push(`${told}: follows ${previous.join()}, but ${holders.join()} was in Production`);
    if (row.after === 'Production')
      for (const number of holders) stages.set(of(number), 'Archived');
    stages.set(of(version), String(row.after));
  }
  const now = await rows(
    `SELECT model_id AS model, version, stage FROM model_version WHERE deleted_at IS NULL`,
  );
  for (const { model, version, stage } of now)
    if (stage !== (stages.get(`${model}/${version}`) ?? 'None'))
      problems.push(`version ${version}: is in ${stage}, not as its history says`);
  const held = new Map(
    (await rows(`SELECT model_id AS model, alias, version FROM model_alias`)).map((row) => [
      `${row.model}@${row.alias}`,
      row.version,
    ]),
  );
  for (const name of new Set([...held.keys(), ...aliases.keys()]))
    if (held.get(name) !== aliases.get(name))
      problems.push(`alias ${name}: ${held.get(name)}, not ${aliases.get(name)} as history says`);
  return problems;
}

function groupBy(rows: Row[], column: string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = String(row[column]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return groups;
}

/** What PostgreSQL, its driver and the system call a connection that is gone. */
const lost = /57P0|ECONNRE|EPIPE|terminat|starting up|shutting down/;

function explain(error: unknown): string {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return `${code} ${message}`;
}
