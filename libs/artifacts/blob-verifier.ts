import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { DomainError } from '#platform';
import { ArtifactStore } from './artifact-store.js';
import { ContentHash } from './content-hash.js';
import type { Digest } from './digest.js';

/** What is wrong with the stored bytes of a blob; `unreadable`: the store answers, but not with these. */
export const damages = ['missing', 'size', 'bytes', 'unreadable'] as const;
export type Damage = (typeof damages)[number];

export interface DamagedBlob {
  digest: Digest;
  /** Bytes that it should have. */
  size: number;
  reason: Damage;
}

export interface VerifyOptions {
  /** Goes on after this digest; empty: from the first one. */
  after?: string;
  /** Most blobs of this step. */
  limit?: number;
  /** Only what these keep; absent: all. */
  owners?: string[] | undefined;
  /** Milliseconds after which the step ends, in the middle of a large blob too. */
  patience?: number;
}

export interface VerifiedStep {
  /** Blobs that were compared to their end. */
  checked: number;
  /** Bytes that were read. */
  bytes: number;
  damaged: DamagedBlob[];
  /** `after` of the next step; null: that was the last one. */
  next: string | null;
}

interface BlobToVerify {
  digest: Digest;
  size: number;
  /** `verified_at` as text. */
  seen: string;
}

/** A look at a blob, which may take several steps. */
interface Look {
  hash: ContentHash;
  /** Bytes that the hash has seen. */
  at: number;
  seal: () => Promise<void>;
  /** True where the look before this one found something wrong. */
  second: boolean;
}

interface Finding {
  damage: Damage | undefined;
  /** Absent where not all bytes were read. */
  hash?: ContentHash;
  /** False where it may yet be a passing fault of the store. */
  certain: boolean;
}

const STEP_MS = 2_000;
const STEP_BLOBS = 1_000;
/** Blobs up to this size are read side by side, for stores that take their time to answer. */
const SMALL = 4 * 1024 * 1024;
const SMALL_AT_ONCE = 8;
const LOOKS_KEPT = 64;
/** Before something is called damaged, it is looked at again. */
const SECOND_LOOK_MS = 100;

/**
 * Reads stored blobs and compares them with their digests. What it finds is kept: a damaged blob is not stored any more for
 * whoever wants to refer to it or skips an upload, so that it comes again and is mended; a clean look clears the mark.
 *
 * A step is bounded in time. The hash of a large blob that a step did not finish waits in this process for the next step;
 * at another replica, or after a restart, that blob is begun anew.
 */
