import type { EntityManager } from 'typeorm';
import { preparedRows, type Statement } from '#database';
import { channels } from '#platform';
import { holderSql } from './transitions.js';

export interface DeploymentState {
  wanted: number | null;
  /** What serving must answer with: `wanted`, or the last servable version below it on the stack. */
  version: number | null;
  generation: number;
}

/**
 * Brings the deployment of a model in line with what it follows, in the caller's transaction, which holds the lock of
 * the model's row. Serving answers with the wanted version where it is servable, else with the nearest servable one that
 * was there before it; a model that follows nothing has none.
 * @param options.force a new generation also where nothing changed: serving must look again (a rename, a new check)
 * @returns the state after it; its generation is new only where something changed
 */
export async function updateDeployment(
  manager: EntityManager,
  modelId: string,
  { force = false } = {},
): Promise<DeploymentState> {
  const { wanted, version, before } = await followed(manager, modelId);
  if (before && !force && before.wanted === wanted && before.version === version) return before;
  if (!before && wanted === null) return { wanted, version, generation: 0 };
  const [row] = await preparedRows<{ generation: number }>(manager, writeDeployment, [
    modelId,
    wanted,
    version,
  ]);
  return { wanted, version, generation: row?.generation ?? 0 };
}

const writeDeployment: Statement = {
  name: 'deployment-write',
  text: `WITH written AS (
      INSERT INTO deployment (model_id, variant, wanted, version, generation)
      VALUES ($1, 'primary', $2, $3, nextval('deployment_generation'))
      ON CONFLICT (model_id, variant) DO UPDATE SET wanted = excluded.wanted, version = excluded.version,
        generation = excluded.generation, updated_at = now()
      RETURNING model_id, generation
    ) SELECT generation, pg_notify('${channels.serving}', model_id::text) FROM written`,
};

/** Takes a model out of serving, as its deletion does. */
export async function removeDeployment(manager: EntityManager, modelId: string): Promise<void> {
  await manager.query(`DELETE FROM deployment WHERE model_id = $1`, [modelId]);
  await manager.query(`SELECT pg_notify($1, $2)`, [channels.serving, modelId]);
}

/** What the model follows, as versions, and the deployment as it is. */
async function followed(
  manager: EntityManager,
  modelId: string,
): Promise<{
  wanted: number | null;
  version: number | null;
  before: DeploymentState | undefined;
}> {
  const rows = await preparedRows<FollowedRow>(manager, readFollowed, [modelId]);
  const wanted = rows[0]?.version ?? null;
  const version = wanted === null ? null : (rows.find((r) => r.servable)?.version ?? null);
  return { wanted, version, before: rows[0]?.before ?? undefined };
}

/** One step down the stack that a model follows; without a stack there is one row without a version. */
interface FollowedRow {
  version: number | null;
  servable: boolean;
  before: DeploymentState | null;
}

const readFollowed: Statement = {
  name: 'deployment-followed',
  text: `WITH RECURSIVE pointer AS (
      SELECT CASE WHEN m.follow = 'production' THEN m.production_top
                  ELSE (SELECT max(t.id) FROM transition t WHERE t.model_id = m.id AND '@' || t.alias = m.follow) END AS top
      FROM registered_model m WHERE m.id = $1
    ), stack AS (
      SELECT 0 AS depth, ${holderSql} AS version, t.below FROM transition t JOIN pointer p ON t.id = p.top
      UNION ALL
      SELECT s.depth + 1, ${holderSql}, t.below FROM stack s JOIN transition t ON t.id = s.below
      WHERE s.version IS NOT NULL AND s.depth < 1000
        AND NOT EXISTS (SELECT 1 FROM model_version v WHERE v.model_id = $1 AND v.version = s.version
                        AND v.deleted_at IS NULL AND v.serving_state = 'servable')
    )
    SELECT v.version, coalesce(v.serving_state = 'servable', false) AS servable,
      CASE WHEN d.model_id IS NULL THEN NULL
           ELSE json_build_object('wanted', d.wanted, 'version', d.version, 'generation', d.generation) END AS before
    FROM pointer p LEFT JOIN stack s ON true
    LEFT JOIN model_version v ON v.model_id = $1 AND v.version = s.version AND v.deleted_at IS NULL
    LEFT JOIN deployment d ON d.model_id = $1 AND d.variant = 'primary'
    ORDER BY s.depth`,
};
