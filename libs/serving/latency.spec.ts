import { describe, expect, it } from '@jest/globals';
import { latencyBounds } from '#platform';
import fc from 'fast-check';
import { LATENCY_BUCKETS, latencyBucket } from './latency.js';

describe('latencyBucket', () => {
  it('counts in the buckets that stored counts refer to by position', () => {
    const { length } = latencyBounds;
    expect([length, LATENCY_BUCKETS]).toEqual([82, 83]);
    expect([0, 1, 4, 40, 81].map((i) => latencyBounds[i])).toEqual([
      0.05, 0.0594604, 0.1, 51.2, 62348.7,
    ]);
  });

  it('finds the first bucket whose bound is not below the latency', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (ms) => {
        const found = latencyBounds.findIndex((bound) => bound >= ms);
        expect(latencyBucket(ms)).toBe(found < 0 ? LATENCY_BUCKETS - 1 : found);
      }),
    );
    for (const [i, bound] of latencyBounds.entries()) expect(latencyBucket(bound)).toBe(i);
  });
});
