import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { constantModel } from './models.js';
import type { Seeded } from './seeded.js';
import { type Reply, StrictClient } from './strict-client.js';

/** A version that a client wanted to make; `tags.intent` of the version has its id. */
export interface VersionIntent {
  intent: string;
  model: string;
  files: { path: string; digest: string; size: number }[];
  /** The number that the server answered. */
  acknowledged?: number;
  deleting?: 'asked' | 'acknowledged';
}

/** A promotion, a rollback or a move of an alias; `reason` of the transition has its id. */
export interface ChangeIntent {
  intent: string;
  model: string;
  /** The id of the transition that the server answered; null where nothing had to change. */
  acknowledged?: number | null;
}

/** What the clients have wanted, and what they were told: kept by the test, which nobody kills. */
export class Journal {
  readonly versions: VersionIntent[] = [];
  readonly changes: ChangeIntent[] = [];
  /** Bytes that were acknowledged for uploads that go on. */
  uploadsResumed = 0;
  keysRepeated = 0;
  refused = 0;

  acknowledgedVersions(): (VersionIntent & { acknowledged: number })[] {
    return this.versions.filter(
      (version): version is VersionIntent & { acknowledged: number } =>
        version.acknowledged !== undefined,
    );
  }
}

interface WorkOptions {
  url: () => string;
  seeded: Seeded;
  models: string[];
  /** Largest file of a version (bytes). */
  largest?: number;
  /** Milliseconds that a client rests between two things that it does. */
  rest?: number;
  /** How often a client deletes a version. */
  deletions?: number;
  /** Milliseconds after which an answer is late. */
  patience?: number;
}

/** Clients that upload, log, promote, move aliases, roll back and delete, and readers who look at everything meanwhile. */
export class RegistryWork {
  readonly journal = new Journal();
  readonly client: StrictClient;
  /** What readers have found that must not be: versions that are listed and not whole. */
  readonly violations: string[] = [];
  readsOfFiles = 0;
  #going = true;
  #abandoning = false;
  #gate: Promise<void> | undefined;
  #atRest = 0;
  readonly #loops: Promise<void>[] = [];

  constructor(private readonly options: WorkOptions) {
    this.client = new StrictClient(options.url, options.patience);
  }

  start({ clients = 8, readers = 2 } = {}): this {
    const { seeded, models } = this.options;
    const repeat = async (act: (model: string, own: Seeded) => Promise<void>): Promise<void> => {
      const own = seeded.fork();
      while (this.#going) {
        await this.#passGate();
        await act(own.pick(models), own).catch((error: unknown) => {
          this.violations.push(`an answer that makes no sense: ${explain(error)}`);
        });
      }
    };
    for (let i = 0; i < clients; i++) this.#loops.push(repeat((...at) => this.#work(...at)));
    for (let i = 0; i < readers; i++) this.#loops.push(repeat((...at) => this.#read(...at)));
    return this;
  }

