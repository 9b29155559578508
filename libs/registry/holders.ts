import type { EntityManager } from 'typeorm';
import { preparedRows } from '#database';
import type { Stage } from './model-version.entity.js';

// Who holds a stage or an alias. The caller holds the lock of the model's row.

/** The versions in a stage, the one that entered it last first. */
export async function holdersOf(
  manager: EntityManager,
  modelId: string,
  stage: Stage,
): Promise<number[]> {
  const rows = await preparedRows<{ version: number }>(
    manager,
    {
      name: 'stage-holders',
      text: `SELECT version FROM model_version WHERE model_id = $1 AND stage = $2 AND deleted_at IS NULL
        ORDER BY stage_entered DESC`,
    },
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
  const [row] = await preparedRows<{ version: number }>(
    manager,
    {
      name: 'alias-holder',
      text: `SELECT version FROM model_alias WHERE model_id = $1 AND alias = $2`,
    },
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
  const others = stage === 'Production' ? ` OR stage = 'Production'` : '';
  await preparedRows(
    manager,
    {
      name: others ? 'stage-enter-production' : 'stage-enter',
      text: `UPDATE model_version SET stage = CASE WHEN version = $2 THEN $3 ELSE 'Archived' END, stage_entered = $4,
          revision = revision + 1, updated_at = now()
        WHERE model_id = $1 AND deleted_at IS NULL AND (version = $2${others})`,
    },
    [modelId, version, stage, transition],
  );
}

/** Makes an alias, or moves it. */
export async function writeAlias(
  manager: EntityManager,
  modelId: string,
  alias: string,
  version: number,
): Promise<void> {
  await preparedRows(
    manager,
    {
      name: 'alias-write',
      text: `INSERT INTO model_alias (model_id, alias, version) VALUES ($1, $2, $3)
        ON CONFLICT (model_id, alias) DO UPDATE SET version = excluded.version, updated_at = now()`,
    },
    [modelId, alias, version],
  );
}
