import { Spawner } from '#formats';
import { DomainError } from '#platform';
import { ProgramError, type Binding, type Runtime, type Signature, type Tensor } from '#program';
import {
  Compartment,
  CompartmentLost,
  type CompartmentEnd,
  type LoadedProgram,
  type ProgramSource,
} from './compartment.js';

export interface CompartmentPoolOptions {
  /** Bytes that all compartments together should stay below; above it versions share. */
  memory: number;
  /** Bytes that one compartment may have; 2 GiB by default. */
  compartmentMemory?: number;
  /** Milliseconds in which a prediction must be answered (PREDICT_TIMEOUT). */
  timeout: number;
  /** Milliseconds in which a version must be loaded; 60 s by default. */
  loadTimeout?: number;
  /**
   * A version froze or killed its compartment. It has a compartment of its own from now on, and after {@link MAX_KILLS} kills
   * in a minute none. `reason` goes on after "The version …".
   */
  onQuarantine?: (key: string, reason: string) => void;
  /** A compartment ended, whoever's fault; for the log. */
  onEnd?: (end: CompartmentEnd & { versions: string[]; pid: number }) => void;
}

/** A runtime in a compartment; `run` takes a deadline of its own. */
export interface CompartmentRuntime extends Runtime {
  run(inputs: Tensor[], outputs: string[], timeout?: number): Promise<Tensor[]>;
  close(): void;
}

const COMPARTMENT_MEMORY = 2 * 2 ** 30;

/** A compartment without versions (Node and onnxruntime); measured: 60 to 70 MB. */
const EMPTY_BYTES = 70 * 2 ** 20;

const MAX_KILLS = 3;
const KILLS_WITHIN = 60_000;

/**
 * Keeps ONNX versions in compartments: each in one of its own while the memory suffices, else several in one; a version is
 * always loaded and run first in a fresh compartment, because loading next to running versions costs them 300 ms. A
 * compartment that freezes or dies is replaced at once; the version that was running is quarantined, those that shared with
 * it go on in a new one (already when it runs suspiciously long), and their requests are tried there once more.
 */
export class CompartmentPool {
  private readonly residents = new Map<string, Resident>();
  private readonly homes = new Set<Home>();
  private readonly spawner = new Spawner();
  /** A compartment that is up already, for the next version or replacement: starting one takes up to a second on a busy machine. */
  private spare: Promise<Compartment> | undefined;
  private closed = false;

  constructor(private readonly options: CompartmentPoolOptions) {}

  /**
   * Loads a version and answers its runtime. Rejects with ProgramError or DomainError where it does not load; then nothing
   * of it remains. `bytesHint`: what it will take, such as the size of its files. `signal` gives the load up.
   */
  async load(
    key: string,
    source: ProgramSource,
    bytesHint: number,
    signal?: AbortSignal,
  ): Promise<CompartmentRuntime> {
    if (this.closed) throw new DomainError('UNAVAILABLE', 'The server is stopping.');
    if (this.residents.has(key)) throw new Error(`Version ${key} is loaded already.`);
    const joined = this.hasRoomFor(bytesHint) ? undefined : this.smallestShared();
    const { spare } = this;
    const home = this.newHome();
    // The next promotion finds one again; beside a first start a second would only slow it down.
    if (spare) this.prepareSpare();
    const resident = new Resident(key, source, this);
    this.residents.set(key, resident);
    const giveUp = (): void => this.release(home);
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      await home.take(resident, true);
    } catch (error) {
      this.residents.delete(key);
      this.release(home);
      throw error instanceof CompartmentLost
        ? new DomainError(
            'FAILED_PRECONDITION',
            `The version could not be loaded. ${error.message}`,
          )
        : error;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
    home.joins = joined;
    this.prepareSpare();
    return resident.runtime(this.options.timeout);
  }

  /** What there is: for metrics and the status page. */
  get compartments(): { pid: number; versions: string[]; bytes: number }[] {
    return [...this.homes].map(({ pid, keys, bytes }) => ({ pid, versions: keys, bytes }));
  }

  close(): void {
    this.closed = true;
    this.spawner.close();
    for (const home of this.homes) home.close();
    void this.spare?.then((compartment) => compartment.close()).catch(() => undefined);
    this.homes.clear();
    this.residents.clear();
  }

  /** Takes a version out; its requests that still run are lost. */
  unload(resident: Resident): void {
    if (!this.residents.delete(resident.key)) return;
    const { home } = resident;
    resident.isGone = true;
    resident.home = undefined;
    home?.leave(resident);
    if (home && home.keys.length === 0) this.release(home);
  }

  private release(home: Home): void {
    this.homes.delete(home);
    home.close();
  }

