import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { inTransaction } from '#database';
import { DomainError, readJson, type RequestContext, writeJson } from '#platform';

/** An answer as the client got it. */
export interface KeptAnswer {
  headers: Record<string, string>;
  /** JSON; undefined where there was none. */
  body: unknown;
}

/**
 * The answers to requests with an `Idempotency-Key`, word for word, for 24 hours. They are kept when they are made, after
 * the change; a server that is killed in between has the result that {@link once} committed, and makes the answer anew.
 */
@Injectable()
export class IdempotencyKeys {
  /** Requests that got the answer of an earlier one since the process began, for metrics. */
  repeats = 0;

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /**
   * The first answer; undefined where there is none yet.
   * @throws DomainError IDEMPOTENCY_KEY_REUSED when the key was used for another request
   */
  async find({ idempotency, ...context }: RequestContext): Promise<KeptAnswer | undefined> {
    if (!idempotency) return undefined;
    const [row] = await this.dataSource.query<KeyRow[]>(
      `SELECT request, status, body, headers FROM idempotency_key
       WHERE workspace = $1 AND actor = $2 AND key = $3 AND created_at > now() - interval '24 hours'`,
      [context.workspace, context.actor, idempotency.key],
    );
    if (!row) return undefined;
    checkSame(row, idempotency);
    if (row.status === null) return undefined;
    const body = row.body === null ? undefined : readJson(row.body, { maxDepth: Infinity });
    return { headers: row.headers ?? {}, body };
  }

  /** Keeps an answer with its status, unless another one was kept meanwhile. @returns the one that is kept */
  async keep(
    context: RequestContext,
    answer: KeptAnswer & { status: number },
  ): Promise<KeptAnswer> {
    const { idempotency } = context;
    if (!idempotency) return answer;
    const kept = await this.dataSource.query<unknown[]>(
      `INSERT INTO idempotency_key AS k (workspace, actor, key, request, status, body, headers)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (workspace, actor, key) DO UPDATE SET request = excluded.request, status = excluded.status,
         body = excluded.body, headers = excluded.headers
         WHERE k.status IS NULL AND k.request = excluded.request OR k.created_at < now() - interval '24 hours'
       RETURNING key`,
      [
        context.workspace,
        context.actor,
        idempotency.key,
        idempotency.request,
        answer.status,
        answer.body === undefined ? null : writeJson(answer.body),
        answer.headers,
      ],
    );
    return kept.length > 0 ? answer : ((await this.find(context)) ?? answer);
  }
}

/** The key of the request has an answer by now, which another request with it got. */
export class AnswerKept extends Error {}

interface KeyRow {
  request: string;
  /** Null while `body` is the result of the change, and not yet the answer. */
  status: number | null;
  body: string | null;
  headers: Record<string, string> | null;
}

/**
 * Runs a change in one transaction, once for an `Idempotency-Key`: the key, the change and its answer are committed
 * together, so that a repeated request gets the first answer even when the server was killed in between.
 * Without a key in the context it is a plain transaction.
 * @param change makes the change and returns the answer, which must be JSON
 * @returns the answer, and whether it is a repeated one
 * @throws DomainError IDEMPOTENCY_KEY_REUSED when the key was used for another request
 * @throws AnswerKept when the whole answer is there already
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
       ON CONFLICT (workspace, actor, key) DO UPDATE SET request = excluded.request, status = NULL, body = NULL,
         headers = NULL, created_at = now()
         WHERE idempotency_key.created_at < now() - interval '24 hours'
       RETURNING key`,
      [...id, idempotency.request],
    );
    if (claimed.length === 0) {
      const first = await firstAnswer<T>(manager, id, idempotency);
      idempotency.repeated = true;
      return { answer: first, repeated: true };
    }
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
  const [row] = await manager.query<KeyRow[]>(
    `SELECT request, status, body, headers FROM idempotency_key WHERE workspace = $1 AND actor = $2 AND key = $3`,
    id,
  );
  if (!row) throw new Error('The key that conflicted is not there');
  checkSame(row, idempotency);
  if (row.status !== null || row.body === null) throw new AnswerKept();
  return JSON.parse(row.body) as T;
}

function checkSame(row: { request: string }, idempotency: { key: string; request: string }): void {
  if (row.request === idempotency.request) return;
  throw new DomainError(
    'IDEMPOTENCY_KEY_REUSED',
    `The Idempotency-Key "${idempotency.key}" was already used for another request. Use a new key for a new request.`,
  );
}
