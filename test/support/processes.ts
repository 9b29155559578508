import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Starts a module of dist/ in a process group of its own; resolves with its first line on stdout. */
export async function startModule(path: string, args: string[], env = process.env) {
  const child = spawn(process.execPath, [path, ...args], {
    detached: true,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const lines = createInterface(child.stdout);
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`${path} ended with ${code}: ${errors}`)));
  });
  return { child, line };
}

export function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

/** Ids of the running processes whose command line, or also their environment, has the text. Linux only. */
export function processesWith(text: string, also?: 'environ'): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const files = also ? ['cmdline', also] : ['cmdline'];
        return files.some((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(text));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Waits until something is so; gives up after `patience` milliseconds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  patience = 15_000,
): Promise<void> {
  const late = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > late) throw new Error(`Not within ${patience} ms: ${condition.toString()}`);
    await sleep(25);
  }
}

/** Whether the machine has so much more to do than processors that the product's promises about time do not hold on it. */
export function overloaded(): boolean {
  return (loadavg()[0] ?? 0) > 2 * availableParallelism();
}

export interface RunningProcess {
  pid: number;
  parent: number;
  command: string;
}

/** A running process and all that it has started, and these. Linux only. */
export function descendantsOf(pid: number): RunningProcess[] {
  const all = runningProcesses();
  const found = all.filter((process) => process.pid === pid);
  for (const { pid: parent } of found) {
    found.push(...all.filter((process) => process.parent === parent));
  }
  return found;
}

function runningProcesses(): RunningProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z') return [];
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return [{ pid: Number(name), parent: Number(parent), command }];
    } catch {
      return [];
    }
  });
}
