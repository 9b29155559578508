import type { EntityManager } from 'typeorm';
import { dereferenceBlobs } from '#artifacts';

/**
 * Marks versions of a model as deleted and lets go of their blobs and Programs, in the caller's transaction: all of
 * them, or one.
 */
export async function releaseVersions(
  manager: EntityManager,
  modelId: string,
  version?: number,
): Promise<void> {
  const released = returned<{ id: string }>(
    await manager.query(
      `UPDATE model_version SET deleted_at = now(), updated_at = now(), revision = revision + 1
     WHERE model_id = $1 AND deleted_at IS NULL AND ($2::int IS NULL OR version = $2)
     RETURNING id`,
      [modelId, version ?? null],
    ),
  );
  const ids = released.map((row) => row.id);
  await manager.query(`DELETE FROM compile_job WHERE version_id = ANY($1::uuid[])`, [ids]);
  await dereferenceBlobs(manager, { kind: 'version', owners: ids });
  await dereferenceBlobs(manager, { kind: 'program', owners: ids });
}

/** TypeORM answers an UPDATE or DELETE … RETURNING with the rows and their count. */
function returned<T>(result: unknown): T[] {
  const [rows] = result as [T[], number];
  return rows;
}
