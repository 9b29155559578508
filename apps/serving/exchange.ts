import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LoadedVersion } from '#serving';

const JSON_TYPE = 'application/json';
const CLOSE = ['connection', 'close'];
/** What nginx calls a client that went away before its answer. */
const CLIENT_GONE = 499;

/** One request and its answer, given once. */
export class Exchange {
  /** Answered, or the client has gone. */
  ended = false;
  /** When the body was there (`performance.now()`). */
  begun = 0;
  /** The model as the request names it, and the version that runs it. */
  model = '';
  version: LoadedVersion | undefined;
  /** What `x-slipway-version` says: the version of the model that answers, where none does that of this server. */
  answering: string | number = '';
  /** Gives the memory of the body back; called at the end. */
  releaseBody: (() => void) | undefined;
  /** Whether the connection ends with this answer. */
  closing = false;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    readonly id: string,
    private readonly onEnd: (exchange: Exchange, status: number) => void,
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

  json(status: number, body: unknown): void {
    this.send(status, JSON.stringify(body));
  }

  send(status: number, text: string, type = JSON_TYPE, headers: string[] = []): void {
    if (this.ended) return;
    const { response } = this;
    const length = Buffer.byteLength(text);
    response.writeHead(status, [
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
      ...headers,
      ...(this.closing ? CLOSE : []),
    ]);
    const { socket } = response;
    if (socket) {
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
    this.releaseBody?.();
    this.onEnd(this, status);
  }
}
