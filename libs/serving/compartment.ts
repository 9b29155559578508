import { EventEmitter } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ContainedProcess, type ProcessEnd, type Spawner } from '#formats';
import { DomainError } from '#platform';
import { ProgramError, type Binding, type Signature, type Tensor } from '#program';
import { FrameReader, FrameWriter, MessageType, type Message } from './compartment-frames.js';

/** Where a version's program lies; every path is ours, absolute. */
export interface ProgramSource {
  /** The parsed `program.json`. */
  program: unknown;
  /** File with the weights; absent where the program has none. */
  weights?: string;
  /** The program's files: path in the program → file. */
  files: Record<string, string>;
}

export interface LoadedProgram {
  /** Bytes by which the process has grown. */
  bytes: number;
  signature: Signature;
  binding: Binding;
}

export interface CompartmentOptions {
  /** Bytes that the process may have. */
  memory: number;
  /** Milliseconds after which a run that has not ended is frozen. */
  timeout: number;
  /** Milliseconds in which it must load a version. */
  loadTimeout?: number;
}

/** How a compartment ended. */
export interface CompartmentEnd {
  /** Goes on after "The version …". */
  reason: string;
  /** The version that was running or loading, if any; absent where somebody else ended the process. */
  culprit?: string;
  frozen: boolean;
  /** The same in one word, for metrics. */
  kind: 'frozen' | 'memory' | 'killed' | 'crashed';
}

/** The compartment ended while a request of another version was in it: the request may be tried elsewhere. */
export class CompartmentLost extends Error {
  override name = 'CompartmentLost';
}

interface Pending {
  key: string;
  /** Milliseconds after which its caller gets no answer any more, from `sentAt` on. */
  timeout: number;
  /** Milliseconds of silence after which the process is frozen, while this is what it works at. */
  patience: number;
  /** It runs a version, and does not load one. */
  isRun: boolean;
  sentAt: number;
  /** Its caller has been told that it is over. */
  expired: boolean;
  resolve: (message: Message) => void;
  reject: (error: Error) => void;
}

/** A process that says nothing for a shorter time (ms) is slow, not frozen, however soon its callers want their answers. */
const LEAST_PATIENCE = 1_000;
/** A start or load that takes longer (ms) gets its share of a busy machine. */
const MOST_HOLD = 1_000;
const START_TIMEOUT = 20_000;
const LOAD_TIMEOUT = 60_000;
const PING_EVERY = 5_000;
const PING_TIMEOUT = 20_000;
const MAX_PENDING = 4_096;

const entry = fileURLToPath(new URL('./compartment-child.js', import.meta.url));

/**
 * A child process that runs ONNX graphs, so that native code that freezes, crashes or eats memory takes nothing else down.
 * It runs one request after the other in the order of their coming; so the oldest that has no answer is the one that runs.
 * Everything sent in one turn of the event loop goes in one write. Emits `end`, once, however it ends, and `suspect` with
 * the key of a version that has been running for so long that it may be frozen.
 */
export class Compartment extends EventEmitter<{ end: [CompartmentEnd]; suspect: [string] }> {
  private readonly writer = new FrameWriter();
  private readonly slots = new Map<string, number>();
  private readonly pending = new Map<number, Pending>();
  private readonly timer: NodeJS.Timeout;
  private holding: NodeJS.Timeout | undefined;
  private flushing = false;
  private nextId = 1;
  private nextSlot = 1;
  private heardAt = Date.now();
  private closed = false;
  private ended: CompartmentEnd | undefined;
  private frozen = false;
  /** The request that `suspect` was emitted for last. */
  private suspected: Pending | undefined;

  /** @param quietly nobody waits for it: those who are being answered come first, for a while */
  static async start(
    options: CompartmentOptions,
    spawner: Spawner,
    quietly = false,
  ): Promise<Compartment> {
    const containment = { entry, memory: options.memory, cwd: tmpdir() };
    const child = await ContainedProcess.startFrom(spawner, containment);
    const compartment = new Compartment(child, options);
    if (quietly) compartment.holdForAWhile();
    await compartment.ping(START_TIMEOUT);
    return compartment;
  }

