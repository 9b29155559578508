import { DomainError, type Logger, channels } from '#platform';
import pg from 'pg';
import {
  DESIRED,
  resolutionOf,
  resolveQuery,
  targetOf,
  wordsOf,
  type DesiredRow,
  type ResolveRow,
} from './desired-queries.js';
import {
  parseVersionWord,
  type DesiredModel,
  type DesiredSnapshot,
  type Resolution,
  type VersionResolver,
  type VersionTarget,
} from './desired.js';
import { SnapshotFile } from './snapshot-file.js';

export interface DesiredStateOptions {
  pool: pg.Pool;
  /** Opens the connection that listens for hints. */
  connect: () => pg.Client;
  /** Where the last known snapshot is kept. */
  file: string;
  log: Logger;
}

const POLL_EVERY = 1000;
const WORDS_EVERY = 10_000;
const LONGEST_PAUSE = 5000;
/** Lookups that may wait at a time; above them a client is told to come back. */
const LOOKUPS = 1000;

/**
 * What must be served, followed in PostgreSQL: read once a second (the truth) and on every NOTIFY (the hint). The last
 * snapshot lies on disk, so that a replica that starts while PostgreSQL is away serves what it last knew.
 *
 * While PostgreSQL is away a version word is answered from the snapshot: every word of the followed models, and the
 * numbers of their followed versions; all else is 503.
 */
export class DesiredState implements VersionResolver {
  /** Undefined until PostgreSQL or the disk has told something. */
  snapshot: DesiredSnapshot | undefined;
  /** Whether the last read of PostgreSQL succeeded. */
  available = false;
  /** When PostgreSQL was last read (`performance.now()`). */
  lastRead: number | undefined;
  /** Why it cannot be read at present. */
  outage: string | undefined;

  readonly #options: DesiredStateOptions;
  readonly #file: SnapshotFile;
  readonly #listeners = new Set<(snapshot: DesiredSnapshot) => void>();
  readonly #examples = new Map<string, string | null>();
  /** Lookups that have been sent, and those that begin when the one before them has ended. */
  readonly #running = new Map<string, Promise<Resolution>>();
  readonly #waiting = new Map<string, Promise<Resolution>>();
  #words = new Map<string, Record<string, VersionTarget>>();
  #wordsAt = 0;
  #watched: string[] = [];
  #listener: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #text = '';
  #closed = false;

  constructor(options: DesiredStateOptions) {
    this.#options = options;
    this.#file = new SnapshotFile(options.file, options.log);
  }

  /** Follows from now on; resolves after the first attempt to read PostgreSQL, whether it succeeded or not. */
  async start(): Promise<void> {
    await this.#restore();
    await this.refresh();
  }

  onChange(listener: (snapshot: DesiredSnapshot) => void): void {
    this.#listeners.add(listener);
  }

  /** Names the versions that are loaded without being followed, so that the snapshot says which of them still exist. */
  watch(versionIds: Iterable<string>): void {
    this.#watched = [...versionIds];
  }

