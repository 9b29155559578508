import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Config, isLoopback } from './config.js';
import { contextOf } from './context.js';
import { DomainError } from './errors.js';

/** What monitoring asks without a token. */
const OPEN_PATHS = new Set([
  '/livez',
  '/readyz',
  '/metrics',
  '/v2/health/live',
  '/v2/health/ready',
]);
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Says why a request may not come in, or undefined where it may. */
export type AccessCheck = (request: IncomingMessage) => DomainError | undefined;

/**
 * The one check at both ports, from the headers alone:
 * - on loopback, `Host` must be a name of this machine: a page whose name was rebound to 127.0.0.1 is refused;
 * - a request that may change something must not come from a page of another origin (`Sec-Fetch-Site`, `Origin`);
 * - where there is a token, it must be carried as bearer or as the password of HTTP Basic; health and metrics are open.
 */
export function checkAccess(config: Config): AccessCheck {
  const checkHost = config.loopback ? hostCheck(config) : undefined;
  const checkToken = config.SLIPWAY_TOKEN ? tokenCheck(config.SLIPWAY_TOKEN) : undefined;
  return (request) =>
    checkHost?.(request) ??
    (SAFE_METHODS.has(request.method ?? '') ? undefined : checkOrigin(request)) ??
    checkToken?.(request);
}

function hostCheck(config: Config): AccessCheck {
  const ours = new Set([config.HOST.toLowerCase(), new URL(config.SERVING_URL).hostname]);
  // Nearly all requests name the same host: the last one that was right is compared first.
  let accepted: string | undefined;
  return (request) => {
    const { host } = request.headers;
    if (host !== undefined && host === accepted) return undefined;
    const name = hostName(host ?? '');
    if (name !== undefined && (isLoopback(name) || ours.has(name))) {
      accepted = host;
      return undefined;
    }
    return new DomainError(
      'FORBIDDEN',
      `The Host header ${JSON.stringify(host ?? '')} is not a name of this machine. Ask at http://localhost, or set HOST ` +
        'and SLIPWAY_TOKEN to be reached under other names.',
    );
  };
}

/** The name in a Host header, without its port, in lower case; undefined where it is not one. */
function hostName(host: string): string | undefined {
  return /^(\[[\da-f:.]+\]|[\w.-]+?)\.?(?::\d{1,5})?$/i.exec(host)?.[1]?.toLowerCase();
}

function checkOrigin({ headers }: IncomingMessage): DomainError | undefined {
  const { origin, host, 'sec-fetch-site': site } = headers;
  const fromElsewhere =
    (site !== undefined && site !== 'same-origin' && site !== 'none') ||
    (origin !== undefined && originHost(origin) !== host?.toLowerCase());
  if (!fromElsewhere) return undefined;
  return new DomainError(
    'FORBIDDEN',
    `A page of another origin (${JSON.stringify(origin ?? site)}) may not change anything here.`,
  );
}

/** `host:port` of an origin as a Host header has it; undefined for `null` and what is no http origin. */
function originHost(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/i.exec(origin)?.[1]?.toLowerCase();
}

function tokenCheck(token: string): AccessCheck {
  const wanted = sha256(token);
  return (request) => {
    if (isOpen(request)) return undefined;
    const given = tokenOf(request.headers.authorization);
    // Hashes have one length, whatever the client sent: the comparison tells nothing by its time.
    if (given !== undefined && timingSafeEqual(sha256(given), wanted)) {
      const context = contextOf(request);
      if (context.actor === 'local') context.actor = 'token';
      return undefined;
    }
    const what =
      given === undefined ? 'This server asks for a token' : 'The token is not the right one';
    return new DomainError(
      'UNAUTHENTICATED',
      `${what}: send the header "Authorization: Bearer …" with the value of SLIPWAY_TOKEN.`,
    );
  };
}

function isOpen({ method, url = '' }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && OPEN_PATHS.has(url.split('?', 1)[0] ?? '');
}

function tokenOf(authorization = ''): string | undefined {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization) ?? [];
  if (!scheme) return undefined;
  if (scheme.toLowerCase() === 'bearer') return credentials;
  const pair = Buffer.from(credentials, 'base64').toString('utf8');
  return pair.slice(pair.indexOf(':') + 1);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
