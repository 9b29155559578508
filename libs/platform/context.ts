import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Who asks, and where: goes through every call of a service. */
export interface RequestContext {
  /** `local`, `token`, or the name that the caller gave in `X-Slipway-Actor`. */
  actor: string;
  /** False where the name is only what the caller says. */
  actorVerified: boolean;
  workspace: string;
  /** Id of the request in logs and in `x-request-id`. */
  trace: string;
  /**
   * Of a POST with an `Idempotency-Key`: the key, and a digest of the method, path and body it came with; `repeated` is set
   * where the change had been made before.
   */
  idempotency?: { key: string; request: string; repeated?: boolean };
}

/** The context of work that no request asked for: migrations, garbage collection, compile jobs. */
export const systemContext: RequestContext = {
  actor: 'slipway',
  actorVerified: true,
  workspace: 'default',
  trace: '-',
};

const contexts = new WeakMap<IncomingMessage, RequestContext>();
const MAX_ACTOR = 255;

/**
 * The context of a request: its trace is `x-request-id` where that is a sane one, else a new one; its actor is what
 * `X-Slipway-Actor` says, else `local`, which `checkAccess` makes `token` where a token was asked for and given.
 * The same object at each call for one request.
 */
export function contextOf(request: IncomingMessage): RequestContext {
  const known = contexts.get(request);
  if (known) return known;
  const { 'x-request-id': id, 'x-slipway-actor': said } = request.headers;
  const claimed = typeof said === 'string' ? actorName(said) : '';
  const context: RequestContext = {
    actor: claimed || 'local',
    actorVerified: !claimed,
    workspace: 'default',
    trace: givenId(id) ?? randomBytes(8).toString('hex'),
  };
  contexts.set(request, context);
  return context;
}

/** Header values are Latin-1 to node:http; a name in UTF-8 is read as such, control characters are left out. */
function actorName(header: string): string {
  const bytes = Buffer.from(header, 'latin1');
  const text = bytes.toString('utf8');
  const name = text.includes('\uFFFD') ? header : text;
  return name
    .replace(/\p{Cc}/gu, '')
    .trim()
    .slice(0, MAX_ACTOR);
}

const SANE_ID = /^[\w.:/+=-]{1,128}$/;

/** The id that a request gives itself in `x-request-id`, where it is one that can stand in a log. */
export function givenId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && SANE_ID.test(header) ? header : undefined;
}
