import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { inTransaction } from '#database';
import { Config, DomainError, Logger, systemContext } from '#platform';
import { ArtifactStore } from './artifact-store.js';
import { type BlobPart, joinParts, MAX_PARTS, sizeOfParts } from './blob-parts.js';
import { dereferenceBlobs, PART, referenceBlobs } from './blob-references.js';
import { packPieces, type Piece, PieceCutter, sketchOf, unpackPieces } from './content-pieces.js';
import { type Digest, digestOf } from './digest.js';
import { findRuns, type Run, type Sketched } from './shared-parts.js';
import { UploadService } from './upload.service.js';
import { lockDigest } from './upload-rows.js';

/** What a pass did. */
export interface Shared {
  /** Blobs that were looked through. */
  compared: number;
  /** Those of them that lie in others now, and their bytes that are not stored a second time any more. */
  shared: number;
  bytes: number;
}

interface DueBlob {
  digest: Digest;
  size: number;
}

/** Blobs below this are left as they are. */
const LEAST_SIZE = 256 * 1024;
/** So much of a blob must be in others at least, in parts of the whole, before it is worth reading it in parts. */
const LEAST_SHARE = 0.1;
/** Blobs that one blob is compared with at most: those that have the most in common with it. */
const MOST_OTHERS = 8;
/** Milliseconds after an upload, so that what reads the new blob at once (to compile it, to serve it) comes first. */
const PAUSE = 2_000;
/** Milliseconds between two looks for what an earlier process left. */
const INTERVAL = 600_000;
/** How much longer than it works a pass rests, so that readers hardly notice it. */
const REST = 1;
const SLICE = 8 * 1024 * 1024;
/** One pass at a time, of all replicas; any number that nothing else takes. */
const SHARE_LOCK = 7547933;
const BATCH = 50;

/**
 * Stores once what blobs have in common, such as the weights that versions of a model share: see
 * docs/decisions/0019-shared-content-is-stored-once.md. A blob whose content is partly in others is stored as a list of
 * ranges of these and of one blob with the rest. Nobody else sees a difference.
 *
 * Parts have bytes of their own: only such blobs are found by their sketch, and what is a part is never composed. A blob
 * keeps its parts by references of the kind `part`, from before it is composed until its row is gone.
 */