@Injectable()
export class BlobVerifier {
  private readonly looks = new Map<Digest, Look>();

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly store: ArtifactStore,
  ) {}

  /**
   * A step through the blobs, in the order of their digests.
   * @throws DomainError UNAVAILABLE where the store does not answer at all
   */
  async step({
    after = '',
    limit = STEP_BLOBS,
    owners,
    patience = STEP_MS,
  }: VerifyOptions = {}): Promise<VerifiedStep> {
    const deadline = Date.now() + patience;
    const count = Math.min(limit, STEP_BLOBS);
    const rows = await this.dataSource.query<BlobToVerify[]>(
      `SELECT digest, size, verified_at::text AS seen FROM blob b
       WHERE digest > $1 AND ($3::text[] IS NULL OR EXISTS
         (SELECT 1 FROM blob_reference r WHERE r.digest = b.digest AND r.owner = ANY($3)))
       ORDER BY digest LIMIT $2`,
      [after, count, owners ?? null],
    );
    const done: VerifiedStep = { checked: 0, bytes: 0, damaged: [], next: after };
    const onBytes = (bytes: number): void => {
      done.bytes += bytes;
    };
    for (const group of groupsOf(rows)) {
      const looked = await Promise.all(
        group.map((blob) => this.verifyRow(blob, deadline, onBytes)),
      );
      for (const [i, found] of looked.entries()) {
        const blob = group[i];
        // A large blob stands alone in its group: what comes after it is not begun.
        if (!blob || found === 'unfinished') return done;
        done.checked += 1;
        done.next = blob.digest;
        if (found) done.damaged.push({ digest: blob.digest, size: blob.size, reason: found });
      }
      if (Date.now() > deadline) break;
    }
    const last = rows.at(-1)?.digest;
    if (rows.length < count && (last === undefined || done.next === last)) done.next = null;
    return done;
  }

  /** Reads one blob whole. @returns what is wrong with it; undefined also where there is no such blob any more */
  async verify(digest: string): Promise<Damage | undefined> {
    const row = await this.find(digest);
    const found = row && (await this.verifyRow(row, Infinity, () => undefined));
    return found === 'unfinished' ? undefined : found;
  }

  private async find(digest: string): Promise<BlobToVerify | undefined> {
    const [row] = await this.dataSource.query<BlobToVerify[]>(
      `SELECT digest, size, verified_at::text AS seen FROM blob WHERE digest = $1`,
      [digest],
    );
    return row;
  }

  private async verifyRow(
    blob: BlobToVerify,
    deadline: number,
    onBytes: (bytes: number) => void,
  ): Promise<Damage | 'unfinished' | undefined> {
    for (let row: BlobToVerify | undefined = blob; row; row = await this.find(row.digest)) {
      const finding = await this.examine(row, deadline, onBytes);
      if (!finding) return 'unfinished';
      // Where it was mended meanwhile, or looked at by somebody else, the finding is of the past.
      if (await this.record(row, finding)) return finding.damage;
    }
    // Collected meanwhile.
    return undefined;
  }

  /** Looks twice where the first look says that something is wrong. @returns undefined where time is up */
  private async examine(
    blob: BlobToVerify,
    deadline: number,
    onBytes: (bytes: number) => void,
  ): Promise<Finding | undefined> {
    for (;;) {
      const look = this.looks.get(blob.digest) ?? newLook();
      this.looks.delete(blob.digest);
      const finding = await this.look(blob, look, deadline, onBytes);
      if (!finding) {
        this.keepLook(blob.digest, look);
        return undefined;
      }
      if (!finding.damage || look.second) return finding;
      this.keepLook(blob.digest, { ...newLook(), second: true });
      await sleep(SECOND_LOOK_MS);
    }
  }

  private async look(
    { digest, size }: BlobToVerify,
    look: Look,
    deadline: number,
    onBytes: (bytes: number) => void,
  ): Promise<Finding | undefined> {
    try {
      const found = await this.store.stat(digest);
      if (!found) return { damage: 'missing', certain: true };
      if (found.size !== size) return { damage: 'size', certain: true };
      for await (const chunk of await this.continued(digest, size, look)) {
        look.hash.update(chunk);
        look.at += chunk.length;
        onBytes(chunk.length);
        if (look.at < size && Date.now() > deadline) return undefined;
      }
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (error.code === 'NOT_FOUND') return { damage: 'missing', certain: true };
      // A store that is away says nothing about this blob.
      await this.store.check();
      return { damage: 'unreadable', certain: isBroken(error) };
    }
    if (look.hash.digest !== digest) return { damage: 'bytes', certain: true };
    await look.seal();
    return { damage: undefined, certain: true, hash: look.hash };
  }

  private async continued(
    digest: Digest,
    size: number,
    look: Look,
  ): Promise<AsyncIterable<Buffer>> {
    if (look.at > 0) {
      return this.store.read(digest, { offset: look.at, length: size - look.at });
    }
    const { stream, seal } = await this.store.readToSeal(digest, size);
    look.seal = seal;
    return stream;
  }

  /** @returns false where the row is not any more as it was before the look */
  private async record(
    { digest, seen }: BlobToVerify,
    { damage, certain, hash }: Finding,
  ): Promise<boolean> {
    if (damage && !certain) return true;
    const [rows] = await this.dataSource.query<[unknown[], number]>(
      `UPDATE blob SET verified_at = clock_timestamp(), checksums = coalesce(checksums, $4),
         damaged_at = CASE WHEN $3 THEN coalesce(damaged_at, now()) END
       WHERE digest = $1 AND verified_at = $2::timestamptz RETURNING digest`,
      [digest, seen, damage !== undefined, hash?.checksums ?? null],
    );
    if (rows.length > 0 && damage) await this.store.unseal(digest);
    return rows.length > 0;
  }

  private keepLook(digest: Digest, look: Look): void {
    const [oldest] = this.looks.keys();
    if (this.looks.size >= LOOKS_KEPT && oldest !== undefined) this.looks.delete(oldest);
    this.looks.set(digest, look);
  }
}

function newLook(): Look {
  return { hash: new ContentHash(), at: 0, seal: async () => undefined, second: false };
}

/** Large blobs alone, small ones in groups, in their order. */
function groupsOf(blobs: BlobToVerify[]): BlobToVerify[][] {
  const groups: BlobToVerify[][] = [];
  let small: BlobToVerify[] | undefined;
  for (const blob of blobs) {
    if (blob.size > SMALL) {
      groups.push([blob]);
      small = undefined;
    } else if (small && small.length < SMALL_AT_ONCE) {
      small.push(blob);
    } else {
      groups.push((small = [blob]));
    }
  }
  return groups;
}

/** A disk that cannot read this place again will not do so tomorrow. */
function isBroken({ cause }: DomainError): boolean {
  return typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'EIO';
}
