import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Puts this process, and what it starts from now on, on the first processor, and `server` with its children on the second,
 * so that neither takes time from the other. @returns how it is, in words
 */
export function pinApart(server: number): string {
  if (availableParallelism() < 2) return 'client and server share the one processor';
  const pins = [
    [0, process.pid],
    ...[server, ...childrenOf(server)].map((pid) => [1, pid] as const),
  ];
  for (const [cpu, pid] of pins) {
    const { status } = spawnSync('taskset', ['-a', '-c', '-p', String(cpu), String(pid)]);
    if (status !== 0) return 'client and server share the processors (no taskset)';
  }
  return 'client on one processor, server on another';
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return Number(statOf(child)[1]) === pid;
      } catch {
        return false;
      }
    });
}

/** Processor time (µs) of a server and its children, those that have ended included. */
export function cpuOf(server: number): number {
  const own = timesOf(server);
  const children = childrenOf(server).map((pid) => timesOf(pid).used);
  return (own.used + own.ended + children.reduce((sum, used) => sum + used, 0)) * TICK;
}

/** Microseconds of a clock tick of /proc: Linux has 100 a second. */
const TICK = 10_000;

function timesOf(pid: number): { used: number; ended: number } {
  try {
    const fields = statOf(pid).slice(11, 15).map(Number);
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields;
    return { used: user + system, ended: endedUser + endedSystem };
  } catch {
    return { used: 0, ended: 0 };
  }
}

/** Fields of /proc/PID/stat from the state on. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
