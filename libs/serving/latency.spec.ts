import { describe, expect, it } from '@jest/globals';
import { latencyBounds as boundsOfReader } from '#registry';
import fc from 'fast-check';
import { LATENCY_BUCKETS, latencyBounds, latencyBucket } from './latency.js';

describe('latencyBucket', () => {
  it('counts in the buckets that the registry reads', () => {
    expect(latencyBounds).toEqual(boundsOfReader);
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