  /** Reads now; a call during a read makes one more follow. Never rejects. */
  refresh(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return this.#reading;
    }
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
      const again = this.#again;
      this.#again = false;
      if (again && !this.#closed) void this.refresh();
      else this.#schedule();
    });
    return this.#reading;
  }

  resolve(model: string, word?: string): Promise<Resolution> {
    const key = JSON.stringify([model, word]);
    const running = this.#running.get(key);
    if (!running) return this.#track(this.#running, key, this.#lookUp(model, word));
    // Only a lookup that has not begun yet may be shared: an answer is never older than its request.
    const waiting = this.#waiting.get(key);
    if (waiting) return waiting;
    const next = running.then(
      () => this.resolve(model, word),
      () => this.resolve(model, word),
    );
    return this.#track(this.#waiting, key, next);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#reading;
    await this.#listener?.end().catch(() => undefined);
    await this.#file.flush();
  }

  #schedule(): void {
    if (this.#closed) return;
    const pause = this.#failures
      ? Math.min(LONGEST_PAUSE, 250 * 2 ** Math.min(this.#failures, 10))
      : POLL_EVERY;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), pause * (0.9 + 0.2 * Math.random()));
  }

  async #read(): Promise<void> {
    try {
      await this.#listen();
      const words = Date.now() - this.#wordsAt > WORDS_EVERY;
      const { rows } = await this.#options.pool.query<DesiredRow>({
        ...DESIRED,
        values: [[...this.#examples.keys()], this.#watched, words],
      });
      if (words) this.#wordsAt = Date.now();
      this.#failures = 0;
      if (!this.available) this.#options.log.info('following what must be served in PostgreSQL');
      this.available = true;
      this.lastRead = performance.now();
      this.outage = undefined;
      this.#accept(this.#snapshotOf(rows, words));
    } catch (error) {
      if (this.#closed) return;
      this.#failures++;
      this.outage = outageOf(error);
      if (this.available || this.#failures === 1) {
        this.#options.log.warn(
          { err: error },
          'PostgreSQL cannot be read: serving what was last known',
        );
      }
      this.available = false;
    }
  }

  async #listen(): Promise<void> {
    if (this.#listener) return;
    const client = this.#options.connect();
    let isLost = false;
    const lose = () => {
      isLost = true;
      this.#unlisten(client);
    };
    client.on('error', lose);
    client.on('end', lose);
    client.on('notification', () => {
      this.#wordsAt = 0;
      void this.refresh();
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${channels.serving}`);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    // It may have been lost with the answer itself.
    if (!isLost) this.#listener = client;
  }

  #unlisten(client: pg.Client): void {
    if (this.#listener === client) this.#listener = undefined;
    client.end().catch(() => undefined);
  }

  #snapshotOf(rows: DesiredRow[], words: boolean): DesiredSnapshot {
    if (words) this.#words = new Map(rows.map((row) => [row.model_id, wordsOf(row.words)]));
    const models: DesiredModel[] = [];
    const gone = new Set(this.#watched);
    const snapshot: DesiredSnapshot = { models, watched: [], gone: [] };
    const followed = new Set<string>();
    for (const row of rows) {
      gone.delete(row.version_id);
      if (row.generation === null) {
        snapshot.watched.push({
          modelId: row.model_id,
          workspace: row.workspace,
          model: row.model,
          version: row.version,
          versionId: row.version_id,
          quarantine: row.quarantine,
        });
        continue;
      }
      followed.add(row.version_id);
      if (!this.#examples.has(row.version_id)) this.#examples.set(row.version_id, row.example);
      models.push({
        modelId: row.model_id,
        workspace: row.workspace,
        model: row.model,
        generation: Number(row.generation),
        wanted: row.wanted,
        target: targetOf(row, this.#examples.get(row.version_id) ?? null),
        words: this.#words.get(row.model_id) ?? {},
      });
    }
    for (const known of this.#examples.keys())
      if (!followed.has(known)) this.#examples.delete(known);
    snapshot.gone = [...gone];
    return snapshot;
  }

  #accept(snapshot: DesiredSnapshot): void {
    const text = JSON.stringify(snapshot);
    if (text === this.#text) return;
    this.#text = text;
    this.snapshot = snapshot;
    for (const listener of this.#listeners) listener(snapshot);
    this.#file.save(text);
  }

  async #restore(): Promise<void> {
    const snapshot = await this.#file.read();
    if (!snapshot) return;
    for (const { target, modelId, words } of snapshot.models) {
      this.#examples.set(target.versionId, target.example);
      this.#words.set(modelId, words);
    }
    this.snapshot = snapshot;
    for (const listener of this.#listeners) listener(snapshot);
  }

  #track(
    lookups: Map<string, Promise<Resolution>>,
    key: string,
    lookup: Promise<Resolution>,
  ): Promise<Resolution> {
    lookups.set(key, lookup);
    const forget = (): void => {
      if (lookups.get(key) === lookup) lookups.delete(key);
    };
    lookup.then(forget, forget);
    return lookup;
  }

  async #lookUp(model: string, word: string | undefined): Promise<Resolution> {
    const parsed = word === undefined ? undefined : parseVersionWord(word);
    if (word !== undefined && !parsed) {
      throw DomainError.notFound(
        `Version ${JSON.stringify(word)} of model ${JSON.stringify(model)}`,
        'A version is written 3, @alias, production, staging or latest.',
      );
    }
    if (this.#running.size >= LOOKUPS) {
      throw new DomainError('UNAVAILABLE', 'Too many lookups of models are waiting. Try again.', {
        retryAfter: 1,
      });
    }
    if (!this.available) return this.#lookUpLastKnown(model, word);
    // PostgreSQL has no text with NUL, so no model has such a name.
    if (model.includes('\0')) throw noModel(model);
    let rows: ResolveRow[];
    try {
      ({ rows } = await this.#options.pool.query<ResolveRow>(resolveQuery(model, parsed)));
    } catch {
      return this.#lookUpLastKnown(model, word);
    }
    const row = rows[0];
    if (!row) throw noModel(model);
    const resolution = resolutionOf(row, word);
    // Followed, and not in the snapshot yet: the model's first version has just been promoted.
    if (!resolution.target) void this.refresh();
    return resolution;
  }

  #lookUpLastKnown(name: string, word: string | undefined): Resolution {
    const model = this.snapshot?.models.find((candidate) => candidate.model === name);
    if (model) {
      const { modelId, workspace, target, words } = model;
      const found =
        word === String(target.version)
          ? target
          : (Object.values(words).find((named) => String(named.version) === word) ??
            words[word ?? '']);
      if (word === undefined) return { modelId, workspace, model: name, target: null };
      if (found?.program) return { modelId, workspace, model: name, target: found };
    }
    throw new DomainError(
      'UNAVAILABLE',
      `${word === undefined ? '' : `Version ${word} of `}model ${JSON.stringify(name)} cannot be looked up: the database is away, and it is not among what this server last knew. Try again.`,
      { retryAfter: 2 },
    );
  }
}

function noModel(model: string): DomainError {
  return DomainError.notFound(
    `Model ${JSON.stringify(model)}`,
    'Names are case-sensitive; GET /api/v1/models of the registry lists them.',
  );
}

/** For `/readyz`, which everybody may ask: no address, no statement. */
function outageOf(error: unknown): string {
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return `PostgreSQL cannot be read${code && ` (${code})`}`;
}
