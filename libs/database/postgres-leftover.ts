import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { StartError } from '#platform';

/**
 * Stops the PostgreSQL that still runs on a cluster, because the server before was killed together with its guardian,
 * or because its guardian is not done yet. A pid that belongs to another program by now is left alone.
 */
export async function stopLeftover(folder: string): Promise<void> {
  const pid = await leftoverOf(folder);
  if (pid === undefined) return;
  for (const [signal, patience] of [
    ['SIGINT', 15_000],
    ['SIGQUIT', 10_000],
    ['SIGKILL', 5_000],
  ] as const) {
    if (!send(pid, signal)) return;
    const late = Date.now() + patience;
    while (Date.now() < late) {
      if (!send(pid, 0)) return;
      await sleep(20);
    }
  }
  throw new StartError(
    `The PostgreSQL with process id ${pid} still runs on ${folder} and does not stop`,
  );
}

/** The process id of the PostgreSQL that runs on a cluster. */
export async function leftoverOf(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => '');
  // Its first two lines: the process, and the folder as the process was told it, by whichever path.
  const [id = '', told = ''] = text.split('\n');
  const pid = Number.parseInt(id, 10);
  if (!(pid > 1) || !told || !send(pid, 0)) return undefined;
  const command = await commandOf(pid);
  return command.includes('postgres') && command.includes(told) ? pid : undefined;
}

async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]).catch(
    () => ({ stdout: '' }),
  );
  return stdout;
}

/** False where there is no such process. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
