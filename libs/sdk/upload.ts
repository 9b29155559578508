import type { Hasher } from './hasher.js';
import { createHasher } from './hasher.js';
import type { Source, StreamSource } from './source.js';
import { bytesSource, piecesOf } from './source.js';
import { SlipwayError } from './slipway-error.js';
import { delayBefore, failureOf, pause } from './transport.js';
import type { Call, Transport } from './transport.js';

/** Bytes that travel in one request; what a cut can cost. */
const CHUNK = 8 << 20;
/** Milliseconds without a byte of progress after which an upload gives up: longer than a restart of the server takes. */
const PATIENCE = 60_000;
const MIN_DELAY = 200;
const MAX_DELAY = 5_000;

/** Remembers, by digest, where unfinished uploads are, so that a later run of the program can go on with them. */
export interface UploadMemory {
  get(digest: string): Promise<string | undefined>;
  set(digest: string, location: string): Promise<void>;
  delete(digest: string): Promise<void>;
}

export interface UploadTarget {
  transport: Transport;
  /** The address of the registry, without a slash at its end. */
  url: string;
  signal: AbortSignal | undefined;
  memory: UploadMemory | undefined;
}

export interface StoredBlob {
  digest: string;
  size: number;
}

/** The digest of a source, read once from start to end. */
export async function digestOf(
  source: Source,
  signal: AbortSignal | undefined,
  onBytes: (count: number) => void,
): Promise<string> {
  const hasher = await createHasher();
  for (let start = 0; start < source.size; start += CHUNK) {
    signal?.throwIfAborted();
    const bytes = await readChunk(source, start);
    hasher.update(bytes);
    onBytes(bytes.length);
  }
  return hasher.digest();
}

/** True where the server has the bytes already; it then keeps them for an hour. */
export async function isStored(target: UploadTarget, digest: string): Promise<boolean> {
  const { transport, url, signal } = target;
  const call: Call = { method: 'HEAD', signal, accepts: [404] };
  return (await transport.send(`${url}/api/v1/blobs/${digest}`, call)).ok;
}

/**
 * Uploads a source whose digest is known. `onOffset` hears how many bytes the server holds, which goes back where the server
 * lost some. After a cut it goes on where the server stopped, also after a restart of the server.
 */
export async function upload(
  target: UploadTarget,
  source: Source,
  digest: string,
  onOffset: (offset: number) => void,
): Promise<void> {
  // What travels in one request leaves nothing to go on with.
  const memory = source.size > CHUNK ? target.memory : undefined;
  const to = { ...target, memory };
  const remembered = await memory?.get(digest);
  try {
    await uploadFrom(to, source, digest, remembered, onOffset);
  } catch (error) {
    const wrong = error instanceof SlipwayError && error.code === 'DIGEST_MISMATCH';
    if (!wrong || remembered === undefined) throw error;
    // What an earlier run sent was of another state of the file.
    await uploadFrom(to, source, digest, undefined, onOffset);
  }
  onOffset(source.size);
  await memory?.delete(digest);
}

async function uploadFrom(
  target: UploadTarget,
  source: Source,
  digest: string,
  remembered: string | undefined,
  onOffset: (offset: number) => void,
): Promise<void> {
  const session = new UploadSession(target);
  await session.open(remembered);
  await target.memory?.set(digest, session.location);
  for (;;) {
    const { offset } = session;
    onOffset(offset);
    const end = Math.min(offset + CHUNK, source.size);
    const bytes = offset < end ? await readChunk(source, offset) : new Uint8Array();
    const last = end === source.size;
    const outcome = await (last ? session.finish(digest, bytes) : session.append(bytes));
    if (outcome === 'stored') return;
    if (outcome === 'lost') {
      await session.open(undefined);
      await target.memory?.set(digest, session.location);
    }
  }
}

/**
 * Uploads bytes that pass by once, hashing them on the way: a short stream like any source, a long one without the chance
 * to skip what is stored. The last chunk stays in memory until the server has it.
 */
export async function uploadStream(
  target: UploadTarget,
  { path, stream }: StreamSource,
  onOffset: (offset: number) => void,
): Promise<StoredBlob & { skipped: boolean }> {
  const chunks = chunksOf(stream);
  const first = await chunks.next();
  const second = first.done ? first : await chunks.next();
  if (second.done) {
    const source = bytesSource(path, first.done ? new Uint8Array() : first.value);
    const digest = await digestOf(source, target.signal, () => {});
    const skipped = await isStored(target, digest);
    if (!skipped) await upload(target, source, digest, onOffset);
    return { digest, size: source.size, skipped };
  }
  const hasher = await createHasher();
  const session = new UploadSession(target);
  await session.open(undefined);
  let start = 0;
  const push = async (bytes: Uint8Array) => {
    hasher.update(bytes);
    await appendAll(session, path, start, bytes);
    start += bytes.length;
    onOffset(start);
  };
  await push(first.value ?? new Uint8Array());
  await push(second.value);
  for await (const bytes of chunks) await push(bytes);
  return { ...(await finishStream(session, path, hasher)), skipped: false };
}

async function appendAll(
  session: UploadSession,
  path: string,
  start: number,
  bytes: Uint8Array,
): Promise<void> {
  while (session.offset < start + bytes.length) {
    if (session.offset < start) throw lostStream(path);
    if ((await session.append(bytes.subarray(session.offset - start))) === 'lost')
      throw lostStream(path);
  }
}

