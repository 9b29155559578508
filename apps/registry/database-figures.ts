import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

export interface Figures {
  blobs: number;
  blobBytes: number;
  compileWaiting: number;
  compileRunning: number;
}

const KEPT = 30_000;
/** A scrape waits so long for new figures, and takes the old ones then. */
const PATIENCE = 250;
/** Above so many rows they are estimated from a sample of a hundredth. */
const COUNTED = 200_000;

/**
 * What metrics tell of the database: read at most every 30 s, one statement at a time, and never waited for long, so that a
 * scrape is quick whatever the database does.
 */
@Injectable()
export class DatabaseFigures {
  private figures: Figures | undefined;
  private readAt = -Infinity;
  private reading: Promise<void> | undefined;

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** The newest figures there are; undefined where the database has not told any yet. */
  async newest(): Promise<Figures | undefined> {
    if (performance.now() - this.readAt > KEPT) {
      this.reading ??= this.read().finally(() => (this.reading = undefined));
      let timer: NodeJS.Timeout | undefined;
      const over = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, PATIENCE);
      });
      await Promise.race([this.reading, over]);
      clearTimeout(timer);
    }
    return this.figures;
  }

  private async read(): Promise<void> {
    try {
      const [estimate] = await this.dataSource.query<{ rows: number }[]>(
        `SELECT reltuples::float8 AS rows FROM pg_class WHERE oid = 'blob'::regclass`,
      );
      const blobs = (estimate?.rows ?? 0) > COUNTED ? sampledBlobs : countedBlobs;
      const [row] = await this.dataSource.query<Figures[]>(
        `SELECT b.blobs, b.bytes AS "blobBytes", j.waiting AS "compileWaiting", j.running AS "compileRunning"
         FROM (${blobs}) b, (SELECT
           count(*) FILTER (WHERE lease_until IS NULL OR lease_until < now())::float8 AS waiting,
           count(*) FILTER (WHERE lease_until >= now())::float8 AS running FROM compile_job) j`,
      );
      this.figures = row;
      this.readAt = performance.now();
    } catch {
      // The old ones stay; `/readyz` says that the database is away.
    }
  }
}

const countedBlobs = `SELECT count(*)::float8 AS blobs, coalesce(sum(size), 0)::float8 AS bytes FROM blob`;

const sampledBlobs = `
  SELECT c.reltuples::float8 AS blobs, coalesce(s.size * c.reltuples, 0)::float8 AS bytes
  FROM pg_class c, (SELECT avg(size)::float8 AS size FROM blob TABLESAMPLE SYSTEM (1)) s
  WHERE c.oid = 'blob'::regclass`;
