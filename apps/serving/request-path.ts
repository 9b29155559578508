import { DomainError } from '#platform';

/** What a path of the serving port names. */
export type Target =
  | { kind: 'server' | 'live' | 'ready' | 'livez' | 'readyz' | 'metrics' }
  | { kind: 'model' | 'model-ready' | 'infer'; model: string; word: string | undefined };

const FIXED = new Map<string, Target>([
  ['/v2', { kind: 'server' }],
  ['/v2/health/live', { kind: 'live' }],
  ['/v2/health/ready', { kind: 'ready' }],
  ['/livez', { kind: 'livez' }],
  ['/readyz', { kind: 'readyz' }],
  ['/metrics', { kind: 'metrics' }],
]);
const MODEL = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/;
const REMEMBERED = 1000;

const remembered = new Map<string, Target>();

/**
 * Reads a request's URL; a query is ignored. Paths that were read before cost one look-up.
 * @throws DomainError NOT_FOUND, INVALID_ARGUMENT
 */
export function readPath(url: string): Target {
  const known = remembered.get(url);
  if (known) return known;
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  const target = FIXED.get(path) ?? readModelPath(path);
  if (remembered.size >= REMEMBERED) remembered.clear();
  if (url.length <= 1024) remembered.set(url, target);
  return target;
}

/** The pattern of a request's path, for logs. */
export function routeOf(url: string): string {
  try {
    const target = readPath(url);
    if (!('model' in target)) return url.split('?', 1)[0] ?? '';
    const version = target.word === undefined ? '' : '/versions/:version';
    const action = { infer: '/infer', 'model-ready': '/ready', model: '' }[target.kind];
    return `/v2/models/:model${version}${action}`;
  } catch {
    return 'none';
  }
}

function readModelPath(path: string): Target {
  const match = MODEL.exec(path);
  if (!match) {
    throw new DomainError(
      'NOT_FOUND',
      `There is nothing at ${path.slice(0, 200)}. Predictions are POST /v2/models/{model}/infer; GET /v2 describes this server.`,
    );
  }
  const [, model = '', word, action] = match;
  const kind = action === 'infer' ? 'infer' : action === 'ready' ? 'model-ready' : 'model';
  return { kind, model: decode(model), word: word === undefined ? undefined : decode(word) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new DomainError(
      'INVALID_ARGUMENT',
      `The path has a broken percent-encoding: ${JSON.stringify(part.slice(0, 200))}`,
    );
  }
}
