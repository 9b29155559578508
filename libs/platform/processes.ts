import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_CONFIG, EXIT_UNAVAILABLE, explain, StartError } from './exit.js';
import type { Logger } from './log.js';

/**
 * Makes a child end when its parent is gone, however the parent died: the channel between them closes then.
 * Nothing happens in a process that was started by itself.
 */
export function endWithParent(): void {
  if (process.connected) process.once('disconnect', () => process.exit(1));
}

/** Tells the parent, if there is one, that this process answers at `port`. */
export function tellReady(port: number): void {
  if (process.connected) process.send?.({ ready: true, port } satisfies ReadyMessage);
}

/** Milliseconds in which further signals are the same wish: Ctrl-C reaches npm too, which passes it on. */
const SAME_WISH = 1_000;

/**
 * Stops the process cleanly on SIGTERM and SIGINT: exit code 0 when `stop` is done, 1 where it fails or a later Ctrl-C
 * asks for haste.
 */
export function stopOnSignals(stop: () => Promise<void>): void {
  let begun: number | undefined;
  const begin = (signal: string) => {
    if (begun !== undefined) {
      if (signal === 'SIGINT' && Date.now() - begun > SAME_WISH) process.exit(1);
      return;
    }
    begun = Date.now();
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${explain(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', begin);
  process.on('SIGINT', begin);
}

export interface ReadyMessage {
  ready: true;
  port: number;
}

export interface ChildOptions {
  /** Said in logs and messages. */
  name: string;
  /** Absolute path of its main module, which calls {@link endWithParent} and {@link tellReady}. */
  script: string;
  env: NodeJS.ProcessEnv;
  logger: Logger;
  /** Milliseconds between SIGTERM and SIGKILL. */
  grace?: number;
  /** Called where it cannot go on: the child found its configuration wrong after it had run before. */
  onGivenUp?: (error: StartError) => void;
}

export interface SupervisedChild {
  /** The port that it answers at first; rejected with StartError where it ends before. */
  ready: Promise<number>;
  readonly pid: number | undefined;
  /** SIGTERM, and SIGKILL for its whole group after the grace. Resolves when it has ended. */
  stop(): Promise<void>;
}

const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 10_000;
/** Milliseconds after which a child counts as healthy again. */
const STEADY = 30_000;

/**
 * Runs a module as a child in a process group of its own, so that Ctrl-C reaches the parent alone, and starts it again
 * when it dies, after pauses that double from 0.2 s to 10 s. A child that ends before it was ever ready is not started
 * again: what it printed is the reason.
 */
export function superviseChild(options: ChildOptions): SupervisedChild {
  const supervisor = new Supervisor(options);
  supervisor.start();
  return supervisor;
}

class Supervisor implements SupervisedChild {
  readonly ready: Promise<number>;
  private child: ChildProcess | undefined;
  private exited: Promise<void> = Promise.resolve();
  private stopping = false;
  private pause = FIRST_PAUSE;
  private wasReady = false;
  private settleReady: (port: number) => void;
  private failReady: (error: Error) => void;

  constructor(private readonly options: ChildOptions) {
    this.ready = new Promise((resolve, reject) => {
      this.settleReady = resolve;
      this.failReady = reject;
    });
    // Whoever does not wait for it is told by the log.
    this.ready.catch(() => {});
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  start(): void {
    const begun = Date.now();
    const child = spawn(process.execPath, ['--enable-source-maps', this.options.script], {
      detached: true,
      env: this.options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    child.on('message', (message) => {
      if (!isReady(message)) return;
      this.wasReady = true;
      this.settleReady(message.port);
    });
    this.exited = new Promise((resolve) => {
      const ended = (code: number | null, signal: string | null) => {
        resolve();
        void this.afterExit(code, signal, Date.now() - begun);
      };
      child.once('exit', ended);
      child.once('error', () => ended(1, null));
    });
  }

  async stop(): Promise<void> {
    this.stopping = true;
    const { child } = this;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const cut = setTimeout(() => killGroup(child.pid), this.options.grace ?? 35_000);
    await this.exited;
    clearTimeout(cut);
  }

  private async afterExit(code: number | null, signal: string | null, ran: number): Promise<void> {
    const { name, logger, onGivenUp } = this.options;
    // What a child leaves in its group when it dies, it cannot stop itself.
    killGroup(this.child?.pid);
    if (this.stopping) return;
    if (!this.wasReady) {
      this.failReady(failedStart(name, code, signal));
      return;
    }
    if (code === EXIT_CONFIG) {
      onGivenUp?.(new StartError('', EXIT_CONFIG));
      return;
    }
    this.pause = ran > STEADY ? FIRST_PAUSE : Math.min(this.pause * 2, LONGEST_PAUSE);
    logger.error(
      { child: name, childPid: this.child?.pid, code, signal, pause: this.pause },
      `${name} ended; starting it again`,
    );
    await sleep(this.pause);
    if (!this.stopping) this.start();
  }
}

/** A child that knew why it ended has printed it, and its exit code says so. */
function failedStart(name: string, code: number | null, signal: string | null): StartError {
  if (code === EXIT_CONFIG || code === EXIT_UNAVAILABLE) return new StartError('', code);
  return new StartError(`${name} ended before it was ready (${signal ?? `exit code ${code}`})`, 1);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is gone already.
  }
}

function isReady(message: unknown): message is ReadyMessage {
  return typeof message === 'object' && message !== null && 'ready' in message && 'port' in message;
}
