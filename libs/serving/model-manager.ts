import { DomainError, type Logger } from '#platform';
import { ChangeSignal, within } from './change-signal.js';
import type { DesiredModel, DesiredSnapshot, VersionResolver, VersionTarget } from './desired.js';
import { LoadQueue } from './load-queue.js';
import { asLoadError, LoadError } from './load-error.js';
import type { LoadedVersion } from './loaded-version.js';
import { keyOf, lastUsed, ModelSlot, newEntry, type Entry, type ModelState } from './model-slot.js';
import { makeRoom, nextActions, roleOf, STALE_AFTER, type Resident } from './policy.js';
import type { Route, RouteTable } from './route-table.js';

/** Brings a version into memory, warmed up. */
export interface VersionLoader {
  /**
   * @param admit called with the bytes the version will need before they are taken; throws where there is no room
   * @param signal aborts the load; what it rejects with then is of no interest
   * @throws LoadError
   */
  load(
    modelId: string,
    target: VersionTarget,
    admit: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<LoadedVersion>;
}

/** Is told what happens, for reports and metrics. */
export interface ManagerObserver {
  stateChanged(state: ModelState): void;
  /** A model is not followed any longer. */
  stateGone(modelId: string): void;
  /** The versions in memory that are not followed have changed. */
  watchChanged(versionIds: string[]): void;
  /** `ms`: from the wish until requests got the version. */
  swapped(model: string, ms: number): void;
  loadFailed(model: string, version: number, retry: LoadError['retry']): void;
}

export interface ModelManagerOptions {
  loader: VersionLoader;
  resolver: VersionResolver;
  observer: ManagerObserver;
  /** Bound on resident bytes. */
  memory: number;
  log: Logger;
  /** Loads at a time. */
  parallelLoads?: number;
}

const FIRST_VERSION_WAIT = 5000;
const ON_DEMAND_WAIT = 10_000;
const LONGEST_BACKOFF = 30_000;
const TEND_EVERY = 15_000;

/**
 * Moves what is in memory towards what is wished (TensorFlow Serving's aspired versions). Every decision is taken by
 * `policy.ts` in one synchronous step, so that a model has one step at a time; loads run beside and are looked at anew
 * when they end, so that the newest wish wins over a stale load.
 */
export class ModelManager {
  /** Captured once by a request; a swap is one assignment. */
  routes: RouteTable = new Map();

  readonly #options: ModelManagerOptions;
  readonly #slots = new Map<string, ModelSlot>();
  readonly #loads: LoadQueue;
  readonly #changed = new ChangeSignal();
  #known = false;
  #watched = '';
  #tender: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ModelManagerOptions) {
    this.#options = options;
    this.#loads = new LoadQueue(options.parallelLoads ?? 4);
  }

