import type { LoadedVersion } from './loaded-version.js';

/** How a model name is answered at this moment. */
export interface Route {
  readonly model: string;
  readonly modelId: string;
  /** Whether something is followed. */
  readonly followed: boolean;
  readonly answering: LoadedVersion | undefined;
  /** Every version in memory by its number, the followed one too. */
  readonly versions: ReadonlyMap<number, LoadedVersion>;
}

/** Model name → route. Never changed: a swap makes a new one and assigns it, so that a request sees the old or the new. */
export type RouteTable = ReadonlyMap<string, Route>;
