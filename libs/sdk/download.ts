import type { Hasher } from './hasher.js';
import { createHasher } from './hasher.js';
import { piecesOf } from './source.js';
import { SlipwayError } from './slipway-error.js';
import { delayBefore, failureOf, pause } from './transport.js';
import type { Transport } from './transport.js';

/** Failures in a row, without a byte between them, after which a download gives up. */
const FAILURES = 8;
const MIN_DELAY = 200;
const MAX_DELAY = 10_000;

/** A file on its way. The stream fails at its end where the bytes are not those of the digest. */
export interface Download {
  size: number;
  digest: string;
  stream: ReadableStream<Uint8Array>;
}

/** Opens a file of a version. After a cut the stream goes on where it was. */
export async function openDownload(
  transport: Transport,
  url: string,
  signal: AbortSignal | undefined,
): Promise<Download> {
  const headers = { 'accept-encoding': 'identity' };
  const response = await transport.send(url, { headers, signal });
  const digest = (response.headers.get('etag') ?? '').replace(/^(?:W\/)?"(.*)"$/, '$1');
  const size = Number(response.headers.get('content-length') ?? Number.NaN);
  if (!digest.startsWith('sha256:') || !Number.isSafeInteger(size)) {
    await response.body?.cancel();
    throw new SlipwayError(`${url} does not say which bytes it is.`, {
      code: 'NOT_A_SLIPWAY_SERVER',
    });
  }
  const hasher = await createHasher();
  const bytes = bytesFrom(transport, url, { start: 0, size, signal, response });
  const checked = verified(bytes, hasher, digest, url);
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await checked.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await checked.return(undefined);
    },
  });
  return { size, digest, stream };
}

/** Passes bytes on and fails at the end where they are not those of the digest. */
export async function* verified(
  bytes: AsyncIterable<Uint8Array>,
  hasher: Hasher,
  digest: string,
  what: string,
): AsyncGenerator<Uint8Array, undefined> {
  for await (const piece of bytes) {
    hasher.update(piece);
    yield piece;
  }
  const got = hasher.digest();
  if (got === digest) return undefined;
  throw new SlipwayError(`${what} arrived damaged: its digest is ${got} instead of ${digest}.`, {
    code: 'DIGEST_MISMATCH',
  });
}

export interface Stretch {
  start: number;
  size: number;
  signal: AbortSignal | undefined;
  /** The answer that holds the first bytes, if it is here already. */
  response?: Response;
}

/** The bytes from `start` to the end, asked for again from where they broke off. */
export async function* bytesFrom(
  transport: Transport,
  url: string,
  { start, size, signal, response }: Stretch,
): AsyncGenerator<Uint8Array, undefined> {
  let at = start;
  let failures = 0;
  while (at < size) {
    try {
      response ??= await openAt(transport, url, at, signal);
      let skip = at > 0 && response.status === 200 ? at : 0;
      if (!response.body) throw new TypeError('the answer is empty');
      for await (const piece of piecesOf(response.body)) {
        const wanted = piece.subarray(Math.min(skip, piece.length));
        skip -= piece.length - wanted.length;
        at += wanted.length;
        failures = 0;
        if (wanted.length > 0) yield wanted;
      }
      if (at < size) throw new TypeError('the connection was closed early');
    } catch (error) {
      const failure = failureOf(error, url, signal);
      if (failure.status !== 0 || ++failures >= FAILURES) throw failure;
      await pause(delayBefore(failures, undefined, MIN_DELAY, MAX_DELAY), signal);
    }
    response = undefined;
  }
  await response?.body?.cancel();
  return undefined;
}

function openAt(
  transport: Transport,
  url: string,
  at: number,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const range = at > 0 ? `bytes=${at}-` : undefined;
  return transport.send(url, { headers: { range, 'accept-encoding': 'identity' }, signal });
}
