import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { type Config, contextOf, DomainError, spanOf, traceHeaders } from '#platform';

const passedHeaders = [
  'content-type',
  'content-length',
  'inference-header-content-length',
  'accept',
];
const returnedHeaders = [
  'content-type',
  'content-length',
  'inference-header-content-length',
  'retry-after',
  'x-slipway-version',
];

/**
 * Passes a prediction on to serving and its answer back, both streamed and untouched.
 * @throws DomainError UNAVAILABLE when serving cannot be reached
 */
export async function passOn(
  config: Config,
  path: string,
  request: Request,
  response: Response,
): Promise<void> {
  const url = new URL(path, config.SERVING_URL);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers: Record<string, string> = {
    'x-request-id': contextOf(request).trace,
    ...traceHeaders(spanOf(request)),
  };
  for (const name of passedHeaders) {
    const value = request.header(name);
    if (value !== undefined) headers[name] = value;
  }
  if (config.SLIPWAY_TOKEN) headers.authorization = `Bearer ${config.SLIPWAY_TOKEN}`;
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    const outgoing = send(url, { method: 'POST', headers }, resolve);
    outgoing.on('error', (cause) => reject(unreachable(cause)));
    response.on('close', () => outgoing.destroy());
    pipeline(request, outgoing).catch((cause: unknown) => reject(unreachable(cause)));
  });
  response.status(answer.statusCode ?? 502);
  for (const name of returnedHeaders) {
    const value = answer.headers[name];
    if (value !== undefined) response.setHeader(name, value);
  }
  await pipeline(answer, response).catch(() => response.destroy());
}

function unreachable(cause: unknown): DomainError {
  return new DomainError('UNAVAILABLE', 'Serving cannot be reached at the moment. Try again.', {
    retryAfter: 1,
    cause,
  });
}
