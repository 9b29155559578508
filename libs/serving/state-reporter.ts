import { type Logger, channels } from '#platform';
import type pg from 'pg';
import type { ModelState } from './model-slot.js';
import type { CountedMinute } from './request-counts.js';

export interface StateReporterOptions {
  pool: pg.Pool;
  /** Id of this replica, the same after a restart. */
  replica: string;
  /** Where it answers predictions. */
  url: string;
  log: Logger;
}

interface ReportedState extends ModelState {
  process: number;
  /** Whether it is to be told in the event stream too: not when it is only written again. */
  announce: boolean;
}

const BEAT_EVERY = 1000;
const COUNTS_EVERY = 5000;
const TIDY_EVERY = 5000;
/** Minutes that wait for PostgreSQL to come back; above, the oldest are lost. */
const MAX_MINUTES = 20_000;

/**
 * Writes down what the serving processes of this replica do: heartbeats, states, events, counts, quarantines. All of it is
 * kept in memory until PostgreSQL has it; predictions never wait for it.
 */
export class StateReporter {
  readonly #options: StateReporterOptions;
  /** Processes that live, with the newest generation that each has seen. */
  readonly #processes = new Map<number, number>();
  readonly #down = new Set<number>();
  readonly #states = new Map<string, ReportedState>();
  readonly #dirty = new Map<string, ReportedState>();
  readonly #dropped = new Map<string, { process: number; modelId: string }>();
  readonly #quarantines = new Map<string, string>();
  #minutes: (CountedMinute & { process: number })[] = [];
  #beatAt = 0;
  #countsAt = Date.now();
  #tidyAt = 0;
  #first = true;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #away = false;
  #closed = false;

  constructor(options: StateReporterOptions) {
    this.#options = options;
  }

  /** Programs whose quarantine PostgreSQL does not have yet. */
  get pendingQuarantines(): ReadonlyMap<string, string> {
    return this.#quarantines;
  }

  start(): void {
    this.#soon(0);
  }

  /** A process lives, and has seen the wishes up to `generation`. */
  beat(process: number, generation: number): void {
    if (!this.#processes.has(process)) {
      this.#beatAt = 0;
      this.#soon(0);
    }
    this.#processes.set(process, generation);
  }