async function finishStream(
  session: UploadSession,
  path: string,
  hasher: Hasher,
): Promise<StoredBlob> {
  const size = session.offset;
  const digest = hasher.digest();
  for (;;) {
    const outcome = await session.finish(digest, new Uint8Array());
    if (outcome === 'stored') return { digest, size };
    if (outcome === 'lost' || session.offset !== size) throw lostStream(path);
  }
}

function lostStream(path: string): SlipwayError {
  return new SlipwayError(
    `The server lost the upload of ${path}, and a stream cannot be read again: start once more.`,
    { code: 'UPLOAD_LOST' },
  );
}

/** `ok`: look at `offset` and go on; `lost`: the server does not know the upload any more. */
type Outcome = 'ok' | 'stored' | 'lost';

/** One upload at the server: where it is, and how much of it the server holds. */
class UploadSession {
  location = '';
  offset = 0;
  #failures = 0;
  #progressAt = Date.now();

  constructor(private readonly target: UploadTarget) {}

  /** Goes on with a remembered upload, else begins a new one. */
  async open(remembered: string | undefined): Promise<void> {
    this.offset = 0;
    if (remembered) {
      this.location = remembered;
      if ((await this.#ask()) === 'ok') return;
    }
    const { transport, url, signal } = this.target;
    const call = { method: 'POST', repeatable: true, signal } as const;
    const response = await transport.send(`${url}/api/v1/blobs/uploads`, call);
    const location = response.headers.get('location') ?? '';
    this.location = locationAt(url, location);
    this.offset = 0;
  }

  /** Appends bytes at `offset`, and moves it. */
  async append(bytes: Uint8Array): Promise<Outcome> {
    const outcome = await this.#attempt('PATCH', this.location, bytes, undefined);
    if (outcome === 'stored') this.offset += bytes.length;
    return outcome === 'stored' ? 'ok' : outcome;
  }

  /** Appends the last bytes and has the server check the digest. */
  finish(digest: string, bytes: Uint8Array): Promise<Outcome> {
    const url = `${this.location}?digest=${encodeURIComponent(digest)}`;
    return this.#attempt('PUT', url, bytes, digest);
  }

  /** One request; after a failure that may pass, the server is asked how much it holds. */
  async #attempt(
    method: 'PATCH' | 'PUT',
    url: string,
    bytes: Uint8Array,
    digest: string | undefined,
  ): Promise<Outcome> {
    const { transport, signal } = this.target;
    const range = `${this.offset}-${this.offset + bytes.length - 1}`;
    const headers = { 'content-range': bytes.length > 0 ? range : undefined };
    try {
      await transport.send(url, { method, bytes, headers, signal, retries: false });
      this.#failures = 0;
      this.#progressAt = Date.now();
      return 'stored';
    } catch (error) {
      return this.#recover(failureOf(error, url, signal), digest);
    }
  }

  async #recover(failure: SlipwayError, digest: string | undefined): Promise<Outcome> {
    const { signal } = this.target;
    const passing = [0, 404, 408, 409, 416, 429, 502, 503, 504].includes(failure.status);
    if (!passing || this.#failures > 100) throw failure;
    for (let last = failure; ;) {
      if (Date.now() - this.#progressAt > PATIENCE) throw last;
      await pause(delayBefore(++this.#failures, last.retryAfter, MIN_DELAY, MAX_DELAY), signal);
      try {
        if (digest && (await isStored(this.target, digest))) return 'stored';
        return await this.#ask();
      } catch (error) {
        last = failureOf(error, this.location, signal);
        if (last.status !== 0 && last.status < 500 && last.status !== 429) throw last;
      }
    }
  }

  /** Asks the server where to go on. */
  async #ask(): Promise<'ok' | 'lost'> {
    const { transport, signal } = this.target;
    const call = { signal, accepts: [404, 410], retries: false };
    const response = await transport.send(this.location, call);
    if (!response.ok) return 'lost';
    const held = heldOf(response.headers.get('range'));
    if (held > this.offset) this.#progressAt = Date.now();
    this.offset = held;
    return 'ok';
  }
}

/** Bytes that the server holds, by its `Range: 0-{last}`; without the header none. */
function heldOf(range: string | null): number {
  const last = /^(?:bytes[ =])?0-(\d+)$/.exec(range ?? '')?.[1];
  return last === undefined ? 0 : Number(last) + 1;
}

/**
 * The address of an upload. Only its path counts: behind a proxy the server may name itself otherwise than we reach it, and
 * a token never goes to another host.
 */
function locationAt(url: string, location: string): string {
  const path = new URL(location, `${url}/`).pathname;
  const from = path.indexOf('/api/v1/blobs/uploads/');
  if (from < 0)
    throw new SlipwayError(`${url} began an upload but did not say where it is.`, {
      code: 'NOT_A_SLIPWAY_SERVER',
    });
  return url + path.slice(from);
}

async function readChunk(source: Source, start: number): Promise<Uint8Array> {
  const end = Math.min(start + CHUNK, source.size);
  const bytes = await source.read(start, end);
  if (bytes.length === end - start) return bytes;
  throw new SlipwayError(`${source.path} became shorter while it was read.`, {
    code: 'INVALID_ARGUMENT',
  });
}

/** The stream in chunks of equal size, but for the last. */
async function* chunksOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, undefined> {
  const buffer = new Uint8Array(CHUNK);
  let filled = 0;
  for await (const piece of piecesOf(stream)) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + CHUNK - filled);
      buffer.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < CHUNK) continue;
      yield buffer.slice();
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.slice(0, filled);
  return undefined;
}
