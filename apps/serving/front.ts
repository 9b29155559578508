import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type AccessCheck,
  type BrokenAnswer,
  type Config,
  DomainError,
  type Logger,
  type ProblemDocument,
  problemHeaders,
  problemOf,
  givenId,
  METRICS_TYPE,
  spanIn,
} from '#platform';
import {
  bindOutputs,
  chooseSignature,
  ProgramError,
  type RowRange,
  showInputs,
  type Signature,
  type Tensor,
} from '#program';
import {
  CodecError,
  decodeInferRequest,
  encodeInferResponse,
  modelMetadata,
  modelReady,
  serverLive,
  serverMetadata,
  serverReady,
  signatureName,
  type InferLimits,
} from '#protocols';
import type { LoadedVersion, ModelManager, RequestCounts, RunMarker } from '#serving';
import { BodyCollector } from './body.js';
import { Exchange, type ExchangeOwner } from './exchange.js';
import { FailureLog } from './failure-log.js';
import { readPath, routeOf, type Target } from './request-path.js';

export interface FrontOptions {
  config: Pick<Config, 'MAX_BODY' | 'MAX_ROWS' | 'PREDICT_TIMEOUT'>;
  manager: ModelManager;
  counts: RequestCounts;
  checkAccess: AccessCheck;
  /** Whether the server still prepares what it was asked for, so that it is not ready yet. */
  starting(): boolean;
  /** Text of `/metrics`, over all workers. */
  metrics(): Promise<string>;
  /** Why what must be served cannot be read at present. */
  outage?(): string | undefined;
  marker: RunMarker | undefined;
  /** Of this server. */
  version: string;
  log: Logger;
}

type ModelTarget = Extract<Target, { model: string }>;

const MAX_DEPTH = 64;
/** Bodies and answers above these are marked, because they hold the event loop; the speed is the slowest expected. */
const LARGE_BODY = 2 ** 20;
const LARGE_ANSWER = 100_000;
const SLOWEST_BYTES_PER_MS = 10_000;
const SLOWEST_ELEMENTS_PER_MS = 500;

/** Answers the routes of the serving port on bare node:http: nothing stands between a request and its model. */
export class Front {
  /** Requests that have begun and have no answer yet. */
  active = 0;
  /** Set when the process is to stop: every answer then closes its connection. */
  draining = false;

