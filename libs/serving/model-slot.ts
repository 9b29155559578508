import type { DesiredModel, VersionTarget } from './desired.js';
import type { LoadError } from './load-error.js';
import type { LoadedVersion } from './loaded-version.js';
import type { ModelView, VersionView } from './policy.js';
import type { Route } from './route-table.js';

/** What `GET /models/{m}/serving` shows of one process. */
export interface ModelState {
  modelId: string;
  workspace: string;
  model: string;
  generation: number;
  wanted: number | null;
  answering: number | null;
  state: 'loading' | 'ready' | 'failed' | 'quarantined';
  reason: string | null;
}

/** A version on its way into memory, in it, or refused. */
export interface Entry {
  readonly key: string;
  readonly modelId: string;
  target: VersionTarget;
  state: 'loading' | 'ready' | 'failed';
  loaded: LoadedVersion | undefined;
  /** Resident bytes; while loading, what was booked for it. */
  bytes: number;
  /** Milliseconds since the epoch. */
  lastUsed: number;
  /** Gives up the load. */
  readonly abort: AbortController;
  /** A request asked for it, not only what the model follows. */
  demanded: boolean;
  /** Loads that were begun. */
  attempts: number;
  /** `failed` only: when to load again; Infinity where only a change of the wish can help. */
  retryAt: number;
  error: LoadError | undefined;
  /** Ends with the load, whether it succeeded or not. */
  settled: Promise<void>;
}

/** A version is loaded anew when its Program changes, as after a new check. */
export function keyOf(target: VersionTarget): string {
  return `${target.versionId}:${target.program ?? ''}`;
}

export function newEntry(modelId: string, target: VersionTarget, failed: Entry | undefined): Entry {
  return {
    key: keyOf(target),
    modelId,
    target,
    state: 'loading',
    loaded: undefined,
    bytes: 0,
    lastUsed: Date.now(),
    abort: new AbortController(),
    demanded: false,
    attempts: (failed?.attempts ?? 0) + 1,
    retryAt: Infinity,
    error: failed?.error,
    settled: Promise.resolve(),
  };
}

/** One model: what is wished for it, what it has in memory, what answers. */
export class ModelSlot {
  desired: DesiredModel | undefined;
  answering: Entry | undefined;
  /** What answered before: warm, for an instant rollback. */
  previous: Entry | undefined;
  readonly entries = new Map<string, Entry>();
  /** When the present wish became known (`performance.now()`). */
  since = 0;
  /** The state that was told last. */
  reported = '';

  constructor(
    readonly modelId: string,
    /** The name that requests use. */
    public model: string,
  ) {}

  get wished(): Entry | undefined {
    return this.desired && this.entries.get(keyOf(this.desired.target));
  }

  /** The wished version cannot be loaded, and will not be by trying again at once. */
  get failed(): boolean {
    const wished = this.wished;
    return wished?.state === 'failed' && wished.error?.retry !== 'soon';
  }

  view(): ModelView {
    const versions: VersionView[] = [];
    for (const entry of this.entries.values()) {
      versions.push({
        key: entry.key,
        state: entry.state,
        bytes: entry.bytes,
        leases: entry.loaded?.leases ?? 0,
        lastUsed: lastUsed(entry),
        demanded: entry.state === 'loading' && entry.demanded,
        retryAt: entry.retryAt,
      });
    }
    return {
      aspired: this.desired && keyOf(this.desired.target),
      answering: this.answering?.key,
      previous: this.previous?.key,
      versions,
    };
  }

  /** What requests see; undefined where there is nothing to see. */
  route(): Route | undefined {
    const versions = new Map<number, LoadedVersion>();
    for (const { loaded, state, target } of this.entries.values()) {
      if (loaded && state === 'ready') versions.set(target.version, loaded);
    }
    const answering = this.answering?.loaded;
    if (answering) versions.set(answering.version, answering);
    if (!this.desired && !versions.size) return undefined;
    return {
      model: this.model,
      modelId: this.modelId,
      followed: this.desired !== undefined,
      answering,
      versions,
    };
  }

  /** What is reported of the model; undefined where it follows nothing. */
  state(): ModelState | undefined {
    if (!this.desired) return undefined;
    const { modelId, workspace, model, generation, wanted, target } = this.desired;
    const answering = this.answering?.target.version ?? null;
    const common = { modelId, workspace, model, generation, wanted, answering };
    if (this.answering?.key === keyOf(target)) {
      return {
        ...common,
        state: target.quarantine ? 'quarantined' : 'ready',
        reason: target.quarantine,
      };
    }
    const reason = this.wished?.error?.message ?? null;
    if (!this.failed) return { ...common, state: 'loading', reason };
    return {
      ...common,
      state: target.quarantine ? 'quarantined' : 'failed',
      reason: reason ?? target.quarantine,
    };
  }
}

export function lastUsed(entry: Entry): number {
  return Math.max(entry.lastUsed, entry.loaded?.lastUsed ?? 0);
}
