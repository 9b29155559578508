/** What went wrong, in a stable word that a client can switch on. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'CONFLICT'
  | 'FAILED_PRECONDITION'
  | 'BLOB_MISSING'
  | 'DIGEST_MISMATCH'
  | 'ETAG_MISMATCH'
  | 'RANGE_NOT_SATISFIABLE'
  | 'PAYLOAD_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'METHOD_NOT_ALLOWED'
  | 'GONE'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'INTERNAL';

/** One fault inside a request: `pointer` is a JSON pointer into its body (`""` is the body itself). */
export interface FieldError {
  pointer: string;
  message: string;
}

export interface DomainErrorOptions extends ErrorOptions {
  errors?: FieldError[];
  /** Seconds after which the same request may succeed (`UNAVAILABLE`). */
  retryAfter?: number;
  /** Members that the problem document carries beside the standard ones, such as `missing` digests. */
  extra?: Record<string, unknown>;
}

/**
 * An expected failure. Libraries throw it and know no HTTP; one table in the apps turns the code into a status.
 * The message is written for the person who made the request: what was wrong, where, what was expected, what to do next.
 */
export class DomainError extends Error {
  readonly errors: FieldError[] | undefined;
  readonly retryAfter: number | undefined;
  readonly extra: Record<string, unknown> | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    { errors, retryAfter, extra, ...options }: DomainErrorOptions = {},
  ) {
    super(message, options);
    this.name = 'DomainError';
    this.errors = errors;
    this.retryAfter = retryAfter;
    this.extra = extra;
  }

  /** A request whose field at `pointer` is wrong. */
  static invalid(pointer: string, message: string): DomainError {
    return new DomainError('INVALID_ARGUMENT', message, { errors: [{ pointer, message }] });
  }

  static notFound(what: string, hint?: string): DomainError {
    return new DomainError('NOT_FOUND', `${what} does not exist.${hint ? ` ${hint}` : ''}`);
  }
}
