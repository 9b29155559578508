import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RowRange, Signature, Tensor } from '#program';
import type { Job, LoadedVersion } from '#serving';

const JSON_TYPE = 'application/json';
/** What nginx calls a client that went away before its answer. */
const CLIENT_GONE = 499;

/** Is told what becomes of an exchange. */
export interface ExchangeOwner {
  /** The version has run: `rows` of the outputs (absent: all) are the answer. */
  ran(exchange: Exchange, outputs: Tensor[], rows: RowRange | undefined): void;
  failed(exchange: Exchange, error: unknown): void;
  /** It was answered with this status, or the client went away. */
  ended(exchange: Exchange, status: number): void;
}

/** One request and its answer, given once; where it is a prediction, the job of it. */
export class Exchange implements Job {
  /** Answered, or the client has gone. */
  ended = false;
  /** When the body was there (`performance.now()`). */
  begun = 0;
  /** The model as the request names it, and the version that runs it. */
  model = '';
  version: LoadedVersion | undefined;
  /** The one of the version's that the request is about. */
  signature: Signature | undefined;
  /** What the client calls its request, in the body. */
  bodyId: string | undefined;
  inputs: Tensor[] = [];
  rows = 1;
  outputs: string[] = [];
  deadline = 0;
  /** What `x-slipway-version` says: the version of the model that answers, where none does that of this server. */
  answering: string | number = '';
  /** Holds the memory of the body, which is given back at the end. */
  body: { release(): void } | undefined;
  /** Whether the connection ends with this answer. */
  closing = false;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    readonly id: string,
    private readonly owner: ExchangeOwner,
  ) {
    response.on('close', () => this.#end(CLIENT_GONE));
  }

  get expectsContinue(): boolean {
    return this.request.headers.expect !== undefined;
  }

  /** Keeps the version, held for this request, until the answer is out; false where nobody waits for one any longer. */
  capture(model: string, version: LoadedVersion): boolean {
    if (this.ended) {
      version.release();
      return false;
    }
    this.model = model;
    this.version = version;
    this.answering = version.version;
    return true;
  }

  gone(): boolean {
    return this.ended;
  }

  done(outputs: Tensor[], rows?: RowRange): void {
    this.owner.ran(this, outputs, rows);
  }

  failed(error: unknown): void {
    this.owner.failed(this, error);
  }

  json(status: number, body: unknown): void {
    this.send(status, JSON.stringify(body));
  }

  send(status: number, text: string, type = JSON_TYPE, headers?: string[]): void {
    if (this.ended) return;
    const { response } = this;
    const length = Buffer.byteLength(text);
    const head = [
      'content-type',
      type,
      'content-length',
      String(length),
      'x-slipway-version',
      String(this.answering),
      'x-request-id',
      this.id,
      'x-content-type-options',
      'nosniff',
    ];
    if (headers) head.push(...headers);
    if (this.closing) head.push('connection', 'close');
    response.writeHead(status, head);
    const { socket } = response;
    if (socket) {
      // `end(text)` alone makes two pieces of it, of which the second is empty, and a write of several is dearer.
      socket.cork();
      response.write(text, length === text.length ? 'latin1' : 'utf8');
      socket.uncork();
      response.end();
    } else response.end(text);
    this.#end(status);
  }

  #end(status: number): void {
    if (this.ended) return;
    this.ended = true;
    this.body?.release();
    this.owner.ended(this, status);
  }
}