  /** Every followed model answers with some version or has finally failed. */
  get ready(): boolean {
    if (!this.#known) return false;
    for (const slot of this.#slots.values())
      if (slot.desired && !slot.answering && !slot.failed) return false;
    return true;
  }

  /** Versions in memory and their bytes. */
  get resident(): { versions: number; bytes: number } {
    const resident = { versions: 0, bytes: 0 };
    for (const entry of this.#entries()) {
      if (entry.state !== 'ready') continue;
      resident.versions++;
      resident.bytes += entry.bytes;
    }
    return resident;
  }

  /** The followed models with what is known of each. */
  get states(): ModelState[] {
    return [...this.#slots.values()].flatMap((slot) => slot.state() ?? []);
  }

  /** Takes a new wish, whole: what is not in it is not wished for any longer. */
  update(snapshot: DesiredSnapshot): void {
    if (this.#closed) return;
    this.#known = true;
    for (const { modelId, model, versionId, quarantine } of snapshot.watched) {
      const slot = this.#slots.get(modelId);
      if (!slot) continue;
      if (!slot.desired) slot.model = model;
      for (const entry of slot.entries.values()) {
        if (entry.target.versionId === versionId) entry.target.quarantine = quarantine;
      }
    }
    const gone = new Set(snapshot.gone);
    for (const entry of this.#entries()) {
      if (gone.has(entry.target.versionId) && this.#slots.get(entry.modelId)?.answering !== entry)
        this.#unload(entry);
    }
    const wished = new Set<string>();
    for (const desired of snapshot.models) {
      wished.add(desired.modelId);
      this.#wish(this.#slotOf(desired.modelId, desired.model), desired);
    }
    for (const slot of this.#slots.values())
      if (!wished.has(slot.modelId)) this.#wish(slot, undefined);
    this.#publish();
  }

  /** The version that answers `model` (or has the number `word`) where it is in memory and needs no lookup. */
  find(model: string, word: string | undefined): LoadedVersion | undefined {
    const route = this.routes.get(model);
    if (!route || word === undefined) return route?.answering;
    const number = Number(word);
    return String(number) === word ? route.versions.get(number) : undefined;
  }

  /**
   * The version that a request is for, held for it: looked up and loaded where needed.
   * @throws DomainError NOT_FOUND, FAILED_PRECONDITION, UNAVAILABLE (with `retryAfter`)
   */
  async acquire(model: string, word?: string): Promise<LoadedVersion> {
    const found = this.find(model, word);
    if (found) return found.lease();
    if (word === undefined) return (await this.#followed(model)).lease();
    const { modelId, model: name, target } = await this.#options.resolver.resolve(model, word);
    if (!target)
      throw new DomainError('UNAVAILABLE', `${name} is changing. Try again.`, { retryAfter: 1 });
    const slot = this.#slotOf(modelId, name);
    const entry = this.#demand(slot, target);
    return (await this.#wait(slot, entry, ON_DEMAND_WAIT)).lease();
  }

  /** Gives everything back; requests that run end first. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#tender);
    this.routes = new Map();
    this.#changed.tell();
    const entries = [...this.#entries()];
    this.#slots.clear();
    await Promise.all(
      entries.map(async (entry) => entry.settled.then(() => entry.loaded?.retire())),
    );
  }

  *#entries(): Generator<Entry> {
    for (const slot of this.#slots.values()) yield* slot.entries.values();
  }

  #slotOf(modelId: string, model: string): ModelSlot {
    let slot = this.#slots.get(modelId);
    if (!slot) {
      slot = new ModelSlot(modelId, model);
      this.#slots.set(modelId, slot);
    }
    return slot;
  }

  #wish(slot: ModelSlot, desired: DesiredModel | undefined): void {
    const before = slot.desired;
    slot.desired = desired;
    if (desired) {
      slot.model = desired.model;
      const renewed = before?.generation !== desired.generation;
      if (renewed) slot.since = performance.now();
      const entry = slot.wished;
      if (entry) {
        entry.target = desired.target;
        const released = before?.target.quarantine && !desired.target.quarantine;
        if (entry.state === 'failed' && (renewed || released)) entry.retryAt = 0;
      }
    } else if (before) {
      slot.reported = '';
      this.#options.observer.stateGone(slot.modelId);
    }
    this.#step(slot);
  }

  /** Takes the next steps of one model. Synchronous: nothing else happens in between. */
  #step(slot: ModelSlot): void {
    for (const action of nextActions(slot.view(), Date.now())) {
      if (action.kind === 'withdraw') {
        slot.previous = slot.answering;
        slot.answering = undefined;
      } else if (action.kind === 'swap') {
        this.#swap(slot, action.key);
      } else if (action.kind === 'unload') {
        const entry = slot.entries.get(action.key);
        if (entry) this.#unload(entry);
      } else if (slot.desired) {
        this.#load(slot, slot.desired.target, true);
      }
    }
    const state = slot.state();
    const text = JSON.stringify(state);
    if (!state || text === slot.reported) return;
    slot.reported = text;
    this.#options.observer.stateChanged(state);
  }

  #swap(slot: ModelSlot, key: string): void {
    const next = slot.entries.get(key);
    if (!next) return;
    const { log, observer } = this.#options;
    if (slot.answering) slot.previous = slot.answering;
    slot.answering = next;
    if (slot.previous === next) slot.previous = undefined;
    next.lastUsed = Date.now();
    if (slot.previous) slot.previous.lastUsed = Date.now();
    // What was replaced had lent its place.
    this.#makeRoom(this.#residents(), 0);
    const ms = performance.now() - slot.since;
    observer.swapped(slot.model, ms);
    log.info(
      { model: slot.model, version: next.target.version, ms: Math.round(ms) },
      'answers with a new version',
    );
  }

  #load(slot: ModelSlot, target: VersionTarget, urgent: boolean): Entry {
    const entry = newEntry(slot.modelId, target, slot.entries.get(keyOf(target)));
    slot.entries.set(entry.key, entry);
    entry.settled = this.#loads
      .run(urgent, () => this.#bring(slot, entry))
      .catch((error: unknown) => this.#fail(slot, entry, error))
      .finally(() => {
        if (this.#closed) return;
        this.#step(slot);
        this.#publish();
      });
    return entry;
  }

  async #bring(slot: ModelSlot, entry: Entry): Promise<void> {
    if (slot.entries.get(entry.key) !== entry) return;
    const { model, modelId } = slot;
    const { target } = entry;
    const started = performance.now();
    const loaded = await this.#options.loader.load(
      modelId,
      target,
      (bytes) => this.#admit(slot, entry, bytes),
      entry.abort.signal,
    );
    if (slot.entries.get(entry.key) !== entry) return loaded.retire();
    try {
      this.#admit(slot, entry, loaded.program.bytes);
    } catch (error) {
      await loaded.retire();
      throw error;
    }
    entry.loaded = loaded;
    entry.state = 'ready';
    entry.error = undefined;
    entry.lastUsed = Date.now();
    const ms = Math.round(performance.now() - started);
    this.#options.log.info(
      { model, version: target.version, ms, bytes: entry.bytes },
      'loaded a version',
    );
  }

  #fail(slot: ModelSlot, entry: Entry, cause: unknown): void {
    if (slot.entries.get(entry.key) !== entry) return;
    const { model } = slot;
    const error = asLoadError(cause);
    const { retry, message } = error;
    entry.bytes = 0;
    entry.state = 'failed';
    entry.error = error;
    const first = retry === 'soon' ? 250 : 1000;
    const pause = Math.min(LONGEST_BACKOFF, first * 2 ** Math.min(entry.attempts - 1, 10));
    entry.retryAt = retry === 'never' ? Infinity : Date.now() + pause * (0.8 + 0.4 * Math.random());
    const { version } = entry.target;
    this.#options.observer.loadFailed(model, version, retry);
    this.#options.log.warn(
      { model, version, attempts: entry.attempts, retry },
      `cannot load a version: ${message}`,
    );
  }

  /** Books `bytes` for a version, for which others may have to go. */
  #admit(slot: ModelSlot, entry: Entry, bytes: number): void {
    // What is being replaced gives its place to what replaces it.
    const spared = slot.wished === entry ? slot.answering : undefined;
    const residents = this.#residents().filter(
      ({ key }) => key !== entry.key && key !== spared?.key,
    );
    if (!this.#makeRoom(residents, bytes)) {
      throw new LoadError(
        `it needs ${mebibytes(bytes)} of memory, which SERVING_MEMORY (${mebibytes(this.#options.memory)} for this process) does not leave beside what is followed or in use`,
        'later',
      );
    }
    entry.bytes = bytes;
  }

  /** Unloads until `bytes` more fit; false, and nothing unloaded, where they cannot. */
  #makeRoom(residents: Resident[], bytes: number): boolean {
    const unload = makeRoom(residents, this.#options.memory, bytes);
    const victims = new Set(unload);
    for (const entry of this.#entries()) if (victims.has(entry.key)) this.#unload(entry);
    return unload !== undefined;
  }

  #residents(): Resident[] {
    const residents: Resident[] = [];
    for (const slot of this.#slots.values()) {
      if (!slot.entries.size) continue;
      const view = slot.view();
      for (const entry of slot.entries.values()) {
        const { key, bytes } = entry;
        const leases = entry.state === 'loading' ? 1 : (entry.loaded?.leases ?? 0);
        const resident = { key, role: roleOf(view, key), bytes, leases, lastUsed: lastUsed(entry) };
        if (bytes) residents.push(resident);
      }
    }
    return residents;
  }

  #unload(entry: Entry): void {
    const slot = this.#slots.get(entry.modelId);
    if (slot?.entries.get(entry.key) !== entry) return;
    slot.entries.delete(entry.key);
    entry.abort.abort();
    if (slot.previous === entry) slot.previous = undefined;
    if (slot.answering === entry) slot.answering = undefined;
    this.#publish();
    entry.loaded?.retire().catch((error: unknown) => {
      this.#options.log.warn(
        { err: error, model: slot.model },
        'an unloaded version could not be closed',
      );
    });
  }

  #demand(slot: ModelSlot, target: VersionTarget): Entry {
    const entry = slot.entries.get(keyOf(target));
    const now = Date.now();
    const stale =
      entry?.state === 'failed' && (entry.retryAt <= now || now - entry.lastUsed > LONGEST_BACKOFF);
    const demanded = entry && !stale ? entry : this.#load(slot, target, false);
    demanded.demanded = true;
    return demanded;
  }

  async #wait(slot: ModelSlot, entry: Entry, patience: number): Promise<LoadedVersion> {
    if (entry.state === 'loading') await within(patience, entry.settled);
    if (entry.loaded && entry.state === 'ready') return entry.loaded;
    const what = `Version ${entry.target.version} of model ${JSON.stringify(slot.model)}`;
    if (entry.state === 'failed' && entry.error) {
      throw new DomainError('UNAVAILABLE', `${what} cannot be loaded: ${entry.error.message}`, {
        retryAfter: 30,
      });
    }
    throw new DomainError('UNAVAILABLE', `${what} is still loading. Try again.`, { retryAfter: 2 });
  }

  /** The followed version of a model that has none in memory yet. */
  async #followed(model: string): Promise<LoadedVersion> {
    const end = Date.now() + FIRST_VERSION_WAIT;
    const followed = (): ModelSlot | undefined => {
      for (const slot of this.#slots.values()) if (slot.desired?.model === model) return slot;
      return undefined;
    };
    if (!followed()) await this.#options.resolver.resolve(model);
    for (;;) {
      const answering = this.find(model, undefined);
      if (answering) return answering;
      const slot = followed();
      if (slot?.wished && slot.failed) return this.#wait(slot, slot.wished, 0);
      const left = end - Date.now();
      if (left <= 0 || this.#closed) {
        const why = slot?.wished?.error ? ` (${slot.wished.error.message})` : '';
        throw new DomainError(
          'UNAVAILABLE',
          `Model ${JSON.stringify(model)} is still loading${why}. Try again.`,
          {
            retryAfter: 1,
          },
        );
      }
      await this.#changed.wait(left);
    }
  }

  /** Makes what the slots have visible to requests, in one assignment; then looks when to look again. */
  #publish(): void {
    if (this.#closed) return;
    const routes = new Map<string, Route>();
    const watched: string[] = [];
    let due = Date.now() + TEND_EVERY;
    for (const slot of this.#slots.values()) {
      const route = slot.route();
      const holder = routes.get(slot.model);
      // A name that was given away belongs to the model that is followed under it.
      if (route && (!holder || route.followed)) routes.set(slot.model, route);
      for (const entry of slot.entries.values()) {
        if (entry.target.versionId !== slot.desired?.target.versionId)
          watched.push(entry.target.versionId);
        if (entry.state === 'failed') due = Math.min(due, entry.retryAt);
        if (entry.state === 'loading' && !entry.demanded && entry !== slot.wished)
          due = Math.min(due, entry.lastUsed + STALE_AFTER);
      }
      if (!slot.desired && !slot.entries.size) this.#slots.delete(slot.modelId);
    }
    this.routes = routes;
    this.#changed.tell();
    clearTimeout(this.#tender);
    this.#tender = setTimeout(() => this.#tend(), Math.max(10, due - Date.now()));
    const text = watched.sort().join();
    if (text === this.#watched) return;
    this.#watched = text;
    this.#options.observer.watchChanged(watched);
  }

  /** Retries and idle versions: what becomes due without an event. */
  #tend(): void {
    for (const slot of this.#slots.values()) this.#step(slot);
    this.#publish();
  }
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
