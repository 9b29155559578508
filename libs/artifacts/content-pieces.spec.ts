import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { packPieces, type Piece, PieceCutter, sketchOf, unpackPieces } from './content-pieces.js';
import type { Digest } from './digest.js';
import { findRuns } from './shared-parts.js';

/** Bytes without a pattern that are the same each time. */
function noise(seed: number, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(`${seed}`).digest();
}

function cut(content: Buffer, step = content.length || 1): Piece[] {
  const cutter = new PieceCutter();
  for (let at = 0; at < content.length; at += step) cutter.update(content.subarray(at, at + step));
  return cutter.finish();
}

const base: Digest = `sha256:${'a'.repeat(64)}`;
const KiB = 1024;

describe('PieceCutter', () => {
  it('cuts the same pieces however the bytes come', () => {
    const content = noise(1, 1_500_000);
    const whole = cut(content);
    expect(whole.reduce((sum, { length }) => sum + length, 0)).toBe(content.length);
    for (const step of [1_000, 16_384, 65_536, 70_001]) expect(cut(content, step)).toEqual(whole);
    for (const { length } of whole.slice(0, -1)) {
      expect(length).toBeGreaterThanOrEqual(16 * KiB);
      expect(length).toBeLessThanOrEqual(256 * KiB);
    }
    const average = content.length / whole.length;
    expect(average).toBeGreaterThan(32 * KiB);
    expect(average).toBeLessThan(128 * KiB);
  });

  it('has no pieces of nothing, and long ones of zeros', () => {
    expect(cut(Buffer.alloc(0))).toEqual([]);
    expect(cut(Buffer.alloc(KiB * 1024)).length).toBeGreaterThanOrEqual(4);
  });

  it('packs and unpacks', () => {
    const pieces = cut(noise(2, 700_000));
    expect(unpackPieces(packPieces(pieces))).toEqual(pieces);
    expect(sketchOf(pieces)).toHaveLength(Math.min(128, pieces.length));
  });
});

describe('findRuns', () => {
  it('finds what two contents have in common, wherever it stands', () => {
    const edit = fc.record({
      at: fc.integer({ min: 0, max: 2_999_999 }),
      remove: fc.integer({ min: 0, max: 200_000 }),
      insert: fc.integer({ min: 0, max: 200_000 }),
    });
    const before = noise(3, 3_000_000);
    const known = [{ digest: base, pieces: cut(before) }];
    fc.assert(
      fc.property(edit, fc.integer({ min: 10, max: 1e6 }), ({ at, remove, insert }, seed) => {
        const added = noise(seed, insert);
        const after = Buffer.concat([before.subarray(0, at), added, before.subarray(at + remove)]);
        const runs = findRuns(cut(after), known);
        const joined = Buffer.concat(
          runs.map(({ digest, offset, length }) =>
            (digest ? before : after).subarray(offset, offset + length),
          ),
        );
        expect(joined.equals(after)).toBe(true);
        const own = runs.reduce((sum, { digest, length }) => sum + (digest ? 0 : length), 0);
        // The pieces at both edges of the change are other ones, too.
        expect(own).toBeLessThan(insert + 600 * KiB);
      }),
      { numRuns: 25 },
    );
  });

  it('finds nothing in other bytes', () => {
    const runs = findRuns(cut(noise(4, 1_000_000)), [{ digest: base, pieces: cut(noise(5, 1e6)) }]);
    expect(runs).toEqual([{ digest: undefined, offset: 0, length: 1_000_000 }]);
  });
});
