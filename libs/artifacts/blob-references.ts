import type { EntityManager } from 'typeorm';
import { DomainError, type FieldError } from '#platform';
import { parseDigest } from './digest.js';

/** Seconds that a blob stays after it was uploaded, asked for, or let go. */
export const KEEP_SECONDS = 3600;

/** The kind of reference by which a blob that lies in others keeps these. */
export const PART = 'part';

export interface WantedBlobs {
  /** `version`, `program`, `part`. */
  kind: string;
  owner: string;
  /** `pointer` says where in the request the digest stands. */
  blobs: { digest: string; pointer?: string }[];
}

/**
 * Makes an owner keep blobs, in the caller's transaction. The rows stay locked until it ends, so that garbage collection
 * can take none of them between this check and the commit.
 * @returns the size of each blob
 * @throws DomainError BLOB_MISSING that names every digest that is not stored, or is known to be damaged
 */
export async function referenceBlobs(
  manager: EntityManager,
  { kind, owner, blobs }: WantedBlobs,
): Promise<Map<string, number>> {
  const digests = [...new Set(blobs.map(({ digest, pointer }) => parseDigest(digest, pointer)))];
  const rows = await manager.query<{ digest: string; size: number }[]>(
    `SELECT digest, size FROM blob WHERE digest = ANY($1) AND damaged_at IS NULL ORDER BY digest FOR KEY SHARE`,
    [digests],
  );
  const sizes = new Map(rows.map(({ digest, size }) => [digest, Number(size)]));
  if (sizes.size < digests.length) throw missing(blobs.filter(({ digest }) => !sizes.has(digest)));
  await manager.query(
    `INSERT INTO blob_reference (digest, kind, owner) SELECT unnest($1::text[]), $2, $3 ON CONFLICT DO NOTHING`,
    [digests, kind, owner],
  );
  return sizes;
}

/** Lets go of all blobs of these owners, in the caller's transaction; what nothing else refers to stays for an hour. */
export async function dereferenceBlobs(
  manager: EntityManager,
  { kind, owners }: { kind: string; owners: string[] },
): Promise<void> {
  const [released] = await manager.query<[{ digest: string }[], number]>(
    `DELETE FROM blob_reference WHERE kind = $1 AND owner = ANY($2) RETURNING digest`,
    [kind, owners],
  );
  const digests = released.map(({ digest }) => digest);
  // Locked first, in one order for everybody: an UPDATE locks rows in whatever order it finds them.
  await manager.query(`SELECT FROM blob WHERE digest = ANY($1) ORDER BY digest FOR NO KEY UPDATE`, [
    digests,
  ]);
  await manager.query(
    `UPDATE blob SET kept_until = greatest(kept_until, now() + make_interval(secs => $2)) WHERE digest = ANY($1)`,
    [digests, KEEP_SECONDS],
  );
}

function missing(blobs: WantedBlobs['blobs']): DomainError {
  const digests = [...new Set(blobs.map(({ digest }) => digest))];
  const errors = blobs.flatMap(({ digest, pointer }): FieldError[] =>
    pointer === undefined ? [] : [{ pointer, message: `${digest} is not stored.` }],
  );
  const what = digests.length === 1 ? `The blob ${digests[0]} is` : `${digests.length} blobs are`;
  return new DomainError('BLOB_MISSING', `${what} not stored: upload before referring to it.`, {
    extra: { missing: digests },
    ...(errors.length > 0 && { errors }),
  });
}
