import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

/** What is to run, in a session of its own and with no other environment than this. */
export interface Command {
  file: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
}

/** How a process ended. */
export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The last that it wrote to its standard error. */
  errors: string;
  /** Why it did not even start. */
  failure?: string;
}

/** A process that runs. Emits `end`, once, after all that it said on its channel. */
export interface StartedProcess extends EventEmitter<{ end: [ProcessExit] }> {
  readonly pid: number;
  /** Its standard input: closed when this process ends, however. */
  readonly input: Socket;
  /** Its file descriptor 3. */
  readonly channel: Socket;
  kill(): void;
}

/** Characters of standard error that are kept. */
const MOST_ERRORS = 8192;

/** Starts a process with a standard input, a standard error and a channel that this process has the other ends of. */
export function spawnCommand({ file, args, cwd, env }: Command): ChildProcess {
  const stdio = ['pipe', 'ignore', 'pipe', 'pipe'] as const;
  return spawn(file, args, { cwd, env, detached: true, stdio: [...stdio] });
}

/** Keeps the end of what a process writes to its standard error. */
export function lastErrors({ stderr }: ChildProcess): () => string {
  let errors = '';
  stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-MOST_ERRORS);
  });
  return () => errors;
}

/** A child of this process. */
export class OwnChild extends EventEmitter<{ end: [ProcessExit] }> implements StartedProcess {
  readonly pid: number;
  readonly input: Socket;
  readonly channel: Socket;
  private readonly child: ChildProcess;

  constructor(command: Command) {
    super();
    this.child = spawnCommand(command);
    this.pid = this.child.pid ?? 0;
    this.input = this.child.stdio[0] as Socket;
    this.channel = this.child.stdio[3] as Socket;
    const errors = lastErrors(this.child);
    this.child.once('error', ({ message }) =>
      this.emit('end', { code: null, signal: null, errors: '', failure: message }),
    );
    this.child.once('close', (code, signal) =>
      this.emit('end', { code, signal, errors: errors() }),
    );
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}
