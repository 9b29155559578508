import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { resolve } from 'node:path';

export interface ServingOptions {
  databaseUrl: string;
  dataDir: string;
  store: string;
  env?: Record<string, string>;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  json: unknown;
}

/** The serving app as its own process, as `npm start` runs it. */
export class ServingProcess {
  readonly log: string[] = [];
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(
    readonly child: ChildProcess,
    readonly port: number,
  ) {}

  static async start({
    databaseUrl,
    dataDir,
    store,
    env,
  }: ServingOptions): Promise<ServingProcess> {
    const child = fork(resolve('dist/apps/serving/main.js'), [], {
      env: {
        ...process.env,
        DATABASE_URL: databaseUrl,
        DATA_DIR: dataDir,
        ARTIFACT_STORE: `file://${store}`,
        SERVING_PORT: '0',
        SERVING_PROCESSES: '1',
        NODE_OPTIONS: '',
        ...env,
      },
      execArgv: [],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    const log: string[] = [];
    child.stderr?.setEncoding('utf8').on('data', (text: string) => log.push(text));
    const port = await new Promise<number>((done, failed) => {
      child.once('message', (message: { port: number }) => done(message.port));
      child.once('exit', (code) =>
        failed(new Error(`serving ended with ${code}: ${log.join('')}`)),
      );
    });
    const serving = new ServingProcess(child, port);
    serving.log.push = (...items) => log.push(...items);
    Object.defineProperty(serving, 'log', { value: log });
    return serving;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, undefined, headers);
  }

  infer(model: string, data: unknown[], path = 'infer'): Promise<Answer> {
    const shape = [data.length / 2, 2];
    const body = { inputs: [{ name: 'X', datatype: 'FP32', shape, data }] };
    return this.send(
      'POST',
      `/v2/models/${encodeURIComponent(model)}/${path}`,
      JSON.stringify(body),
      {
        'content-type': 'application/json',
      },
    );
  }

  send(
    method: string,
    path: string,
    body?: string | Buffer,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return new Promise((done, failed) => {
      const outgoing = request(
        { host: '127.0.0.1', port: this.port, method, path, headers, agent: this.#agent },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', failed);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const isJson = response.headers['content-type']?.includes('json') ?? false;
            done({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: text,
              json: isJson && text ? JSON.parse(text) : undefined,
            });
          });
        },
      );
      outgoing.on('error', failed);
      outgoing.end(body);
    });
  }

  /** Process ids of the workers. */
  workers(): number[] {
    return childrenOf(this.child.pid ?? 0);
  }

  async stop(): Promise<number | null> {
    this.#agent.destroy();
    if (this.child.exitCode !== null) return this.child.exitCode;
    const ended = new Promise<number | null>((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    return ended;
  }
}

/** The values of the first output of an answer. */
export function values(answer: Answer): unknown[] {
  const { outputs } = answer.json as { outputs?: { data: unknown[] }[] };
  return outputs?.[0]?.data ?? [];
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      return parent === pid ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

/** Waits until `check` answers something, at most `seconds`. */
export async function until<T>(
  check: () => Promise<T | undefined> | T | undefined,
  seconds = 10,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