  private hasRoomFor(bytes: number): boolean {
    let used = EMPTY_BYTES + bytes;
    for (const home of this.homes) used += home.bytes;
    return used <= this.options.memory;
  }

  private smallestShared(): Home | undefined {
    return [...this.homes]
      .filter((home) => home.mayShare)
      .toSorted((a, b) => a.bytes - b.bytes)
      .at(0);
  }

  /**
   * Versions of another compartment move into this one, as was planned when its version was loaded. Not before that one has
   * answered: a first run that freezes or kills would take the others along.
   */
  join(home: Home): void {
    const { joins } = home;
    home.joins = undefined;
    if (joins && this.homes.has(joins) && this.homes.has(home)) void this.merge(joins, home);
  }

  /** Moves the versions of one compartment into another, one by one; each answers all the time. */
  private async merge(from: Home, into: Home): Promise<void> {
    for (const resident of from.all()) {
      try {
        await into.take(resident);
      } catch {
        // It goes on where it is.
      }
    }
    if (from.keys.length === 0) this.release(from);
  }

  private ended(home: Home, end: CompartmentEnd): void {
    // One that was closed from here has been taken out before.
    if (!this.homes.delete(home)) return;
    const residents = home.all();
    this.options.onEnd?.({ ...end, versions: home.keys, pid: home.pid });
    const others = residents.filter(({ key }) => key !== end.culprit);
    const lost = others.some((resident) => !resident.return);
    const shared = lost ? this.newHome() : undefined;
    for (const resident of others) if (shared) resident.return ??= this.bringBack(resident, shared);
    const culprit = residents.find(({ key }) => key === end.culprit);
    if (!culprit) return;
    culprit.blame(end.reason);
    if (!culprit.isHopeless) culprit.return = this.bringBack(culprit, this.newHome());
    this.options.onQuarantine?.(culprit.key, end.reason);
  }

  /**
   * A version has been running for so long that it may be frozen: the others that share the compartment do not wait until
   * that is certain, or their time would be over too, but go on in a new one, with the requests that wait behind it.
   */
  private evacuate(home: Home, suspect: string): void {
    const others = home.all().filter(({ key, return: way }) => key !== suspect && !way);
    if (!others.length || this.closed) return;
    const refuge = this.newHome();
    for (const resident of others) {
      resident.return = this.bringBack(resident, refuge);
      void resident.return.then(() => home.abandon(resident.key));
    }
  }

  private newHome(): Home {
    const started = this.spare ?? this.start();
    this.spare = undefined;
    const home: Home = new Home(
      started,
      (end) => this.ended(home, end),
      (suspect) => this.evacuate(home, suspect),
    );
    this.homes.add(home);
    return home;
  }

  private start(quietly = false): Promise<Compartment> {
    const { compartmentMemory: memory = COMPARTMENT_MEMORY, timeout, loadTimeout } = this.options;
    const limits = { memory, timeout, ...(loadTimeout ? { loadTimeout } : {}) };
    return Compartment.start(limits, this.spawner, quietly);
  }

  private prepareSpare(): void {
    if (this.spare || this.closed || this.homes.size === 0) return;
    const spare = this.start(true);
    this.spare = spare;
    const drop = () => {
      if (this.spare === spare) this.spare = undefined;
    };
    spare.then((compartment) => compartment.once('end', drop)).catch(drop);
  }

  /** Loads a version that has lost its compartment; once more in one of its own where that one dies as well. */
  private async bringBack(resident: Resident, home: Home, again = true): Promise<void> {
    try {
      await home.take(resident);
      this.prepareSpare();
    } catch (error) {
      if (this.closed || resident.isGone) return;
      if (error instanceof CompartmentLost && again)
        return this.bringBack(resident, this.newHome(), false);
      const reason = error instanceof Error ? error.message : String(error);
      resident.blame(`could not be loaded again: ${reason}`);
      this.options.onQuarantine?.(resident.key, resident.quarantined ?? reason);
    }
  }
}

