import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

const every = 10 * 60_000;

/** What is removed once it was kept long enough; each statement may run in any number of replicas at once. */
const statements = [
  `DELETE FROM event WHERE at < now() - interval '7 days'`,
  `DELETE FROM idempotency_key WHERE created_at < now() - interval '24 hours'`,
  `DELETE FROM serving_process WHERE heartbeat_at < now() - interval '1 hour'`,
  `DELETE FROM serving_minute WHERE minute < now() - interval '90 days'`,
  `DELETE FROM manifest_file f WHERE NOT EXISTS
     (SELECT 1 FROM model_version v WHERE v.manifest_digest = f.manifest_digest AND (v.deleted_at IS NULL OR v.deleted_at > now() - interval '1 day'))`,
  // Only a cache: the blobs of a Program are kept by the versions that have it.
  `DELETE FROM compiled_program p WHERE created_at < now() - interval '1 day' AND NOT EXISTS
     (SELECT 1 FROM model_version v WHERE v.manifest_digest = p.manifest_digest AND v.deleted_at IS NULL)`,
];

/** Removes what is no longer promised: old events, answers to idempotency keys, statistics, dead processes. */
@Injectable()
export class Housekeeping implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Housekeeping.name);
  private timer: NodeJS.Timeout | undefined;

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.tidy(), every * (0.9 + 0.2 * Math.random()));
    this.timer.unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  async tidy(): Promise<void> {
    for (const statement of statements) {
      await this.dataSource.query(statement).catch((error: unknown) => {
        this.logger.warn(`Housekeeping has to wait: ${String(error)}`);
      });
    }
  }
}