  readonly #options: FrontOptions;
  readonly #bodies: BodyCollector;
  readonly #limits: InferLimits;
  readonly #failures: FailureLog;
  /** Whether each prediction is logged; asked once. */
  readonly #logsAll: boolean;
  readonly #idPrefix = randomBytes(6).toString('hex');
  #nextId = 0;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#bodies = new BodyCollector(options.config.MAX_BODY);
    this.#failures = new FailureLog(options.log);
    this.#logsAll = options.log.isLevelEnabled('debug');
    this.#limits = { maxDepth: MAX_DEPTH, maxRows: options.config.MAX_ROWS };
  }

  /** The listener of the HTTP server. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    this.active++;
    const exchange = new Exchange(request, response, this.#idOf(request), this.#owner);
    exchange.answering = this.#options.version;
    exchange.closing = this.draining;
    try {
      const refusal = this.#options.checkAccess(request);
      if (refusal) throw refusal;
      const target = readPath(request.url ?? '');
      if (target.kind === 'infer') this.#infer(exchange, target);
      else this.#get(exchange, target);
    } catch (error) {
      this.#fail(exchange, error);
    }
  };

  /** The answer to what is no HTTP at all. */
  refusal(problem: ProblemDocument): BrokenAnswer {
    return {
      headers: {
        'content-type': 'application/json',
        'x-slipway-version': this.#options.version,
        'x-request-id': this.#newId(),
      },
      body: documentOf(problem),
    };
  }

  #idOf({ headers }: IncomingMessage): string {
    return givenId(headers['x-request-id']) ?? this.#newId();
  }

  #newId(): string {
    return this.#idPrefix + (this.#nextId++).toString(36);
  }

  #get(exchange: Exchange, target: Target): void {
    const { method } = exchange.request;
    if (method !== 'GET' && method !== 'HEAD') throw wrongMethod(method, ['GET', 'HEAD']);
    switch (target.kind) {
      case 'server':
        return exchange.json(200, serverMetadata(this.#options.version));
      case 'live':
        return exchange.json(200, serverLive());
      case 'livez':
        return exchange.json(200, { status: 'ok' });
      case 'ready': {
        const ready = this.#status === 'ok';
        return exchange.json(ready ? 200 : 503, serverReady(ready));
      }
      case 'readyz': {
        const status = this.#status;
        return exchange.json(status === 'ok' ? 200 : 503, this.#readiness(status));
      }
      case 'metrics':
        return this.#later(exchange, this.#metrics(exchange));
      case 'model':
        return this.#later(exchange, this.#metadata(exchange, target));
      case 'model-ready':
        return this.#later(exchange, this.#modelReady(exchange, target));
      case 'infer':
        return;
    }
  }

  /** In one word; a request may come in with any of them. */
  get #status(): 'ok' | 'loading' | 'starting' | 'stopping' {
    if (this.draining) return 'stopping';
    if (!this.#options.manager.ready) return 'loading';
    return this.#options.starting() ? 'starting' : 'ok';
  }

  #readiness(status: string): object {
    const models = this.#options.manager.states.filter((state) => state.state !== 'ready');
    const waiting = models.map(({ model, state, answering, reason }) => ({
      model,
      state,
      answering,
      reason,
    }));
    const outage = this.#options.outage?.();
    return { status, models: waiting, ...(outage !== undefined && { outage }) };
  }

  async #metrics(exchange: Exchange): Promise<void> {
    const text = await this.#options.metrics();
    exchange.send(200, text, METRICS_TYPE);
  }

  async #metadata(exchange: Exchange, { model, word }: ModelTarget): Promise<void> {
    const version = await this.#options.manager.acquire(model, word);
    try {
      exchange.answering = version.version;
      const numbers = [...(this.#options.manager.routes.get(model)?.versions.keys() ?? [])];
      const versions = word === undefined ? numbers.sort((a, b) => a - b) : [version.version];
      const { format, signature, signatures } = version.program;
      exchange.json(200, modelMetadata({ name: model, versions, format, signature, signatures }));
    } finally {
      version.release();
    }
  }

  async #modelReady(exchange: Exchange, { model, word }: ModelTarget): Promise<void> {
    try {
      const version = await this.#options.manager.acquire(model, word);
      exchange.answering = version.version;
      version.release();
      exchange.json(200, modelReady(model, true));
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'UNAVAILABLE') throw error;
      exchange.json(503, { ...modelReady(model, false), error: error.message });
    }
  }

  #later(exchange: Exchange, work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(exchange, error));
  }

  #infer(exchange: Exchange, target: ModelTarget): void {
    const { request } = exchange;
    if (request.method !== 'POST') throw wrongMethod(request.method, ['POST']);
    const refusal = this.#bodies.check(request);
    if (refusal) throw refusal;
    if (exchange.expectsContinue) exchange.response.writeContinue();
    exchange.body = this.#bodies.collect(request, {
      received: (body) => this.#predict(exchange, target, body),
      refused: (error) => this.#fail(exchange, error),
    });
  }

  #predict(exchange: Exchange, target: ModelTarget, body: Buffer): void {
    exchange.begun = performance.now();
    const { manager } = this.#options;
    const { model, word } = target;
    const found = manager.find(model, word);
    if (found) return this.#run(exchange, model, found.lease(), body);
    manager.acquire(model, word).then(
      (version) => this.#run(exchange, model, version, body),
      (error: unknown) => this.#fail(exchange, error),
    );
  }

  /** Runs a request on the version that it captured; from here on whatever is swapped does not matter to it. */
  #run(exchange: Exchange, model: string, version: LoadedVersion, body: Buffer): void {
    if (!exchange.capture(model, version)) return;
    const { config, marker } = this.#options;
    const large = body.length > LARGE_BODY;
    try {
      if (large) marker?.coding(body.length / SLOWEST_BYTES_PER_MS);
      const { id, inputs, outputs, parameters } = decodeInferRequest(body, this.#limits);
      exchange.bodyId = id;
      const asked = parameters && signatureName(parameters);
      exchange.signature = chooseSignature(version.program, asked).signature;
      const limits = { maxRows: config.MAX_ROWS, signature: asked };
      exchange.inputs = version.program.bind(inputs, limits);
      exchange.rows = exchange.inputs[0]?.shape[0] ?? 1;
      exchange.outputs = bindOutputs(version.program, outputs?.map(nameOf), asked);
      exchange.deadline = Date.now() + config.PREDICT_TIMEOUT;
      version.batcher.submit(exchange);
    } catch (error) {
      this.#fail(exchange, error);
    } finally {
      if (large) marker?.end();
    }
  }

  #answer(exchange: Exchange, outputs: Tensor[], rows: RowRange | undefined): void {
    if (exchange.ended) return;
    const elements = elementsOf(outputs, rows);
    const { marker } = this.#options;
    if (elements > LARGE_ANSWER) marker?.coding(elements / SLOWEST_ELEMENTS_PER_MS);
    try {
      const { model: modelName, version, bodyId: id } = exchange;
      const modelVersion = version?.version ?? 0;
      exchange.send(200, encodeInferResponse({ modelName, modelVersion, id, outputs, rows }));
    } catch (error) {
      this.#fail(exchange, error);
    } finally {
      if (elements > LARGE_ANSWER) marker?.end();
    }
  }

  #fail(exchange: Exchange, cause: unknown): void {
    if (exchange.ended) return;
    const error = expected(cause, exchange.signature ?? exchange.version?.program.signature);
    const problem = problemOf(error, exchange.id);
    if (problem.status >= 500) {
      const fields = logged(exchange, problem.status);
      if (problem.code === 'INTERNAL')
        this.#failures.write('error', { ...fields, err: cause }, 'a prediction failed');
      else this.#failures.write('warn', fields, problem.detail);
    }
    const { 'content-type': _, ...headers } = problemHeaders(problem);
    exchange.send(problem.status, documentOf(problem), undefined, Object.entries(headers).flat());
  }

  readonly #owner: ExchangeOwner = {
    ran: (exchange, outputs, rows) => this.#answer(exchange, outputs, rows),
    failed: (exchange, error) => this.#fail(exchange, error),
    ended: (exchange, status) => {
      this.active--;
      if (this.#logsAll) this.#options.log.debug(logged(exchange, status), 'request');
      const { version, model, begun } = exchange;
      const { counts } = this.#options;
      if (!version) {
        if (status >= 400 && exchange.request.method === 'POST') counts.refuse(status);
        return;
      }
      version.release();
      const { modelId, version: number } = version;
      counts.record(model, modelId, number, status, performance.now() - begun);
    },
  };
}

