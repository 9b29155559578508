import { setTimeout as sleep } from 'node:timers/promises';
import {
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { Gauge } from 'prom-client';
import { DataSource } from 'typeorm';
import { Config, DomainError, Logger, Metrics } from '#platform';
import { BlobVerifier, type DamagedBlob } from './blob-verifier.js';

export interface Scrubbed {
  checked: number;
  bytes: number;
  damaged: DamagedBlob[];
}

/** Seconds between two passes. */
const INTERVAL = 600;
/** A pass may read this much even where there is little. */
const LEAST_BYTES = 256 * 1024 * 1024;
/** One pass at a time, of all replicas; any number that nothing else takes. */
const SCRUB_LOCK = 7547932;
const BATCH = 50;
/** Blobs in a row that cannot be read, after which the store is taken to be away. */
const FAILURES = 3;
/** How much longer than it reads a pass rests, so that readers hardly notice it. */
const REST = 3;

/**
 * Verifies in the background what was not verified for longest, so that every blob is read once in `SCRUB_DAYS`. A blob is
 * due after half of that time, and a pass reads at twice the pace that is needed on average.
 */
@Injectable()
export class BlobScrub implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly stopping = new AbortController();
  private working: Promise<void> = Promise.resolve();

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly verifier: BlobVerifier,
    private readonly config: Config,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    const query = () => this.countDamaged();
    new Gauge({
      name: 'slipway_blobs_damaged',
      help: 'Blobs whose stored bytes are known to be missing or wrong',
      registers: [metrics.registry],
      async collect() {
        const count = await query();
        if (count !== undefined) this.set(count);
      },
    });
  }

  onApplicationBootstrap(): void {
    if (this.config.SCRUB_DAYS > 0) this.working = this.scrubForever();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.working;
  }

  /**
   * One pass: reads what is due, up to its share of bytes. Does nothing while another replica is at it.
   * @throws DomainError UNAVAILABLE
   */
  async scrub(): Promise<Scrubbed> {
    const done: Scrubbed = { checked: 0, bytes: 0, damaged: [] };
    const runner = this.dataSource.createQueryRunner();
    try {
      const [row] = await runner.manager.query<{ taken: boolean }[]>(
        `SELECT pg_try_advisory_lock($1) AS taken`,
        [SCRUB_LOCK],
      );
      if (row?.taken) await this.pass(done);
      return done;
    } finally {
      // Not awaited to succeed: with the connection, the lock is gone as well.
      await runner.query(`SELECT pg_advisory_unlock($1)`, [SCRUB_LOCK]).catch(() => undefined);
      await runner.release();
    }
  }

  private async pass(done: Scrubbed): Promise<void> {
    const { signal } = this.stopping;
    const share = await this.share();
    let failures = 0;
    for (let due = await this.due(); due.length > 0; due = await this.due()) {
      for (const { digest, size } of due) {
        if (signal.aborted || done.bytes >= share) return;
        const begun = performance.now();
        try {
          const reason = await this.verifier.verify(digest);
          if (reason) this.tell({ digest, size, reason }, done);
          failures = 0;
        } catch (error) {
          const passing = error instanceof DomainError && ++failures < FAILURES;
          if (!passing) throw error;
        }
        done.checked += 1;
        done.bytes += size;
        const rest = REST * (performance.now() - begun);
        await sleep(rest, undefined, { signal, ref: false }).catch(() => undefined);
      }
      // What could not be judged stays due: not twice in one pass.
      if (due.length < BATCH) return;
    }
  }

  private tell(blob: DamagedBlob, done: Scrubbed): void {
    done.damaged.push(blob);
    this.logger.error(
      { blob },
      'A stored blob is damaged: slipway verify says what needs it and what to do',
    );
  }

  private async due(): Promise<{ digest: DamagedBlob['digest']; size: number }[]> {
    return this.dataSource.query(
      `SELECT digest, size FROM blob WHERE verified_at < now() - make_interval(days => $1) / 2
       ORDER BY verified_at LIMIT ${BATCH}`,
      [this.config.SCRUB_DAYS],
    );
  }

  /** Bytes of a pass. */
  private async share(): Promise<number> {
    const [row] = await this.dataSource.query<{ bytes: number }[]>(
      `SELECT coalesce(sum(size), 0)::float8 AS bytes FROM blob`,
    );
    const passes = (this.config.SCRUB_DAYS * 86_400) / INTERVAL;
    return Math.max(LEAST_BYTES, (2 * (row?.bytes ?? 0)) / passes);
  }

  private async scrubForever(): Promise<void> {
    const { signal } = this.stopping;
    for (;;) {
      const pause = INTERVAL * (0.8 + 0.4 * Math.random()) * 1000;
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const { checked, bytes, damaged } = await this.scrub();
        if (checked > 0)
          this.logger.info({ checked, bytes, damaged: damaged.length }, 'Verified blobs');
      } catch (err) {
        if (!signal.aborted)
          this.logger.warn({ err }, 'Could not verify blobs; trying again later');
      }
    }
  }

  private async countDamaged(): Promise<number | undefined> {
    const [row] = await this.dataSource
      .query<{ count: number }[]>(
        `SELECT count(*)::int AS count FROM blob WHERE damaged_at IS NOT NULL`,
      )
      .catch(() => []);
    return row?.count;
  }
}
