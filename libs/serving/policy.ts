/** Why a version is in memory; also the order in which memory is taken back, from the last to the first. */
export type Role = 'followed' | 'previous' | 'on-demand';

/** A version in memory or on its way there. */
export interface VersionView {
  key: string;
  state: 'loading' | 'ready' | 'failed';
  /** Resident bytes; while loading, what it is expected to need. */
  bytes: number;
  /** Requests that run on it. */
  leases: number;
  /** Milliseconds since the epoch; while loading, since when. */
  lastUsed: number;
  /** `loading` only: a request asked for it, which may come again. */
  demanded?: boolean;
  /** `failed` only: when a retry may bring something else; Infinity where only a change can. */
  retryAt?: number;
}

/** What is wished for a model and what is there. */
export interface ModelView {
  /** The version that must answer; absent where the model follows nothing. */
  aspired?: string;
  answering?: string;
  /** What answered before: kept warm, so that a rollback is one assignment. */
  previous?: string;
  versions: VersionView[];
}

export type Action =
  | { kind: 'load'; key: string }
  | { kind: 'swap'; key: string }
  | { kind: 'withdraw' }
  | { kind: 'unload'; key: string };

/** A version that nobody follows is unloaded when it was not asked for this long (ms). */
export const IDLE_AFTER = 10 * 60_000;

/** A load that nobody wishes for any longer is given up when it has taken so long (ms): one that froze would hold its place. */
export const STALE_AFTER = 2000;

/**
 * The next steps of one model, from what is wished and what is there; a pure function, called again after each step.
 *
 * Promises: what answers goes on answering until another version is ready; a version that is ready is swapped to at once,
 * whatever else is loading; a version that failed is loaded again only when its time has come.
 */
export function nextActions(model: ModelView, now: number): Action[] {
  const actions: Action[] = [];
  const aspired = model.versions.find((version) => version.key === model.aspired);
  if (model.aspired === undefined) {
    if (model.answering !== undefined) actions.push({ kind: 'withdraw' });
  } else if (aspired?.state === 'ready') {
    if (model.answering !== model.aspired) actions.push({ kind: 'swap', key: model.aspired });
  } else if (!aspired || (aspired.state === 'failed' && (aspired.retryAt ?? Infinity) <= now)) {
    actions.push({ kind: 'load', key: model.aspired });
  }
  for (const version of model.versions) {
    if (roleOf(model, version.key) === 'followed' || version.leases || version.demanded) continue;
    const patience = version.state === 'loading' ? STALE_AFTER : IDLE_AFTER;
    if (now - version.lastUsed >= patience) actions.push({ kind: 'unload', key: version.key });
  }
  return actions;
}

export function roleOf(model: ModelView, key: string): Role {
  if (key === model.aspired || key === model.answering) return 'followed';
  return key === model.previous ? 'previous' : 'on-demand';
}

/** A version as the bound on memory sees it. */
export interface Resident {
  key: string;
  role: Role;
  bytes: number;
  leases: number;
  lastUsed: number;
}

/**
 * Which versions must go so that `needed` more bytes stay within `limit`: on demand first, then previous ones, each from
 * the longest unused, never a followed one and never one in use. Undefined where not even that is enough.
 */
export function makeRoom(
  residents: Resident[],
  limit: number,
  needed: number,
): string[] | undefined {
  let excess = needed - limit;
  for (const resident of residents) excess += resident.bytes;
  const unload: string[] = [];
  if (excess <= 0) return unload;
  const rank = { 'on-demand': 0, previous: 1, followed: 2 };
  const candidates = residents
    .filter((resident) => resident.role !== 'followed' && !resident.leases && resident.bytes > 0)
    .sort((a, b) => rank[a.role] - rank[b.role] || a.lastUsed - b.lastUsed);
  for (const { key, bytes } of candidates) {
    unload.push(key);
    excess -= bytes;
    if (excess <= 0) return unload;
  }
  return undefined;
}
