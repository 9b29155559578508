import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import pg from 'pg';
import type { ArtifactStore, Digest } from '#artifacts';
import { manifestDigest } from '../../libs/registry/manifest.js';
import { replay, type ModelHistory } from './history.js';
import { statements } from './invariant-statements.js';

/** Where the facts and the bytes are, and optionally the API that tells them. */
export interface CheckedRegistry {
  /** The database, without anything in between. */
  database: string;
  store: ArtifactStore;
  /** Base URL of the registry, where its answers are to be compared with the facts as well. */
  url?: string;
}

/**
 * What must be true of a registry at any moment when nobody writes to it, and after every crash: see
 * {@link statements} for what the database alone shows. Beyond that: history replayed gives the present stages and
 * aliases; manifests, blobs and Programs have the bytes that their digests say; uploads have the bytes that they
 * acknowledged.
 */
export class Invariants {
  /** What Programs need, by their digest: read once. */
  private readonly needs = new Map<string, string[]>();

  private constructor(
    private readonly client: pg.Client,
    private readonly registry: CheckedRegistry,
  ) {}

  static async open(registry: CheckedRegistry): Promise<Invariants> {
    const client = new pg.Client({ connectionString: registry.database });
    client.on('error', () => {});
    await client.connect();
    return new Invariants(client, registry);
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  /**
   * Everything that is violated, a sentence each; empty where all holds.
   * @param isRead which blobs are read and hashed: all, where it is absent. Of the others only the size is asked for.
   */
  async violations(isRead: (digest: Digest) => boolean = () => true): Promise<string[]> {
    // Planning it takes longer than running it.
    const { rows } = await this.client.query<{ what: string }>({
      name: 'invariants',
      text: statements,
    });
    return [
      ...rows.map(({ what }) => what),
      ...(await this.ofHistory()),
      ...(await this.ofManifests()),
      ...(await this.ofBlobs(isRead)),
      ...(await this.ofPrograms()),
      ...(await this.ofUploads()),
    ];
  }

  /** Where the API does not say what the rows say. */
  async untruths(): Promise<string[]> {
    return this.registry.url === undefined ? [] : this.ofAnswers(this.registry.url);
  }

  /** What the store holds that neither a row of a blob nor a row of an upload knows: garbage. */
  async orphans(): Promise<string[]> {
    const blobs = new Set(await this.column('SELECT digest FROM blob'));
    const uploads = new Set(await this.column('SELECT id FROM upload'));
    const found: string[] = [];
    for await (const { digest } of this.registry.store.list()) {
      if (!blobs.has(digest)) found.push(`the store has the blob ${digest}, which no row has`);
    }
    for await (const { id } of this.registry.store.listStaged()) {
      if (!uploads.has(id)) found.push(`the store has content of the upload ${id}, which is gone`);
    }
    return found;
  }

  private async ofHistory(): Promise<string[]> {
    const { rows } = await this.client.query<ModelHistory>(histories);
    return rows.flatMap(replay);
  }

  private async ofManifests(): Promise<string[]> {
    const { rows } = await this.client.query<{
      digest: string;
      files: { path: string; digest: string; size: number }[];
    }>(
      `SELECT manifest_digest AS digest,
         json_agg(json_build_object('path', path, 'digest', digest, 'size', size)) AS files
       FROM manifest_file GROUP BY manifest_digest`,
    );
    return rows
      .filter(({ digest, files }) => manifestDigest(files) !== digest)
      .map(({ digest }) => `the files of the manifest ${digest} have another digest`);
  }

  private async ofBlobs(isRead: (digest: Digest) => boolean): Promise<string[]> {
    const { rows } = await this.client.query<{ digest: Digest; size: string }>(
      'SELECT digest, size FROM blob ORDER BY digest',
    );
    const faults: string[] = [];
    for (const { digest, size } of rows) {
      const found = await this.registry.store.stat(digest);
      if (!found) faults.push(`the store has lost the bytes of ${digest}`);
      else if (found.size !== Number(size)) faults.push(`${digest} has ${found.size} bytes`);
      else if (isRead(digest) && (await this.digestOf(digest)) !== digest)
        faults.push(`${digest} has other bytes`);
    }
    return faults;
  }

  private async ofPrograms(): Promise<string[]> {
    const { rows } = await this.client.query<{ id: string; program: Digest; kept: string[] }>(
      `SELECT v.id, v.program_digest AS program,
         (SELECT coalesce(json_agg(r.digest), '[]') FROM blob_reference r WHERE r.owner = v.id::text) AS kept
       FROM model_version v WHERE v.program_digest IS NOT NULL AND v.deleted_at IS NULL`,
    );
    const faults: string[] = [];
    for (const { id, program, kept } of rows) {
      for (const digest of await this.needsOf(program)) {
        if (!kept.includes(digest))
          faults.push(`the Program of ${id} needs ${digest}, which nothing keeps`);
      }
    }
    return faults;
  }

  /** Digests of the weights and files that a Program names; none where its bytes are lost, which is told elsewhere. */
  private async needsOf(program: Digest): Promise<string[]> {
    const known = this.needs.get(program);
    if (known) return known;
    const { store } = this.registry;
    const read = await store.read(program).then(buffer, () => undefined);
    if (!read) return [];
    const { weights, files } = JSON.parse(read.toString()) as {
      weights: { digest: string };
      files?: { digest: string }[];
    };
    const needs = [weights, ...(files ?? [])].map(({ digest }) => digest);
    this.needs.set(program, needs);
    return needs;
  }

  private async ofUploads(): Promise<string[]> {
    const { rows } = await this.client.query<{
      id: string;
      received: string;
      state: { driver?: Record<string, unknown>; verified?: { digest: Digest; size: number } };
    }>('SELECT id, received, store_state AS state FROM upload');
    const faults: string[] = [];
    for (const { id, state, ...row } of rows) {
      const received = Number(row.received);
      if (received === 0) continue;
      const staging = this.registry.store.stage(id, { received, state: state.driver ?? {} });
      const bytes = await staging.read().then(buffer, () => undefined);
      if (bytes?.length === received) continue;
      // Between the bytes' arrival at their place and the row's end.
      const { verified } = state;
      const arrived = verified && (await this.registry.store.stat(verified.digest));
      if (arrived?.size !== received)
        faults.push(`the upload ${id} has lost bytes of ${received} that it acknowledged`);
    }
    return faults;
  }

  private async ofAnswers(url: string): Promise<string[]> {
    const { rows } = await this.client.query<{ name: string; told: unknown }>(facts);
    const faults: string[] = [];
    const models = await all(`${url}/api/v1/models`);
    const told = new Map(models.map((model) => [String(model.name), model]));
    for (const { name, told: expected } of rows) {
      const model = told.get(name);
      const path = `${url}/api/v1/models/${encodeURIComponent(name)}`;
      const actual = model && {
        production: model.production,
        staging: model.staging,
        aliases: model.aliases,
        latestVersion: model.latestVersion,
        versionCount: model.versionCount,
        versions: (await all(`${path}/versions`)).map(({ version }) => version),
        transitions: (await all(`${path}/transitions`)).map(({ id }) => id),
      };
      if (sorted(actual) !== sorted(expected))
        faults.push(`the API says of "${name}" ${sorted(actual)}, the rows ${sorted(expected)}`);
    }
    if (models.length !== rows.length)
      faults.push(`the API lists ${models.length} models of ${rows.length}`);
    return faults;
  }

  private async digestOf(digest: Digest): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of await this.registry.store.read(digest)) hash.update(chunk as Buffer);
    return `sha256:${hash.digest('hex')}`;
  }

  private async column(query: string): Promise<string[]> {
    const { rows } = await this.client.query<string[]>({ text: query, rowMode: 'array' });
    return rows.map(([value]) => value ?? '');
  }
}

