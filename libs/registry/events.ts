import type { EntityManager } from 'typeorm';
import { preparedRows, type Statement } from '#database';
import { channels, type RequestContext } from '#platform';

/** What is told by `GET /events`. */
export type EventKind =
  | 'model.created'
  | 'model.updated'
  | 'model.deleted'
  | 'version.created'
  | 'version.updated'
  | 'version.deleted'
  | 'version.compiled'
  | 'transition'
  | 'serving';

export interface NewEvent {
  kind: EventKind;
  modelId: string;
  model: string;
  version?: number | null;
  data?: Record<string, unknown>;
}

/** Parameters: workspace, kind, model id, model name, version, data, actor. */
const insertEvent: Statement = {
  name: 'event-insert',
  text: `WITH written AS (
      INSERT INTO event (transaction, workspace, kind, model_id, model, version, data, actor)
      VALUES (pg_current_xact_id()::text::bigint, $1, $2, $3, $4, $5, $6, $7) RETURNING id
    ) SELECT pg_notify('${channels.event}', '') FROM written`,
};

/** Writes an event in the caller's transaction, so that it is told if and only if the change is kept. */
export async function recordEvent(
  manager: EntityManager,
  context: RequestContext,
  { kind, modelId, model, version, data }: NewEvent,
): Promise<void> {
  await preparedRows(manager, insertEvent, [
    context.workspace,
    kind,
    modelId,
    model,
    version ?? null,
    JSON.stringify(data ?? {}),
    context.actor,
  ]);
}
