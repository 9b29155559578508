import type { ErrorCode } from '#platform';
import type { CountedMinute, DesiredSnapshot, MetricJson, ModelState } from '#serving';

/** What a worker tells its supervisor. */
export type FromWorker =
  /** It can take connections. */
  | { type: 'started' }
  /** Its event loop turns. */
  | { type: 'beat'; ready: boolean; generation: number }
  /** It has this connection now. */
  | { type: 'took'; connection: number }
  | { type: 'state'; state: ModelState }
  | { type: 'stateGone'; modelId: string }
  | { type: 'watch'; versionIds: string[] }
  | { type: 'counts'; minutes: CountedMinute[] }
  | { type: 'quarantine'; program: string; reason: string }
  | { type: 'release'; digest: string }
  | { type: 'call'; id: number; call: Call }
  | { type: 'metrics'; id: number; metrics: MetricJson[] };

/** What a worker asks of its supervisor and gets an answer to. */
export type Call =
  | { method: 'resolve'; model: string; word: string | undefined }
  /** A file, held until it is released; answers its path. */
  | { method: 'hold'; digest: string }
  | { method: 'discard'; digest: string }
  /** Text of `/metrics` over all workers. */
  | { method: 'metrics' };

/** What the supervisor tells a worker. `connection` comes with a socket. */
export type ToWorker =
  | { type: 'desired'; snapshot: DesiredSnapshot }
  | { type: 'connection'; connection: number }
  | { type: 'answer'; id: number; value?: unknown; error?: CallError }
  | { type: 'metrics'; id: number }
  | { type: 'drain' };

export interface CallError {
  code: ErrorCode;
  message: string;
  retryAfter: number | undefined;
}
