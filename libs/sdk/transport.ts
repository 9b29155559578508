import { randomId } from './environment.js';
import { parseExact, writeExact } from './exact-json.js';
import type { FieldError } from './slipway-error.js';
import { SlipwayError } from './slipway-error.js';
import { type Trace, traceparentOf } from './trace.js';

export interface RetryOptions {
  /** How often a request is sent at most, the first time included. */
  attempts: number;
  /** Milliseconds before the second attempt; doubled each time, with jitter. */
  minDelay: number;
  maxDelay: number;
}

export interface Call {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string | undefined>;
  /** Sent as JSON; bigints stay exact. */
  json?: unknown;
  bytes?: Uint8Array | undefined;
  signal?: AbortSignal | undefined;
  /** Statuses that are an answer for this call, although they are not 2xx. */
  accepts?: number[];
  /** Whether sending it twice does no harm; by default all but POST without an `Idempotency-Key`, and PATCH. */
  repeatable?: boolean;
  /** False: a failure is the caller's to deal with. */
  retries?: boolean;
}

export interface TransportOptions {
  token: string | undefined;
  actor: string | undefined;
  trace?: Trace | undefined;
  fetch: typeof fetch;
  retry: RetryOptions;
}

/** The longest `Retry-After` that is worth waiting for inside a call, in seconds. */
const LONGEST_WAIT = 30;

/** Sends requests: identity, retries, and answers that are not 2xx as `SlipwayError`. */
export class Transport {
  constructor(private readonly options: TransportOptions) {}

  /** The answer as JSON, `undefined` where it has no body. Repeated also when the connection breaks inside the body. */
  json<T>(url: string, call: Call = {}): Promise<T> {
    return this.#withRetries(url, call, async (tried) => {
      const response = await this.#fetch(url, call);
      const text = await response.text();
      // Gone, after a DELETE whose answer did not come: it had arrived.
      if (response.status === 404 && call.method === 'DELETE' && tried > 1)
        return parseAnswer<T>(url, '');
      if (!response.ok) throw problemOf(response, url, text);
      return parseAnswer<T>(url, text);
    });
  }

  /** The answer itself, its body unread. */
  send(url: string, call: Call = {}): Promise<Response> {
    return this.#withRetries(url, call, async () => {
      const response = await this.#fetch(url, call);
      if (response.ok || call.accepts?.includes(response.status)) return response;
      throw problemOf(response, url, await response.text());
    });
  }

  async #withRetries<T>(
    url: string,
    call: Call,
    attempt: (tried: number) => Promise<T>,
  ): Promise<T> {
    const { attempts, minDelay, maxDelay } = this.options.retry;
    for (let tried = 1; ; tried++) {
      try {
        return await attempt(tried);
      } catch (error) {
        const failure = failureOf(error, url, call.signal);
        if (call.retries === false || tried >= attempts || !mayRepeat(failure, call)) throw failure;
        await pause(delayBefore(tried, failure.retryAfter, minDelay, maxDelay), call.signal);
      }
    }
  }

  async #fetch(url: string, call: Call): Promise<Response> {
    const target = new URL(url);
    for (const [name, value] of Object.entries(call.query ?? {}))
      if (value !== undefined) target.searchParams.set(name, String(value));
    const headers = new Headers();
    if (this.options.token) headers.set('authorization', `Bearer ${this.options.token}`);
    if (this.options.actor) headers.set('x-slipway-actor', headerText(this.options.actor));
    const traceparent = traceparentOf(this.options.trace);
    if (traceparent) headers.set('traceparent', traceparent);
    if (call.json !== undefined) headers.set('content-type', 'application/json');
    if (call.bytes) headers.set('content-type', 'application/octet-stream');
    for (const [name, value] of Object.entries(call.headers ?? {}))
      if (value !== undefined) headers.set(name, value);
    return this.options.fetch(target, {
      method: call.method ?? 'GET',
      headers,
      body: call.json === undefined ? bodyOf(call.bytes) : writeExact(call.json),
      signal: call.signal ?? null,
    });
  }
}

