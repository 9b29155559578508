import { setTimeout as sleep } from 'node:timers/promises';
import {
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type pg from 'pg';
import { DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { DomainError, Logger } from '#platform';
import { ArtifactStore, type StoredBlob } from './artifact-store.js';
import { dereferenceBlobs, KEEP_SECONDS, PART } from './blob-references.js';
import type { Digest } from './digest.js';
import { lockDigest } from './upload-rows.js';

export interface CollectOptions {
  /** Seconds since a blob was last kept (uploaded, asked for, let go) after which it may go. */
  grace?: number;
  /** Seconds without a byte after which an upload is given up. */
  uploadAge?: number;
  /** Only count. */
  dryRun?: boolean;
  /** Also look through the whole store for what no row knows, such as after a crash. */
  sweep?: boolean;
}

export interface Collected {
  blobs: number;
  uploads: number;
  bytes: number;
}

const DAY = 86_400;
const INTERVAL = 600;
const SWEEP_EVERY = 36;
const BATCH = 500;
/** Seconds that a second collector waits for the first. */
const PATIENCE = 30;
/**
 * One collector at a time, of all replicas; any number that nothing else takes. Who shares it keeps collectors away.
 */
export const COLLECTOR_LOCK = 7547931;

/**
 * Removes blobs that nothing refers to and nothing keeps, and uploads that were given up: first the row, then the bytes.
 *
 * It can never take what a version needs: `referenceBlobs` locks the rows that it finds, and this locks the rows that it
 * removes. The bytes of a digest are removed only under a lock on the digest, when no row has it and no upload is about
 * to become it; whoever uploads the same bytes at that moment waits for the lock and then writes them anew.
 */
@Injectable()
export class GarbageCollector implements OnApplicationBootstrap, OnApplicationShutdown {
  /** What this process has removed since it began, and when a pass last came to its end (ms since the epoch), for metrics. */
  readonly counts = { blobs: 0, uploads: 0, bytes: 0, lastPass: 0 };
  private readonly stopping = new AbortController();
  private working: Promise<void> = Promise.resolve();

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly store: ArtifactStore,
    private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.working = this.collectForever();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.working;
  }

  /**
   * One pass. A second one waits for the first.
   * @throws DomainError CONFLICT where that takes too long; UNAVAILABLE where the store does not answer
   */
  async collect(options: CollectOptions = {}): Promise<Collected> {
    await this.store.check();
    const runner = this.dataSource.createQueryRunner();
    try {
      await lock(runner);
      const collected = await new Pass(runner, this.store, options, this.stopping.signal).run();
      if (!options.dryRun) this.count(collected);
      return collected;
    } finally {
      await unlock(runner);
      await runner.release();
    }
  }

  private count({ blobs, uploads, bytes }: Collected): void {
    this.counts.blobs += blobs;
    this.counts.uploads += uploads;
    this.counts.bytes += bytes;
    this.counts.lastPass = Date.now();
  }

  /** Every ten minutes, give or take, so that replicas do not all come at once. */
  private async collectForever(): Promise<void> {
    const { signal } = this.stopping;
    for (let pass = 0; ; pass += 1) {
      const pause = INTERVAL * (0.8 + 0.4 * Math.random()) * 1000;
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const collected = await this.collect({ sweep: pass % SWEEP_EVERY === 0 });
        if (collected.blobs + collected.uploads > 0)
          this.logger.info(collected, 'Collected garbage');
      } catch (err) {
        if (!signal.aborted)
          this.logger.warn({ err }, 'Could not collect garbage; trying again later');
      }
    }
  }
}

class Pass {
  private readonly grace: number;
  private readonly uploadAge: number;
  private readonly dryRun: boolean;
  private readonly sweep: boolean;
  private readonly collected: Collected = { blobs: 0, uploads: 0, bytes: 0 };

  constructor(
    private readonly runner: QueryRunner,
    private readonly store: ArtifactStore,
    { grace = KEEP_SECONDS, uploadAge = DAY, dryRun = false, sweep = true }: CollectOptions,
    private readonly signal: AbortSignal,
  ) {
    this.grace = grace;
    this.uploadAge = uploadAge;
    this.dryRun = dryRun;
    this.sweep = sweep;
  }

  private get manager(): EntityManager {
    return this.runner.manager;
  }

  async run(): Promise<Collected> {
    if (this.dryRun) await this.count();
    else {
      await this.removeUploads();
      await this.removeBlobs();
    }
    if (this.sweep) {
      await this.sweepBlobs();
      await this.sweepStaged();
    }
    return this.collected;
  }

  private async count(): Promise<void> {
    const [blobs] = await this.manager.query<{ count: number; bytes: number }[]>(
      `SELECT count(*)::int AS count, coalesce(sum(size), 0)::float8 AS bytes FROM blob b WHERE ${unneeded}`,
      [this.grace],
    );
    const [uploads] = await this.manager.query<{ count: number; bytes: number }[]>(
      `SELECT count(*)::int AS count, coalesce(sum(received), 0)::float8 AS bytes FROM upload WHERE ${givenUp}`,
      [this.uploadAge],
    );
    this.collected.blobs += blobs?.count ?? 0;
    this.collected.uploads += uploads?.count ?? 0;
    this.collected.bytes += (blobs?.bytes ?? 0) + (uploads?.bytes ?? 0);
  }

  private async removeUploads(): Promise<void> {
    for (;;) {
      const [rows] = await this.manager.query<
        [{ id: string; received: number; driver: object | null }[], number]
      >(
        `DELETE FROM upload WHERE id IN (
           SELECT id FROM upload WHERE ${givenUp} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
         RETURNING id, received, store_state->'driver' AS driver`,
        [this.uploadAge],
      );
      for (const { id, received, driver } of rows) {
        await this.store.stage(id, { received, state: { ...driver } }).discard();
        this.collected.uploads += 1;
        this.collected.bytes += received;
      }
      if (rows.length < BATCH || this.signal.aborted) return;
    }
  }