const histories = `SELECT m.name, m.production_top::float8 AS "productionTop",
  (SELECT coalesce(json_agg(json_build_object('version', v.version, 'stage', v.stage, 'entered', v.stage_entered,
     'revision', v.revision, 'isDeleted', v.deleted_at IS NOT NULL,
     'changes', (SELECT count(*) FROM event e WHERE e.model_id = m.id AND e.version = v.version
        AND e.kind IN ('version.updated', 'version.compiled')))), '[]')
   FROM model_version v WHERE v.model_id = m.id) AS versions,
  (SELECT coalesce(json_agg(json_build_object('id', t.id, 'kind', t.kind, 'alias', t.alias, 'version', t.version,
     'from', t.from_value, 'to', t.to_value, 'previousVersion', t.previous_version, 'below', t.below) ORDER BY t.id), '[]')
   FROM transition t WHERE t.model_id = m.id) AS transitions,
  (SELECT coalesce(json_object_agg(a.alias, a.version), '{}') FROM model_alias a WHERE a.model_id = m.id) AS aliases,
  m.deleted_at IS NOT NULL AS "isDeleted"
  FROM registered_model m`;

const live = 'v.model_id = m.id AND v.deleted_at IS NULL';
const facts = `SELECT m.name, json_build_object(
  'production', (SELECT max(v.version) FROM model_version v WHERE ${live} AND v.stage = 'Production'),
  'staging', (SELECT v.version FROM model_version v WHERE ${live} AND v.stage = 'Staging' ORDER BY v.stage_entered DESC LIMIT 1),
  'aliases', (SELECT coalesce(json_object_agg(a.alias, a.version), '{}') FROM model_alias a WHERE a.model_id = m.id),
  'latestVersion', (SELECT max(v.version) FROM model_version v WHERE ${live}),
  'versionCount', (SELECT count(*) FROM model_version v WHERE ${live}),
  'versions', (SELECT coalesce(json_agg(v.version ORDER BY v.version DESC), '[]') FROM model_version v WHERE ${live}),
  'transitions', (SELECT coalesce(json_agg(t.id ORDER BY t.id DESC), '[]') FROM transition t WHERE t.model_id = m.id)) AS told
  FROM registered_model m WHERE m.deleted_at IS NULL`;

/** All items of a list, over its pages. */
async function all(url: string): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined;) {
    const page = await fetch(
      `${url}?limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    if (page.status !== 200) throw new Error(`${url} answers ${page.status}`);
    const { items: more, next } = (await page.json()) as {
      items: Record<string, unknown>[];
      next?: string;
    };
    items.push(...more);
    cursor = next;
  }
  return items;
}

/** JSON with the keys in order. */
function sorted(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? 'nothing'
  );
}