/** What a log says of a request; the query stays out, because clients may put secrets there. */
function logged(exchange: Exchange, status: number): object {
  const { request, id, model, version, begun } = exchange;
  const { method, url = '', headers } = request;
  const { traceId, spanId } = spanIn(headers) ?? {};
  return {
    trace: id,
    method,
    url: url.split('?', 1)[0],
    route: routeOf(url),
    ...(version && { model, version: version.version }),
    status,
    ...(begun && { ms: Math.round((performance.now() - begun) * 1e3) / 1e3 }),
    ...(traceId && { traceId, spanId }),
  };
}

/** A problem document as V2 clients expect it. */
function documentOf(problem: ProblemDocument): string {
  return JSON.stringify({ ...problem, error: problem.detail });
}

function elementsOf(outputs: Tensor[], rows: RowRange | undefined): number {
  let elements = 0;
  for (const { data, shape } of outputs) {
    elements += rows ? (data.length / (shape[0] || 1)) * rows.count : data.length;
  }
  return elements;
}

function nameOf({ name }: { name: string }): string {
  return name;
}

function wrongMethod(method: string | undefined, allow: string[]): DomainError {
  const message = `${method} is not allowed here; use ${allow.join(' or ')}.`;
  return new DomainError('METHOD_NOT_ALLOWED', message, { extra: { allow } });
}

/** A fault of the request as the libraries say it, as one that the door says: with the inputs that were expected. */
function expected(error: unknown, signature: Signature | undefined): unknown {
  const wrong =
    error instanceof CodecError ||
    (error instanceof ProgramError && error.code === 'INVALID_INPUT');
  if (!wrong) return error;
  const { pointer = '', message } = error;
  const inputs = signature && pointer.startsWith('/inputs') ? showInputs(signature) : '';
  const said = message.includes(inputs) ? message : `${message} Expected ${inputs}.`;
  return DomainError.invalid(pointer, said);
}
