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
  ended(worker: WorkerProcess, culprit: { program: string; reason: string } | undefined): void;
}

/** How often `watch` is called. */
export const TICK = 100;
/** Ticks without a sign of life after which a worker is taken for frozen, beside what its mark allows. */
const FROZEN_TICKS = 10;
const START_TICKS = 300;
/** A worker that lived this long (ms) has its next restart at once. */
const STABLE = 10_000;
const LONGEST_PAUSE = 5000;

const entry = fileURLToPath(new URL('./worker.js', import.meta.url));

/** One of the serving processes: started, watched, and started anew when it freezes or dies. */
export class WorkerProcess implements ConnectionTaker {
  /** It has said that it can take connections, and lives. */
  available = false;
  /** Every followed model answers in it, or has finally failed. */
  ready = false;

  readonly #mark: number;
  #child: ChildProcess | undefined;
  #silentTicks = 0;
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

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  start(): void {
    clearMark(this.#mark);
    this.#silentTicks = 0;
    this.#killedFor = undefined;
    this.#startedAt = Date.now();
    const child = fork(entry, [String(this.number)], {
      env: workerEnvironment(),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.#mark],
    });
    this.#child = child;
    child.on('message', (message: FromWorker) => this.#heard(message));
    // Writing to a process that has just died fails; its end says why.
    child.on('error', (error) =>
      this.log.debug({ err: error, process: this.number }, 'a serving process'),
    );
    child.once('exit', (code, signal) => this.#ended(signal ?? `code ${code}`, code === 0));
  }

  send(message: ToWorker, socket?: Socket): void {
    if (!this.#child?.connected) return;
    this.#child.send(message, socket, { keepOpen: true }, () => undefined);
  }

  give(connection: number, socket: Socket): void {
    this.send({ type: 'connection', connection }, socket);
  }

  /** Called every {@link TICK} ms, as long as the supervisor itself is not late: only its own silence is a worker's fault. */
  watch(): void {
    if (!this.#child || this.#killedFor) return;
    this.#silentTicks++;
    const patience = this.available ? FROZEN_TICKS : START_TICKS;
    if (this.#silentTicks < patience) return;
    const { allowance } = readMark(this.#mark);
    if (this.#silentTicks < patience + allowance / TICK) return;
    this.#killedFor = `froze its serving process for ${(this.#silentTicks * TICK) / 1000} s`;
    this.log.error({ process: this.number }, 'a serving process is frozen: it is replaced');
    this.#child.kill('SIGKILL');
  }

  /** Lets requests end; then the process ends by itself. */
  drain(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.send({ type: 'drain' });
  }

  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
  }

  close(): void {
    closeSync(this.#mark);
  }

  #heard(message: FromWorker): void {
    this.#silentTicks = 0;
    if (message.type === 'started') this.available = true;
    if (message.type === 'beat') this.ready = message.ready;
    this.events.message(this, message);
  }

  #ended(how: string, clean: boolean): void {
    this.#child = undefined;
    this.available = false;
    this.ready = false;
    const { program } = readMark(this.#mark);
    const reason = this.#killedFor ?? `ended its serving process (${how})`;
    const culprit = program && !clean && !this.#stopping ? { program, reason } : undefined;
    if (!this.#stopping) {
      this.log.error(
        { process: this.number, program },
        `a serving process ended (${how}): it is started again`,
      );
      this.#failures = Date.now() - this.#startedAt > STABLE ? 0 : this.#failures + 1;
      const pause = this.#failures ? Math.min(LONGEST_PAUSE, 50 * 2 ** this.#failures) : 0;
      this.#restart = setTimeout(() => this.start(), pause);
    }
    this.events.ended(this, culprit);
  }
}

/** Workers need neither the database nor the store, so they do not get their secrets. */
function workerEnvironment(): NodeJS.ProcessEnv {
  const hidden = /^(DATABASE_URL|ARTIFACT_STORE|S3_\w+|AWS_\w+|PG\w+)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !hidden.test(name)));
}
