import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Replica, ownArtifacts, startReplica } from './artifacts.js';
import type { FaultOutcome, FaultPlan } from './fault-plan.js';
import { exitOf } from './processes.js';
import { ownBucket } from './s3.js';
import { SqlFaults } from './sql-faults.js';
import { StoreFaults } from './store-faults.js';

const MAIN = fileURLToPath(new URL('../../apps/registry/main.js', import.meta.url));
const PRELOADED = fileURLToPath(new URL('file-faults.js', import.meta.url));
/** How the compile queue asks for work: refused, so that nothing but the calls of the test uses the database. */
const COMPILE_QUEUE = /UPDATE compile_job[^]*SKIP LOCKED/;

/** The registry as a process whose SQL, store and files can fail; `direct` sees the same without faults. */
export class FaultyRegistry {
  /** What it logged. */
  log = '';

  private constructor(
    readonly url: string,
    /** The database, without anything in between. */
    readonly database: string,
    /** Its DATA_DIR. */
    readonly folder: string,
    readonly direct: Replica,
    readonly sql: SqlFaults,
    readonly files: FileFaults,
    /** Undefined with a folder as the store. */
    readonly store: StoreFaults | undefined,
    private readonly child: ChildProcess,
    private readonly remove: () => Promise<void>,
  ) {}

  static async start(kind: 'folder' | 's3'): Promise<FaultyRegistry> {
    const { env, remove } = await ownArtifacts(kind === 's3' ? ownBucket : undefined);
    const { DATABASE_URL: database = '', DATA_DIR: folder = '', S3_ENDPOINT } = env;
    const direct = await startReplica(env);
    await direct.store.check();
    const sql = new SqlFaults(new URL(database), 'slipway-registry');
    sql.muted = COMPILE_QUEUE;
    const store = S3_ENDPOINT === undefined ? undefined : new StoreFaults(new URL(S3_ENDPOINT));
    const child = spawn(process.execPath, ['--import', PRELOADED, MAIN], {
      env: {
        PATH: process.env.PATH,
        ...env,
        DATABASE_URL: await sql.open(),
        ...(store && { S3_ENDPOINT: await store.open() }),
        PORT: '0',
        SERVING_PORT: '8080',
        LOG_LEVEL: 'error',
        SLIPWAY_TEST_HOOKS: '1',
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let early = '';
    const hear = (chunk: Buffer) => (early += chunk.toString());
    child.stderr?.on('data', hear);
    const port = await new Promise<number>((resolve, reject) => {
      child.on('message', (message: { port?: number }) => {
        if (message.port !== undefined) resolve(message.port);
      });
      child.once('exit', () => reject(new Error(`The registry ended: ${early}`)));
    });
    const url = `http://127.0.0.1:${port}`;
    const files = new FileFaults(child, folder);
    const parts = [url, database, folder, direct, sql, files, store, child, remove] as const;
    const registry = new FaultyRegistry(...parts);
    child.stderr
      ?.off('data', hear)
      .on('data', (chunk: Buffer) => (registry.log += chunk.toString()));
    return registry;
  }

  /** Lets the compile step work; it rests otherwise. */
  set compiles(compiles: boolean) {
    this.sql.muted = compiles ? undefined : COMPILE_QUEUE;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Files below its folder that it holds open. Linux only; elsewhere none. */
  get openFiles(): string[] {
    if (process.platform !== 'linux') return [];
    const descriptors = `/proc/${this.child.pid}/fd`;
    return readdirSync(descriptors)
      .map((name) => {
        try {
          return readlinkSync(join(descriptors, name));
        } catch {
          return '';
        }
      })
      .filter((path) => path.startsWith(this.folder));
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await exitOf(this.child);
    await this.sql.close();
    await this.store?.close();
    await this.direct.dataSource.destroy();
    await this.remove();
  }
}

/** Steers the faults of {@link FaultyRegistry}'s file system. */
export class FileFaults {
  constructor(
    private readonly child: ChildProcess,
    /** Calls below it are counted. */
    public under: string,
  ) {}

  async arm(plan?: FaultPlan): Promise<void> {
    await this.order({ fileFaults: 'arm', under: this.under, plan }, 'armed');
  }

  async disarm(): Promise<FaultOutcome> {
    return (await this.order({ fileFaults: 'disarm' }, 'disarmed')).outcome;
  }

  private async order(order: object, done: string): Promise<{ outcome: FaultOutcome }> {
    return new Promise((resolve) => {
      const hear = (message: { fileFaults?: string; outcome: FaultOutcome }) => {
        if (message.fileFaults !== done) return;
        this.child.off('message', hear);
        resolve(message);
      };
      this.child.on('message', hear);
      this.child.send(order);
    });
  }
}
