import { createHash } from 'node:crypto';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { contextOf, DomainError, type RequestContext, writeJson } from '#platform';

export type { RequestContext } from '#platform';

/** The context of the request: who asks, where, and the `Idempotency-Key` of a POST. */
export const Asker = createParamDecorator((_: unknown, host: ExecutionContext): RequestContext =>
  askerOf(host.switchToHttp().getRequest<Request>()),
);

const askers = new WeakMap<Request, RequestContext>();

/** As {@link Asker}; the body must have been read. */
export function askerOf(request: Request): RequestContext {
  const key = request.method === 'POST' ? request.header('idempotency-key') : undefined;
  if (key === undefined) return contextOf(request);
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw DomainError.invalid(
      '',
      'The Idempotency-Key must be 1 to 255 visible ASCII characters; a UUID is a good one.',
    );
  }
  const known = askers.get(request);
  if (known) return known;
  const asker = { ...contextOf(request), idempotency: { key, request: digestOf(request) } };
  askers.set(request, asker);
  return asker;
}

/** The `If-Match` header, or undefined. */
export const IfMatch = createParamDecorator(
  (_: unknown, host: ExecutionContext): string | undefined =>
    host.switchToHttp().getRequest<Request>().header('if-match'),
);

function digestOf(request: Request): string {
  return createHash('sha256')
    .update(`${request.method} ${request.originalUrl}\n${writeJson(request.body ?? null)}`)
    .digest('hex');
}
