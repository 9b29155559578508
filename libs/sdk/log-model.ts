import type { InputExample, Metadata, ModelVersion, Origin, Signature, Tags } from './resources.js';
import type { FileInput, Source, StreamSource } from './source.js';
import { inParallel, isStream, sourceOf } from './source.js';
import { SlipwayError } from './slipway-error.js';
import { idempotencyKey } from './transport.js';
import { randomId } from './environment.js';
import type { UploadTarget } from './upload.js';
import { digestOf, isStored, upload, uploadStream } from './upload.js';

/** Files that are hashed and uploaded at a time. */
const PARALLEL = 4;

export interface LogModelOptions {
  name: string;
  /** A file, or a folder whose files become those of the version (Node only). */
  path?: string;
  files?: FileInput[];
  /** Recognised from the files where it is left out. */
  format?: string;
  /** May be left out where the format carries it. */
  signature?: Signature;
  inputExample?: InputExample;
  metrics?: Record<string, number | string>;
  params?: Record<string, string | number | boolean>;
  tags?: Tags;
  description?: string;
  metadata?: Metadata;
  lineage?: Origin;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
  /** A key of your own makes this version once, however often a script is repeated within a day. */
  idempotencyKey?: string;
}

/** How far `logModel` is; all figures are bytes over all files. */
export interface Progress {
  phase: 'upload' | 'commit';
  /** The file that moved, if one did. */
  path?: string;
  hashed: number;
  sent: number;
  /** What the server had already. */
  skipped: number;
  /** Of a stream only what has passed is known. */
  total: number;
}

/** Stores the files and makes a version of them. Nothing is visible before all of it is. */
export async function logModel(
  target: UploadTarget,
  options: LogModelOptions,
): Promise<ModelVersion> {
  const sources = await sourcesOf(options);
  const key = options.idempotencyKey ?? randomId();
  try {
    const files = await storeAll(target, sources, options.onProgress);
    try {
      return await createVersion(target, options, files, key);
    } catch (error) {
      const missing = error instanceof SlipwayError && error.code === 'BLOB_MISSING';
      if (!missing || sources.some(isStream)) throw error;
      // What was stored when we began may be gone at the end of a very long upload.
      const again = await storeAll(target, sources, options.onProgress);
      return await createVersion(target, options, again, `${key}:again`);
    }
  } finally {
    for (const source of sources) if (!isStream(source)) await source.close?.();
  }
}

async function sourcesOf({ path, files }: LogModelOptions): Promise<(Source | StreamSource)[]> {
  if ((path === undefined) === (files === undefined))
    throw new SlipwayError('logModel takes either a path or files.', { code: 'INVALID_ARGUMENT' });
  if (path === undefined) return (files ?? []).map(sourceOf);
  const { sourcesAt } = await import('./node/files.js');
  return sourcesAt(path);
}

function createVersion(
  target: UploadTarget,
  options: LogModelOptions,
  files: { path: string; digest: string }[],
  key: string,
): Promise<ModelVersion> {
  const { format, signature, inputExample, metrics, tags, description, metadata, lineage } =
    options;
  const params =
    options.params &&
    Object.fromEntries(Object.entries(options.params).map(([name, value]) => [name, `${value}`]));
  const body = { format, signature, inputExample, metrics, tags, description, metadata, lineage };
  return target.transport.json<ModelVersion>(
    `${target.url}/api/v1/models/${encodeURIComponent(options.name)}/versions`,
    {
      method: 'POST',
      json: { files, params, ...body },
      headers: idempotencyKey(key),
      signal: target.signal,
    },
  );
}

async function storeAll(
  target: UploadTarget,
  sources: (Source | StreamSource)[],
  onProgress: LogModelOptions['onProgress'],
): Promise<{ path: string; digest: string }[]> {
  const tally = new Tally(sources, onProgress);
  const digests = new Map<string, string>();
  const stored = new Map<string, Promise<boolean>>();
  await inParallel(sources, PARALLEL, async (source) => {
    const { path } = source;
    if (isStream(source)) {
      const report = (offset: number) => tally.sent(path, offset);
      const blob = await uploadStream(target, source, report);
      if (blob.skipped) tally.skipped(path, blob.size);
      digests.set(path, blob.digest);
      return;
    }
    const digest = await digestOf(source, target.signal, (count) => tally.hashed(path, count));
    digests.set(path, digest);
    // The same bytes under two paths travel once.
    const other = stored.get(digest);
    const mine = other ?? store(target, source, digest, tally);
    stored.set(digest, mine);
    if ((await mine) || other) tally.skipped(path, source.size);
  });
  tally.commit();
  return sources.map(({ path }) => ({ path, digest: digests.get(path) ?? '' }));
}

/** Says whether the server had it already. */
async function store(
  target: UploadTarget,
  source: Source,
  digest: string,
  tally: Tally,
): Promise<boolean> {
  if (await isStored(target, digest)) return true;
  await upload(target, source, digest, (offset) => tally.sent(source.path, offset));
  return false;
}

/** Sums what happens to the files and tells it. */
class Tally {
  readonly #sizes = new Map<string, number>();
  readonly #sent = new Map<string, number>();
  readonly #skipped = new Map<string, number>();
  #hashed = 0;

  constructor(
    sources: (Source | StreamSource)[],
    private readonly listener: LogModelOptions['onProgress'],
  ) {
    for (const source of sources) if (!isStream(source)) this.#sizes.set(source.path, source.size);
  }

  hashed(path: string, count: number): void {
    this.#hashed += count;
    this.#tell('upload', path);
  }

  sent(path: string, offset: number): void {
    this.#sent.set(path, offset);
    if ((this.#sizes.get(path) ?? 0) < offset) this.#sizes.set(path, offset);
    this.#tell('upload', path);
  }

  skipped(path: string, size: number): void {
    this.#skipped.set(path, size);
    this.#sizes.set(path, size);
    this.#tell('upload', path);
  }

  commit(): void {
    this.#tell('commit');
  }

  #tell(phase: Progress['phase'], path?: string): void {
    this.listener?.({
      phase,
      ...(path === undefined ? {} : { path }),
      hashed: this.#hashed,
      sent: sum(this.#sent),
      skipped: sum(this.#skipped),
      total: sum(this.#sizes),
    });
  }
}

function sum(figures: Map<string, number>): number {
  return [...figures.values()].reduce((total, figure) => total + figure, 0);
}
