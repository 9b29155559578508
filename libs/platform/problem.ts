import { databaseProblem } from './database-problem.js';
import { DomainError, type ErrorCode, type FieldError } from './errors.js';

/** An RFC 9457 problem document. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  errors?: FieldError[];
  /** Seconds; repeated in the header Retry-After. */
  retryAfter?: number;
  [extra: string]: unknown;
}

/** The one table of what each code is over HTTP: a code without an entry does not compile. */
const table: Record<ErrorCode, { status: number; title: string }> = {
  INVALID_ARGUMENT: { status: 400, title: 'The request is not valid' },
  DIGEST_MISMATCH: { status: 400, title: 'The bytes are not those of the digest' },
  UNAUTHENTICATED: { status: 401, title: 'A token is needed' },
  FORBIDDEN: { status: 403, title: 'This request is not allowed' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The method is not allowed here' },
  ALREADY_EXISTS: { status: 409, title: 'It exists already' },
  CONFLICT: { status: 409, title: 'The request conflicts with the present state' },
  FAILED_PRECONDITION: { status: 409, title: 'The present state does not allow it' },
  BLOB_MISSING: { status: 409, title: 'Blobs are missing' },
  GONE: { status: 410, title: 'No longer available' },
  ETAG_MISMATCH: { status: 412, title: 'It has changed in the meantime' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The content type is not supported' },
  RANGE_NOT_SATISFIABLE: { status: 416, title: 'The range is not satisfiable' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'The idempotency key belongs to another request' },
  INTERNAL: { status: 500, title: 'Internal error' },
  UNAVAILABLE: { status: 503, title: 'Not available at the moment' },
  DEADLINE_EXCEEDED: { status: 504, title: 'It took too long' },
};

export function statusOf(code: ErrorCode): number {
  return table[code].status;
}

/**
 * What a client is told about any error. Only messages that were written for clients are passed on; the rest becomes
 * `INTERNAL` with the trace, under which the log has the reason.
 */
export function problemOf(error: unknown, trace: string): ProblemDocument {
  const known = toDomainError(error);
  const { code, message, errors, retryAfter, extra } =
    known ??
    new DomainError(
      'INTERNAL',
      `Something went wrong inside Slipway; its log has the reason under request id ${trace}.`,
      { extra: { trace } },
    );
  const { status, title } = table[code];
  // A client that is to come again is always told when.
  const comeAgain = retryAfter ?? (code === 'UNAVAILABLE' ? 1 : undefined);
  return {
    ...extra,
    type: `urn:slipway:problem:${code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: message,
    code,
    ...(errors && { errors }),
    ...(comeAgain !== undefined && { retryAfter: comeAgain }),
  };
}

/** Headers that belong to a problem document. */
export function problemHeaders(problem: ProblemDocument): Record<string, string> {
  return {
    'content-type': 'application/problem+json; charset=utf-8',
    ...(problem.retryAfter !== undefined && { 'retry-after': String(problem.retryAfter) }),
    ...(problem.status === 401 && {
      'www-authenticate': 'Bearer realm="slipway", Basic realm="slipway"',
    }),
    ...(problem.status === 405 && Array.isArray(problem.allow)
      ? { allow: problem.allow.join(', ') }
      : {}),
  };
}

/** The expected failure that an error means, or undefined where nobody expected it. */
export function toDomainError(error: unknown): DomainError | undefined {
  if (error instanceof DomainError) return error;
  return databaseProblem(error) ?? fromStatusError(error);
}

/** True where the same request may succeed later: an outage of the database, the store, the disk. */
export function isUnavailable(error: unknown): boolean {
  return toDomainError(error)?.code === 'UNAVAILABLE';
}

/** Errors of Nest, Express and its parts, such as a path with a broken percent encoding: they carry a status. */
function fromStatusError(error: unknown): DomainError | undefined {
  if (!(error instanceof Error) || !('status' in error)) return undefined;
  const { status } = error;
  if (typeof status !== 'number' || status < 400 || status >= 500) return undefined;
  return fromStatus(status, messageOf(error), error);
}

function fromStatus(status: number, message: string, cause: Error): DomainError {
  const fallback: ErrorCode = status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL';
  const code = BY_STATUS[status] ?? fallback;
  const part = UNDECODED.exec(message)?.[1];
  if (part !== undefined) {
    message = `The path has a broken percent-encoding: "${part.slice(0, 200)}". Encode each part of it as UTF-8, such as %C3%A9 for é.`;
  }
  return new DomainError(code, message, { cause });
}

/** What Express' router says of a parameter that `decodeURIComponent` refuses. */
const UNDECODED = /^Failed to decode param '([^]*)'$/;

const BY_STATUS: Record<number, ErrorCode> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  409: 'CONFLICT',
  410: 'GONE',
  412: 'ETAG_MISMATCH',
  413: 'PAYLOAD_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  416: 'RANGE_NOT_SATISFIABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** Nest keeps several messages in the response of an exception. */
function messageOf(error: Error & { response?: unknown }): string {
  const { response } = error;
  if (typeof response !== 'object' || response === null || !('message' in response))
    return error.message;
  return [response.message].flat().join('; ');
}
