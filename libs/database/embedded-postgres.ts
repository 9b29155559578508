import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { freePort, type Logger, StartError } from '#platform';
import { type Cluster, prepareCluster, readPassword } from './postgres-cluster.js';
import { leftoverOf, stopLeftover } from './postgres-leftover.js';

export interface EmbeddedPostgresOptions {
  /** The cluster is its folder `postgres`. */
  dataDir: string;
  logger?: Logger;
  /** Settings of PostgreSQL, over ours. */
  settings?: Record<string, string | number>;
}

const USER = 'slipway';
const HOST = '127.0.0.1';
const LOG_LIMIT = 10 * 2 ** 20;
/** Recovery after a crash may take a while; a server that says nothing for this long is given up. */
const START_TIMEOUT = 120_000;
const START_ATTEMPTS = 4;
const STOP_TIMEOUT = 30_000;

/**
 * A PostgreSQL of our own, from npm, on a free port of loopback, under a guardian: a process in a group of its own that
 * stops PostgreSQL in an orderly way when the pipe from this process closes, also where this process was killed.
 * It is started again at the same port when it ends by itself.
 */
export class EmbeddedPostgres {
  private guardian: ChildProcess | undefined;
  private stopping = false;

  private constructor(
    private readonly options: EmbeddedPostgresOptions,
    private readonly cluster: Cluster,
    private port: number,
  ) {}

  /**
   * Makes the cluster where there is none, ends a PostgreSQL that still runs there, starts one, and makes the database.
   * @throws StartError that says what to do
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const cluster = await prepareCluster(options.dataDir, USER);
    for (let attempt = 1; ; attempt++) {
      await stopLeftover(cluster.folder);
      const server = new EmbeddedPostgres(options, cluster, await freePort(HOST));
      try {
        await server.run();
        await server.createDatabase(USER);
        return server;
      } catch (error) {
        await server.stop();
        // The port may have been taken in between, or processes of one that was killed may still hold its memory;
        // anything else fails each time alike.
        if (attempt === START_ATTEMPTS) throw error;
        await sleep(200 * 2 ** attempt);
      }
    }
  }

  /** URL of the database `slipway`, or of another one. */
  url(database = USER): string {
    return `postgres://${USER}:${this.cluster.password}@${HOST}:${this.port}/${database}`;
  }

  /** URL of the PostgreSQL that a server runs on this folder now; undefined where none takes connections. */
  static async runningUrl(dataDir: string): Promise<string | undefined> {
    const folder = join(dataDir, 'postgres');
    const lines = (await readPidFile(folder)).split('\n');
    const port = lines[3]?.trim();
    if (!port || lines[7]?.trim() !== 'ready' || !(await leftoverOf(folder))) return undefined;
    return `postgres://${USER}:${await readPassword(dataDir)}@${HOST}:${port}/${USER}`;
  }

  get guardianPid(): number | undefined {
    return this.guardian?.pid;
  }

  /** Stops PostgreSQL by a fast shutdown: open transactions are rolled back, nothing committed is lost. */
  async stop(): Promise<void> {
    this.stopping = true;
    const { guardian } = this;
    if (!guardian || guardian.exitCode !== null || guardian.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => guardian.once('exit', () => resolve()));
    guardian.stdin?.end();
    await Promise.race([ended, sleep(STOP_TIMEOUT, undefined, { ref: false })]);
  }

  private async run(): Promise<void> {
    const logFile = join(this.options.dataDir, 'postgres.log');
    await rotate(logFile);
    const log = openSync(logFile, 'a', 0o600);
    const guardian = spawn(process.execPath, [GUARDIAN, JSON.stringify(this.command())], {
      detached: true,
      // The user that PostgreSQL runs as may not be able to enter ours.
      cwd: '/',
      stdio: ['pipe', log, log],
      env: { PATH: process.env.PATH, LC_ALL: 'C', LC_MESSAGES: 'C', TZ: 'UTC' },
    });
    closeSync(log);
    // The guardian may be gone when its pipe is closed.
    guardian.stdin?.on('error', () => {});
    this.guardian = guardian;
    await this.untilReady(guardian, logFile);
    guardian.once('exit', (code, signal) => void this.startAgain(code, signal));
  }

  private command(): GuardedCommand {
    const settings = {
      listen_addresses: HOST,
      port: this.port,
      // No socket file: its folder would have to be writable for, and hidden from, other users.
      unix_socket_directories: '',
      max_connections: 200,
      log_checkpoints: 'off',
      log_line_prefix: '%m [%p] %a ',
      ...this.options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const { binaries, folder, owner } = this.cluster;
    return { file: binaries.postgres, args: ['-D', folder, ...flags], ...owner };
  }

  /** PostgreSQL writes into its pid file when it takes connections. */
  private async untilReady(guardian: ChildProcess, logFile: string): Promise<void> {
    const late = Date.now() + START_TIMEOUT;
    while (Date.now() < late) {
      if (guardian.exitCode !== null || guardian.signalCode !== null) break;
      const lines = (await readPidFile(this.cluster.folder)).split('\n');
      if (lines[3] === String(this.port) && lines[7]?.trim() === 'ready') return;
      await sleep(20);
    }
    guardian.stdin?.end();
    const why = await lastComplaint(logFile);
    throw new StartError(
      `The embedded PostgreSQL did not start${why ? `: ${why}` : ''}. See ${logFile}, or set DATABASE_URL to one of your own.`,
    );
  }

  private async createDatabase(name: string): Promise<void> {
    const client = new pg.Client(this.url('postgres'));
    client.on('error', () => {});
    await client.connect();
    try {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [
        name,
      ]);
      if (!rowCount) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
    } finally {
      await client.end();
    }
  }

  private async startAgain(code: number | null, signal: string | null): Promise<void> {
    for (let pause = 200; !this.stopping; pause = Math.min(pause * 2, 10_000)) {
      const child = { child: 'postgres', childPid: this.guardian?.pid };
      this.options.logger?.error({ ...child, code, signal }, 'PostgreSQL ended; starting it again');
      await sleep(pause);
      if (this.stopping) return;
      try {
        await stopLeftover(this.cluster.folder);
        await this.run();
        return;
      } catch (err) {
        this.options.logger?.error({ err }, 'PostgreSQL did not start again');
      }
    }
  }
}

const GUARDIAN = fileURLToPath(new URL('./postgres-guardian.js', import.meta.url));

/** What the guardian runs, and as whom. */
export interface GuardedCommand {
  file: string;
  args: string[];
  uid?: number;
  gid?: number;
}

async function readPidFile(folder: string): Promise<string> {
  return readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => '');
}

/** The last that a log tells of what ended PostgreSQL. */
async function lastComplaint(logFile: string): Promise<string | undefined> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  return [...text.matchAll(/(?:FATAL|PANIC): +(.*)/g)].at(-1)?.[1];
}

/** Keeps one older log file. */
async function rotate(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found && found.size > LOG_LIMIT) await rename(file, `${file}.1`);
}
