import type { Download } from './download.js';
import { openDownload } from './download.js';
import { isNode, variable } from './environment.js';
import { eventsFrom } from './event-stream.js';
import type { Page } from './listing.js';
import { Listing } from './listing.js';
import type { LogModelOptions } from './log-model.js';
import { logModel } from './log-model.js';
import type {
  AliasOptions,
  CallOptions,
  ConditionalOptions,
  ListOptions,
  PromoteOptions,
  PullProgress,
  RollbackOptions,
  SlipwayOptions,
  VerifyOptions,
} from './options.js';
import type { InferOptions, Prediction, PredictionInputs, PredictOptions } from './prediction.js';
import { Predictor } from './prediction.js';
import type {
  Collected,
  InferRequest,
  InferResponse,
  LineageGraph,
  Manifest,
  Metadata,
  MinuteStats,
  Model,
  ModelVersion,
  Promotion,
  Server,
  ServingProcess,
  SlipwayEvent,
  Tags,
  TensorSpec,
  Transition,
  Verified,
  VersionReference,
} from './resources.js';
import { SlipwayError } from './slipway-error.js';
import { inParallel } from './source.js';
import type { Call, RetryOptions } from './transport.js';
import { idempotencyKey, pause, Transport } from './transport.js';
import { traceparentOf } from './trace.js';
import type { UploadMemory } from './upload.js';

const DEFAULT_URL = 'http://127.0.0.1:5000';
const DEFAULT_RETRY: RetryOptions = { attempts: 5, minDelay: 200, maxDelay: 5_000 };
/** Files of a version that are fetched at a time. */
const PARALLEL = 4;

/**
 * A client of a Slipway server, for Node and the browser.
 *
 * Calls that may be repeated are, after 429, 503 and broken connections. Failures are `SlipwayError`; an aborted `signal`
 * rejects with its own reason.
 */
export class Slipway {
  readonly url: string;
  readonly #transport: Transport;
  readonly #predictor: Predictor;
  readonly #uploadMemory: UploadMemory | undefined;

