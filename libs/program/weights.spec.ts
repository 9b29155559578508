import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WeightsReader, WeightsWriter } from './weights.js';

describe('weights', () => {
  const arrays = fc.array(
    fc.oneof(
      fc.float64Array({ maxLength: 5 }).map((data) => ({ dtype: 'FP64' as const, data })),
      fc.int32Array({ maxLength: 5 }).map((data) => ({ dtype: 'INT32' as const, data })),
      fc.uint8Array({ maxLength: 5 }).map((data) => ({ dtype: 'BOOL' as const, data })),
    ),
    { maxLength: 6 },
  );

  it('keep the same array once', () => {
    const writer = new WeightsWriter();
    const data = Float64Array.of(1, 2);
    const [one, other, equal] = [data, data, Float64Array.of(1, 2)].map((array) =>
      writer.add('FP64', array),
    );
    expect([one?.offset, other?.offset, equal?.offset]).toEqual([0, 0, 16]);
    expect(writer.toBytes().length).toBe(32);
  });

  it('are read as they were written, from bytes at any place, as views or copies', () => {
    fc.assert(
      fc.property(arrays, fc.integer({ min: 0, max: 16 }), (written, shift) => {
        const writer = new WeightsWriter();
        const refs = written.map(({ dtype, data }) => writer.add(dtype, data));
        const bytes = writer.toBytes();
        // A Buffer whose memory has others before it, as a pool has.
        const pool = Buffer.alloc(bytes.length + shift, 0xee);
        pool.set(bytes, shift);
        for (const source of [bytes, pool.subarray(shift)]) {
          const reader = new WeightsReader(source);
          const copying = reader.copying();
          const expected = written.map(({ data }) => [...data]);
          expect(refs.map((ref) => [...reader.read(ref, '')])).toEqual(expected);
          const copies = refs.map((ref) => copying.read(ref, ''));
          expect(copies.map((copy) => [...copy])).toEqual(expected);
          for (const copy of copies) expect(copy.buffer.byteLength).toBe(copy.byteLength);
          expect(copying.copied).toBe(copies.reduce((sum, copy) => sum + copy.byteLength, 0));
        }
      }),
    );
  });

  it('are not there any more when the reader is closed', () => {
    const writer = new WeightsWriter();
    const ref = writer.add('FP64', Float64Array.of(1, 2));
    const reader = new WeightsReader(writer.toBytes());
    reader.close();
    expect(() => reader.read(ref, '/nodes/0')).toThrow(/needs bytes 0 to 16/);
  });
});