@Injectable()
export class BlobSharing implements OnApplicationBootstrap, OnApplicationShutdown {
  /** What this process did since it began. */
  readonly counts: Shared = { compared: 0, shared: 0, bytes: 0 };
  private readonly stopping = new AbortController();
  private working: Promise<void> = Promise.resolve();
  private wake: () => void = () => undefined;
  private isDue = true;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly store: ArtifactStore,
    private readonly uploads: UploadService,
    private readonly config: Config,
    private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.config.SHARE_BLOBS) return;
    this.uploads.onPublished(({ size }) => {
      if (size < LEAST_SIZE) return;
      this.isDue = true;
      this.wake();
    });
    this.working = this.shareForever();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.working;
  }

  /**
   * One pass over all blobs that were not looked through yet. Does nothing while another replica is at it.
   * @throws DomainError UNAVAILABLE
   */
  async share(): Promise<Shared> {
    const done: Shared = { compared: 0, shared: 0, bytes: 0 };
    const runner = this.dataSource.createQueryRunner();
    try {
      const [row] = await runner.manager.query<{ taken: boolean }[]>(
        `SELECT pg_try_advisory_lock($1) AS taken`,
        [SHARE_LOCK],
      );
      if (row?.taken) await this.pass(done);
      return done;
    } finally {
      // Not awaited to succeed: with the connection, the lock is gone as well.
      await runner.query(`SELECT pg_advisory_unlock($1)`, [SHARE_LOCK]).catch(() => undefined);
      await runner.release();
      this.counts.compared += done.compared;
      this.counts.shared += done.shared;
      this.counts.bytes += done.bytes;
    }
  }

  private async pass(done: Shared): Promise<void> {
    const tried = new Set<Digest>();
    for (;;) {
      const due = (await this.due(tried)).filter(({ digest }) => !tried.has(digest));
      for (const blob of due) {
        if (this.stopping.signal.aborted) return;
        tried.add(blob.digest);
        try {
          const saved = await this.compare(blob);
          done.compared += 1;
          if (saved > 0) done.shared += 1;
          done.bytes += saved;
        } catch (error) {
          if (this.stopping.signal.aborted) return;
          if (!(error instanceof DomainError)) throw error;
          // It stays due; where the store is away, so is everything else.
          await this.store.check();
        }
      }
      if (due.length === 0) return;
    }
  }

  /** The oldest first: what came later is stored as parts of it. */
  private async due(tried: ReadonlySet<Digest>): Promise<DueBlob[]> {
    return this.dataSource.query<DueBlob[]>(
      `SELECT digest, size FROM blob WHERE NOT compared AND size >= ${LEAST_SIZE} AND damaged_at IS NULL
         AND digest <> ALL($1) ORDER BY created_at, digest LIMIT ${BATCH}`,
      [[...tried]],
    );
  }

  /** @returns how many bytes are stored no more because others have them */
  private async compare({ digest, size }: DueBlob): Promise<number> {
    const layout = await this.store.layout(digest);
    if (layout.size === undefined && layout.parts) {
      // An earlier process came to an end between the store and the row.
      await this.markCompared(digest);
      return 0;
    }
    const pieces = await this.piecesOf(digest);
    const parts = await this.partsFor({ digest, size }, pieces);
    if (parts && (await this.compose(digest, parts))) return sharedBytes(parts);
    await this.keepOwn(digest, pieces, layout.parts !== undefined);
    return 0;
  }

  private async piecesOf(digest: Digest): Promise<Piece[]> {
    const cutter = new PieceCutter();
    for await (const bytes of this.slowly(await this.store.read(digest))) cutter.update(bytes);
    return cutter.finish();
  }

  /**
   * The parts out of which a blob can be read, where that is worth it: compared with its digest, those with a new digest
   * stored. What no other blob has becomes one blob.
   */
  private async partsFor(
    { digest, size }: DueBlob,
    pieces: readonly Piece[],
  ): Promise<(BlobPart & { isOwn: boolean })[] | undefined> {
    const [part] = await this.dataSource.query<unknown[]>(
      `SELECT 1 FROM blob_reference WHERE digest = $1 AND kind = $2 LIMIT 1`,
      [digest, PART],
    );
    if (part) return undefined;
    const runs = findRuns(pieces, await this.others(digest, pieces));
    const rest = runs.filter((run) => run.digest === undefined);
    const own = rest.reduce((sum, { length }) => sum + length, 0);
    if (runs.length === 0 || runs.length > MAX_PARTS) return undefined;
    if (size - own < Math.max(LEAST_SIZE / 2, size * LEAST_SHARE)) return undefined;
    const stored = own > 0 ? await this.storeRest(digest, rest) : undefined;
    const parts = placed(runs, stored);
    for (const other of new Set(parts.map((each) => each.digest))) {
      if ((await this.store.layout(other)).size === undefined) return undefined;
    }
    const read = async (part: Digest, range: { offset: number; length: number }) =>
      this.store.read(part, range);
    const hash = createHash('sha256');
    for await (const bytes of this.slowly(joinParts(parts, read, digest))) hash.update(bytes);
    // Pieces are compared by a part of their digest, and stored bytes may have changed: this is what counts.
    return digestOf(hash) === digest && sizeOfParts(parts) === size ? parts : undefined;
  }

  /** Blobs that have pieces in common with this one. */
  private async others(digest: Digest, pieces: readonly Piece[]): Promise<Sketched[]> {
    const rows = await this.dataSource.query<{ digest: Digest; pieces: Buffer }[]>(
      `SELECT s.digest, s.pieces FROM blob_sketch s JOIN blob b ON b.digest = s.digest AND b.damaged_at IS NULL
       CROSS JOIN LATERAL (SELECT count(*) AS common FROM unnest(s.sketch) h WHERE h = ANY($1::bigint[])) c
       WHERE s.sketch && $1::bigint[] AND s.digest <> $2 ORDER BY c.common DESC, b.created_at LIMIT ${MOST_OTHERS}`,
      [sketchOf(pieces).map(String), digest],
    );
    return rows.map((row) => ({ digest: row.digest, pieces: unpackPieces(row.pieces) }));
  }

  private async storeRest(digest: Digest, rest: readonly Run[]): Promise<Digest> {
    const ranges = rest.map(({ offset, length }) => ({ digest, offset, length }));
    const read = async (whole: Digest, range: { offset: number; length: number }) =>
      this.store.read(whole, range);
    const slowly = this.slowly(joinParts(ranges, read, digest));
    const stored = await this.uploads.put(
      Readable.from(slowly, { objectMode: false }),
      systemContext,
    );
    return stored.digest;
  }

  /**
   * First the references are there for good, then the parts take the place of the bytes.
   * @returns false where the blob or one of its parts has gone meanwhile
   */
  private async compose(digest: Digest, parts: readonly BlobPart[]): Promise<boolean> {
    const blobs = [...new Set(parts.map((part) => part.digest))].map((part) => ({ digest: part }));
    const isKept = await inTransaction(this.dataSource, async (manager) => {
      const found = await manager.query<unknown[]>(
        `SELECT 1 FROM blob WHERE digest = $1 FOR KEY SHARE`,
        [digest],
      );
      if (found.length > 0) await referenceBlobs(manager, { kind: PART, owner: digest, blobs });
      return found.length > 0;
    });
    if (!isKept) return false;
    return inTransaction(this.dataSource, async (manager) => {
      // As the collector does: nobody puts bytes to this place, or clears it, while the store works.
      await manager.query(`SET LOCAL idle_in_transaction_session_timeout = '60s'`);
      await manager.query(lockDigest, [digest]);
      const [found] = await manager.query<[unknown[], number]>(
        `UPDATE blob SET compared = true WHERE digest = $1 AND damaged_at IS NULL AND NOT compared RETURNING digest`,
        [digest],
      );
      if (found.length === 0) return false;
      await manager.query(`DELETE FROM blob_sketch WHERE digest = $1`, [digest]);
      await this.store.compose(digest, parts);
      return true;
    });
  }

  /** The blob stays as it is, and others may be made of it. */
  private async keepOwn(
    digest: Digest,
    pieces: readonly Piece[],
    hasParts: boolean,
  ): Promise<void> {
    // It was uploaded again since it lay in others.
    if (hasParts) await this.store.forgetParts(digest);
    await inTransaction(this.dataSource, async (manager) => {
      const [found] = await manager.query<[unknown[], number]>(
        `UPDATE blob SET compared = true WHERE digest = $1 RETURNING digest`,
        [digest],
      );
      if (found.length === 0) return;
      await dereferenceBlobs(manager, { kind: PART, owners: [digest] });
      await manager.query(
        `INSERT INTO blob_sketch (digest, pieces, sketch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        [digest, packPieces(pieces), sketchOf(pieces).map(String)],
      );
    });
  }

  private async markCompared(digest: Digest): Promise<void> {
    await this.dataSource.query(
      `WITH gone AS (DELETE FROM blob_sketch WHERE digest = $1)
       UPDATE blob SET compared = true WHERE digest = $1`,
      [digest],
    );
  }

  /** Bytes as they come, with rests, and not while clients upload. @throws DOMException where the process ends */
  private async *slowly(content: Readable): AsyncGenerator<Buffer> {
    const { signal } = this.stopping;
    let begun = performance.now();
    let came = 0;
    for await (const bytes of content as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      yield bytes;
      came += bytes.length;
      if (came < SLICE) continue;
      await sleep(REST * (performance.now() - begun), undefined, { signal, ref: false });
      while (this.uploads.isReceiving) await sleep(100, undefined, { signal, ref: false });
      begun = performance.now();
      came = 0;
    }
  }

  private async shareForever(): Promise<void> {
    const { signal } = this.stopping;
    for (;;) {
      await this.rest(signal);
      if (signal.aborted) return;
      try {
        const { compared, shared, bytes } = await this.share();
        if (shared > 0) this.logger.info({ compared, shared, bytes }, 'Stored shared content once');
      } catch (err) {
        if (!signal.aborted)
          this.logger.warn({ err }, 'Could not look for shared content; trying again later');
      }
    }
  }

  /** Until something was uploaded and a while has passed, or for long. */
  private async rest(signal: AbortSignal): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.wake = resolve;
      if (this.isDue) resolve();
    });
    const ended = new AbortController();
    const stop = AbortSignal.any([signal, ended.signal]);
    const long = sleep(INTERVAL, undefined, { signal: stop, ref: false }).catch(() => undefined);
    await Promise.race([woken, long]);
    ended.abort();
    await sleep(PAUSE, undefined, { signal, ref: false }).catch(() => undefined);
    this.isDue = false;
  }
}

/** Own runs become ranges of the blob that has them all, one after the other. */
function placed(runs: readonly Run[], rest: Digest | undefined): (BlobPart & { isOwn: boolean })[] {
  let at = 0;
  return runs.flatMap(({ digest, offset, length }) => {
    if (digest !== undefined) return { digest, offset, length, isOwn: false };
    if (rest === undefined) return [];
    at += length;
    return { digest: rest, offset: at - length, length, isOwn: true };
  });
}

function sharedBytes(parts: readonly (BlobPart & { isOwn: boolean })[]): number {
  return parts.reduce((sum, { isOwn, length }) => sum + (isOwn ? 0 : length), 0);
}
