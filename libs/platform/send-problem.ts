import type { IncomingMessage, ServerResponse } from 'node:http';
import { contextOf } from './context.js';
import { writeJson } from './json.js';
import type { Logger } from './log.js';
import { type ProblemDocument, problemHeaders, problemOf } from './problem.js';

/**
 * Answers a request with the problem document of an error; logs what nobody expected. Where the answer has begun
 * already, the connection is cut, so that the client does not take half an answer for a whole one.
 */
export function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  logger: Logger,
): void {
  const { trace } = contextOf(request);
  const problem = problemOf(error, trace);
  if (problem.status >= 500) logProblem(logger, problem, trace, error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (!request.complete) giveUpBody(request, response);
  const body = writeJson(problem);
  for (const name of ['etag', 'cache-control', 'content-disposition']) response.removeHeader(name);
  response.writeHead(problem.status, {
    ...problemHeaders(problem),
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** What nobody expected with its stack; an outage, which many requests meet alike, with its cause in a line. */
function logProblem(
  logger: Logger,
  { code, status, detail }: ProblemDocument,
  trace: string,
  error: unknown,
): void {
  if (code === 'INTERNAL') {
    logger.error({ trace, status, err: error }, detail);
    return;
  }
  const { cause } = error instanceof Error ? error : {};
  const because = cause instanceof Error ? { because: cause.message } : {};
  logger.warn({ trace, status, code, ...because }, detail);
}

/** Milliseconds for which the rest of a refused body is taken in and thrown away. */
const LINGER = 5_000;

/** A client that still sends would lose the answer if the connection were closed at once: it gets some seconds. */
function giveUpBody(request: IncomingMessage, response: ServerResponse): void {
  response.once('finish', () => {
    request.resume();
    const cut = setTimeout(() => request.socket.destroy(), LINGER).unref();
    request.once('close', () => clearTimeout(cut));
    request.once('end', () => clearTimeout(cut));
  });
}
