import { DomainError, type ErrorCode } from '#platform';

/** Why a version is not in memory. */
export class LoadError extends Error {
  /**
   * `soon`: what failed may work in a moment (the store is away); `later`: when something else changes (memory is free again,
   * the blob is there and whole), which is tried for, but counts as failed; `never`: the same bytes will fail in the same way.
   */
  constructor(
    message: string,
    readonly retry: 'soon' | 'later' | 'never',
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'LoadError';
  }
}

/** Any failure of a load as a LoadError. */
export function asLoadError(error: unknown): LoadError {
  if (error instanceof LoadError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof DomainError ? error.code : undefined;
  return new LoadError(message, code ? (RETRIES[code] ?? 'never') : 'never', { cause: error });
}

/** What may pass: a store that is away, a blob that is damaged in it until somebody mends it, a folder that is not mounted. */
const RETRIES: { [code in ErrorCode]?: LoadError['retry'] } = {
  UNAVAILABLE: 'soon',
  DIGEST_MISMATCH: 'later',
  DEADLINE_EXCEEDED: 'later',
  NOT_FOUND: 'later',
};
