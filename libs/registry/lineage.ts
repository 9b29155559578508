import type { EntityManager } from 'typeorm';
import { DomainError, type RequestContext } from '#platform';

/** What a version was made from, as its author says it. */
export interface NewLineage {
  run?: string;
  datasets?: { name: string; digest?: string; source?: string }[];
  parents?: { model: string; version: number }[];
}

export interface VersionLineage {
  run: string | null;
  datasets: { name: string; digest: string; source: string }[];
  parents: { model: string; version: number }[];
}

/** The lineage of the version `v`, as JSON: the `lineage` column of a query. */
export const lineageSql = `json_build_object(
  'run', (SELECT e.from_id FROM lineage_edge e WHERE e.to_kind = 'version' AND e.to_id = v.id::text AND e.from_kind = 'run' LIMIT 1),
  'datasets', (SELECT coalesce(json_agg(json_build_object('name', s.name, 'digest', s.digest, 'source', s.source) ORDER BY s.name), '[]')
    FROM lineage_edge e JOIN dataset s ON s.id::text = e.from_id
    WHERE e.to_kind = 'version' AND e.to_id = v.id::text AND e.from_kind = 'dataset'),
  'parents', (SELECT coalesce(json_agg(json_build_object('model', pm.name, 'version', pv.version) ORDER BY pm.name, pv.version), '[]')
    FROM lineage_edge e JOIN model_version pv ON pv.id::text = e.from_id JOIN registered_model pm ON pm.id = pv.model_id
    WHERE e.to_kind = 'version' AND e.to_id = v.id::text AND e.from_kind = 'version'))`;

/**
 * Writes the edges that lead to a new version, in the caller's transaction.
 * @throws DomainError INVALID_ARGUMENT when a parent does not exist
 */
export async function writeLineage(
  manager: EntityManager,
  context: RequestContext,
  versionId: string,
  { run, datasets = [], parents = [] }: NewLineage = {},
): Promise<void> {
  const from: { kind: string; id: string }[] = [];
  if (run !== undefined) from.push({ kind: 'run', id: run });
  for (const { name, digest = '', source = '' } of datasets) {
    const [row] = await manager.query<{ id: string }[]>(
      `INSERT INTO dataset (workspace, name, digest, source) VALUES ($1, $2, $3, $4)
       ON CONFLICT (workspace, name, digest, source) DO UPDATE SET name = excluded.name RETURNING id`,
      [context.workspace, name, digest, source],
    );
    if (row) from.push({ kind: 'dataset', id: row.id });
  }
  for (const [i, parent] of parents.entries()) {
    from.push({ kind: 'version', id: await parentId(manager, context, parent, i) });
  }
  await manager.query(
    `INSERT INTO lineage_edge (from_kind, from_id, to_kind, to_id, workspace)
     SELECT kind, id, 'version', $3, $4 FROM unnest($1::text[], $2::text[]) AS f (kind, id) ON CONFLICT DO NOTHING`,
    [from.map((f) => f.kind), from.map((f) => f.id), versionId, context.workspace],
  );
}

async function parentId(
  manager: EntityManager,
  context: RequestContext,
  { model, version }: { model: string; version: number },
  index: number,
): Promise<string> {
  const [row] = await manager.query<{ id: string }[]>(
    `SELECT v.id FROM model_version v JOIN registered_model m ON m.id = v.model_id
     WHERE m.workspace = $1 AND m.name = $2 AND m.deleted_at IS NULL AND v.version = $3 AND v.deleted_at IS NULL`,
    [context.workspace, model, version],
  );
  if (row) return row.id;
  throw DomainError.invalid(
    `/lineage/parents/${index}`,
    `The parent, version ${version} of the model "${model}", does not exist.`,
  );
}
