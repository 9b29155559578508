import { DomainError, type ErrorCode } from './errors.js';

/**
 * What an error of PostgreSQL, of its driver, of a disk or of a socket means to a client: try again, or send other data.
 * Undefined where it means a fault of ours. Classes of SQLSTATE: PostgreSQL manual, appendix A.
 */
export function databaseProblem(error: unknown): DomainError | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = codeOf(error);
  const known = code === undefined ? undefined : (BY_CODE[code] ?? BY_CLASS[classOf(code)]);
  const meaning = known ?? (LOST_CONNECTION.test(error.message) ? unreachable : undefined);
  if (!meaning) return undefined;
  return new DomainError(meaning.code, meaning.message, {
    cause: error,
    ...(meaning.code === 'UNAVAILABLE' && { retryAfter: 1 }),
  });
}

interface Meaning {
  code: ErrorCode;
  message: string;
}

const unreachable: Meaning = {
  code: 'UNAVAILABLE',
  message: 'The database or the artifact store cannot be reached at the moment; try again.',
};
const busy: Meaning = {
  code: 'UNAVAILABLE',
  message: 'The database is too busy at the moment; try again.',
};
const full: Meaning = {
  code: 'UNAVAILABLE',
  message: 'There is no space left to store this; try again when there is.',
};
const data: Meaning = {
  code: 'INVALID_ARGUMENT',
  message:
    'A value of the request cannot be stored: it is out of range, too long, or has a NUL character.',
};
const taken: Meaning = {
  code: 'CONFLICT',
  message: 'Another request has changed the same thing at the same moment; read it and try again.',
};

const BY_CODE: Record<string, Meaning> = {
  ECONNREFUSED: unreachable,
  ECONNRESET: unreachable,
  EPIPE: unreachable,
  ETIMEDOUT: unreachable,
  ENOTFOUND: unreachable,
  EAI_AGAIN: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  EMFILE: busy,
  ENFILE: busy,
  ENOSPC: full,
  EDQUOT: full,
  EROFS: full,
  '53100': full,
  '25006': unreachable,
  '55P03': busy,
  '57014': busy,
  '57P01': unreachable,
  '57P02': unreachable,
  '57P03': unreachable,
  '57P05': unreachable,
  '40001': busy,
  '40P01': busy,
  '23505': taken,
  '23503': taken,
  '25P03': busy,
  '25P04': busy,
};
const BY_CLASS: Record<string, Meaning> = {
  '08': unreachable,
  '22': data,
  '53': busy,
  '54': data,
};

/** What `pg`, its pool, and TypeORM where a connection was lost inside a transaction, say without a code. */
const LOST_CONNECTION =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Cannot use a pool after calling end|Client was closed|Query runner already released|Database connection provided by a query runner was already released|Transaction is not started yet)/;

/** SQLSTATE or errno of an error, of what TypeORM wrapped, or of one of several attempts to connect. */
function codeOf(error: Error): string | undefined {
  const { code, driverError } = error as { code?: unknown; driverError?: unknown };
  if (typeof code === 'string') return code;
  if (driverError instanceof Error) return codeOf(driverError);
  if (error instanceof AggregateError && error.errors[0] instanceof Error)
    return codeOf(error.errors[0]);
  return undefined;
}

function classOf(code: string): string {
  return /^[0-9A-Z]{5}$/.test(code) && /^\d/.test(code) ? code.slice(0, 2) : '';
}
