import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  IDLE_AFTER,
  makeRoom,
  nextActions,
  roleOf,
  STALE_AFTER,
  type ModelView,
  type Resident,
  type VersionView,
} from './policy.js';

const NOW = 1_000_000_000;
const version = (key: string, given: Partial<VersionView> = {}): VersionView => ({
  key,
  state: 'ready',
  bytes: 10,
  leases: 0,
  lastUsed: NOW,
  ...given,
});

describe('nextActions', () => {
  it('loads what is wished and not there', () => {
    expect(nextActions({ aspired: 'a', versions: [] }, NOW)).toEqual([{ kind: 'load', key: 'a' }]);
  });

  it('waits for what is loading, and leaves what answers alone', () => {
    const view: ModelView = {
      aspired: 'b',
      answering: 'a',
      versions: [version('a'), version('b', { state: 'loading' })],
    };
    expect(nextActions(view, NOW)).toEqual([]);
  });

  it('swaps to what is ready, although another version is still loading', () => {
    const view: ModelView = {
      aspired: 'a',
      answering: 'b',
      previous: 'a',
      versions: [version('a'), version('b'), version('c', { state: 'loading' })],
    };
    expect(nextActions(view, NOW)).toEqual([{ kind: 'swap', key: 'a' }]);
  });

  it('loads a failed version again only when its time has come', () => {
    const view = (retryAt: number): ModelView => ({
      aspired: 'b',
      answering: 'a',
      versions: [version('a'), version('b', { state: 'failed', retryAt })],
    });
    expect(nextActions(view(NOW + 1), NOW)).toEqual([]);
    expect(nextActions(view(Infinity), NOW)).toEqual([]);
    expect(nextActions(view(NOW), NOW)).toEqual([{ kind: 'load', key: 'b' }]);
  });

  it('withdraws a model that follows nothing any longer', () => {
    expect(nextActions({ answering: 'a', versions: [version('a')] }, NOW)).toEqual([
      { kind: 'withdraw' },
    ]);
  });

  it('unloads what nobody follows or uses', () => {
    const old = { lastUsed: NOW - IDLE_AFTER };
    const view: ModelView = {
      aspired: 'a',
      answering: 'a',
      previous: 'b',
      versions: [
        version('a', old),
        version('b', old),
        version('c', old),
        version('d', { ...old, leases: 1 }),
        version('e'),
      ],
    };
    expect(nextActions(view, NOW)).toEqual([
      { kind: 'unload', key: 'b' },
      { kind: 'unload', key: 'c' },
    ]);
  });

  it('gives up a load that takes long where nobody wishes for it any longer', () => {
    const since = (ms: number) => ({ state: 'loading' as const, lastUsed: NOW - ms });
    const view: ModelView = {
      aspired: 'a',
      answering: 'b',
      versions: [
        version('a', since(IDLE_AFTER)),
        version('b'),
        version('c', since(STALE_AFTER)),
        version('d', since(STALE_AFTER - 1)),
        version('e', { ...since(STALE_AFTER), demanded: true }),
      ],
    };
    expect(nextActions(view, NOW)).toEqual([{ kind: 'unload', key: 'c' }]);
  });

  it('never touches what answers before another version is ready, and settles', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const views = fc.record({
      aspired: fc.option(key, { nil: undefined }),
      answering: fc.option(key, { nil: undefined }),
      previous: fc.option(key, { nil: undefined }),
      versions: fc.uniqueArray(
        fc.record({
          key,
          state: fc.constantFrom('loading' as const, 'ready' as const, 'failed' as const),
          bytes: fc.nat(100),
          leases: fc.nat(1),
          lastUsed: fc.constantFrom(NOW, NOW - IDLE_AFTER),
          retryAt: fc.constantFrom(NOW - 1, NOW + 1, Infinity),
        }),
        { selector: (v) => v.key },
      ),
    });
    fc.assert(
      fc.property(views, (view) => {
        for (const action of nextActions(view, NOW)) {
          if (action.kind === 'unload') expect(roleOf(view, action.key)).not.toBe('followed');
          if (action.kind === 'withdraw') expect(view.aspired).toBeUndefined();
          if (action.kind === 'swap') {
            expect(action.key).toBe(view.aspired);
            expect(view.versions.find((v) => v.key === action.key)?.state).toBe('ready');
            expect(
              nextActions({ ...view, answering: action.key }, NOW).some((a) => a.kind === 'swap'),
            ).toBe(false);
          }
        }
      }),
    );
  });
});

describe('makeRoom', () => {
  const resident = (
    key: string,
    role: Resident['role'],
    given: Partial<Resident> = {},
  ): Resident => ({
    key,
    role,
    bytes: 10,
    leases: 0,
    lastUsed: NOW,
    ...given,
  });

  it('takes nothing where there is room', () => {
    expect(makeRoom([resident('a', 'followed')], 20, 10)).toEqual([]);
  });

  it('takes versions on demand before previous ones, the longest unused first', () => {
    const residents = [
      resident('p', 'previous', { lastUsed: 0 }),
      resident('new', 'on-demand'),
      resident('old', 'on-demand', { lastUsed: NOW - 5 }),
      resident('f', 'followed', { lastUsed: 0 }),
    ];
    expect(makeRoom(residents, 40, 10)).toEqual(['old']);
    expect(makeRoom(residents, 40, 25)).toEqual(['old', 'new', 'p']);
  });

  it('says that it cannot rather than take a followed one or one in use', () => {
    const residents = [resident('f', 'followed'), resident('d', 'on-demand', { leases: 1 })];
    expect(makeRoom(residents, 20, 1)).toBeUndefined();
  });
});
