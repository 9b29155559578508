import type { EntityManager } from 'typeorm';

/**
 * Marks versions of a model as deleted and lets go of their blobs, in the caller's transaction: all of them, or one.
 * The Program compiled from a manifest is let go with the last live version that has the manifest.
 */
export async function releaseVersions(
  manager: EntityManager,
  modelId: string,
  version?: number,
): Promise<void> {
  const released = returned<{ id: string; manifest: string | null }>(
    await manager.query(
      `UPDATE model_version SET deleted_at = now(), updated_at = now(), revision = revision + 1
     WHERE model_id = $1 AND deleted_at IS NULL AND ($2::int IS NULL OR version = $2)
     RETURNING id, manifest_digest AS manifest`,
      [modelId, version ?? null],
    ),
  );
  const ids = released.map((row) => row.id);
  await manager.query(`DELETE FROM compile_job WHERE version_id = ANY($1::uuid[])`, [ids]);
  await manager.query(`DELETE FROM blob_reference WHERE kind = 'version' AND owner = ANY($1)`, [
    ids,
  ]);
  const manifests = [...new Set(released.flatMap((row) => row.manifest ?? []))];
  const unused = returned<{ manifest: string; importer: string }>(
    await manager.query(
      `DELETE FROM compiled_program p WHERE p.manifest_digest = ANY($1)
         AND NOT EXISTS (SELECT 1 FROM model_version v WHERE v.manifest_digest = p.manifest_digest AND v.deleted_at IS NULL)
       RETURNING p.manifest_digest AS manifest, p.importer`,
      [manifests],
    ),
  );
  await manager.query(`DELETE FROM blob_reference WHERE kind = 'program' AND owner = ANY($1)`, [
    unused.map((row) => programOwner(row.manifest, row.importer)),
  ]);
}

/** The owner under which a compiled Program keeps its blobs. */
export function programOwner(manifestDigest: string, importer: string): string {
  return `${manifestDigest}:${importer}`;
}

/** TypeORM answers an UPDATE or DELETE … RETURNING with the rows and their count. */
function returned<T>(result: unknown): T[] {
  const [rows] = result as [T[], number];
  return rows;
}
