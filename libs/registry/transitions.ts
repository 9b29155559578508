import type { EntityManager } from 'typeorm';
import { preparedRows } from '#database';
import type { RequestContext } from '#platform';
import type { FieldTable } from '#search';

/** One row of history, as it is told. */
export interface TransitionView {
  id: number;
  kind: 'stage' | 'alias' | 'rollback';
  version: number | null;
  /** Stages, or an alias written `@champion`; null where there was or is none. */
  from: string | null;
  to: string | null;
  /** The version that held the stage or alias before. */
  previousVersion: number | null;
  reason: string;
  actor: string;
  actorVerified: boolean;
  at: string;
}

/** What a change of Production or of an alias writes. */
export interface NewTransition {
  modelId: string;
  kind: TransitionView['kind'];
  alias: string | null;
  version: number | null;
  from: string | null;
  to: string | null;
  previousVersion: number | null;
  /** The row under this one on the stack of Production or of the alias; a rollback goes there. */
  below: number | null;
  reason: string;
}

export interface TransitionRow {
  id: number;
  kind: TransitionView['kind'];
  version: number | null;
  fromValue: string | null;
  toValue: string | null;
  previousVersion: number | null;
  reason: string;
  actor: string;
  actorVerified: boolean;
  at: Date;
}

/** The columns of `transition` that make a `TransitionRow`. */
export const transitionColumns = `id, kind, version, from_value AS "fromValue", to_value AS "toValue",
  previous_version AS "previousVersion", reason, actor, actor_verified AS "actorVerified", at`;

/** What `?filter=` and `?order=` of transitions may name. */
export const transitionFields: FieldTable = {
  id: { kind: 'number', sql: 'id' },
  kind: { kind: 'string', sql: 'kind' },
  version: { kind: 'number', sql: 'version' },
  from: { kind: 'string', sql: 'from_value' },
  to: { kind: 'string', sql: 'to_value' },
  actor: { kind: 'string', sql: 'actor' },
  reason: { kind: 'string', sql: 'reason' },
  at: { kind: 'time', sql: 'at' },
};

export function transitionView({
  id,
  fromValue,
  toValue,
  at,
  ...row
}: TransitionRow): TransitionView {
  return { id, ...row, from: fromValue, to: toValue, at: at.toISOString() };
}

export async function insertTransition(
  manager: EntityManager,
  context: RequestContext,
  change: NewTransition,
): Promise<TransitionView> {
  const [row] = await preparedRows<TransitionRow>(
    manager,
    {
      name: 'transition-insert',
      text: `INSERT INTO transition (workspace, model_id, kind, alias, version, from_value, to_value, previous_version,
          below, reason, actor, actor_verified)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING ${transitionColumns}`,
    },
    [
      context.workspace,
      change.modelId,
      change.kind,
      change.alias,
      change.version,
      change.from,
      change.to,
      change.previousVersion,
      change.below,
      change.reason,
      context.actor,
      context.actorVerified,
    ],
  );
  if (!row) throw new Error('INSERT returned no row');
  return transitionView(row);
}

/** Who held Production or the alias after the transition `t`: nobody, where it took a version out of Production. */
export const holderSql = `CASE WHEN t.kind = 'stage' AND t.to_value <> 'Production' THEN NULL ELSE t.version END`;

/** The newest transition of an alias: the top of its stack. */
export async function aliasTop(
  manager: EntityManager,
  modelId: string,
  alias: string,
): Promise<number | null> {
  const [row] = await preparedRows<{ top: number | null }>(
    manager,
    {
      name: 'alias-top',
      text: `SELECT max(id) AS top FROM transition WHERE model_id = $1 AND alias = $2`,
    },
    [modelId, alias],
  );
  return row?.top ?? null;
}

/** The nearest live version below `current` on the stack whose newest row is `top`, and what lies below that. */
export async function versionBelow(
  manager: EntityManager,
  modelId: string,
  top: number | null,
  current: number | null,
): Promise<{ version: number; below: number | null } | undefined> {
  const [row] = await preparedRows<{ version: number; below: number | null }>(
    manager,
    {
      name: 'version-below',
      text: `WITH RECURSIVE stack AS (
       SELECT 0 AS depth, ${holderSql} AS version, t.below FROM transition t WHERE t.id = $2
       UNION ALL
       SELECT s.depth + 1, ${holderSql}, t.below FROM stack s JOIN transition t ON t.id = s.below
     )
     SELECT s.version, s.below FROM stack s
     JOIN model_version v ON v.model_id = $1 AND v.version = s.version AND v.deleted_at IS NULL
     WHERE s.depth > 0 AND s.version IS DISTINCT FROM $3 ORDER BY s.depth LIMIT 1`,
    },
    [modelId, top, current],
  );
  return row;
}
