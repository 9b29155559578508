import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { DomainError } from './errors.js';
import { type ProblemDocument, problemHeaders, problemOf } from './problem.js';

export interface BrokenAnswer {
  headers: Record<string, string>;
  body: string;
}

/** What is no HTTP at all gets a problem document too, before the connection is closed. */
export function answerBrokenRequests(
  server: Server,
  said: (problem: ProblemDocument) => BrokenAnswer = (problem) => ({
    headers: problemHeaders(problem),
    body: JSON.stringify(problem),
  }),
): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const problem = problemOf(
      new DomainError(
        'INVALID_ARGUMENT',
        `This is not a valid HTTP request (${error.code ?? error.message}).`,
      ),
      '-',
    );
    const status =
      { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400;
    const { body, headers: own } = said({ ...problem, status });
    const headers = Object.entries({
      ...own,
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    }).map(([name, value]) => `${name}: ${value}`);
    socket.end([`HTTP/1.1 ${status} Refused`, ...headers, '', body].join('\r\n'));
  });
}
