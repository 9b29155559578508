import type { EntityManager } from 'typeorm';
import type { Stage } from './model-version.entity.js';

// Who holds a stage or an alias. The caller holds the lock of the model's row.

/** The versions in a stage, the one that entered it last first. */
export async function holdersOf(
  manager: EntityManager,
  modelId: string,
  stage: Stage,
): Promise<number[]> {
  const rows = await manager.query<{ version: number }[]>(
    `SELECT version FROM model_version WHERE model_id = $1 AND stage = $2 AND deleted_at IS NULL
     ORDER BY stage_entered DESC`,
    [modelId, stage],
  );
  return rows.map((row) => row.version);
}

/** The version that an alias names, or null. */
export async function aliasHolder(
  manager: EntityManager,
  modelId: string,
  alias: string,
): Promise<number | null> {
  const [row] = await manager.query<{ version: number }[]>(
    `SELECT version FROM model_alias WHERE model_id = $1 AND alias = $2`,
    [modelId, alias],
  );
  return row?.version ?? null;
}

/** Moves a version into a stage; the ones that held Production go to Archived with the same transition. */
export async function enterStage(
  manager: EntityManager,
  modelId: string,
  version: number,
  stage: Stage,
  transition: number,
): Promise<void> {
  if (stage === 'Production') {
    await manager.query(
      `UPDATE model_version SET stage = 'Archived', stage_entered = $3, revision = revision + 1, updated_at = now()
       WHERE model_id = $1 AND stage = 'Production' AND version <> $2 AND deleted_at IS NULL`,
      [modelId, version, transition],
    );
  }
  await manager.query(
    `UPDATE model_version SET stage = $3, stage_entered = $4, revision = revision + 1, updated_at = now()
     WHERE model_id = $1 AND version = $2`,
    [modelId, version, stage, transition],
  );
}

/** Notes the newest transition of Production: the top of its stack. */
export async function setProductionTop(
  manager: EntityManager,
  modelId: string,
  transition: number,
): Promise<void> {
  await manager.query(`UPDATE registered_model SET production_top = $2 WHERE id = $1`, [
    modelId,
    transition,
  ]);
}

/** Makes an alias, or moves it. */
export async function writeAlias(
  manager: EntityManager,
  modelId: string,
  alias: string,
  version: number,
): Promise<void> {
  await manager.query(
    `INSERT INTO model_alias (model_id, alias, version) VALUES ($1, $2, $3)
     ON CONFLICT (model_id, alias) DO UPDATE SET version = excluded.version, updated_at = now()`,
    [modelId, alias, version],
  );
}
