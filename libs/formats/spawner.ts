import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Command, ProcessExit, StartedProcess } from './started-process.js';

/** What the starting process is told. */
export interface SpawnOrder {
  id: number;
  command: Command;
}

/** What it says: that it is up; to an order: two ends of pipes, each with one of the first two, and later how the process ended. */
export type SpawnAnswer =
  | { isUp: true }
  | { id: number; input: number }
  | { id: number; channel: number }
  | { id: number; exit: ProcessExit };

const entry = fileURLToPath(new URL('./spawner-child.js', import.meta.url));

/** Milliseconds in which a process is to have been started; after them it is started from here. */
const PATIENCE = 5_000;

/**
 * Starts processes by way of a small one: while a process is copied (fork(2)) it stands still, for milliseconds where it has
 * hundreds of megabytes, and with it all that are being answered. The pipes of what was started are handed over, so that its life
 * depends on this process alone.
 */
export class Spawner {
  private helper: ChildProcess | undefined;
  /** The helper has said that it is up. */
  private isUp = false;
  private readonly waiting = new Map<number, Waiting>();
  private readonly running = new Map<number, DistantChild>();
  private nextId = 1;
  private closed = false;

  /** Undefined where it has to be started from here: the helper is not up yet, or does not do it. */
  async spawn(command: Command): Promise<StartedProcess | undefined> {
    if (this.closed) return undefined;
    const { helper } = this;
    if (!helper) this.begin();
    if (!helper?.connected || !this.isUp) return undefined;
    const id = this.nextId++;
    return new Promise((resolve) => {
      const late = setTimeout(() => this.lose(helper), PATIENCE);
      const settle = (child: StartedProcess | undefined) => {
        clearTimeout(late);
        this.waiting.delete(id);
        resolve(child);
      };
      this.waiting.set(id, { input: undefined, settle });
      helper.send({ id, command } satisfies SpawnOrder, (error) => error && settle(undefined));
    });
  }

  /** Ends the helper; what it started goes on. */
  close(): void {
    this.closed = true;
    if (this.helper) this.lose(this.helper);
  }

  private begin(): void {
    const helper = fork(entry, {
      detached: true,
      env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8' },
      execArgv: ['--no-warnings'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.helper = helper;
    helper.on('message', (answer: SpawnAnswer, socket) => this.hear(answer, socket as Socket));
    const gone = () => this.lose(helper);
    helper.once('error', gone).once('disconnect', gone).once('exit', gone);
    // It is no reason for this process to go on.
    helper.unref();
    helper.channel?.unref();
  }

  /** What it was asked for is done from here; how those end that it started is seen by their pipes. */
  private lose(helper: ChildProcess): void {
    helper.kill('SIGKILL');
    if (this.helper !== helper) return;
    this.helper = undefined;
    this.isUp = false;
    for (const { input, settle } of this.waiting.values()) {
      input?.destroy();
      settle(undefined);
    }
    for (const child of this.running.values()) child.abandon();
    this.running.clear();
  }

  private hear(answer: SpawnAnswer, socket: Socket | undefined): void {
    if ('isUp' in answer) {
      this.isUp = true;
      return;
    }
    const { id } = answer;
    const waiting = this.waiting.get(id);
    if ('exit' in answer) {
      waiting?.settle(undefined);
      this.running.get(id)?.ends(answer.exit);
      this.running.delete(id);
      return;
    }
    // A process that nobody waits for any more ends with its input.
    if (!waiting || !socket) {
      socket?.destroy();
      waiting?.settle(undefined);
    } else if ('input' in answer) {
      waiting.input = socket;
    } else if (waiting.input) {
      const child = new DistantChild(answer.channel, waiting.input, socket);
      this.running.set(id, child);
      waiting.settle(child);
    }
  }
}

interface Waiting {
  input: Socket | undefined;
  settle: (child: StartedProcess | undefined) => void;
}

/** A process that the helper started. */
class DistantChild extends EventEmitter<{ end: [ProcessExit] }> implements StartedProcess {
  private exit: ProcessExit | undefined;
  private isSilent = false;
  /** Its number may be somebody else's. */
  private isGone = false;

  constructor(
    readonly pid: number,
    readonly input: Socket,
    readonly channel: Socket,
  ) {
    super();
    channel.once('close', () => {
      this.isSilent = true;
      this.tell();
    });
  }

  ends(exit: ProcessExit): void {
    this.isGone = true;
    this.exit = exit;
    this.tell();
  }

  /** The helper is lost: nobody will say how it ends. */
  abandon(): void {
    this.exit = { code: null, signal: 'SIGKILL', errors: '' };
    this.tell();
  }

  kill(): void {
    if (this.isGone) return;
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }

  private tell(): void {
    if (!this.exit || !this.isSilent) return;
    this.isGone = true;
    this.emit('end', this.exit);
    this.removeAllListeners('end');
  }
}