  private async removeBlobs(): Promise<void> {
    for (;;) {
      const removed = await this.removeRows();
      for (const { digest, size } of removed) {
        if (!(await this.removeBytes(digest))) continue;
        this.collected.blobs += 1;
        this.collected.bytes += size;
      }
      // With the last of them, parts may have become unneeded.
      if (removed.length === 0 || this.signal.aborted) return;
    }
  }

  /** Locks first and looks for references after it: the second statement sees what was committed before the lock. */
  private async removeRows(): Promise<{ digest: Digest; size: number }[]> {
    return this.inTransaction(async () => {
      const found = await this.manager.query<{ digest: Digest }[]>(
        `SELECT digest FROM blob b WHERE ${unneeded} LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`,
        [this.grace],
      );
      const [removed] = await this.manager.query<[{ digest: Digest; size: number }[], number]>(
        `DELETE FROM blob b WHERE digest = ANY($2) AND ${unneeded} RETURNING digest, size`,
        [this.grace, found.map(({ digest }) => digest)],
      );
      const owners = removed.map(({ digest }) => digest);
      await dereferenceBlobs(this.manager, { kind: PART, owners });
      return removed;
    });
  }

  /** @returns false where the bytes are needed after all */
  private async removeBytes(digest: Digest): Promise<boolean> {
    return this.inTransaction(async () => {
      // The lock must outlast a store that answers late: a removal that comes after it would take what somebody uploads then.
      await this.manager.query(`SET LOCAL idle_in_transaction_session_timeout = '60s'`);
      await this.manager.query(lockDigest, [digest]);
      const needed = await this.manager.query<unknown[]>(
        `SELECT 1 FROM blob WHERE digest = $1
         UNION ALL SELECT 1 FROM upload WHERE store_state->'verified'->>'digest' = $1 LIMIT 1`,
        [digest],
      );
      if (needed.length > 0) return false;
      await this.store.delete(digest);
      return true;
    });
  }

  /** Bytes that no row knows: a crash came between bytes and row, or between row and bytes. */
  private async sweepBlobs(): Promise<void> {
    const old = Date.now() - this.grace * 1000;
    let batch: StoredBlob[] = [];
    for await (const blob of this.store.list()) {
      if (this.signal.aborted) return;
      if (blob.modifiedAt.getTime() <= old) batch.push(blob);
      if (batch.length < BATCH) continue;
      await this.removeUnknown(batch);
      batch = [];
    }
    await this.removeUnknown(batch);
  }

  private async removeUnknown(blobs: StoredBlob[]): Promise<void> {
    const known = await this.manager.query<{ digest: string }[]>(
      `SELECT digest FROM blob WHERE digest = ANY($1)`,
      [blobs.map(({ digest }) => digest)],
    );
    const digests = new Set<string>(known.map(({ digest }) => digest));
    for (const { digest, size } of blobs) {
      if (digests.has(digest) || (!this.dryRun && !(await this.removeBytes(digest)))) continue;
      this.collected.blobs += 1;
      this.collected.bytes += size;
    }
  }

  private async sweepStaged(): Promise<void> {
    const old = Date.now() - this.uploadAge * 1000;
    for await (const { id, saved, modifiedAt } of this.store.listStaged()) {
      if (this.signal.aborted) return;
      if (modifiedAt.getTime() > old) continue;
      const known = await this.manager.query<unknown[]>(`SELECT 1 FROM upload WHERE id = $1`, [id]);
      if (known.length > 0) continue;
      if (!this.dryRun) await this.store.stage(id, saved).discard();
      this.collected.uploads += 1;
      this.collected.bytes += saved.received;
    }
  }

  private async inTransaction<T>(work: () => Promise<T>): Promise<T> {
    await this.runner.startTransaction();
    try {
      const result = await work();
      await this.runner.commitTransaction();
      return result;
    } catch (error) {
      await this.runner.rollbackTransaction().catch(() => undefined);
      throw error;
    }
  }
}

/** `kept_until` is an hour after a blob was last kept, so a shorter or longer grace moves it. `$1`: the grace. */
const unneeded = `b.kept_until <= now() + make_interval(secs => ${KEEP_SECONDS}::float8 - $1::float8)
  AND NOT EXISTS (SELECT 1 FROM blob_reference r WHERE r.digest = b.digest)`;

const givenUp = `touched_at <= now() - make_interval(secs => $1::float8)`;

/** The lock is the connection's: one that cannot give it back must not go back to the pool, or nobody collects any more. */
async function unlock(runner: QueryRunner): Promise<void> {
  try {
    await runner.query(`SELECT pg_advisory_unlock($1)`, [COLLECTOR_LOCK]);
  } catch {
    const connection = (await runner.connect().catch(() => undefined)) as pg.Client | undefined;
    await connection?.end().catch(() => undefined);
  }
}

async function lock(runner: QueryRunner): Promise<void> {
  for (const begun = Date.now(); ;) {
    const [row] = await runner.manager.query<{ taken: boolean }[]>(
      `SELECT pg_try_advisory_lock($1) AS taken`,
      [COLLECTOR_LOCK],
    );
    if (row?.taken) return;
    if (Date.now() - begun > PATIENCE * 1000) {
      throw new DomainError(
        'CONFLICT',
        'Garbage is being collected already; try again when that has ended.',
        {
          retryAfter: PATIENCE,
        },
      );
    }
    await sleep(200);
  }
}
