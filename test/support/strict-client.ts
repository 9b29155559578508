import { Agent, request, type IncomingHttpHeaders } from 'node:http';

/** One whole answer. */
export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
  /** Milliseconds from the request to the last byte. */
  ms: number;
  json<T>(): T;
}

export interface Asked {
  json?: unknown;
  bytes?: Uint8Array;
  headers?: Record<string, string>;
  /** Statuses of 5xx that are expected besides 503. */
  expected?: number[];
}

/**
 * A client that retries nothing and notes what a server must never do, whatever happens to it: answer 5xx other than 503,
 * 503 without Retry-After, or not at all within `patience`. A connection that is refused or cut is no answer.
 */
export class StrictClient {
  readonly violations: string[] = [];
  answered = 0;
  unavailable = 0;
  /** Requests without an answer: refused, or cut before its end. */
  cut = 0;
  /** The last things that were asked, with what was answered: for messages. */
  readonly recent: string[] = [];
  /** Milliseconds of the slowest answer. */
  slowest = 0;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(
    private readonly url: () => string,
    private readonly patience = 60_000,
  ) {}

  /** @returns undefined where there was no answer */
  async ask(method: string, path: string, asked: Asked = {}): Promise<Reply | undefined> {
    const begun = performance.now();
    const reply = await this.#send(method, path, asked).catch((error: unknown) => {
      if (!(error instanceof Silence)) return undefined;
      this.violations.push(`${method} ${path}: no answer within ${this.patience} ms`);
      return undefined;
    });
    const what = reply ? `${reply.status} ${reply.bytes.toString().slice(0, 200)}` : 'no answer';
    this.recent.push(`${Math.round(performance.now() - begun)} ms ${method} ${path}: ${what}`);
    if (this.recent.length > 20) this.recent.shift();
    if (!reply) {
      this.cut++;
      return undefined;
    }
    this.answered++;
    this.slowest = Math.max(this.slowest, performance.now() - begun);
    const { status, headers, bytes } = reply;
    if (status === 503) this.unavailable++;
    if (status === 503 && headers['retry-after'] === undefined)
      this.violations.push(`${method} ${path}: 503 without Retry-After`);
    if (status >= 500 && status !== 503 && !asked.expected?.includes(status))
      this.violations.push(`${method} ${path}: ${status} ${bytes.toString().slice(0, 300)}`);
    return reply;
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(method: string, path: string, { json, bytes, headers }: Asked): Promise<Reply> {
    const body = json === undefined ? bytes : Buffer.from(JSON.stringify(json));
    const type = json === undefined ? 'application/octet-stream' : 'application/json';
    const begun = performance.now();
    return new Promise((resolve, reject) => {
      const outgoing = request(
        new URL(path, this.url()),
        {
          method,
          agent: this.#agent,
          headers: {
            ...(body && { 'content-type': type, 'content-length': String(body.length) }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const whole = Buffer.concat(chunks);
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              bytes: whole,
              ms: performance.now() - begun,
              json: <T>() => JSON.parse(whole.toString()) as T,
            });
          });
        },
      );
      const late = setTimeout(() => outgoing.destroy(new Silence()), this.patience);
      outgoing.on('error', reject);
      outgoing.on('close', () => clearTimeout(late));
      outgoing.end(body);
    });
  }
}

class Silence extends Error {}
