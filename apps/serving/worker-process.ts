import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '#platform';
import { clearMark, readMark } from '#serving';
import type { ConnectionTaker } from './connection-dealer.js';
import type { FromWorker, ToWorker } from './messages.js';

/** What a supervisor is told about a worker. */
export interface WorkerEvents {
  message(worker: WorkerProcess, message: FromWorker): void;
  /** It ended; `culprit` is the Program that it was running when it froze or died. */
  ended(worker: WorkerProcess, how: WorkerEnd, culprit: Culprit | undefined): void;
}

/** `killed`: by somebody else. */
export type WorkerEnd = 'frozen' | 'crashed' | 'killed';

export interface Culprit {
  program: string;
  /** Goes on after "It …". */
  reason: string;
}

/** How often `watch` is called (ms). */
export const TICK = 100;
/** Ticks without a sign of life after which a worker is taken for frozen, beside what its mark allows. */
const FROZEN_TICKS = 10;
/** Ticks after which the one that may have to replace it is started beside it. */
const SUSPECT_TICKS = 4;
const START_TICKS = 300;
/** A spare process that nobody needed is ended after so many ticks. */
const SPARE_TICKS = 300;
/** A worker that lived this long (ms) has its next restart at once. */
const STABLE = 10_000;
const LONGEST_PAUSE = 5000;
/** No program ends its own process like this. */
const FROM_OUTSIDE: ReadonlySet<NodeJS.Signals | null> = new Set([
  'SIGKILL',
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
] as const);

const entry = fileURLToPath(new URL('./worker.js', import.meta.url));

/** A started process, which may be a spare one still. */
interface Child {
  process: ChildProcess;
  /** It can take connections. */
  started: boolean;
  silentTicks: number;
}

/** One of the serving processes: started, watched, and replaced when it freezes or dies. */
export class WorkerProcess implements ConnectionTaker {
  /** Every followed model answers in it, or has finally failed. */
  ready = false;

  readonly #mark: number;
  #child: Child | undefined;
  #spare: Child | undefined;
  #spareTicks = 0;
  #startedAt = 0;
  #failures = 0;
  #killedFor: string | undefined;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(
    readonly number: number,
    private readonly events: WorkerEvents,
    private readonly log: Logger,
  ) {
    const file = join(tmpdir(), `slipway-mark-${randomUUID()}`);
    this.#mark = openSync(file, 'wx+', 0o600);
    // Both processes have it open; nothing of it remains when they end.
    unlinkSync(file);
  }

  /** It lives, and can take connections. */
  get available(): boolean {
    return this.#child?.started === true;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Starts the process, or takes the spare one. */
  start(): void {
    clearMark(this.#mark);
    this.#killedFor = undefined;
    this.#startedAt = Date.now();
    const child = this.#spare ?? this.#fork();
    this.#spare = undefined;
    this.#child = child;
    if (child.started) this.events.message(this, { type: 'started' });
  }

  send(message: ToWorker, socket?: Socket): void {
    const { process } = this.#child ?? {};
    if (process?.connected) process.send(message, socket, { keepOpen: true }, () => undefined);
  }

  give(connection: number, socket: Socket): void {
    this.send({ type: 'connection', connection }, socket);
  }

  /** Called every {@link TICK} ms, as long as the supervisor itself is not late: only its own silence is a worker's fault. */
  watch(): void {
    const child = this.#child;
    if (!child || this.#killedFor !== undefined) return;
    const silent = ++child.silentTicks;
    this.#watchSpare(child, silent);
    const patience = child.started ? FROZEN_TICKS : START_TICKS;
    if (silent < patience || silent < patience + readMark(this.#mark).allowance / TICK) return;
    this.#killedFor = `froze its serving process for ${(silent * TICK) / 1000} s`;
    this.log.error({ process: this.number }, 'a serving process is frozen: it is replaced');
    child.process.kill('SIGKILL');
  }

  /** Lets requests end; then the process ends by itself. */
  drain(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#spare?.process.kill('SIGKILL');
    this.send({ type: 'drain' });
  }

  /** Ends the process at once, for good. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#spare?.process.kill('SIGKILL');
    this.#child?.process.kill('SIGKILL');
  }

  close(): void {
    closeSync(this.#mark);
  }

  /** Starting takes half a second that a frozen process need not cost: its successor starts with the first suspicion. */
  #watchSpare(child: Child, silent: number): void {
    if (child.started && silent === SUSPECT_TICKS && !this.#stopping) {
      this.#spare ??= this.#fork();
      this.#spareTicks = 0;
    }
    if (!this.#spare || ++this.#spareTicks < SPARE_TICKS) return;
    this.#spare.process.kill('SIGKILL');
    this.#spare = undefined;
  }

  #fork(): Child {
    const forked = fork(entry, [String(this.number)], {
      env: workerEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.#mark],
    });
    const child: Child = { process: forked, started: false, silentTicks: 0 };
    forked.on('message', (message: FromWorker) => this.#heard(child, message));
    // Writing to a process that has just died fails; its end says why.
    forked.on('error', (error) => this.log.debug({ err: error, process: this.number }, 'a worker'));
    forked.once('exit', (code, signal) => {
      const ended = (): void => this.#ended(child, code, signal);
      // What it said last may not have been read yet, such as that it has a connection.
      if (forked.connected) forked.once('disconnect', ended);
      else ended();
    });
    return child;
  }

  #heard(child: Child, message: FromWorker): void {
    child.silentTicks = 0;
    if (message.type === 'started') child.started = true;
    if (child !== this.#child) return;
    if (message.type === 'beat') this.ready = message.ready;
    this.events.message(this, message);
  }

  #ended(child: Child, code: number | null, signal: NodeJS.Signals | null): void {
    if (child === this.#spare) this.#spare = undefined;
    if (child !== this.#child) return;
    this.#child = undefined;
    this.ready = false;
    const { program } = readMark(this.#mark);
    const how = signal ?? `code ${code}`;
    const reason = this.#killedFor ?? `ended its serving process (${how})`;
    // What somebody else has ended is not the fault of what was running.
    const innocent = !this.#killedFor && (code === 0 || FROM_OUTSIDE.has(signal));
    const culprit = program && !innocent && !this.#stopping ? { program, reason } : undefined;
    const kind = this.#killedFor ? 'frozen' : FROM_OUTSIDE.has(signal) ? 'killed' : 'crashed';
    this.events.ended(this, kind, culprit);
    if (this.#stopping) return;
    const { pid } = child.process;
    this.log.error(
      { child: 'serving-worker', childPid: pid, process: this.number, program },
      `a serving process ended (${how}): it is replaced`,
    );
    this.#failures = Date.now() - this.#startedAt > STABLE ? 0 : this.#failures + 1;
    const pause = this.#failures > 1 ? Math.min(LONGEST_PAUSE, 50 * 2 ** this.#failures) : 0;
    this.#restart = setTimeout(() => this.start(), pause);
  }
}

/** Workers need neither the database nor the store, so they do not get their secrets. */
function workerEnvironment(): NodeJS.ProcessEnv {
  const hidden = /^(DATABASE_URL|ARTIFACT_STORE|S3_\w+|AWS_\w+|PG\w+)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !hidden.test(name)));
}
