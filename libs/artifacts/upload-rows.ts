import type { DataSource, EntityManager } from 'typeorm';
import { HotPool, inTransaction } from '#database';
import { DomainError, type RequestContext } from '#platform';
import type { SavedStaging } from './artifact-store.js';
import { KEEP_SECONDS } from './blob-references.js';
import type { Digest } from './digest.js';

/** Seconds after which an upload is free again when the process that wrote to it has died. */
export const LEASE_SECONDS = 4;

/** Advisory locks on digests; any number that nothing else takes. */
const DIGEST_LOCKS = 7547930;

export interface UploadRow {
  received: number;
  store_state: {
    driver?: Record<string, unknown>;
    lease?: { owner: string; until: number };
    /** The bytes were found to be those of this digest, and are on their way to its place in the store. */
    verified?: Verified;
  };
}

export interface Verified {
  digest: Digest;
  size: number;
}

/** The statements on table `upload`. All times are the database's. */
export class UploadRows {
  private readonly pool: HotPool;

  constructor(private readonly dataSource: DataSource) {
    this.pool = HotPool.of(dataSource);
  }

  async insert({ workspace, actor }: RequestContext, manager?: EntityManager): Promise<string> {
    const text = `INSERT INTO upload (workspace, created_by) VALUES ($1, $2) RETURNING id`;
    const values = [workspace, actor];
    const [row] = manager
      ? await manager.query<{ id: string }[]>(text, values)
      : await this.pool.rows<{ id: string }>({ name: 'upload-insert', text }, values);
    return row?.id ?? '';
  }

  async find(id: string): Promise<UploadRow | undefined> {
    return this.pool.row<UploadRow>(
      { name: 'upload-find', text: `SELECT received, store_state FROM upload WHERE id = $1` },
      [id],
    );
  }

  /** Takes the right to write, unless somebody alive has it. */
  async lease(id: string, owner: string): Promise<UploadRow | undefined> {
    return this.pool.row<UploadRow>(
      {
        name: 'upload-lease',
        text: `UPDATE upload SET touched_at = now(), store_state = store_state || ${leaseOf('$2')}
          WHERE id = $1 AND coalesce((store_state->'lease'->>'until')::float8, 0) < ${seconds}
          RETURNING received, store_state`,
      },
      [id, owner],
    );
  }

  /** @returns false where the upload is gone, or somebody else writes to it now */
  async renew(id: string, owner: string): Promise<boolean> {
    return this.holds(
      {
        name: 'upload-renew',
        text: `UPDATE upload SET touched_at = now(), store_state = store_state || ${leaseOf('$2')}
          WHERE id = $1 AND store_state->'lease'->>'owner' = $2 RETURNING id`,
      },
      [id, owner],
    );
  }

  /** Acknowledges bytes. @returns as {@link renew} */
  async checkpoint(
    id: string,
    owner: string,
    { received, state }: SavedStaging,
    verified?: Verified,
  ): Promise<boolean> {
    return this.holds(
      {
        name: 'upload-checkpoint',
        text: `UPDATE upload SET touched_at = now(), received = $3,
            store_state = ${leaseOf('$2')} || $4::jsonb
          WHERE id = $1 AND store_state->'lease'->>'owner' = $2 RETURNING id`,
      },
      [id, owner, received, JSON.stringify({ driver: state, ...(verified && { verified }) })],
    );
  }

  async release(id: string, owner: string): Promise<void> {
    await this.holds(
      {
        name: 'upload-release',
        text: `UPDATE upload SET touched_at = now(), store_state = store_state - 'lease'
          WHERE id = $1 AND store_state->'lease'->>'owner' = $2 RETURNING id`,
      },
      [id, owner],
    );
  }

  /** As {@link release}, for when that has failed: not waited for, and a lease that stays runs out by itself. */
  letGo(id: string, owner: string): void {
    void this.release(id, owner).catch(() => undefined);
  }

  /** @returns what was removed */
  async remove(id: string): Promise<UploadRow | undefined> {
    return this.pool.row<UploadRow>(
      {
        name: 'upload-remove',
        text: `DELETE FROM upload WHERE id = $1 RETURNING received, store_state`,
      },
      [id],
    );
  }

  /**
   * Says which blob the upload is becoming, before anything is written to the place of that blob. A collector that is
   * about to clear the place is waited for; one that comes later sees this and leaves the place alone.
   * @returns whether the upload is still held, and whether bytes that are in the place already are known to be right
   */
  async announce(
    id: string,
    owner: string,
    verified: Verified,
  ): Promise<{ held: boolean; stored: boolean }> {
    return inTransaction(this.dataSource, async (manager) => {
      await manager.query(lockDigest, [verified.digest]);
      const [rows] = await manager.query<[unknown[], number]>(
        `UPDATE upload SET store_state = store_state || jsonb_build_object('verified', $3::jsonb)
         WHERE id = $1 AND store_state->'lease'->>'owner' = $2 RETURNING id`,
        [id, owner, JSON.stringify(verified)],
      );
      const stored = await manager.query<unknown[]>(
        `SELECT 1 FROM blob WHERE digest = $1 AND damaged_at IS NULL`,
        [verified.digest],
      );
      return { held: rows.length > 0, stored: stored.length > 0 };
    });
  }

  /**
   * The bytes are in their place: the blob is there, the upload is not any more.
   * @param written they were put there just now, so that a damaged blob is mended
   */
  async publish(
    id: string,
    { digest, size }: Verified,
    { written, checksums }: { written: boolean; checksums: Buffer | undefined },
  ): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      await manager.query(
        `INSERT INTO blob (digest, size, kept_until, checksums)
         VALUES ($1, $2, now() + make_interval(secs => $3), $4)
         ON CONFLICT (digest) DO UPDATE SET
           kept_until = greatest(blob.kept_until, excluded.kept_until),
           checksums = coalesce(blob.checksums, excluded.checksums),
           verified_at = CASE WHEN $5 THEN now() ELSE blob.verified_at END,
           damaged_at = CASE WHEN $5 THEN NULL ELSE blob.damaged_at END,
           compared = blob.compared AND NOT $5`,
        [digest, size, KEEP_SECONDS, checksums ?? null, written],
      );
      await manager.query(`DELETE FROM upload WHERE id = $1`, [id]);
    });
  }

  private async holds(
    statement: { name: string; text: string },
    values: unknown[],
  ): Promise<boolean> {
    return (await this.pool.row(statement, values)) !== undefined;
  }
}

/** Held to the end of a transaction: whoever puts bytes to the place of a digest, or clears it, must have it. */
export const lockDigest = `SELECT pg_advisory_xact_lock(${DIGEST_LOCKS}, hashtext($1))`;

const seconds = `extract(epoch FROM clock_timestamp())`;

function leaseOf(owner: string): string {
  return `jsonb_build_object('lease', jsonb_build_object('owner', ${owner}::text, 'until', ${seconds} + ${LEASE_SECONDS}))`;
}

export function noUpload(id: string): DomainError {
  return DomainError.notFound(
    `The upload ${id.slice(0, 100)}`,
    'It may be finished, given up, or older than a day: see with HEAD whether the blob is stored, or begin a new upload.',
  );
}

export function busy(): DomainError {
  return new DomainError(
    'CONFLICT',
    'Another request is writing to this upload. Ask with GET where to go on when it has ended.',
    { retryAfter: 1 },
  );
}
