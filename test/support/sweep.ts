import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '#artifacts';
import type { FaultOutcome, FaultPlan } from './fault-plan.js';
import { FaultyRegistry } from './faulty-registry.js';
import { Invariants } from './invariants.js';
import {
  type Answer,
  type Bench,
  type Call,
  makeModels,
  type MutatingCall,
} from './mutating-calls.js';
import { RegistryState, type Told } from './registry-state.js';

/** Where a fault is put in, and how. */
export interface FaultKind extends Omit<FaultPlan, 'nth'> {
  where: 'sql' | 'store' | 'files';
  /** Only every so manieth operation fails; 1 unless said otherwise. */
  stride?: number;
}

export interface SweepFigures {
  /** Calls that were made to fail, one by one. */
  points: number;
  /** Answers of the failing calls, by status. */
  answers: Record<number, number>;
}

/** A call that takes longer than this hangs. */
const PATIENCE = 60_000;
/** Milliseconds without a turn of the event loop: not this process is slow then, but all are. */
const STALL = 3_000;
/** While a call runs: what is neither part of its change nor whole before it has ended. */
const PASSING = ['upload', 'blob', 'idempotency_key'];

/**
 * SQLite's method on the registry: each call is made again and again from the same state, while its first, second, third …
 * statement, request to the store or call of the file system fails, until it gets through without meeting the fault.
 */
export class Sweep implements Bench {
  /** What was found, a sentence each. */
  readonly violations: string[] = [];
  readonly figures: SweepFigures = { points: 0, answers: {} };
  private readonly blobs = new Map<Digest, Buffer>();
  private stalls = 0;
  private readonly watch: NodeJS.Timeout;

  private constructor(
    readonly registry: FaultyRegistry,
    readonly state: RegistryState,
    readonly invariants: Invariants,
    private readonly isThorough: boolean,
  ) {
    let last = performance.now();
    this.watch = setInterval(() => {
      if (performance.now() - last > STALL) this.stalls += 1;
      last = performance.now();
    }, 250).unref();
  }

  /** @param isThorough collects garbage after every point, not only after those of calls that may leave some */
  static async start(store: 'folder' | 's3', isThorough: boolean): Promise<Sweep> {
    const registry = await FaultyRegistry.start(store);
    const state = await RegistryState.open(registry.database);
    const { direct, database, url } = registry;
    const invariants = await Invariants.open({ database, store: direct.store, url });
    const sweep = new Sweep(registry, state, invariants, isThorough);
    registry.compiles = true;
    await makeModels(sweep);
    registry.compiles = false;
    await direct.garbage.collect({ grace: 0, uploadAge: 0 });
    await sweep.keep();
    return sweep;
  }

  async stop(): Promise<void> {
    clearInterval(this.watch);
    await this.state.close();
    await this.invariants.close();
    await this.registry.stop();
  }

