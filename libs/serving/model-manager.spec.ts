import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger, DomainError } from '#platform';
import { Batcher } from './batcher.js';
import type { DesiredModel, DesiredSnapshot, Resolution, VersionTarget } from './desired.js';
import { LoadError } from './load-error.js';
import { LoadedVersion } from './loaded-version.js';
import { ModelManager, type VersionLoader } from './model-manager.js';
import type { ModelState } from './model-slot.js';
import { STALE_AFTER } from './policy.js';

const log = createLogger({ LOG_LEVEL: 'silent' }, 'test');
const MEMORY = 100;
const BYTES = 30;

const target = (
  model: string,
  version: number,
  given: Partial<VersionTarget> = {},
): VersionTarget => ({
  versionId: `${model}-${version}`,
  version,
  program: `sha256:${version}`,
  example: null,
  quarantine: null,
  ...given,
});

let generation = 0;
const follows = (
  model: string,
  version: number,
  given: Partial<VersionTarget> = {},
): DesiredModel => ({
  modelId: model,
  workspace: 'default',
  model,
  generation: ++generation,
  wanted: version,
  target: target(model, version, given),
  words: {},
});
const wish = (...models: DesiredModel[]): DesiredSnapshot => ({ models, watched: [], gone: [] });

/** Loads when the test says so. */
class ScriptedLoader implements VersionLoader {
  readonly begun: string[] = [];
  readonly closed: string[] = [];
  readonly aborted: string[] = [];
  readonly #ends = new Map<string, (error?: Error) => void>();

  async load(
    modelId: string,
    wanted: VersionTarget,
    admit: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<LoadedVersion> {
    const key = wanted.versionId;
    signal.addEventListener('abort', () => this.aborted.push(key));
    this.begun.push(key);
    admit(BYTES);
    await new Promise<void>((resolve, reject) => {
      this.#ends.set(key, (error) => (error ? reject(error) : resolve()));
    });
    const program = {
      signature: { inputs: [], outputs: [] },
      binding: { kind: 'tensors' as const },
      format: 'test',
      bytes: BYTES,
      rowwise: false,
      synchronous: true,
      bind: () => [],
      run: () => [],
      close: () => void this.closed.push(key),
    };
    const batcher = new Batcher(program, { concatRows: () => [], splitRows: () => [] });
    return new LoadedVersion(modelId, wanted.version, program, batcher);
  }

  async end(key: string, error?: Error): Promise<void> {
    await turn();
    this.#ends.get(key)?.(error);
    await turn();
  }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 2));

let loader: ScriptedLoader;
let manager: ModelManager;
let states: ModelState[];
let watched: string[];
let lookups: (model: string, word?: string) => Promise<Resolution>;

beforeEach(() => {
  loader = new ScriptedLoader();
  states = [];
  watched = [];
  lookups = async (model) => {
    throw DomainError.notFound(model);
  };
  manager = new ModelManager({
    loader,
    resolver: { resolve: (model, word) => lookups(model, word) },
    observer: {
      stateChanged: (state) => void states.push(state),
      stateGone: () => undefined,
      watchChanged: (ids) => void (watched = ids),
      swapped: () => undefined,
      loadFailed: () => undefined,
    },
    memory: MEMORY,
    log,
  });
});

afterEach(async () => {
  for (const key of loader.begun) await loader.end(key);
  await manager.close();
});

const answering = (model: string) => manager.find(model, undefined)?.version;