/** A key for one POST, so that a repeated one is answered with what the first did. */
export function idempotencyKey(given?: string): { 'idempotency-key': string } {
  return { 'idempotency-key': given ?? randomId() };
}

/** Resolves after so many milliseconds; rejects with the signal's reason when it is aborted. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Doubling delays with jitter, so that clients that failed together do not come back together. */
export function delayBefore(
  tried: number,
  retryAfter: number | undefined,
  minDelay: number,
  maxDelay: number,
): number {
  const ceiling = Math.min(maxDelay, minDelay * 2 ** (tried - 1));
  const jittered = ceiling * (0.5 + Math.random() / 2);
  return retryAfter === undefined ? jittered : retryAfter * 1000 + Math.random() * minDelay;
}

/** What stands behind a failed attempt, as the error that the caller gets. An abort stays the signal's own reason. */
export function failureOf(error: unknown, url: string, signal?: AbortSignal): SlipwayError {
  if (signal?.aborted) throw signal.reason;
  if (error instanceof SlipwayError) return error;
  const { origin } = new URL(url);
  return new SlipwayError(`No Slipway server answers at ${origin} (${causeOf(error)}).`, {
    code: 'UNREACHABLE',
    cause: error,
  });
}

/** Headers hold bytes: text goes as UTF-8, without what a header may not have. */
function headerText(text: string): string {
  const bytes = new TextEncoder().encode(text.replace(/\p{Cc}/gu, ' '));
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

function mayRepeat(failure: SlipwayError, call: Call): boolean {
  const method = call.method ?? 'GET';
  const keyed = call.headers?.['idempotency-key'] !== undefined;
  const repeatable = call.repeatable ?? (keyed || (method !== 'POST' && method !== 'PATCH'));
  if (failure.code === 'UNREACHABLE') return repeatable || neverSent(failure);
  if (failure.status !== 429 && failure.status !== 503) return false;
  return repeatable && (failure.retryAfter ?? 0) <= LONGEST_WAIT;
}

/** True where no connection was made at all: any request may then be sent again. */
function neverSent(failure: SlipwayError): boolean {
  return causeOf(failure.cause) === 'ECONNREFUSED';
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string')
    return cause.code;
  return cause instanceof Error && cause.message ? cause.message : error.message;
}

function parseAnswer<T>(url: string, text: string): T {
  try {
    return (text === '' ? undefined : parseExact(text)) as T;
  } catch (cause) {
    const message = `${url} did not answer with JSON: is it the address of a Slipway server?`;
    throw new SlipwayError(message, { code: 'NOT_A_SLIPWAY_SERVER', cause });
  }
}

function problemOf(response: Response, url: string, text: string): SlipwayError {
  const problem = readProblem(text);
  const { status } = response;
  const wait = Number(response.headers.get('retry-after') ?? undefined);
  const detail = [problem?.['detail'], problem?.['error'], problem?.['title']].find(
    (words) => typeof words === 'string' && words !== '',
  );
  const bare = `${url} answered ${status} ${response.statusText}`.trim();
  return new SlipwayError(typeof detail === 'string' ? detail : bare, {
    status,
    code: typeof problem?.['code'] === 'string' ? problem['code'] : `HTTP_${status}`,
    errors: fieldErrorsOf(problem?.['errors']),
    ...(Number.isFinite(wait) ? { retryAfter: wait } : {}),
    ...(problem ? { problem } : {}),
  });
}

function readProblem(text: string): Record<string, unknown> | undefined {
  try {
    const value = parseExact(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { ...value }
      : undefined;
  } catch {
    return undefined;
  }
}

function fieldErrorsOf(value: unknown): FieldError[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) =>
    typeof item === 'object' && item !== null && 'message' in item
      ? [{ pointer: 'pointer' in item ? String(item.pointer) : '', message: String(item.message) }]
      : [],
  );
}

function bodyOf(bytes: Uint8Array | undefined): Uint8Array<ArrayBuffer> | null {
  if (!bytes) return null;
  const { buffer, byteOffset, byteLength } = bytes;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : bytes.slice();
}