  /** A process has died: nothing of it is true any longer. */
  processDied(process: number): void {
    this.#processes.delete(process);
    for (const states of [this.#states, this.#dirty]) {
      for (const [key, state] of states) if (state.process === process) states.delete(key);
    }
    this.#down.add(process);
    this.#soon(0);
  }

  state(process: number, state: ModelState): void {
    const key = `${process}/${state.modelId}`;
    // A reason may quote a hostile model; PostgreSQL takes every character but NUL.
    const reason = state.reason?.replaceAll('\0', '') ?? null;
    const reported = { ...state, reason, process, announce: true };
    this.#states.set(key, reported);
    this.#dirty.set(key, reported);
    this.#dropped.delete(key);
    this.#soon(0);
  }

  stateGone(process: number, modelId: string): void {
    const key = `${process}/${modelId}`;
    this.#states.delete(key);
    this.#dirty.delete(key);
    this.#dropped.set(key, { process, modelId });
    this.#soon(0);
  }

  count(process: number, minutes: CountedMinute[]): void {
    for (const minute of minutes) this.#minutes.push({ ...minute, process });
    if (this.#minutes.length > MAX_MINUTES) this.#minutes = this.#minutes.slice(-MAX_MINUTES);
  }

  /** Keeps a Program apart on every replica, also after a restart. */
  quarantine(program: string, reason: string): void {
    this.#quarantines.set(program, reason);
    this.#soon(0);
  }

  /** Writes what is left, and takes the rows of this replica away. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    this.#closed = true;
    try {
      await this.#writeCounts();
      await this.#query(FORGET_REPLICA, [this.#options.replica]);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the last reports could not be written');
    }
  }

  #soon(ms: number): void {
    if (this.#closed || this.#writing) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#writing = this.#write().then((ok) => {
        this.#writing = undefined;
        const pending =
          this.#dirty.size + this.#dropped.size + this.#down.size + this.#quarantines.size > 0;
        this.#soon(
          ok && pending ? 0 : BEAT_EVERY - Math.min(BEAT_EVERY, Date.now() - this.#beatAt),
        );
      });
    }, ms);
  }

  async #write(): Promise<boolean> {
    try {
      if (this.#first) {
        await this.#query(FORGET_REPLICA, [this.#options.replica]);
        this.#first = false;
      }
      await this.#writeQuarantines();
      await this.#writeDown();
      if (Date.now() - this.#beatAt >= BEAT_EVERY - 50 || this.#dirty.size)
        await this.#writeBeats();
      await this.#writeStates();
      if (Date.now() - this.#countsAt >= COUNTS_EVERY) await this.#writeCounts();
      if (Date.now() - this.#tidyAt >= TIDY_EVERY) {
        await this.#query(FORGET_DEAD, []);
        this.#tidyAt = Date.now();
      }
      this.#away = false;
      return true;
    } catch (error) {
      this.#beatAt = Date.now();
      if (!this.#away)
        this.#options.log.warn({ err: error }, 'reports wait until PostgreSQL is back');
      this.#away = true;
      return false;
    }
  }

  async #writeBeats(): Promise<void> {
    this.#beatAt = Date.now();
    if (!this.#processes.size) return;
    const { replica, url } = this.#options;
    const beats = [...this.#processes].map(([process, generation]) => ({ process, generation }));
    const rows = await this.#query<{ process: number; inserted: boolean }>(BEAT, [
      replica,
      url,
      JSON.stringify(beats),
    ]);
    const inserted = new Set(rows.flatMap((row) => (row.inserted ? row.process : [])));
    if (!inserted.size) return;
    // The row was not there, so its states are not either: another replica took this one for dead.
    for (const [key, state] of this.#states) {
      if (inserted.has(state.process) && !this.#dirty.has(key))
        this.#dirty.set(key, { ...state, announce: false });
    }
  }

  async #writeStates(): Promise<void> {
    const { replica } = this.#options;
    if (this.#dropped.size) {
      const dropped = [...this.#dropped];
      await this.#query(DROP_STATES, [replica, JSON.stringify(dropped.map(([, row]) => row))]);
      for (const [key, row] of dropped)
        if (this.#dropped.get(key) === row) this.#dropped.delete(key);
    }
    const dirty = [...this.#dirty].filter(([, state]) => this.#processes.has(state.process));
    if (!dirty.length) return;
    await this.#query(WRITE_STATES, [replica, JSON.stringify(dirty.map(([, state]) => state))]);
    for (const [key, state] of dirty) if (this.#dirty.get(key) === state) this.#dirty.delete(key);
  }

  async #writeDown(): Promise<void> {
    if (!this.#down.size) return;
    const down = [...this.#down];
    await this.#query(FORGET_PROCESSES, [this.#options.replica, down]);
    for (const process of down) this.#down.delete(process);
  }

  async #writeQuarantines(): Promise<void> {
    for (const [program, reason] of this.#quarantines) {
      await this.#query(QUARANTINE, [program, reason]);
      this.#quarantines.delete(program);
    }
  }

  /** Adds to the rows; after a failure the counts are kept for the next time. */
  async #writeCounts(): Promise<void> {
    this.#countsAt = Date.now();
    if (!this.#minutes.length) return;
    const minutes = this.#minutes;
    this.#minutes = [];
    try {
      await this.#query(WRITE_COUNTS, [this.#options.replica, JSON.stringify(merged(minutes))]);
    } catch (error) {
      this.#minutes = [...minutes, ...this.#minutes];
      throw error;
    }
  }

  async #query<T extends pg.QueryResultRow>(
    { name, text }: Statement,
    values: unknown[],
  ): Promise<T[]> {
    return (await this.#options.pool.query<T>({ name: `slipway-serving-${name}`, text, values }))
      .rows;
  }
}

/** One row cannot be written twice in one statement. */
function merged(minutes: (CountedMinute & { process: number })[]): object[] {
  const rows = new Map<string, CountedMinute & { process: number }>();
  for (const minute of minutes) {
    const key = `${minute.process}/${minute.modelId}/${minute.version}/${minute.minute}`;
    const row = rows.get(key);
    if (!row) {
      rows.set(key, { ...minute });
      continue;
    }
    row.requests += minute.requests;
    row.errors += minute.errors;
    row.buckets = row.buckets.map((count, i) => count + (minute.buckets[i] ?? 0));
  }
  return [...rows.values()];
}

interface Statement {
  name: string;
  text: string;
}

const BEAT: Statement = {
  name: 'beat',
  text: `
    INSERT INTO serving_process (replica, process, url, generation)
      SELECT $1, process, $2, generation FROM jsonb_to_recordset($3::jsonb) AS beat (process integer, generation bigint)
    ON CONFLICT (replica, process) DO UPDATE
      SET heartbeat_at = now(), url = excluded.url, generation = excluded.generation
    RETURNING process, xmax = 0 AS inserted`,
};

const FORGET_REPLICA: Statement = {
  name: 'forget-replica',
  text: `DELETE FROM serving_process WHERE replica = $1`,
};

const FORGET_DEAD: Statement = {
  name: 'forget-dead',
  text: `DELETE FROM serving_process WHERE heartbeat_at < now() - interval '30 seconds'`,
};

const FORGET_PROCESSES: Statement = {
  name: 'forget-processes',
  text: `
    WITH gone AS (DELETE FROM serving_process WHERE replica = $1 AND process = ANY($2::integer[]))
    SELECT pg_notify('${channels.state}', model_id::text)
      FROM (SELECT DISTINCT model_id FROM serving_state WHERE replica = $1 AND process = ANY($2::integer[])) models`,
};

/** States, their events and the NOTIFY are one statement, so one transaction. */
const WRITE_STATES: Statement = {
  name: 'write-states',
  text: `
    WITH given AS (
      SELECT * FROM jsonb_to_recordset($2::jsonb) AS state (process integer, "modelId" uuid, workspace text, model text,
        generation bigint, wanted integer, answering integer, state text, reason text, announce boolean)
    ), written AS (
      INSERT INTO serving_state AS old (replica, process, model_id, wanted, answering, state, reason, generation)
        SELECT $1, process, "modelId", wanted, answering, state, reason, generation FROM given
      ON CONFLICT (replica, process, model_id) DO UPDATE
        SET wanted = excluded.wanted, answering = excluded.answering, state = excluded.state, reason = excluded.reason,
            generation = excluded.generation,
            since = CASE WHEN old.state = excluded.state AND old.answering IS NOT DISTINCT FROM excluded.answering
                         THEN old.since ELSE now() END
    ), told AS (
      INSERT INTO event (transaction, workspace, kind, model_id, model, version, data, actor)
        SELECT pg_current_xact_id()::text::bigint, workspace, 'serving', "modelId", model, answering,
               jsonb_strip_nulls(jsonb_build_object('replica', $1::text, 'process', process, 'state', state, 'reason', reason,
                 'wanted', wanted, 'answering', answering)), 'slipway'
        FROM given WHERE announce
    )
    SELECT pg_notify('${channels.state}', "modelId"::text), pg_notify('${channels.event}', '')
      FROM (SELECT DISTINCT "modelId" FROM given) models`,
};

const DROP_STATES: Statement = {
  name: 'drop-states',
  text: `
    WITH gone AS (SELECT * FROM jsonb_to_recordset($2::jsonb) AS state (process integer, "modelId" uuid)),
    deleted AS (
      DELETE FROM serving_state s USING gone
      WHERE s.replica = $1 AND s.process = gone.process AND s.model_id = gone."modelId"
    )
    SELECT pg_notify('${channels.state}', "modelId"::text) FROM (SELECT DISTINCT "modelId" FROM gone) models`,
};

const QUARANTINE: Statement = {
  name: 'quarantine',
  text: `
    WITH written AS (
      INSERT INTO quarantine (program_digest, reason) VALUES ($1, $2) ON CONFLICT (program_digest) DO NOTHING
    )
    SELECT pg_notify('${channels.serving}', '')`,
};

const WRITE_COUNTS: Statement = {
  name: 'write-counts',
  text: `
    INSERT INTO serving_minute AS old (minute, model_id, version, replica, process, requests, errors, buckets)
      SELECT to_timestamp(minute / 1000), "modelId", version, $1, process, requests, errors, buckets
      FROM jsonb_to_recordset($2::jsonb) AS counted (minute double precision, "modelId" uuid, version integer,
        process integer, requests bigint, errors bigint, buckets integer[])
    ON CONFLICT (model_id, minute, version, replica, process) DO UPDATE
      SET requests = old.requests + excluded.requests, errors = old.errors + excluded.errors,
          buckets = ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0)
                          FROM unnest(old.buckets, excluded.buckets) WITH ORDINALITY AS bucket (a, b, n) ORDER BY n)`,
};