describe('ModelManager', () => {
  it('is ready only when everything followed answers or has finally failed', async () => {
    expect(manager.ready).toBe(false);
    manager.update(wish());
    expect(manager.ready).toBe(true);
    manager.update(wish(follows('a', 1), follows('b', 1)));
    expect(manager.ready).toBe(false);
    await loader.end('a-1');
    expect(manager.ready).toBe(false);
    await loader.end('b-1', new LoadError('broken', 'never'));
    expect(manager.ready).toBe(true);
  });

  it('lets the newest wish win over a load that ends late', async () => {
    manager.update(wish(follows('a', 1)));
    await loader.end('a-1');
    manager.update(wish(follows('a', 2)));
    await turn();
    manager.update(wish(follows('a', 3)));
    await loader.end('a-3');
    expect(answering('a')).toBe(3);
    await loader.end('a-2');
    expect(answering('a')).toBe(3);
    // Rolled back to what is warm: nothing is loaded.
    const { length } = loader.begun;
    manager.update(wish(follows('a', 2)));
    expect(answering('a')).toBe(2);
    manager.update(wish(follows('a', 3)));
    expect(answering('a')).toBe(3);
    expect(loader.begun).toHaveLength(length);
  });

  it('gives up a load that does not end and that nobody wishes for any longer', async () => {
    manager.update(wish(follows('m', 1)));
    await loader.end('m-1');
    manager.update(wish(follows('m', 2)));
    manager.update(wish(follows('m', 1)));
    expect(loader.aborted).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, STALE_AFTER + 50));
    expect(loader.aborted).toEqual(['m-2']);
    await loader.end('m-2', new Error('given up'));
    expect(answering('m')).toBe(1);
    expect(states.at(-1)).toMatchObject({ state: 'ready', answering: 1 });
    // Wished for again, it is loaded again.
    manager.update(wish(follows('m', 2)));
    await loader.end('m-2');
    expect(answering('m')).toBe(2);
  });

  it('reports what it does', async () => {
    manager.update(wish(follows('a', 1)));
    await loader.end('a-1');
    manager.update(wish(follows('a', 2)));
    await loader.end('a-2', new LoadError('no such kernel', 'never'));
    expect(
      states.map(({ state, wanted, answering: by, reason }) => [state, wanted, by, reason]),
    ).toEqual([
      ['loading', 1, null, null],
      ['ready', 1, 1, null],
      ['loading', 2, 1, null],
      ['failed', 2, 1, 'no such kernel'],
    ]);
  });

  it('tries what failed for good again only when the wish changes, and the rest by itself', async () => {
    const model = follows('a', 1);
    manager.update(wish(model));
    await loader.end('a-1', new LoadError('broken', 'never'));
    manager.update(wish({ ...model }));
    await turn();
    expect(loader.begun).toEqual(['a-1']);
    manager.update(wish(follows('a', 1)));
    await loader.end('a-1', new DomainError('UNAVAILABLE', 'the store is away'));
    expect(loader.begun).toHaveLength(2);
    expect(manager.ready).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(loader.begun).toHaveLength(3);
    await loader.end('a-1');
    expect(answering('a')).toBe(1);
  });

  it('keeps a version until its last request has ended', async () => {
    manager.update(wish(follows('a', 1)));
    await loader.end('a-1');
    const lease = await manager.acquire('a');
    manager.update(wish());
    expect(answering('a')).toBeUndefined();
    manager.update({ models: [], watched: [], gone: ['a-1'] });
    await turn();
    expect(loader.closed).toEqual([]);
    lease.release();
    await turn();
    expect(loader.closed).toEqual(['a-1']);
  });

  it('loads on demand once, and gives it back first', async () => {
    lookups = async (model, word) => ({
      modelId: model,
      workspace: 'default',
      model,
      target: target(model, Number(word)),
    });
    manager.update(wish(follows('a', 1)));
    await loader.end('a-1');
    const asked = Promise.all([manager.acquire('a', '7'), manager.acquire('a', '7')]);
    await loader.end('a-7');
    for (const lease of await asked) lease.release();
    expect(loader.begun).toEqual(['a-1', 'a-7']);
    expect(watched).toEqual(['a-7']);
    manager.update(wish(follows('a', 2)));
    await loader.end('a-2');
    expect(answering('a')).toBe(2);
    expect(loader.closed).toEqual([]);
    // A fourth version needs room: what nobody follows goes, before what answered until now.
    await turn();
    (await manager.acquire('a', '1')).release();
    manager.update(wish(follows('a', 3)));
    await loader.end('a-3');
    expect(loader.closed).toEqual(['a-7']);
    expect(manager.resident.bytes).toBeLessThanOrEqual(MEMORY);
  });

  it('refuses what does not fit beside what is followed', async () => {
    manager.update(wish(follows('a', 1), follows('b', 1), follows('c', 1), follows('d', 1)));
    for (const key of ['a-1', 'b-1', 'c-1']) await loader.end(key);
    const state = states.findLast(({ model }) => model === 'd');
    expect(state).toMatchObject({ state: 'failed', answering: null });
    expect(state?.reason).toContain('SERVING_MEMORY');
    await expect(manager.acquire('d')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('makes a request for a model that is still loading wait', async () => {
    manager.update(wish(follows('a', 1)));
    const asked = manager.acquire('a');
    await loader.end('a-1');
    const lease = await asked;
    expect(lease.version).toBe(1);
    lease.release();
    await expect(manager.acquire('b')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('shows a version that is kept apart as quarantined, though it answers', async () => {
    const model = follows('a', 1);
    manager.update(wish(model));
    await loader.end('a-1');
    manager.update(wish({ ...model, target: target('a', 1, { quarantine: 'It froze.' }) }));
    expect(states.at(-1)).toMatchObject({
      state: 'quarantined',
      reason: 'It froze.',
      answering: 1,
    });
  });

  it('follows a rename', async () => {
    const model = follows('a', 1);
    manager.update(wish(model));
    await loader.end('a-1');
    manager.update(wish({ ...model, model: 'b', generation: ++generation }));
    expect([answering('a'), answering('b')]).toEqual([undefined, 1]);
  });
});
