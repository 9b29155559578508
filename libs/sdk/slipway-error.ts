/** One fault inside a request: `pointer` is a JSON pointer into its body (`""` is the body itself). */
export interface FieldError {
  pointer: string;
  message: string;
}

export interface SlipwayErrorOptions extends ErrorOptions {
  status?: number;
  code: string;
  errors?: FieldError[];
  /** Seconds after which the same request may succeed. */
  retryAfter?: number;
  /** The whole problem document, with members such as `missing` digests. */
  problem?: Record<string, unknown>;
}

/**
 * Whatever the server refused, or what kept a request from reaching it. `code` is the stable word of the server's problem
 * document (`NOT_FOUND`, `CONFLICT`, `FAILED_PRECONDITION`, …). `status` is 0 where no answer came; `code` is then
 * `UNREACHABLE`, or says what was wrong on this side: `INVALID_ARGUMENT`, `DIGEST_MISMATCH`, `UPLOAD_LOST`,
 * `DEADLINE_EXCEEDED`, `UNSUPPORTED`.
 */
export class SlipwayError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: FieldError[];
  readonly retryAfter: number | undefined;
  readonly problem: Record<string, unknown> | undefined;

  constructor(
    message: string,
    { status = 0, code, errors = [], retryAfter, problem, ...options }: SlipwayErrorOptions,
  ) {
    super(message, options);
    this.name = 'SlipwayError';
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.retryAfter = retryAfter;
    this.problem = problem;
  }
}
