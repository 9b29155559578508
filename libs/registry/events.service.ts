import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { DomainError, type RequestContext, channels } from '#platform';
import type { EventKind } from './events.js';
import { Notifications } from './notifications.js';

export interface EventView {
  /** Where to go on: what `Last-Event-ID` takes. */
  id: string;
  kind: EventKind;
  model: string | null;
  modelId: string | null;
  version: number | null;
  data: Record<string, unknown>;
  actor: string;
  at: string;
}

interface EventRow extends Omit<EventView, 'id' | 'at'>, Position {
  at: Date;
}

interface Position {
  transaction: number;
  id: number;
}

const pollEvery = 1000;
const batch = 500;

/**
 * Reads events in the order of their transactions, and only those of transactions older than the oldest that still runs:
 * numbers are given out before transactions end, so any other order could pass over one that commits late.
 */
@Injectable()
export class EventsService {
  /** Who follows at present, for metrics. */
  listeners = 0;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly notifications: Notifications,
  ) {}

  /**
   * Tells events as they happen, after `lastEventId` or from now on.
   * @throws DomainError GONE when events after `lastEventId` may have been removed already
   */
  async *follow(
    context: RequestContext,
    lastEventId: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<EventView> {
    let position = !lastEventId ? await this.end() : parsePosition(lastEventId);
    if (lastEventId) await this.checkKept(position);
    this.listeners++;
    try {
      while (!signal.aborted) {
        const rows = await this.after(context, position);
        for (const row of rows) {
          position = row;
          yield view(row);
        }
        if (rows.length < batch) await this.notifications.next(channels.event, pollEvery, signal);
      }
    } finally {
      this.listeners--;
    }
  }

  private after(context: RequestContext, position: Position): Promise<EventRow[]> {
    return this.dataSource.query(
      `SELECT id, transaction, kind, model, model_id AS "modelId", version, data, actor, at FROM event
       WHERE (transaction, id) > ($1::bigint, $2::bigint) AND workspace = $3
         AND transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
       ORDER BY transaction, id LIMIT ${batch}`,
      [position.transaction, position.id, context.workspace],
    );
  }

  private async end(): Promise<Position> {
    const [row] = await this.dataSource.query<Position[]>(
      `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS transaction, 0 AS id`,
    );
    return row ?? { transaction: 0, id: 0 };
  }

  private async checkKept(position: Position): Promise<void> {
    const [row] = await this.dataSource.query<{ known: boolean; future: boolean }[]>(
      `SELECT EXISTS (SELECT 1 FROM event WHERE transaction = $1 AND id = $2) AS known,
              $1::bigint >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS future`,
      [position.transaction, position.id],
    );
    if (row?.future) {
      throw new DomainError(
        'GONE',
        'This Last-Event-ID lies ahead of all events: it is of another database. Read the present state, then follow without Last-Event-ID.',
      );
    }
    // Older events that are kept prove nothing: a database that was restored has given them other positions.
    if (row?.known || position.transaction === 0) return;
    throw new DomainError(
      'GONE',
      'The events after this Last-Event-ID are no longer kept (7 days). Read the present state, then follow without Last-Event-ID.',
    );
  }
}

function view({ transaction, id, at, ...row }: EventRow): EventView {
  return { id: `${transaction}-${id}`, ...row, at: at.toISOString() };
}

function parsePosition(text: string): Position {
  const [, transaction, id] = /^(\d{1,15})-(\d{1,15})$/.exec(text) ?? [];
  if (transaction !== undefined && id !== undefined) {
    return { transaction: Number(transaction), id: Number(id) };
  }
  throw DomainError.invalid(
    '',
    `Last-Event-ID is ${JSON.stringify(text.slice(0, 100))}; send the id of an event that you received.`,
  );
}
