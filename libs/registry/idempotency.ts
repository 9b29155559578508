import type { DataSource, EntityManager } from 'typeorm';
import { inTransaction } from '#database';
import { DomainError, type RequestContext } from '#platform';

/**
 * Runs a change in one transaction, once for an `Idempotency-Key`: the key, the change and its answer are committed
 * together, so that a repeated request gets the first answer even when the server was killed in between.
 * Without a key in the context it is a plain transaction.
 * @param change makes the change and returns the answer, which must be JSON
 * @returns the answer, and whether it is a repeated one
 * @throws DomainError IDEMPOTENCY_KEY_REUSED when the key was used for another request
 */
export async function once<T>(
  dataSource: DataSource,
  context: RequestContext,
  change: (manager: EntityManager) => Promise<T>,
): Promise<{ answer: T; repeated: boolean }> {
  const { idempotency } = context;
  if (!idempotency) return { answer: await inTransaction(dataSource, change), repeated: false };
  const id = [context.workspace, context.actor, idempotency.key];
  return inTransaction(dataSource, async (manager) => {
    // A second request with the key waits here until the first has committed or failed.
    const claimed = await manager.query<unknown[]>(
      `INSERT INTO idempotency_key (workspace, actor, key, request) VALUES ($1, $2, $3, $4)
       ON CONFLICT (workspace, actor, key) DO UPDATE SET request = excluded.request, body = NULL, created_at = now()
         WHERE idempotency_key.created_at < now() - interval '24 hours'
       RETURNING key`,
      [...id, idempotency.request],
    );
    if (claimed.length === 0)
      return { answer: await firstAnswer<T>(manager, id, idempotency), repeated: true };
    const answer = await change(manager);
    await manager.query(
      `UPDATE idempotency_key SET body = $4 WHERE workspace = $1 AND actor = $2 AND key = $3`,
      [...id, JSON.stringify(answer)],
    );
    return { answer, repeated: false };
  });
}

async function firstAnswer<T>(
  manager: EntityManager,
  id: string[],
  idempotency: { key: string; request: string },
): Promise<T> {
  const [row] = await manager.query<{ request: string; body: string }[]>(
    `SELECT request, body FROM idempotency_key WHERE workspace = $1 AND actor = $2 AND key = $3`,
    id,
  );
  if (row?.request !== idempotency.request) {
    throw new DomainError(
      'IDEMPOTENCY_KEY_REUSED',
      `The Idempotency-Key "${idempotency.key}" was already used for another request. Use a new key for a new request.`,
    );
  }
  return JSON.parse(row.body) as T;
}