  readonly send = async ({ method, path, body, headers, meanwhile }: Call): Promise<Answer> => {
    const isRaw = Buffer.isBuffer(body);
    const sent = fetch(`${this.registry.url}${path}`, {
      method,
      headers: {
        'content-type': isRaw ? 'application/octet-stream' : 'application/json',
        ...headers,
      },
      ...(body && { body: isRaw ? new Uint8Array(body) : JSON.stringify(body) }),
      signal: AbortSignal.timeout(PATIENCE),
    });
    await Promise.all([sent.catch(() => undefined), meanwhile?.()]);
    const answer = await sent;
    const text = await answer.text();
    const parsed = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: answer.status, headers: answer.headers, body: parsed };
  };

  /** Sweeps one call with one kind of fault. @returns how many operations it is made of */
  async run(call: MutatingCall, kind: FaultKind): Promise<number> {
    const clean = await this.awake(() => this.cleanRun(call, kind));
    const swept = await this.failEach(call, kind, clean);
    const name = `${call.route} (${call.what}), ${kind.where}, after all`;
    for (const what of [...(await this.invariants.untruths()), ...(await this.leftOver())])
      this.violations.push(`${name}: ${what}`);
    await this.restore();
    return swept;
  }

  private async failEach(call: MutatingCall, kind: FaultKind, clean: CleanRun): Promise<number> {
    for (let nth = 1; ; nth += kind.stride ?? 1) {
      const times = kind.times ? ` × ${kind.times}` : '';
      const where = `${call.route} (${call.what}), ${kind.where} ${nth} of ${clean.outcome.calls.length}, ${kind.kind} ${kind.effect}${times}`;
      const reached = await this.awake(() => this.point(call, { ...kind, nth }, clean, where));
      if (!this.registry.isRunning)
        throw new Error(`${where}: the registry ended: ${this.registry.log}`);
      if (!reached) return nth - 1;
      if (nth > 500) throw new Error(`${where}: does not end`);
    }
  }

  /** Does something again where it went wrong while the whole machine stood still: time limits mean nothing then. */
  private async awake<T>(act: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const [found, stalls] = [this.violations.length, this.stalls];
      const stalled = (): boolean => this.stalls > stalls && attempt < 5;
      try {
        const result = await act();
        if (this.violations.length === found || !stalled()) return result;
      } catch (error) {
        if (!stalled()) throw error;
      }
      this.violations.length = found;
    }
  }

  /**
   * Sweeps the compile step, which runs by itself: a version is checked again while one of its operations fails.
   * @param stride fails every so manieth operation
   */
  async runCompile(kind: FaultKind, stride = 1): Promise<number> {
    const where = `the compile step, ${kind.where}, ${kind.kind} ${kind.effect}`;
    const { end } = await this.awake(() => this.compileOnce({ ...kind, nth: Infinity }));
    for (let nth = 1; ; nth += stride) {
      const { outcome, end: actual } = await this.awake(() => this.compileOnce({ ...kind, nth }));
      const found = [
        ...(actual === end ? [] : [`it did not happen exactly once: ${difference(end, actual)}`]),
        ...(await this.held()),
        ...(await this.violated()),
        ...readdirSync(join(this.registry.folder, 'tmp')).map((name) => `${name} is left behind`),
        ...(await this.leftOver()),
      ];
      const failed = outcome.calls[nth - 1] ?? '';
      this.violations.push(...found.map((what) => `${where}, ${nth} "${failed}": ${what}`));
      if (!outcome.reached) return nth - 1;
      this.figures.points += 1;
    }
  }

  private async compileOnce(
    kind: FaultKind & { nth: number },
  ): Promise<{ outcome: FaultOutcome; end: string }> {
    await this.restore();
    await this.send({ method: 'POST', path: '/api/v1/models/m/versions/2/check' });
    await this.arm(kind);
    this.registry.compiles = true;
    const late = Date.now() + PATIENCE;
    for (let lookedAt = 0; ; lookedAt += 1) {
      await this.state.query('NOTIFY slipway_compile');
      await sleep(50);
      const jobs = await this.state.query<{ waits: boolean }>(
        `SELECT lease_owner IS NULL AND run_after > now() AS waits FROM compile_job`,
      );
      if (jobs.length === 0) break;
      if (Date.now() > late) throw new Error('A version is never compiled');
      // What would come by itself after some seconds.
      if (jobs[0]?.waits) await this.state.query('UPDATE compile_job SET run_after = now()');
      if (lookedAt % 60 === 59)
        await this.state.query('UPDATE compile_job SET lease_until = now()');
    }
    this.registry.compiles = false;
    const outcome = await this.disarm(kind);
    // An upload of the server's own whose beginning it never heard of is empty, and given up after a day.
    return { outcome, end: (await this.state.told()).text(['upload']) };
  }

  /** Keeps the present state as that which every call begins in. */
  async keep(): Promise<void> {
    await this.state.keep();
    const { store } = this.registry.direct;
    for await (const { digest } of store.list())
      this.blobs.set(digest, await buffer(await store.read(digest)));
  }

  /** Brings rows and bytes back. */
  async restore(): Promise<void> {
    await this.state.restore();
    const { store } = this.registry.direct;
    for (const [digest, bytes] of this.blobs) {
      if (await store.stat(digest)) continue;
      const staging = store.stage(randomUUID());
      const never = async (): Promise<void> => undefined;
      await staging.append(Readable.from([bytes]), never);
      await staging.save();
      await staging.commit(digest, never);
      await staging.discard();
    }
  }

  async arm({ where, ...plan }: FaultKind & { nth: number }): Promise<void> {
    if (where === 'sql') this.registry.sql.arm(plan);
    else if (where === 'files') await this.registry.files.arm(plan);
    else this.registry.store?.arm(plan);
  }

  async disarm({ where }: FaultKind): Promise<FaultOutcome> {
    if (where === 'sql') return this.registry.sql.disarm();
    if (where === 'files') return this.registry.files.disarm();
    return this.registry.store?.disarm() ?? { calls: [], reached: false };
  }

  /** What is left when everything that nothing needs was collected. */
  async leftOver(): Promise<string[]> {
    const { garbage } = this.registry.direct;
    const answer = await this.send({
      method: 'POST',
      path: '/api/v1/gc',
      body: { graceSeconds: 0 },
    });
    if (answer.status !== 200) return [`garbage is not collected: ${JSON.stringify(answer.body)}`];
    const garbageOfBlobs = (await this.invariants.orphans()).filter((what) =>
      what.includes('blob'),
    );
    await garbage.collect({ grace: 0, uploadAge: 0 });
    const orphans = await this.invariants.orphans();
    return [...garbageOfBlobs, ...orphans, ...this.strangeFiles(), ...(await this.violated())];
  }

  private async point(
    call: MutatingCall,
    kind: FaultKind & { nth: number },
    clean: CleanRun,
    where: string,
  ): Promise<boolean> {
    if (this.isThorough || call.leaves) await this.restore();
    else await this.state.restore();
    const given = await call.prepare(this);
    await this.arm(kind);
    const answer = await this.send(given).catch((error: unknown) => {
      throw new Error(`${where}: no answer: ${String(error)}`);
    });
    const { reached, calls } = await this.disarm(kind);
    const blame = (what: string): void => {
      const failed = calls[kind.nth - 1] ?? '';
      this.violations.push(`${where} "${failed}": ${what}`);
    };
    if (reached) {
      this.figures.points += 1;
      this.figures.answers[answer.status] = (this.figures.answers[answer.status] ?? 0) + 1;
    }
    const after = await this.state.told();
    for (const what of judge(call, answer, after, clean)) blame(what);
    for (const what of await this.held()) blame(what);
    for (const what of await this.violated()) blame(what);
    await this.repeat(call, given, clean, blame);
    if (this.isThorough || call.leaves) {
      for (const what of await this.leftOver()) blame(`in the end ${what}`);
    }
    return reached;
  }

  /** The same call again succeeds, and all in all it has happened once. */
  private async repeat(
    call: MutatingCall,
    given: Call,
    clean: CleanRun,
    blame: (what: string) => void,
  ): Promise<void> {
    const { meanwhile: _, ...same } = given;
    const again = await (call.again?.(this, same) ?? this.send(same));
    const isDone = call.isDone?.(again) ?? false;
    if (again.status !== call.status && !isDone)
      blame(`the same call again is answered ${again.status} ${JSON.stringify(again.body)}`);
    const end = (await this.state.told()).text();
    if (end !== clean.end) blame(`it did not happen exactly once: ${difference(clean.end, end)}`);
  }

  private async cleanRun(call: MutatingCall, kind: FaultKind): Promise<CleanRun> {
    await this.restore();
    // What happens meanwhile happens in any case.
    await (await call.prepare(this)).meanwhile?.();
    const before = await this.state.told();
    await this.restore();
    const given = await call.prepare(this);
    await this.arm({ ...kind, nth: Infinity });
    const answer = await this.send(given);
    const outcome = await this.disarm(kind);
    if (answer.status !== call.status)
      throw new Error(
        `${call.route} (${call.what}): ${answer.status} ${JSON.stringify(answer.body)}`,
      );
    const after = await this.state.told();
    const { meanwhile: _, ...same } = given;
    if (!call.isDone) await (call.again?.(this, same) ?? this.send(same));
    const end = (await this.state.told()).text();
    return { before, after, end, outcome };
  }

  /** Bytes that every call begins with are read once, at the end of all. */
  private violated(): Promise<string[]> {
    return this.invariants.violations((digest) => !this.blobs.has(digest));
  }

  /** Locks and transactions that the call has left behind. */
  private async held(): Promise<string[]> {
    const late = Date.now() + 10_000;
    for (;;) {
      const rows = await this.state.query<{ what: string }>(
        `SELECT format('%s holds a transaction: %s', application_name, query) AS what FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%'
         UNION ALL SELECT format('an advisory lock on %s, %s is held', classid, objid) FROM pg_locks
         WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      const what = [
        ...rows.map((row) => row.what),
        ...this.registry.openFiles.map((path) => `${path} is open`),
      ];
      if (what.length === 0 || Date.now() > late) return what;
      await sleep(20);
    }
  }

  /** Files of a folder store that are no blob: a collection has to leave none. */
  private strangeFiles(): string[] {
    if (this.registry.store) return [];
    const root = join(this.registry.folder, 'artifacts');
    return readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(root.length + 1))
      .filter((path) => !/^blobs\/sha256\/[0-9a-f]{2}\/[0-9a-f]{64}$/.test(path))
      .map((path) => `the store has the file ${path}`);
  }
}

interface CleanRun {
  before: Told;
  after: Told;
  /** After the repetition, where one is no mistake. */
  end: string;
  outcome: FaultOutcome;
}

/** Whether an answer is true, and says what a client has to know. */
function judge(call: MutatingCall, answer: Answer, after: Told, clean: CleanRun): string[] {
  const { status, headers, body } = answer;
  const faults: string[] = [];
  const [was, is, would] = [clean.before, after, clean.after].map((told) => told.text(PASSING));
  if (is !== was && is !== would)
    faults.push(`the change was made by half: ${difference(would ?? '', is ?? '')}`);
  if (status === call.status) {
    const [full, expected] = [after.text(), clean.after.text()];
    if (full !== expected) faults.push(`answered ${status}, but ${difference(expected, full)}`);
    return faults;
  }
  const said = `${status} ${JSON.stringify(body)}`;
  if (status !== 503) faults.push(`answered was ${said}`);
  if (!headers.get('content-type')?.startsWith('application/problem+json') || !body.detail)
    faults.push(`no problem document: ${said}`);
  if (status === 503 && !Number(headers.get('retry-after'))) faults.push(`no Retry-After: ${said}`);
  if (/nothing was changed/i.test(String(body.detail)) && is !== was)
    faults.push(`not true: ${said}`);
  return faults;
}

/** The rows in which two states differ. */
function difference(expected: string, actual: string): string {
  const [a, b] = [expected.split('\n'), actual.split('\n')];
  const missing = a.filter((row) => !b.includes(row)).map((row) => `missing: ${row}`);
  const more = b.filter((row) => !a.includes(row)).map((row) => `unexpected: ${row}`);
  return [...missing, ...more, `(${a.length} rows, ${b.length} rows)`].join('\n    ');
}
