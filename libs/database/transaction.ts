import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource, EntityManager } from 'typeorm';
import { DomainError } from '#platform';

const ATTEMPTS = 5;

/**
 * Runs `work` in one transaction, and again from its beginning where PostgreSQL gave it up in favour of another one
 * (serialization failure, deadlock). `work` must have no effect outside the transaction.
 * @throws DomainError UNAVAILABLE where the connection was lost at the commit: nobody knows then whether it was kept
 */
export async function inTransaction<T>(
  dataSource: DataSource,
  work: (manager: EntityManager) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let isDone = false;
    try {
      return await dataSource.transaction(async (manager) => {
        const result = await work(manager);
        isDone = true;
        return result;
      });
    } catch (error) {
      if (isDone && !isRefusal(error)) throw commitLost(error);
      if (attempt === ATTEMPTS || !['40001', '40P01'].includes(sqlState(error) ?? '')) throw error;
      await sleep(Math.random() * 20 * 2 ** attempt);
    }
  }
}

/** The SQLSTATE of an error of PostgreSQL, also where TypeORM wrapped it. `23505` is a unique violation. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, driverError } = error as { code?: unknown; driverError?: unknown };
  if (typeof code === 'string') return code;
  return driverError === undefined ? undefined : sqlState(driverError);
}

/** Whether the server itself said that it failed, so that the transaction was rolled back. */
function isRefusal(error: unknown): boolean {
  const state = sqlState(error) ?? '';
  // A socket's errors have words for codes; a server that ends says so in place of an answer.
  return /^(?=.*\d)[0-9A-Z]{5}$/.test(state) && !/^(57P|08)/.test(state);
}

function commitLost(cause: unknown): DomainError {
  return new DomainError(
    'UNAVAILABLE',
    'The database was lost at the moment of the commit, so it is not known whether the change was made. Send a POST with an Idempotency-Key again: it is made once. Otherwise look first.',
    { retryAfter: 1, cause },
  );
}