  /** Resolves when every client has ended what it did and waits; gives what lets them go on. */
  async rest(patience = 60_000): Promise<() => void> {
    let open = (): void => {};
    this.#gate = new Promise((resolve) => {
      open = resolve;
    });
    const late = Date.now() + patience;
    while (this.#atRest < this.#loops.length) {
      if (Date.now() > late)
        throw new Error(`Clients do not come to an end:\n${this.client.recent.join('\n')}`);
      await sleep(5);
    }
    return () => {
      this.#gate = undefined;
      open();
    };
  }

  /** Lets every client end what it does; creations with a key are asked again until they are answered. */
  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#loops);
    this.client.close();
  }

  /** As {@link stop}, without asking again: what is unanswered stays so. */
  async abandon(): Promise<void> {
    this.#abandoning = true;
    await this.stop();
  }

  async #work(model: string, seeded: Seeded): Promise<void> {
    const drawn = seeded.next();
    if (drawn < 0.5) await this.#log(model, seeded);
    else if (drawn < 0.75) await this.#promote(model, seeded);
    else if (drawn < 0.85) await this.#setAlias(model, seeded);
    else if (drawn < 0.93) await this.#rollback(model, seeded);
    else if (seeded.chance(this.options.deletions ?? 0.5)) await this.#delete(model, seeded);
    await sleep(seeded.int(0, 2 * (this.options.rest ?? 20)));
  }

  async #passGate(): Promise<void> {
    this.#atRest++;
    await this.#gate;
    this.#atRest--;
  }

  async #log(model: string, seeded: Seeded): Promise<void> {
    const intent = randomUUID();
    const contents = new Map<string, Buffer>([['data.bin', seeded.bytes(this.#size(seeded))]]);
    // Few are models that are compiled: what is proven here is that nothing is lost.
    if (seeded.chance(0.1)) contents.set('model.json', constantModel(seeded.int(0, 1000)));
    for (const content of contents.values()) if (!(await this.#upload(content, seeded))) return;
    const files = [...contents].map(([path, content]) => ({
      path,
      digest: digestOf(content),
      size: content.length,
    }));
    const version: VersionIntent = { intent, model, files };
    this.journal.versions.push(version);
    const json = { files: files.map(({ path, digest }) => ({ path, digest })), tags: { intent } };
    const keyed = seeded.chance(0.8);
    const answer = await this.#post(`${urlOf(model)}/versions`, json, keyed ? intent : undefined);
    if (answer?.status === 201) version.acknowledged = answer.json<{ version: number }>().version;
  }

  #size(seeded: Seeded): number {
    return Math.floor((this.options.largest ?? 300_000) ** seeded.next());
  }

  /** In parts, going on where the server says after each cut. @returns false where the client gave up */
  async #upload(content: Buffer, seeded: Seeded): Promise<boolean> {
    const digest = digestOf(content);
    let location: string | undefined;
    let acknowledged = 0;
    while (this.#going || !this.#abandoning) {
      if (location === undefined) {
        acknowledged = 0;
        location = (await this.client.ask('POST', '/api/v1/blobs/uploads'))?.headers.location;
        if (location === undefined) await sleep(50);
        continue;
      }
      const end = seeded.chance(0.5) ? content.length : seeded.int(acknowledged, content.length);
      const bytes = content.subarray(acknowledged, end);
      const headers: Record<string, string> =
        end > acknowledged ? { 'content-range': `${acknowledged}-${end - 1}` } : {};
      const last = end === content.length;
      const answer: Reply | undefined = last
        ? await this.client.ask('PUT', `${location}?digest=${digest}`, { bytes, headers })
        : await this.client.ask('PATCH', location, { bytes, headers });
      if (answer?.status === 201) return true;
      if (answer?.status === 400) this.violations.push(`${location}: ${answer.bytes.toString()}`);
      if (answer?.status === 202) {
        acknowledged = end;
        continue;
      }
      this.journal.uploadsResumed++;
      const state = await this.#known(location, acknowledged, digest);
      if (state === 'stored') return true;
      if (state === 'gone' || answer?.status === 404) {
        this.violations.push(`${location}: takes nothing any more, and its blob is not there`);
        location = undefined;
      } else if (state !== 'unknown') acknowledged = state;
    }
    return false;
  }

  /** As {@link #offset}, asked until somebody knows. */
  async #known(
    location: string,
    acknowledged: number,
    digest: string,
  ): Promise<number | 'stored' | 'gone' | 'unknown'> {
    for (;;) {
      const state = await this.#offset(location, acknowledged, digest);
      if (state !== 'unknown' || (this.#abandoning && !this.#going)) return state;
      await sleep(50);
    }
  }

  /** Where an upload goes on; what was acknowledged must still be there. */
  async #offset(
    location: string,
    acknowledged: number,
    digest: string,
  ): Promise<number | 'stored' | 'gone' | 'unknown'> {
    const answer = await this.client.ask('GET', location);
    if (answer?.status === 204) {
      const last = /^0-(\d+)$/.exec(String(answer.headers.range))?.[1];
      const received = last === undefined ? 0 : Number(last) + 1;
      if (received < acknowledged)
        this.violations.push(`${location}: ${acknowledged} bytes acknowledged, ${received} kept`);
      return received;
    }
    if (answer?.status !== 404) return 'unknown';
    const stored = await this.client.ask('HEAD', `/api/v1/blobs/${digest}`);
    if (stored?.status === 200) return 'stored';
    return stored?.status === 404 ? 'gone' : 'unknown';
  }

  async #promote(model: string, seeded: Seeded): Promise<void> {
    const version = this.#versionOf(model, seeded);
    if (!version) return;
    const stage = seeded.pick(['Production', 'Production', 'Staging', 'Archived', 'None']);
    const current = seeded.chance(0.3) ? { ifCurrent: seeded.int(1, version + 1) } : {};
    await this.#change(`${urlOf(model)}/versions/${version}/promote`, model, seeded, {
      stage,
      unserved: true,
      ...current,
    });
  }

  async #rollback(model: string, seeded: Seeded): Promise<void> {
    await this.#change(`${urlOf(model)}/rollback`, model, seeded, {});
  }

  async #change(path: string, model: string, seeded: Seeded, given: object): Promise<void> {
    const change: ChangeIntent = { intent: randomUUID(), model };
    this.journal.changes.push(change);
    const key = seeded.chance(0.8) ? change.intent : undefined;
    const json = { ...given, wait: 0, reason: change.intent };
    this.#acknowledge(change, await this.#post(path, json, key));
  }

  async #setAlias(model: string, seeded: Seeded): Promise<void> {
    const version = this.#versionOf(model, seeded);
    if (!version) return;
    const change: ChangeIntent = { intent: randomUUID(), model };
    this.journal.changes.push(change);
    const json = { version, wait: 0, reason: change.intent };
    const alias = seeded.pick(['champion', 'challenger']);
    this.#acknowledge(
      change,
      await this.client.ask('PUT', `${urlOf(model)}/aliases/${alias}`, { json }),
    );
  }

  #acknowledge(change: ChangeIntent, answer: Reply | undefined): void {
    if (answer?.status === 200) {
      const { transition } = answer.json<{ transition: { id: number } | null }>();
      change.acknowledged = transition?.id ?? null;
    } else if (answer && answer.status < 500) this.journal.refused++;
  }

  async #delete(model: string, seeded: Seeded): Promise<void> {
    const mine = this.journal
      .acknowledgedVersions()
      .filter((version) => version.model === model && !version.deleting);
    if (mine.length < 5) return;
    const version = seeded.pick(mine);
    version.deleting = 'asked';
    const answer = await this.client.ask(
      'DELETE',
      `${urlOf(model)}/versions/${version.acknowledged}`,
    );
    if (answer?.status === 204) version.deleting = 'acknowledged';
    // It is in production: it stays.
    if (answer?.status === 409) delete version.deleting;
  }

  /** With a key it is asked until it is answered, as an SDK does; without one once. */
  async #post(path: string, json: unknown, key: string | undefined): Promise<Reply | undefined> {
    const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
    for (let tried = 1; ; tried++) {
      const answer = await this.client.ask('POST', path, { json, headers });
      if (key === undefined || (answer && answer.status !== 503)) return answer;
      if (this.#abandoning && !this.#going) return undefined;
      this.journal.keysRepeated++;
      await sleep(Math.min(50 * tried, 500));
    }
  }

  #versionOf(model: string, seeded: Seeded): number | undefined {
    const numbers = this.journal
      .acknowledgedVersions()
      .filter((version) => version.model === model && !version.deleting)
      .map((version) => version.acknowledged);
    return numbers.length ? seeded.pick(numbers) : undefined;
  }

  /** Whatever a list shows is whole, or gone. */
  async #read(model: string, seeded: Seeded): Promise<void> {
    const list = await this.client.ask('GET', `${urlOf(model)}/versions?limit=20`);
    if (list?.status === 200) {
      const { items } = list.json<{ items: { version: number; tags: { intent?: string } }[] }>();
      const item = items.length ? seeded.pick(items.slice(0, 5)) : undefined;
      if (item) await this.#readWhole(model, item.version, item.tags.intent);
    }
    await sleep(seeded.int(0, 40));
  }

  async #readWhole(model: string, version: number, intent: string | undefined): Promise<void> {
    const wanted = this.journal.versions.find((known) => known.intent === intent);
    this.violations.push(
      ...(await wholeness(this.client, model, version, wanted)).map((what) => `read: ${what}`),
    );
    this.readsOfFiles++;
  }
}

