import type { Stage, Verified, VersionReference } from './resources.js';
import type { RetryOptions } from './transport.js';
import type { UploadMemory } from './upload.js';

export interface SlipwayOptions {
  /** The registry; in Node by default `SLIPWAY_URL`, else `http://127.0.0.1:5000`; in a browser the page's own origin. */
  url?: string;
  /** Where predictions are answered; by default the registry is asked. */
  servingUrl?: string;
  /** In Node by default `SLIPWAY_TOKEN`. */
  token?: string;
  /** Who acts, written into transitions. */
  actor?: string;
  fetch?: typeof fetch;
  retry?: Partial<RetryOptions>;
  /** By default predictions go to the serving port; from a browser through the registry, which is its origin. */
  predictThrough?: 'serving' | 'registry';
  /** Lets uploads go on that an earlier run of the program began. */
  uploadMemory?: UploadMemory;
}

/** What every method takes. */
export interface CallOptions {
  signal?: AbortSignal;
}

export interface ListOptions extends CallOptions {
  /** MLflow's grammar: `tags.team = 'risk' AND metrics.auc > 0.9`. */
  filter?: string;
  /** A field, with `-` before it for descending. */
  order?: string;
  /** Items a page (1–1000). */
  limit?: number;
}

export interface ConditionalOptions extends CallOptions {
  /** The `etag` that the resource must still have. */
  ifMatch?: string;
}

export interface PromoteOptions extends CallOptions {
  /** `Production` by default. */
  stage?: Stage;
  reason?: string;
  /** The version that must hold the stage now; `null` = none. */
  ifCurrent?: number | null;
  /** Seconds to wait for serving to answer with the version. */
  wait?: number;
  /** Records the stage although the version cannot be served. */
  unserved?: boolean;
}

export type AliasOptions = Omit<PromoteOptions, 'stage'>;
export type RollbackOptions = Omit<PromoteOptions, 'stage' | 'unserved'>;

export interface PullProgress {
  path: string;
  received: number;
  /** Bytes of files that were there already. */
  skipped: number;
  total: number;
}

export interface VerifyOptions extends CallOptions {
  /** Only what the versions of this model need; absent: all that is stored. */
  model?: string;
  /** Only what this version of the model needs. */
  version?: VersionReference;
  /** Told after each step, with everything so far. */
  onProgress?: (soFar: Verified) => void;
}
