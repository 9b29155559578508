import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '#platform';
import { dropDatabase, ownDatabase } from './postgres.js';
import { exitOf } from './processes.js';

const MAIN = fileURLToPath(new URL('../../apps/server/main.js', import.meta.url));

/** The whole server, as people start it, on a database and a folder of its own. */
export interface RunningSlipway {
  url: string;
  servingUrl: string;
  /** What it printed. */
  lines: string[];
  /** Starts again after `stop`, at the same ports with the same data. */
  start(args?: string[]): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Stops, and removes everything. */
  remove(): Promise<void>;
}

export async function startSlipway(args: string[] = []): Promise<RunningSlipway> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  const database = await ownDatabase();
  const port = await freePort('127.0.0.1');
  const servingPort = await freePort('127.0.0.1');
  const env = {
    PATH: process.env.PATH,
    DATA_DIR: folder,
    DATABASE_URL: database,
    PORT: String(port),
    SERVING_PORT: String(servingPort),
    SERVING_PROCESSES: '1',
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'fatal',
  };
  const lines: string[] = [];
  let child: ChildProcess | undefined;
  const start = async (given: string[] = []) => {
    const started = spawn(process.execPath, [MAIN, ...given], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    let errors = '';
    started.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    createInterface(started.stdout).on('line', (line) => lines.push(line));
    const ended = exitOf(started).then((code) => {
      throw new Error(`The server ended with ${code}: ${errors}`);
    });
    await Promise.race([
      ready(`http://127.0.0.1:${port}`, `http://127.0.0.1:${servingPort}`),
      ended,
    ]);
    ended.catch(() => {});
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child?.kill(signal);
    if (child) await exitOf(child);
    child = undefined;
  };
  await start(args);
  return {
    url: `http://127.0.0.1:${port}`,
    servingUrl: `http://127.0.0.1:${servingPort}`,
    lines,
    start,
    stop,
    async remove() {
      await stop();
      await dropDatabase(database);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ready(...urls: string[]): Promise<void> {
  const paths = ['/readyz', '/v2/health/ready'];
  for (const [i, url] of urls.entries()) {
    for (;;) {
      const answer = await fetch(url + paths[i]).catch(() => undefined);
      if (answer?.ok) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
