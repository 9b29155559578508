/** One version as serving needs it: what to load and how to warm it up. */
export interface VersionTarget {
  /** Row id of the version; never used for another one. */
  versionId: string;
  version: number;
  /** Digest of `program.json`; null while (or because) the version has none. */
  program: string | null;
  /** A V2 infer request with optional `expected` and `tolerance`, as registered: JSON text, whose 64-bit
   * integers are exact; null where there is none or it is large. */
  example: string | null;
  /** Why this Program is kept apart: it froze or killed a process before. */
  quarantine: string | null;
}

/** A model that something follows, with what must answer for it. */
export interface DesiredModel {
  modelId: string;
  workspace: string;
  model: string;
  /** Grows with every change of the deployment. */
  generation: number;
  /** What the stage or alias says; differs from `target.version` where that one is not servable. */
  wanted: number | null;
  target: VersionTarget;
  /** `production`, `staging`, `latest` and `@alias` → version, for the time without a database. */
  words: Record<string, VersionTarget>;
}

/** A version that is loaded without being followed, and still exists. */
export interface WatchedVersion {
  modelId: string;
  workspace: string;
  model: string;
  version: number;
  versionId: string;
  quarantine: string | null;
}

/** All that must be served. Whatever is not in it is not wished for any longer. */
export interface DesiredSnapshot {
  models: DesiredModel[];
  watched: WatchedVersion[];
  /** Ids of versions that were loaded without being followed, and do not exist any longer. */
  gone: string[];
}

/** What a name (and a version word) of a request stands for. */
export interface Resolution {
  modelId: string;
  workspace: string;
  model: string;
  /** The version to answer with; null = the followed one, as the newest snapshot has it. */
  target: VersionTarget | null;
}

/** Where versions of requests are looked up: PostgreSQL, or the supervisor that asks it. */
export interface VersionResolver {
  /**
   * What `model` (and `word`: `3`, `@alias`, `production`, `staging`, `latest`) stands for now.
   * @throws DomainError NOT_FOUND (says what exists), FAILED_PRECONDITION (not servable, with the reason), UNAVAILABLE
   */
  resolve(model: string, word?: string): Promise<Resolution>;
}

export type VersionWord =
  | { kind: 'number'; number: number }
  | { kind: 'alias'; alias: string }
  | { kind: 'stage'; stage: 'Production' | 'Staging' }
  | { kind: 'latest' };

/** Reads a version as written in a path; undefined where it can be none. */
export function parseVersionWord(text: string): VersionWord | undefined {
  if (/^[1-9]\d{0,9}$/.test(text)) {
    const number = Number(text);
    return number <= 0x7fffffff ? { kind: 'number', number } : undefined;
  }
  if (text === 'production') return { kind: 'stage', stage: 'Production' };
  if (text === 'staging') return { kind: 'stage', stage: 'Staging' };
  if (text === 'latest') return { kind: 'latest' };
  if (/^@[\w-]{1,255}$/.test(text)) return { kind: 'alias', alias: text.slice(1) };
  return undefined;
}