  private constructor(
    private readonly child: ContainedProcess,
    private readonly options: CompartmentOptions,
  ) {
    super();
    const reader = new FrameReader((message) => this.receive(message));
    child.channel.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch {
        child.kill('answered with bytes that mean nothing');
      }
    });
    child.once('end', (end) => this.finish(end));
    this.timer = setInterval(() => this.watch(), 25);
    this.timer.unref();
  }

  /** Versions that answer elsewhere are not to notice what this process does. */
  private holdForAWhile(): void {
    clearTimeout(this.holding);
    this.child.hold();
    this.holding = setTimeout(() => this.letGo(), MOST_HOLD);
    this.holding.unref();
  }

  private letGo(): void {
    if (!this.holding) return;
    clearTimeout(this.holding);
    this.holding = undefined;
    this.child.letGo();
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Requests without an answer. */
  get load(): number {
    return this.pending.size;
  }

  get isOpen(): boolean {
    return !this.closed && !this.ended;
  }

  /**
   * Loads a version and runs it once. Rejects with a ProgramError or DomainError that says why not.
   * @param quietly as of {@link start}; where versions run in this process already it is in nobody's favour
   */
  async loadProgram(key: string, source: ProgramSource, quietly = false): Promise<LoadedProgram> {
    const slot = this.nextSlot++;
    const timeout = this.options.loadTimeout ?? LOAD_TIMEOUT;
    if (quietly && this.slots.size === 0) this.holdForAWhile();
    else this.letGo();
    try {
      const answer = await this.request(
        MessageType.Load,
        key,
        { timeout, patience: timeout },
        () => {
          this.writer.uint32(slot);
          this.writer.json(source);
        },
      );
      this.slots.set(key, slot);
      return answer.json() as LoadedProgram;
    } finally {
      this.letGo();
    }
  }

  /**
   * Runs a loaded version on bound inputs. Rejects with ProgramError (what was asked is wrong), DomainError
   * (DEADLINE_EXCEEDED after `timeout` milliseconds, UNAVAILABLE) or {@link CompartmentLost}.
   */
  async run(key: string, inputs: Tensor[], outputs: string[], timeout: number): Promise<Tensor[]> {
    const slot = this.slots.get(key);
    if (slot === undefined) throw new CompartmentLost(`${key} is not loaded in this compartment.`);
    if (this.pending.size >= MAX_PENDING)
      throw new DomainError('UNAVAILABLE', 'Too many predictions are waiting for this version.', {
        retryAfter: 1,
      });
    const patience = Math.max(this.options.timeout, LEAST_PATIENCE);
    const answer = await this.request(MessageType.Run, key, { timeout, patience }, () => {
      this.writer.uint32(slot);
      this.writer.uint32(outputs.length);
      for (const name of outputs) this.writer.text(name);
      this.writer.tensors(inputs);
    });
    try {
      return answer.tensors();
    } catch {
      this.child.kill('answered with bytes that mean nothing');
      throw new DomainError('UNAVAILABLE', 'The version gave an answer that cannot be read.');
    }
  }

  unload(key: string): void {
    const slot = this.slots.get(key);
    if (slot === undefined || !this.slots.delete(key) || !this.isOpen) return;
    this.writer.message(MessageType.Unload, this.nextId++, () => this.writer.uint32(slot));
    this.flushSoon();
  }

  /** Gives up the requests of a version, which may be tried elsewhere. */
  abandon(key: string): void {
    for (const pending of this.pending.values()) {
      if (pending.key !== key || pending.expired) continue;
      pending.expired = true;
      pending.reject(new CompartmentLost(`${key} has left this compartment.`));
    }
  }

  /** Ends the process; requests that are in it are lost. */
  close(): void {
    this.closed = true;
    this.child.kill('was closed');
  }

  private async ping(timeout: number): Promise<void> {
    await this.request(MessageType.Ping, '', { timeout, patience: timeout });
  }

  private request(
    type: MessageType,
    key: string,
    limits: Pick<Pending, 'timeout' | 'patience'>,
    write?: () => void,
  ): Promise<Message> {
    if (!this.isOpen) return Promise.reject(new CompartmentLost('The compartment has ended.'));
    const id = this.nextId++;
    if (this.nextId > 0xffffffff) this.nextId = 1;
    return new Promise((resolve, reject) => {
      this.writer.message(type, id, write);
      const sentAt = Date.now();
      const isRun = type === MessageType.Run;
      this.pending.set(id, { key, ...limits, isRun, sentAt, expired: false, resolve, reject });
      this.flushSoon();
    });
  }

  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    setImmediate(() => {
      this.flushing = false;
      if (!this.writer.isEmpty) this.child.channel.write(this.writer.take());
    });
  }

  private receive(message: Message): void {
    this.heardAt = Date.now();
    const pending = this.pending.get(message.id);
    this.pending.delete(message.id);
    if (!pending || pending.expired) return;
    if (message.type === MessageType.Error) pending.reject(readError(message));
    else pending.resolve(message);
  }

  /**
   * Deadlines. A caller gets 504 after its own; the process counts as frozen when it has said nothing as long as it may at
   * what it works at, so that requests that merely waited behind others do not kill it.
   */
  private watch(): void {
    const now = Date.now();
    const [running] = this.pending.values();
    if (!running) {
      if (this.isOpen && now - this.heardAt > PING_EVERY)
        void this.ping(PING_TIMEOUT).catch(() => undefined);
      return;
    }
    const silent = now - Math.max(running.sentAt, this.heardAt);
    if (silent >= running.patience) {
      this.frozen = true;
      this.child.kill(`did not answer within ${running.patience / 1000} s`);
      return;
    }
    if (running.isRun && running !== this.suspected && silent >= suspicious(running)) {
      this.suspected = running;
      this.emit('suspect', running.key);
    }
    for (const pending of this.pending.values()) {
      if (pending.expired || now - pending.sentAt < pending.timeout) continue;
      pending.expired = true;
      pending.reject(deadline(pending));
    }
  }

  private kindOf({ outOfMemory, fromOutside }: ProcessEnd): CompartmentEnd['kind'] {
    if (this.frozen) return 'frozen';
    if (outOfMemory) return 'memory';
    return fromOutside ? 'killed' : 'crashed';
  }

  private finish(end: ProcessEnd): void {
    clearInterval(this.timer);
    const [running] = this.closed || end.fromOutside ? [] : this.pending.values();
    const culprit = running?.key;
    this.ended = {
      reason: end.reason,
      frozen: this.frozen,
      kind: this.kindOf(end),
      ...(culprit ? { culprit } : {}),
    };
    for (const pending of this.pending.values()) {
      if (pending.expired) continue;
      if (pending.key === '' || pending.key !== culprit)
        pending.reject(new CompartmentLost(`The compartment ${end.reason}.`));
      else if (this.frozen) pending.reject(deadline(pending));
      else
        pending.reject(
          new DomainError('UNAVAILABLE', `The process that ran this version ${end.reason}.`, {
            retryAfter: 2,
          }),
        );
    }
    this.pending.clear();
    this.emit('end', this.ended);
    this.removeAllListeners('end');
  }
}

/** Milliseconds after which others are kept away from what may be frozen: what is left must do for them elsewhere. */
function suspicious({ patience }: Pending): number {
  return Math.min(1000, patience / 4);
}

function deadline({ timeout }: Pending): DomainError {
  return new DomainError(
    'DEADLINE_EXCEEDED',
    `The model did not answer within ${timeout / 1000} s.`,
  );
}

function readError(message: Message): Error {
  const { code, message: text, pointer } = message.json() as Record<string, string | undefined>;
  if (code === 'INVALID_INPUT' || code === 'INVALID_PROGRAM')
    return new ProgramError(code, text ?? '', pointer);
  return new DomainError('UNAVAILABLE', text ?? 'The version could not be run.', { retryAfter: 2 });
}
