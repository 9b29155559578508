import { spawnSync } from 'node:child_process';

let found: boolean | undefined;

/** Whether there is a Python to compare with; says so where there is none. */
export function hasPython(what: string): boolean {
  found ??= spawnSync('python3', ['-c', 'import pickle']).status === 0;
  if (!found) console.warn(`NOT TESTED, there is no python3: ${what}`);
  return found;
}

/** Runs a script that reads JSON from its input and writes JSON. */
export function runPython(script: string, input: unknown): unknown {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script], {
    input: JSON.stringify(input),
    maxBuffer: 2 ** 30,
  });
  if (status !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString());
}
