import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { latencyBounds, metricsText } from '#platform';
import { parseExposition, valueOf } from '../../test/support/exposition.js';
import { BatchSizes, requestBounds, rowBounds } from './batch-sizes.js';
import { RequestCounts } from './request-counts.js';
import { ServedTotals } from './served-totals.js';

const MINUTE = 60_000;

function scrape(totals: ServedTotals) {
  const found = parseExposition(metricsText(totals.metrics()));
  return (name: string, labels = {}) => valueOf(found, `slipway_serving_${name}`, labels);
}

describe('what several processes counted', () => {
  it('is the same as what they were asked, however it was told', () => {
    const request = fc.record({
      process: fc.nat(2),
      version: fc.integer({ min: 1, max: 3 }),
      status: fc.constantFrom(200, 200, 400, 503, 499),
      ms: fc.double({ min: 0, max: 120_000, noNaN: true }),
      rows: fc.integer({ min: 0, max: 100_000 }),
      tell: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const totals = new ServedTotals();
        const processes = [0, 1, 2].map(() => new RequestCounts());
        for (const { process, version, status, ms, rows, tell } of requests) {
          const counts = processes[process];
          counts?.sizesOf('id', version).add(1, rows);
          counts?.record('iris', 'id', version, status, ms);
          if (tell) totals.add(counts?.takeAll().versions ?? []);
        }
        for (const counts of processes) totals.add(counts.takeAll().versions);
        const value = scrape(totals);
        for (const version of [1, 2, 3]) {
          const own = requests.filter((each) => each.version === version);
          const labels = { model: 'iris', version: String(version) };
          expect(value('requests_total', labels)).toBe(own.length || undefined);
          if (!own.length) continue;
          expect(value('request_errors_total', labels) ?? 0).toBe(
            own.filter(({ status }) => status >= 400).length,
          );
          expect(value('request_errors_total', { ...labels, code: '503' }) ?? 0).toBe(
            own.filter(({ status }) => status === 503).length,
          );
          expect(value('batch_rows_sum', labels)).toBe(
            own.reduce((sum, { rows }) => sum + rows, 0),
          );
          for (const le of [
            latencyBounds[0] ?? 0,
            latencyBounds[40] ?? 0,
            latencyBounds[80] ?? 0,
          ]) {
            expect(
              value('request_duration_seconds_bucket', { ...labels, le: String(le / 1000) }),
            ).toBe(own.filter(({ ms }) => ms <= le).length);
          }
        }
      }),
    );
  });

  it('goes with the version, five minutes after that was last there', () => {
    let now = 0;
    const totals = new ServedTotals(() => now);
    const counts = new RequestCounts();
    for (const id of ['stays', 'goes', 'returns']) counts.record(id, id, 1, 200, 1);
    totals.add(counts.takeAll().versions);
    const present = (...ids: string[]) =>
      totals.keep(ids.map((modelId) => ({ modelId, version: 1 })));
    present('stays', 'goes', 'returns');
    now = 4 * MINUTE;
    present('stays');
    expect(scrape(totals)('requests_total')).toBe(3);
    present('stays', 'returns');
    now = 6 * MINUTE;
    present('stays');
    const value = scrape(totals);
    expect(value('requests_total', { model: 'goes' })).toBeUndefined();
    expect(value('requests_total', { model: 'returns' })).toBe(1);
    expect(value('requests_total')).toBe(2);
  });

  it('has no series twice where a name was given anew', () => {
    const totals = new ServedTotals();
    const counts = new RequestCounts();
    counts.record('iris', 'the first', 1, 200, 1);
    counts.record('iris', 'the second', 1, 200, 1);
    totals.add(counts.takeAll().versions);
    expect(scrape(totals)('requests_total', { model: 'iris', version: '1' })).toBe(2);
  });

  it('forgets in a process only what was told', () => {
    const counts = new RequestCounts();
    counts.record('iris', 'id', 1, 200, 1);
    counts.keep([]);
    expect(counts.takeAll().versions).toHaveLength(1);
    counts.take();
    counts.keep([]);
    counts.record('iris', 'id', 1, 200, 1);
    expect(counts.takeAll().versions[0]).toMatchObject({ requests: 1 });
  });
});

it('batches fall into the bucket of the first bound that is not below them', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(200_000), (requests, rows) => {
      const sizes = new BatchSizes();
      sizes.add(requests, rows);
      const bucketOf = (bounds: readonly number[], size: number) => {
        const found = bounds.findIndex((bound) => size <= bound);
        return found < 0 ? bounds.length : found;
      };
      expect([...sizes.byRequests].indexOf(1)).toBe(bucketOf(requestBounds, requests));
      expect([...sizes.byRows].indexOf(1)).toBe(bucketOf(rowBounds, rows));
    }),
  );
});
