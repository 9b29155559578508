import { Agent, request } from 'node:http';

/** One answered request. Times are those of `performance.now()`. */
export interface Answered {
  sentAt: number;
  answeredAt: number;
  status: number;
  /** What `x-slipway-version` said; 0 where it said nothing. */
  version: number;
  body: string;
}

/** A client with one keep-alive connection, which asks for one prediction after another. */
export class Connection {
  readonly answers: Answered[] = [];
  readonly errors: Error[] = [];
  /** Sockets that it has opened. */
  sockets = 0;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(
    private readonly url: string,
    private readonly body: string,
  ) {}

  /** Never rejects: what went wrong stands in `errors`. */
  async ask(url = this.url, body = this.body): Promise<Answered | undefined> {
    try {
      const answer = await this.#send(url, body);
      this.answers.push(answer);
      return answer;
    } catch (error) {
      this.errors.push(error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(url: string, body: string): Promise<Answered> {
    const sentAt = performance.now();
    return new Promise((resolve, reject) => {
      const outgoing = request(
        url,
        { method: 'POST', headers: { 'content-type': 'application/json' }, agent: this.#agent },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              sentAt,
              answeredAt: performance.now(),
              status: response.statusCode ?? 0,
              version: Number(response.headers['x-slipway-version'] ?? 0),
              body: Buffer.concat(chunks).toString(),
            }),
          );
        },
      );
      outgoing.on('socket', () => {
        if (!outgoing.reusedSocket) this.sockets++;
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

/** Predictions that flow over several keep-alive connections until they are stopped. */
export class Traffic {
  readonly connections: Connection[];
  #going = true;
  readonly #loops: Promise<void>[];

  /** @param pause milliseconds between an answer and the next request of a connection */
  constructor(url: string, body: string, { connections = 8, pause = 2 } = {}) {
    this.connections = Array.from({ length: connections }, () => new Connection(url, body));
    this.#loops = this.connections.map(async (connection) => {
      while (this.#going) {
        if (!(await connection.ask())) await sleep(20);
        await sleep(pause);
      }
    });
  }

  get answers(): Answered[] {
    return this.connections.flatMap(({ answers }) => answers);
  }

  get errors(): Error[] {
    return this.connections.flatMap(({ errors }) => errors);
  }

  /** Answers other than 200, and requests that got none. */
  get failed(): string[] {
    const refused = this.answers.filter(({ status }) => status !== 200);
    return [
      ...refused.map(({ status, body }) => `${status} ${body}`),
      ...this.errors.map(({ message }) => message),
    ];
  }

  /** Resolves when every connection was answered by this version, sent after the call. */
  async seen(version: number, patience = 10_000): Promise<void> {
    const begun = performance.now();
    const has = ({ answers }: Connection) => {
      const last = answers.at(-1);
      return last !== undefined && last.sentAt >= begun && last.version === version;
    };
    while (!this.connections.every(has)) {
      if (performance.now() - begun > patience)
        throw new Error(`Not every connection was answered by version ${version}`);
      await sleep(5);
    }
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#loops);
    for (const connection of this.connections) connection.close();
  }
}

/** The versions that answered a connection, each once a stay. */
export function visits({ answers }: Connection): number[] {
  return answers
    .map(({ version }) => version)
    .filter((version, i, versions) => version !== versions[i - 1]);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
