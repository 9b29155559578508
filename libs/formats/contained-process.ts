import { execFile } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { constants, setPriority } from 'node:os';
import { serialize } from 'node:v8';
import type { Spawner } from './spawner.js';
import {
  OwnChild,
  type Command,
  type ProcessExit,
  type StartedProcess,
} from './started-process.js';

export interface Containment {
  /** Absolute path of the module that the process runs. */
  entry: string;
  /** Bytes that the process may have; native memory counts as well. */
  memory: number;
  cwd: string;
  /** Its work is not urgent: it gives way to all else on the machine. */
  background?: boolean;
}

/** How a contained process ended. `reason` goes on after "the process …". */
export interface ProcessEnd {
  reason: string;
  /** It took more memory than it may have. */
  outOfMemory: boolean;
  /** Somebody else ended it: an administrator, or the kernel for want of memory on the machine. */
  fromOutside: boolean;
}

/**
 * `ulimit -d` (RLIMIT_DATA) bounds every private writable page on Linux ≥ 4.7, those of native code too: an allocation
 * above it fails, which ONNX Runtime turns into an error of the run. No core is dumped: writing gigabytes would delay the
 * replacement. Where the machine as a whole runs out of memory, the kernel takes such a process before any other.
 */
const LIMITED =
  'ulimit -c 0; ulimit -d "$1" 2>/dev/null; (echo 1000 > /proc/$$/oom_score_adj) 2>/dev/null; shift; exec "$@"';

/** As a nice value. */
const LEAST_SHARE = 19;

const WATCH_EVERY = process.platform === 'linux' ? 200 : 1000;

/**
 * A Node process for code that may freeze, crash or eat memory: in a process group of its own (a Ctrl-C reaches the parent
 * alone), without the parent's environment, with a bound on memory that holds for native code, and with a standard input
 * whose closing ends it even where its main thread is frozen (see `endWithParent`). `channel` is its file descriptor 3.
 * Emits `end` with a {@link ProcessEnd}, once.
 */
export class ContainedProcess extends EventEmitter<{ end: [ProcessEnd] }> {
  readonly channel: Socket;
  readonly pid: number;
  private readonly watch: NodeJS.Timeout;
  private readonly memory: number;
  private killedFor: ProcessEnd | undefined;
  private sharing: NodeJS.Timeout | undefined;

  static start(options: Containment): ContainedProcess {
    return new ContainedProcess(new OwnChild(commandOf(options)), options);
  }

  /** As {@link start}, by way of another process where that is there: this one does not stand still meanwhile. */
  static async startFrom(spawner: Spawner, options: Containment): Promise<ContainedProcess> {
    const child = await spawner.spawn(commandOf(options));
    return child ? new ContainedProcess(child, options) : ContainedProcess.start(options);
  }

  private constructor(
    private readonly child: StartedProcess,
    { memory, background }: Containment,
  ) {
    super();
    this.memory = memory;
    this.pid = child.pid;
    this.channel = child.channel;
    // A write to a process that has just died fails; its end says why.
    for (const stream of [child.input, this.channel]) stream?.on('error', () => undefined);
    this.watch = setInterval(() => this.watchMemory(), WATCH_EVERY);
    this.watch.unref();
    child.once('end', (exit) => this.finish(this.killedFor ?? this.endOf(exit)));
    if (background) this.giveWay();
  }

  /** Sends what `requestOf` in the process waits for, as structured data. */
  send(request: unknown): void {
    const bytes = serialize(request);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    this.channel.write(Buffer.concat([length, bytes]));
  }

  /**
   * For a time it gets little of the processor where others want it: Linux shares it among sessions first, and each of these
   * processes is one (autogroup, sched(7)). Where that is not so, such as in most containers, nothing changes.
   */
  hold(): void {
    this.setShare(LEAST_SHARE);
  }

  /** Ends {@link hold}. */
  letGo(): void {
    this.setShare(0);
  }

  /** For good: whoever lowers a priority may not raise it again. */
  private giveWay(): void {
    try {
      // At once, because threads take over the priority of the one that starts them.
      setPriority(this.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    } catch {
      // It has ended already, or the system does not allow it: it runs like any other then.
    }
  }

  private setShare(nice: number): void {
    clearTimeout(this.sharing);
    writeFile(`/proc/${this.pid}/autogroup`, String(nice)).catch((error: unknown) => {
      // The kernel takes few such wishes a second.
      if (isBusy(error)) this.sharing = setTimeout(() => this.setShare(nice), 120).unref();
    });
  }

  /** Bytes of memory in use now; undefined where the platform does not say so at once. */
  residentBytes(): number | undefined {
    try {
      const [, pages] = readFileSync(`/proc/${this.pid}/statm`, 'latin1').split(' ');
      return Number(pages) * 4096;
    } catch {
      return undefined;
    }
  }

  /** Ends the process at once; `end` tells this reason. */
  kill(reason: string, outOfMemory = false): void {
    this.killedFor ??= { reason, outOfMemory, fromOutside: false };
    this.child.kill();
  }

  private finish(end: ProcessEnd): void {
    clearInterval(this.watch);
    clearTimeout(this.sharing);
    this.emit('end', end);
    this.removeAllListeners('end');
  }

  private endOf({ code, signal, errors, failure }: ProcessExit): ProcessEnd {
    if (failure !== undefined) return { reason: failure, outOfMemory: false, fromOutside: true };
    const outOfMemory = /out of memory|bad_alloc|allocation failed|Cannot allocate/i.test(errors);
    if (outOfMemory)
      return {
        reason: `needed more than ${this.allowed()} of memory`,
        outOfMemory,
        fromOutside: false,
      };
    if (signal)
      return {
        reason: `was killed by ${signal}${meaning[signal] ?? ''}`,
        outOfMemory,
        fromOutside: signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT',
      };
    const last = errors.trim().split('\n').at(-1) ?? '';
    const reason = `ended with code ${code}${last && `: ${last.slice(0, 300)}`}`;
    return { reason, outOfMemory, fromOutside: false };
  }

  private allowed(): string {
    return `${Math.round(this.memory / 2 ** 20).toLocaleString('en')} MiB`;
  }

  private watchMemory(): void {
    const check = (bytes: number) => {
      if (bytes > this.memory) this.kill(`needed more than ${this.allowed()} of memory`, true);
    };
    const resident = this.residentBytes();
    if (resident !== undefined) check(resident);
    else if (process.platform !== 'linux')
      execFile('ps', ['-o', 'rss=', '-p', String(this.pid)], (_, out) => check(Number(out) * 1024));
  }
}

function commandOf({ entry, memory, cwd }: Containment): Command {
  const kibibytes = String(Math.floor(memory / 1024));
  return {
    file: '/bin/sh',
    args: ['-c', LIMITED, 'sh', kibibytes, process.execPath, '--no-warnings', entry],
    cwd,
    env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8' },
  };
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}

const meaning: Partial<Record<NodeJS.Signals, string>> = {
  SIGFPE: ' (an arithmetic fault in native code, such as dividing the least integer by -1)',
  SIGSEGV: ' (a fault in native code)',
  SIGBUS: ' (a fault in native code)',
  SIGABRT: ' (native code gave up)',
  SIGILL: ' (native code gave up)',
  SIGTRAP: ' (native code gave up)',
};
