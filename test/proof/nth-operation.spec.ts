import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  excluded,
  mutatingCalls,
  type MutatingCall,
  mutatingRoutes,
  ofLargeUploads,
} from '../support/mutating-calls.js';
import { amount, long, proofTimeout, report } from '../support/proof.js';
import { s3IsThere } from '../support/s3.js';
import { type FaultKind, Sweep } from '../support/sweep.js';

/**
 * SQLite's method ("How SQLite Is Tested", anomaly tests): every mutating call with its nth statement, request to the store
 * or call of the file system failing, n = 1, 2, 3 … until it gets through. After each the answer is true, everything is
 * consistent, the same call again makes it happen exactly once, and garbage collection leaves nothing behind.
 */

const cut = (effect: 'before' | 'after', times?: number): Omit<FaultKind, 'where'> => ({
  effect,
  kind: 'cut',
  ...(times && { times }),
});
const code = (kind: string, times?: number): Omit<FaultKind, 'where'> => ({
  effect: 'before',
  kind,
  ...(times && { times }),
});
const kinds = (where: FaultKind['where'], all: Omit<FaultKind, 'where'>[]): FaultKind[] =>
  all.map((kind) => ({ ...kind, where }));

/** In the short form every so manieth only. */
const sparse = (stride: number) => (long ? {} : { stride });
const ofSql = [
  { ...cut('before'), ...sparse(3) },
  { ...cut('after'), ...sparse(2) },
  { ...code('53100'), ...sparse(5) },
];
const ofFiles: Omit<FaultKind, 'where'>[] = [code('EIO'), { effect: 'after', kind: 'EIO' }];
const short: FaultKind[] = [...kinds('sql', ofSql), ...kinds('files', ofFiles)];
const more: FaultKind[] = [
  ...kinds('sql', [
    code('57P01'),
    { effect: 'after', kind: '57P01' },
    code('40001'),
    code('40P01', 3),
    cut('before', 1000),
    cut('after', 3),
  ]),
  ...kinds('files', [code('ENOSPC'), code('EIO', 1000)]),
];
const ofS3: FaultKind[] = [
  ...kinds('sql', [cut('before'), cut('after')]),
  ...kinds('store', [
    cut('before'),
    cut('after'),
    code('500'),
    // The driver asks three times.
    cut('before', 3),
    cut('after', 3),
    code('503', 1000),
  ]),
];

it('every mutating route has its sweep, or a reason for having none', () => {
  const swept = new Set(mutatingCalls.map(({ route }) => route));
  const missing = mutatingRoutes().filter((route) => !swept.has(route) && !(route in excluded));
  expect(missing).toEqual([]);
});

const stores: ['a folder' | 'S3', FaultKind[], MutatingCall[]][] = [
  ['a folder', long ? [...short, ...more] : short, mutatingCalls],
];
if (long && s3IsThere('the failing of requests to the store'))
  stores.push(['S3', ofS3, [...mutatingCalls, ...ofLargeUploads]]);

describe.each(stores)('with %s as the store', (name, all, calls) => {
  let sweep: Sweep | undefined;

  beforeAll(async () => {
    sweep = await Sweep.start(name === 'S3' ? 's3' : 'folder', long);
  }, proofTimeout);

  afterAll(async () => {
    await sweep?.stop();
  });

  it(
    'no failing operation of the compile step does harm',
    async () => {
      if (!sweep) throw new Error('The sweep was not started');
      const before = { points: sweep.figures.points, violations: sweep.violations.length };
      const chosen = long ? all : [{ ...cut('after'), where: 'sql' as const }];
      for (const kind of chosen.filter(({ times }) => times === undefined))
        await sweep.runCompile(kind, amount(7, 1));
      const violations = sweep.violations.splice(before.violations);
      report(`Nth operation of the compile step failing, with ${name}`, {
        kinds: chosen.length,
        points: sweep.figures.points - before.points,
        violations: violations.length,
      });
      expect(violations).toEqual([]);
    },
    proofTimeout,
  );

  it.each(calls.map((call) => [`${call.route} (${call.what})`, call] as const))(
    'no failing operation of %s does harm',
    async (_, call) => {
      if (!sweep) throw new Error('The sweep was not started');
      for (const kind of all) await sweep.run(call, kind);
      expect(sweep.violations.splice(0)).toEqual([]);
    },
    proofTimeout,
  );

  it(
    'in the end everything is whole, and the registry has never stumbled',
    async () => {
      if (!sweep) throw new Error('The sweep was not started');
      expect(await sweep.invariants.violations()).toEqual([]);
      expect(sweep.registry.log).not.toMatch(/unhandled|uncaught/i);
      const { points, answers } = sweep.figures;
      report(`Nth operation failing, with ${name}`, {
        endpoints: new Set(calls.map(({ route }) => route)).size,
        calls: calls.length,
        kinds: all.length,
        points,
        ...Object.fromEntries(
          Object.entries(answers).map(([status, n]) => [`answered ${status}`, n]),
        ),
      });
    },
    proofTimeout,
  );
});
