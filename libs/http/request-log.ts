import type { IncomingMessage, ServerResponse } from 'node:http';
import { contextOf, type Logger, spanOf } from '#platform';

const QUIET = /^\/(livez|readyz|metrics)(\?|$)/;

/** Parameters of queries that may stand in a log; what else a client sends there may be a secret. */
const SHOWN = new Set(
  'cursor depth digest direction filter force format from limit order to wait'.split(' '),
);

interface AnsweredRequest {
  request: IncomingMessage;
  response: ServerResponse;
  /** The pattern that the path matched. */
  route: string;
  seconds: number;
}

/** The one line of a request: health and metrics at `debug`, what failed here at `warn`, all else at `info`. */
export function logRequest(
  logger: Logger,
  { request, response, route, seconds }: AnsweredRequest,
): void {
  const { method, url = '' } = request;
  const { statusCode: status } = response;
  const level = QUIET.test(url) ? 'debug' : status >= 500 ? 'warn' : 'info';
  if (!logger.isLevelEnabled(level)) return;
  const { params = {} } = request as { params?: Record<string, string> };
  const { traceId, spanId } = spanOf(request);
  const fields = {
    trace: contextOf(request).trace,
    method,
    url: loggedUrl(url),
    route,
    ...(params.model !== undefined && { model: params.model }),
    ...(params.version !== undefined && { version: params.version }),
    status,
    ms: Math.round(seconds * 1e6) / 1000,
    ...(!response.writableFinished && { cut: true }),
    traceId,
    spanId,
  };
  logger[level](fields, 'request');
}

/** The URL with the values of its query only where they are known to be no secrets. */
export function loggedUrl(url: string): string {
  const [path = '', ...queries] = url.split('?');
  if (queries.length === 0) return path;
  const parts = queries.join('?').split('&');
  const shown = parts.map((part) => {
    const [name = '', ...value] = part.split('=');
    if (value.length === 0) return SHOWN.has(name) ? name : '***';
    return SHOWN.has(name) ? part : `${name}=***`;
  });
  return `${path}?${shown.join('&')}`;
}
