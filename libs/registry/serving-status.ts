import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { channels } from '#platform';
import { Notifications } from './notifications.js';

/** How the serving of a model is told: what it should answer with, what it answers with, and how that is going. */
export interface ServingSummary {
  wanted: number | null;
  /** The version that every live serving process answers with; null while they differ or none answers. */
  answering: number | null;
  state: 'none' | 'loading' | 'ready' | 'failed' | 'quarantined' | 'unserved';
  reason?: string;
}

export interface ProcessState {
  replica: string;
  process: number;
  wanted: number | null;
  answering: number | null;
  state: 'loading' | 'ready' | 'failed' | 'quarantined';
  reason?: string;
  since: Date;
  heartbeatAt: Date;
}

/** A serving process is taken for dead when its heartbeat is older. */
export const heartbeatTimeout = '10 seconds';

export interface ObservedState {
  answering: number | null;
  state: ProcessState['state'] | null;
  reason: string | null;
  generation: number | null;
}

/** Live processes and what each says about the model `m.id`, as a JSON array: the `observed` column of a query. */
export const observedSql = `(SELECT coalesce(json_agg(json_build_object('answering', s.answering, 'state', s.state,
    'reason', s.reason, 'generation', s.generation)), '[]')
  FROM serving_process p LEFT JOIN serving_state s
    ON s.replica = p.replica AND s.process = p.process AND s.model_id = m.id
  WHERE p.heartbeat_at > now() - interval '${heartbeatTimeout}')`;

/** Sums up what the live processes say about a deployment. */
export function summarise(
  deployment: { wanted: number | null; version: number | null; generation: number | null },
  observed: readonly ObservedState[],
): ServingSummary {
  const { wanted, version } = deployment;
  const answers = new Set(observed.map((o) => o.answering));
  const [only = null] = answers;
  const answering = answers.size === 1 ? only : null;
  if (wanted === null) return { wanted, answering, state: 'none' };
  if (version !== wanted) {
    const kept = version === null ? 'nothing answers' : `version ${version} goes on answering`;
    return {
      wanted,
      answering,
      state: 'unserved',
      reason: `Version ${wanted} is not servable; ${kept}.`,
    };
  }
  if (observed.length === 0) {
    return { wanted, answering, state: 'loading', reason: 'No serving process is running.' };
  }
  const current = observed.filter((o) => isCurrent(o, deployment.generation));
  const failed = current.find((o) => o.state === 'failed' || o.state === 'quarantined');
  if (failed?.state) {
    return {
      wanted,
      answering,
      state: failed.state,
      ...(failed.reason ? { reason: failed.reason } : {}),
    };
  }
  const ready = current.length === observed.length && observed.every((o) => o.answering === wanted);
  return { wanted, answering, state: ready ? 'ready' : 'loading' };
}

function isCurrent(observed: ObservedState, generation: number | null): boolean {
  return observed.generation !== null && observed.generation >= (generation ?? 0);
}

const pollEvery = 100;

/** What serving processes tell about themselves. */
@Injectable()
export class ServingStatus {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly notifications: Notifications,
  ) {}

  async ofModel(modelId: string): Promise<ServingSummary> {
    const [row] = await this.dataSource.query<
      {
        wanted: number | null;
        version: number | null;
        generation: number | null;
        observed: ObservedState[];
      }[]
    >(
      `SELECT d.wanted, d.version, d.generation, ${observedSql} AS observed
       FROM registered_model m LEFT JOIN deployment d ON d.model_id = m.id AND d.variant = 'primary' WHERE m.id = $1`,
      [modelId],
    );
    return row ? summarise(row, row.observed) : { wanted: null, answering: null, state: 'none' };
  }

  async processes(modelId: string): Promise<ProcessState[]> {
    const rows = await this.dataSource.query<
      (Omit<ProcessState, 'reason'> & { reason: string | null })[]
    >(
      `SELECT p.replica, p.process, coalesce(s.wanted, d.wanted) AS wanted, s.answering,
              coalesce(s.state, 'loading') AS state, s.reason, coalesce(s.since, p.started_at) AS since,
              p.heartbeat_at AS "heartbeatAt"
       FROM serving_process p
       LEFT JOIN serving_state s ON s.replica = p.replica AND s.process = p.process AND s.model_id = $1
       LEFT JOIN deployment d ON d.model_id = $1 AND d.variant = 'primary'
       WHERE p.heartbeat_at > now() - interval '${heartbeatTimeout}' AND (s.model_id IS NOT NULL OR d.wanted IS NOT NULL)
       ORDER BY p.replica, p.process`,
      [modelId],
    );
    return rows.map(({ reason, ...row }) => ({ ...row, ...(reason ? { reason } : {}) }));
  }

  /**
   * Waits until every live serving process answers with what the deployment wants, or one says that it cannot.
   * @param seconds how long at most; the state at that time is returned then
   */
  async waitUntilSettled(modelId: string, seconds: number): Promise<ServingSummary> {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      // Listens before it looks, so that what changes in between wakes it too.
      const change = this.notifications.next(
        channels.state,
        Math.min(pollEvery, Math.max(0, end - Date.now())),
      );
      const summary = await this.ofModel(modelId);
      if (summary.state !== 'loading' || Date.now() >= end) return summary;
      await change;
    }
  }
}