  constructor(options: SlipwayOptions = {}) {
    this.url = (options.url ?? defaultUrl()).replace(/\/+$/, '');
    if (!/^https?:\/\/[^/]/.test(this.url))
      throw new SlipwayError(
        `${JSON.stringify(this.url)} is no address of a server, like ${DEFAULT_URL}.`,
        {
          code: 'INVALID_ARGUMENT',
        },
      );
    // A broken one is told at once, not with the first request.
    if (typeof options.trace === 'string') traceparentOf(options.trace);
    this.#transport = new Transport({
      token: options.token ?? variable('SLIPWAY_TOKEN'),
      actor: options.actor,
      trace: options.trace,
      fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
      retry: { ...DEFAULT_RETRY, ...options.retry },
    });
    this.#predictor = new Predictor({
      transport: this.#transport,
      url: this.url,
      servingUrl: options.servingUrl?.replace(/\/+$/, ''),
      through: options.predictThrough ?? (isNode() ? 'serving' : 'registry'),
    });
    this.#uploadMemory = options.uploadMemory;
  }

  server(options: CallOptions = {}): Promise<Server> {
    return this.#json('/server', options);
  }

  /**
   * Stores the files of a model and makes a version of them; the model is made if it does not exist. Files that the server has
   * are not sent, uploads go on after a cut, and a repeated request makes no second version. With `promote` the version is
   * promoted too.
   */
  async logModel(
    options: LogModelOptions & { promote?: boolean | PromoteOptions },
  ): Promise<ModelVersion> {
    const { promote, signal } = options;
    const target = {
      transport: this.#transport,
      url: this.url,
      signal,
      memory: this.#uploadMemory,
    };
    const made = await logModel(target, options);
    if (!promote) return made;
    const how = promote === true ? {} : promote;
    await this.promote(options.name, made.version, { ...signalOf(signal), ...how });
    return this.version(options.name, made.version, signalOf(signal));
  }

  models(options: ListOptions = {}): Listing<Model> {
    return this.#list('/models', options);
  }

  model(name: string, options: CallOptions = {}): Promise<Model> {
    return this.#json(modelPath(name), options);
  }

  createModel(
    model: { name: string; description?: string; tags?: Tags; metadata?: Metadata },
    options: CallOptions = {},
  ): Promise<Model> {
    return this.#post('/models', model, options);
  }

  /** A tag set to `null` is removed; `follow` is `production` or an alias, `@champion`. */
  updateModel(
    name: string,
    changes: {
      name?: string;
      description?: string;
      tags?: Record<string, string | null>;
      metadata?: Metadata;
      follow?: string;
    },
    options: ConditionalOptions = {},
  ): Promise<Model> {
    return this.#change('PATCH', modelPath(name), changes, options);
  }

  /** A model that is being served is deleted only with `force`. */
  deleteModel(name: string, options: ConditionalOptions & { force?: boolean } = {}): Promise<void> {
    const query = { force: options.force };
    return this.#change('DELETE', modelPath(name), undefined, options, query);
  }

  versions(name: string, options: ListOptions = {}): Listing<ModelVersion> {
    return this.#list(`${modelPath(name)}/versions`, options);
  }

  version(
    name: string,
    version: VersionReference,
    options: CallOptions = {},
  ): Promise<ModelVersion> {
    return this.#json(versionPath(name, version), options);
  }

  updateVersion(
    name: string,
    version: VersionReference,
    changes: { description?: string; tags?: Record<string, string | null>; metadata?: Metadata },
    options: ConditionalOptions = {},
  ): Promise<ModelVersion> {
    return this.#change('PATCH', versionPath(name, version), changes, options);
  }

  deleteVersion(
    name: string,
    version: VersionReference,
    options: ConditionalOptions = {},
  ): Promise<void> {
    return this.#change('DELETE', versionPath(name, version), undefined, options);
  }

  /** Compiles and verifies a version again, as after an upgrade of the server. */
  check(name: string, version: VersionReference, options: CallOptions = {}): Promise<ModelVersion> {
    return this.#post(`${versionPath(name, version)}/check`, undefined, options);
  }

  /** Waits until it is known whether the version can answer predictions; after `timeout` seconds (default 60) it fails. */
  async checked(
    name: string,
    version: VersionReference,
    options: CallOptions & { timeout?: number } = {},
  ): Promise<ModelVersion> {
    const { timeout = 60 } = options;
    const end = Date.now() + timeout * 1000;
    for (let delay = 50; ; delay = Math.min(1000, delay * 1.5)) {
      const found = await this.version(name, version, options);
      if (found.serving.state !== 'pending') return found;
      if (Date.now() + delay > end)
        throw new SlipwayError(`${name}/${version} is still being compiled after ${timeout} s.`, {
          code: 'DEADLINE_EXCEEDED',
        });
      await pause(delay, options.signal);
    }
  }

  files(name: string, version: VersionReference, options: CallOptions = {}): Promise<Manifest> {
    return this.#json(`${versionPath(name, version)}/files`, options);
  }

  /** One file as a stream that goes on after cuts, and that fails at its end where the bytes are not those of the digest. */
  download(
    name: string,
    version: VersionReference,
    path: string,
    options: CallOptions = {},
  ): Promise<Download> {
    return openDownload(this.#transport, this.#fileUrl(name, version, path), options.signal);
  }

  /**
   * Brings all files of a version to a folder (Node only). Files that are there are left alone, broken ones are gone on with,
   * every digest is verified.
   */
  async pull(
    name: string,
    version: VersionReference,
    folder: string,
    options: CallOptions & { onProgress?: (progress: PullProgress) => void } = {},
  ): Promise<Manifest & { version: number }> {
    const { signal, onProgress } = options;
    // `production` may move between two files; the number does not.
    const { version: number } = await this.version(name, version, options);
    const manifest = await this.files(name, number, options);
    const { files } = manifest;
    if (!files)
      throw new SlipwayError(`The files of ${name}/${number} are not held by this server.`, {
        code: 'FAILED_PRECONDITION',
      });
    const { pullFile } = await import('./node/pull-file.js');
    const received = new Map<string, number>();
    let skipped = 0;
    const tell = (path: string) => {
      const sum = [...received.values()].reduce((total, bytes) => total + bytes, 0);
      onProgress?.({ path, received: sum, skipped, total: manifest.size });
    };
    await inParallel(files, PARALLEL, async (file) => {
      const onBytes = (bytes: number) => {
        received.set(file.path, bytes);
        tell(file.path);
      };
      const url = this.#fileUrl(name, number, file.path);
      const outcome = await pullFile(this.#transport, url, folder, file, { signal, onBytes });
      if (outcome === 'there') skipped += file.size;
      tell(file.path);
    });
    return { ...manifest, version: number };
  }

  /** Gives a version a stage, Production by default, and waits for serving to answer with it. */
  promote(
    name: string,
    version: VersionReference,
    { signal, ...how }: PromoteOptions = {},
  ): Promise<Promotion> {
    return this.#post(`${versionPath(name, version)}/promote`, how, signalOf(signal));
  }

  /** Takes back the last promotion. */
  rollback(name: string, { signal, ...how }: RollbackOptions = {}): Promise<Promotion> {
    return this.#post(`${modelPath(name)}/rollback`, how, signalOf(signal));
  }

  transitions(
    name: string,
    options: Omit<ListOptions, 'filter' | 'order'> = {},
  ): Listing<Transition> {
    return this.#list(`${modelPath(name)}/transitions`, options);
  }

  setAlias(
    name: string,
    alias: string,
    version: VersionReference,
    { signal, ifMatch, ...how }: AliasOptions & ConditionalOptions = {},
  ): Promise<Promotion> {
    const conditions = { ...signalOf(signal), ...(ifMatch ? { ifMatch } : {}) };
    return this.#change('PUT', aliasPath(name, alias), { version, ...how }, conditions);
  }

  deleteAlias(name: string, alias: string, options: ConditionalOptions = {}): Promise<void> {
    return this.#change('DELETE', aliasPath(name, alias), undefined, options);
  }

  lineage(
    name: string,
    version: VersionReference,
    options: CallOptions & { direction?: 'up' | 'down' | 'both'; depth?: number } = {},
  ): Promise<LineageGraph> {
    const { direction, depth } = options;
    return this.#json(`${versionPath(name, version)}/lineage`, options, { direction, depth });
  }

  /** What every serving process does with the model. */
  async serving(name: string, options: CallOptions = {}): Promise<ServingProcess[]> {
    const path = `${modelPath(name)}/serving`;
    return (await this.#json<Page<ServingProcess>>(path, options)).items;
  }

  /** Requests, errors and latencies per minute and version; times are RFC 3339 or `Date`. */
  async stats(
    name: string,
    options: CallOptions & { from?: string | Date; to?: string | Date } = {},
  ): Promise<MinuteStats[]> {
    const query = { from: timeOf(options.from), to: timeOf(options.to) };
    const path = `${modelPath(name)}/stats`;
    return (await this.#json<Page<MinuteStats>>(path, options, query)).items;
  }

  /** Everything that happens, without end; after a cut it goes on without loss. */
  events(options: CallOptions & { lastEventId?: string } = {}): AsyncIterable<SlipwayEvent> {
    return eventsFrom(this.#transport, `${this.url}/api/v1/events`, options);
  }

  /** Removes what no version needs: bytes of deleted versions and of uploads given up, once the grace time is over. */
  gc({
    signal,
    ...how
  }: CallOptions & { graceSeconds?: number; dryRun?: boolean } = {}): Promise<Collected> {
    return this.#post('/gc', how, signalOf(signal));
  }

  /**
   * Lets the server read what it stores and compare it with the digests. A blob that it finds damaged is not stored any
   * more: whoever logs these bytes again sends them, and mends it.
   */
  async verify({ model, version, signal, onProgress }: VerifyOptions = {}): Promise<Verified> {
    const all: Verified = { checked: 0, bytes: 0, damaged: [] };
    // `production` may move between two steps; the number does not.
    const known =
      model !== undefined && version !== undefined
        ? await this.version(model, version, signalOf(signal))
        : undefined;
    const of = { model, ...(known && { version: String(known.version) }) };
    for (let after: string | null = ''; after !== null;) {
      const call = { method: 'POST', json: { ...of, after }, repeatable: true, signal } as const;
      const step: Verified & { next: string | null } = await this.#transport.json(
        `${this.url}/api/v1/blobs/verify`,
        call,
      );
      all.checked += step.checked;
      all.bytes += step.bytes;
      all.damaged.push(...step.damaged);
      after = step.next;
      onProgress?.(all);
    }
    return all;
  }

  /**
   * A prediction. Inputs are nested arrays by name (or one without a name, for a model with one input), whose dtypes the
   * model's metadata says, or V2 tensors. Outputs are nested arrays by name; INT64 beyond 2^53 are bigints.
   */
  predict(
    name: string,
    inputs: PredictionInputs,
    options: PredictOptions = {},
  ): Promise<Prediction> {
    return this.#predictor.predict(name, inputs, options);
  }

  /** Names, dtypes and shapes of what a prediction takes. */
  inputs(name: string, options: PredictOptions = {}): Promise<TensorSpec[]> {
    return this.#predictor.inputs(name, options);
  }

  /** A V2 request as it stands, answered as it comes. */
  infer(name: string, request: InferRequest, options: InferOptions = {}): Promise<InferResponse> {
    return this.#predictor.infer(name, request, options);
  }

  #fileUrl(name: string, version: VersionReference, path: string): string {
    const parts = path.split('/').map(encodeURIComponent).join('/');
    return `${this.url}/api/v1${versionPath(name, version)}/files/${parts}`;
  }

  #json<T>(path: string, { signal }: CallOptions, query: Call['query'] = {}): Promise<T> {
    return this.#transport.json<T>(`${this.url}/api/v1${path}`, { query, signal });
  }

  #post<T>(path: string, json: unknown, { signal }: CallOptions): Promise<T> {
    const call = { method: 'POST', json, headers: idempotencyKey(), signal } as const;
    return this.#transport.json<T>(`${this.url}/api/v1${path}`, call);
  }

  #change<T>(
    method: 'PATCH' | 'PUT' | 'DELETE',
    path: string,
    json: unknown,
    { signal, ifMatch }: ConditionalOptions,
    query: Call['query'] = {},
  ): Promise<T> {
    const headers = { 'if-match': ifMatch === undefined ? undefined : quoted(ifMatch) };
    const call = { method, json, headers, query, signal };
    return this.#transport.json<T>(`${this.url}/api/v1${path}`, call);
  }

  #list<T>(path: string, { signal, filter, order, limit }: ListOptions): Listing<T> {
    return new Listing<T>((cursor) =>
      this.#json<Page<T>>(path, signalOf(signal), { filter, order, limit, cursor }),
    );
  }
}

function defaultUrl(): string {
  if (isNode()) return variable('SLIPWAY_URL') || DEFAULT_URL;
  return typeof location === 'undefined' ? DEFAULT_URL : location.origin;
}

function modelPath(name: string): string {
  return `/models/${encodeURIComponent(name)}`;
}

function versionPath(name: string, version: VersionReference): string {
  return `${modelPath(name)}/versions/${encodeURIComponent(version)}`;
}

function aliasPath(name: string, alias: string): string {
  return `${modelPath(name)}/aliases/${encodeURIComponent(alias)}`;
}

function signalOf(signal: AbortSignal | undefined): CallOptions {
  return signal ? { signal } : {};
}

function quoted(etag: string): string {
  return /^(W\/)?"/.test(etag) || etag === '*' ? etag : `"${etag}"`;
}

function timeOf(time: string | Date | undefined): string | undefined {
  return time instanceof Date ? time.toISOString() : time;
}