/** A compartment with the versions in it. */
class Home {
  /** A compartment whose versions move in here. */
  joins: Home | undefined;
  private compartment: Compartment | undefined;
  private readonly residents = new Map<string, Resident>();
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly started: Promise<Compartment>,
    onEnd: (end: CompartmentEnd) => void,
    onSuspect: (key: string) => void,
  ) {
    started.then(
      (compartment) => {
        this.compartment = compartment;
        compartment.once('end', onEnd);
        compartment.on('suspect', onSuspect);
      },
      () => undefined,
    );
  }

  get pid(): number {
    return this.compartment?.pid ?? 0;
  }

  get keys(): string[] {
    return [...this.residents.keys()];
  }

  get bytes(): number {
    return this.all().reduce((sum, { bytes }) => sum + bytes, EMPTY_BYTES);
  }

  get mayShare(): boolean {
    const residents = this.all();
    return residents.length > 0 && residents.every(({ quarantined }) => quarantined === undefined);
  }

  all(): Resident[] {
    return [...this.residents.values()];
  }

  /** Loads a version; it answers from here as soon as that is done, and leaves the compartment where it was. */
  async take(resident: Resident, quietly = false): Promise<void> {
    const task = this.queue.then(async () => {
      if (resident.isGone) return;
      const compartment = await this.started;
      const loaded = await compartment.loadProgram(resident.key, resident.source, quietly);
      if (resident.isGone) {
        compartment.unload(resident.key);
        return;
      }
      this.residents.set(resident.key, resident);
      resident.settle(this, loaded);
    });
    this.queue = task.catch(() => undefined);
    await task;
  }

  leave(resident: Resident): void {
    this.residents.delete(resident.key);
    this.compartment?.unload(resident.key);
  }

  /** The requests of a version that has left are tried elsewhere. */
  abandon(key: string): void {
    this.compartment?.abandon(key);
  }

  async run(key: string, inputs: Tensor[], outputs: string[], timeout: number): Promise<Tensor[]> {
    return (await this.started).run(key, inputs, outputs, timeout);
  }

  /** Ends the process, also one that is still starting. */
  close(): void {
    this.started.then(
      (compartment) => compartment.close(),
      () => undefined,
    );
  }
}

/** A version, wherever it is. */
class Resident {
  home: Home | undefined;
  bytes = 0;
  /** It was unloaded. */
  isGone = false;
  /** Why, once it has been quarantined. */
  quarantined: string | undefined;
  /** Its way into a new compartment. */
  return: Promise<void> | undefined;
  private kills: number[] = [];
  private loaded: { signature: Signature; binding: Binding } | undefined;

  constructor(
    readonly key: string,
    readonly source: ProgramSource,
    private readonly pool: CompartmentPool,
  ) {}

  settle(home: Home, { bytes, signature, binding }: LoadedProgram): void {
    const previous = this.home;
    this.home = home;
    this.bytes = bytes;
    this.loaded = { signature, binding };
    this.return = undefined;
    if (previous && previous !== home) previous.leave(this);
  }

  /** It froze or killed its compartment. */
  blame(reason: string): void {
    const now = Date.now();
    this.home = undefined;
    this.quarantined = reason;
    this.kills = [...this.kills.filter((at) => at > now - KILLS_WITHIN), now];
  }

  /** It has killed so many compartments in so short a time that it gets no other. */
  get isHopeless(): boolean {
    return this.kills.length >= MAX_KILLS;
  }

  runtime(timeout: number): CompartmentRuntime {
    if (!this.loaded) throw new Error(`Version ${this.key} is not loaded.`);
    const bytes = () => this.bytes;
    return {
      ...this.loaded,
      get bytes() {
        return bytes();
      },
      rowwise: false,
      run: (inputs, outputs, own = timeout) => this.run(inputs, outputs, own),
      close: () => this.pool.unload(this),
    };
  }

  private async run(inputs: Tensor[], outputs: string[], timeout: number): Promise<Tensor[]> {
    const until = Date.now() + timeout;
    try {
      return await this.runOnce(inputs, outputs, until);
    } catch (error) {
      if (!(error instanceof CompartmentLost)) throw error;
    }
    // Another version took the compartment down: this request is tried once more in the new one.
    try {
      return await this.runOnce(inputs, outputs, until);
    } catch (error) {
      throw error instanceof CompartmentLost ? this.unavailable() : error;
    }
  }

  private async runOnce(inputs: Tensor[], outputs: string[], until: number): Promise<Tensor[]> {
    const home = await this.place(until);
    try {
      const answer = await home.run(this.key, inputs, outputs, Math.max(1, until - Date.now()));
      if (home.joins) this.pool.join(home);
      return answer;
    } catch (error) {
      // A refusal is an answer as well.
      if (home.joins && error instanceof ProgramError) this.pool.join(home);
      throw error;
    }
  }

  private async place(until: number): Promise<Home> {
    if (this.return) await Promise.race([this.return, passed(until)]);
    if (!this.home) throw this.unavailable();
    return this.home;
  }

  private unavailable(): DomainError {
    const why = this.quarantined
      ? `It is quarantined: it ${this.quarantined}.`
      : 'It is being loaded again.';
    return new DomainError('UNAVAILABLE', `The version does not answer. ${why}`, { retryAfter: 2 });
  }
}

function passed(until: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, until - Date.now())).unref();
  });
}
