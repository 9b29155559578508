import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '#platform';
import { dropDatabase, ownDatabase } from './postgres.js';
import { descendantsOf, exitOf } from './processes.js';

const MAIN = fileURLToPath(new URL('../../apps/server/main.js', import.meta.url));
const START_LIMIT = 60_000;

export interface ProductOptions {
  /** Arguments of the command, such as `--demo`. */
  args?: string[];
  env?: Record<string, string>;
  /** A PostgreSQL of its own under the guardian; by default a database of the one that the suites share. */
  embedded?: boolean;
}

/** What runs as which process. */
export interface ProcessTree {
  server: number;
  registry: number;
  /** The supervisor of serving. */
  serving: number;
  workers: number[];
  compartments: number[];
  /** Of the compile step. */
  compiling: number[];
  guardian: number | undefined;
  postgres: number | undefined;
  /** What PostgreSQL has started: a process a connection, and those of its own. */
  backends: number[];
  /** Those that have a port. */
  children: number[];
  /** All of these, and what they have started. */
  all: number[];
}

/** The whole product as people start it, `dist/apps/server/main.js`, on a folder and a database of its own. */
export class Product {
  /** What it printed. */
  readonly lines: string[] = [];
  /** What it logged, over all its starts. */
  log = '';
  #child: ChildProcess | undefined;

  private constructor(
    /** Its DATA_DIR. */
    readonly folder: string,
    /** The database; undefined where it has a PostgreSQL of its own. */
    readonly database: string | undefined,
    private readonly env: NodeJS.ProcessEnv & { PORT: string; SERVING_PORT: string },
  ) {}

  static async start({ args, env, embedded }: ProductOptions = {}): Promise<Product> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-'));
    // PostgreSQL may run as another user, who has to pass through.
    await chmod(folder, 0o711);
    const database = embedded ? undefined : await ownDatabase();
    const [port, servingPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
    const product = new Product(folder, database, {
      PATH: process.env.PATH,
      DATA_DIR: folder,
      ...(database && { DATABASE_URL: database }),
      PORT: String(port),
      SERVING_PORT: String(servingPort),
      SERVING_PROCESSES: '1',
      LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'info',
      ...env,
    });
    await product.start(args);
    return product;
  }

  /** Where the registry answers. */
  get url(): string {
    return `http://127.0.0.1:${this.env.PORT}`;
  }

  /** Where predictions are answered. */
  get servingUrl(): string {
    return `http://127.0.0.1:${this.env.SERVING_PORT}`;
  }

  /** What it logged as an error of its own. */
  get errors(): string[] {
    return this.log.split('\n').filter((line) => /^{"level":"(error|fatal)"/.test(line));
  }

  /** The database that it works with at the moment. @throws Error where its registry does not run */
  get databaseUrl(): string {
    const settings = readFileSync(`/proc/${this.processes.registry}/environ`, 'utf8').split('\0');
    return settings.find((each) => each.startsWith('DATABASE_URL='))?.slice(13) ?? '';
  }

  /** Starts the command once more beside what runs, and waits for its end. */
  async startAnother(): Promise<{ code: number | null; errors: string }> {
    const env = { ...this.env, PORT: '0', SERVING_PORT: '0' };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    return { code: await exitOf(child), errors };
  }

  /**
   * Starts again after its end, at the same ports with the same data and, this once, other settings in `env`; resolves when
   * both ports are ready.
   */
  async start(args: string[] = [], env: Record<string, string> = {}): Promise<void> {
    const child = spawn(process.execPath, [MAIN, ...args], {
      // A killed test must not take it along before it has stopped by itself.
      detached: true,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const before = this.log.length;
    child.stderr.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
    createInterface(child.stdout).on('line', (line) => this.lines.push(line));
    const ended = exitOf(child).then((code) => {
      throw new Error(`The server ended with ${code}: ${this.log.slice(before)}`);
    });
    ended.catch(() => undefined);
    const end = Date.now() + START_LIMIT;
    for (const url of [this.url, this.servingUrl])
      await Promise.race([answers(`${url}/readyz`, end), ended]);
  }

  /** Ends it by a signal; gives its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (!child) return 0;
    child.kill(signal);
    return exitOf(child);
  }

  /** Stops it, and removes everything. */
  async remove(): Promise<void> {
    await this.stop();
    if (this.database) await dropDatabase(this.database);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Its processes as they are now. @throws Error where one of those that always run does not */
  get processes(): ProcessTree {
    const server = this.#child?.pid ?? 0;
    const tree = descendantsOf(server);
    const running = (script: string) =>
      tree.filter(({ command }) => command.includes(script)).map(({ pid }) => pid);
    const one = (script: string) => {
      const [pid] = running(script);
      if (pid === undefined) throw new Error(`No process runs ${script}`);
      return pid;
    };
    const [guardian] = running('postgres-guardian.js');
    const postgres = tree.find(({ parent }) => parent === guardian)?.pid;
    const children = [one('apps/registry/main.js'), one('apps/serving/main.js')] as const;
    return {
      server,
      registry: children[0],
      serving: children[1],
      children: [...children],
      workers: running('apps/serving/worker.js'),
      compartments: running('compartment-child.js'),
      compiling: running('compile-child.js'),
      guardian,
      postgres,
      backends: tree.filter(({ parent }) => parent === postgres).map(({ pid }) => pid),
      all: tree.map(({ pid }) => pid),
    };
  }
}

/** Whether the process is there; one that has ended and that nobody has asked about is not. */
export function lives(pid: number): boolean {
  return descendantsOf(pid).length > 0;
}

async function answers(url: string, end: number): Promise<void> {
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    const said = await answer?.text();
    if (answer?.ok) return;
    if (Date.now() > end) throw new Error(`${url} is not ready: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
