import { spawn } from 'node:child_process';
import type { GuardedCommand } from './embedded-postgres.js';

/*
 * The guardian of the embedded PostgreSQL: a process of its own that outlives a killed server for as long as PostgreSQL
 * needs to stop. Nothing is ever written to its stdin; that it closes is the sign.
 */

const FAST_SHUTDOWN = 'SIGINT';
const IMMEDIATE_SHUTDOWN = 'SIGQUIT';

const { file, args, uid, gid } = JSON.parse(process.argv[2] ?? '{}') as GuardedCommand;
const postgres = spawn(file, args, {
  stdio: ['ignore', 'inherit', 'inherit'],
  ...(uid !== undefined && { uid, gid }),
});
postgres.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
postgres.once('exit', (code) => process.exit(code ?? 1));

let stopping = false;
function stop(): void {
  if (stopping) return;
  stopping = true;
  postgres.kill(FAST_SHUTDOWN);
  setTimeout(() => postgres.kill(IMMEDIATE_SHUTDOWN), 20_000);
  setTimeout(() => postgres.kill('SIGKILL'), 25_000);
}

process.stdin.on('end', stop).on('close', stop).on('error', stop).resume();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop);
