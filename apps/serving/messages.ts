import type { ErrorCode, MetricJson } from '#platform';
import type {
  CompartmentEnd,
  CountedMinute,
  CountedVersion,
  DesiredSnapshot,
  LoadError,
  ModelState,
  ResidentVersion,
} from '#serving';

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
  | {
      type: 'counts';
      minutes: CountedMinute[];
      versions: CountedVersion[];
      /** Predictions without a version, by HTTP status. */
      refused: Record<string, number>;
    }
  | { type: 'observed'; observation: Observation }
  | { type: 'quarantine'; program: string; reason: string }
  | { type: 'release'; digest: string }
  | { type: 'call'; id: number; call: Call }
  | { type: 'metrics'; id: number; figures: WorkerFigures };

/** What happens seldom enough to be told at once, for metrics. */
export type Observation =
  | { kind: 'loaded' | 'swapped'; ms: number }
  | { kind: 'loadFailed'; model: string; retry: LoadError['retry']; ms: number }
  | { kind: 'compartmentEnded'; reason: CompartmentEnd['kind'] };

/** What a worker is at the moment of a scrape. What it has counted came before, as `counts`. */
export interface WorkerFigures {
  number: number;
  versions: ResidentVersion[];
  connections: number;
  compartments: number;
  /** Of Node, with the label `process`. */
  process: MetricJson[];
}

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
  /** Why what must be served cannot be read at present; absent: it can. */
  | { type: 'outage'; outage?: string | undefined }
  | { type: 'connection'; connection: number }
  | { type: 'answer'; id: number; value?: unknown; error?: CallError }
  | { type: 'metrics'; id: number }
  | { type: 'drain' };

export interface CallError {
  code: ErrorCode;
  message: string;
  retryAfter: number | undefined;
}