/** What is wrong with a version as a reader sees it: it has all its files with their bytes, or is not there at all. */
export async function wholeness(
  client: StrictClient,
  model: string,
  version: number,
  wanted?: VersionIntent,
): Promise<string[]> {
  const url = `${urlOf(model)}/versions/${version}/files`;
  const answer = await client.ask('GET', url);
  if (!answer || [404, 503].includes(answer.status)) return [];
  if (answer.status !== 200) return [`${url}: ${answer.status}`];
  const { files } = answer.json<{ files: { path: string; digest: string; size: number }[] }>();
  const problems: string[] = [];
  const listed = files.map(({ path, digest, size }) => `${path} ${digest} ${size}`).sort();
  const meant = wanted?.files.map(({ path, digest, size }) => `${path} ${digest} ${size}`).sort();
  if (meant && listed.join('\n') !== meant.join('\n'))
    problems.push(`${url}: has ${listed.join(', ')}, not ${meant.join(', ')}`);
  for (const { path, digest } of files) {
    const file = await client.ask('GET', `${url}/${path}`);
    if (!file || file.status === 503) continue;
    // It may have been deleted since.
    if (file.status === 404 && wanted?.deleting) continue;
    if (file.status !== 200) problems.push(`${url}/${path}: ${file.status}`);
    else if (digestOf(file.bytes) !== digest) problems.push(`${url}/${path}: other bytes`);
  }
  return problems;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function urlOf(model: string): string {
  return `/api/v1/models/${encodeURIComponent(model)}`;
}

function explain(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
