import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  stringBytes,
  writeBundle,
  type WrittenTensor,
} from '../../../test/support/bundle-writer.js';
import { uploadOf } from '../../../test/support/tree-fixtures.js';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import { crc32c } from './crc32c.js';
import { TensorBundle } from './tensor-bundle.js';
import { parseSlice, sliceKey } from './tensor-slice.js';

const FLOAT = 1;
const STRING = 7;
const LONG = 9;

function bytesOf(data: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function files({
  index,
  data,
}: {
  index: Uint8Array;
  data: Uint8Array[];
}): Map<string, UploadedFile> {
  const of = String(data.length).padStart(5, '0');
  const shards = data.map((bytes, i): [string, Uint8Array] => [
    `v.data-${String(i).padStart(5, '0')}-of-${of}`,
    bytes,
  ]);
  return new Map(
    [['v.index', index] as const, ...shards].map(([path, bytes]) => [path, uploadOf(path, bytes)]),
  );
}

async function open(written: { index: Uint8Array; data: Uint8Array[] }): Promise<TensorBundle> {
  const bundle = await TensorBundle.open(files(written), 'v');
  if (!bundle) throw new Error('there is no index');
  return bundle;
}

const row = Float32Array.from([1, -2, 3.5, 4, 5, 6]);
const longs = BigInt64Array.from([2n ** 62n, -1n]);
const texts = ['', 'ö', 'words'].map((text) => new TextEncoder().encode(text));
const tensors: Record<string, WrittenTensor> = {
  'a/kernel': { type: FLOAT, shape: [2, 3], bytes: bytesOf(row) },
  'a/kernel/2': { type: LONG, shape: [2], bytes: bytesOf(longs), shard: 1 },
  wörter: { type: STRING, shape: [3], bytes: stringBytes(texts) },
  parted: {
    type: FLOAT,
    shape: [3, 2],
    parts: [
      {
        extents: [
          { start: 0, length: 2 },
          { start: 0, length: undefined },
        ],
        bytes: bytesOf(Float32Array.from([1, 2, 3, 4])),
      },
      {
        extents: [
          { start: 2, length: 1 },
          { start: 0, length: undefined },
        ],
        bytes: bytesOf(Float32Array.from([5, 6])),
      },
    ],
  },
};
// Keys stand in the index byte by byte.
const stored = Object.fromEntries(
  Object.entries(tensors).map(([name, tensor]) => [Buffer.from(name).toString('latin1'), tensor]),
);

describe('a checkpoint', () => {
  it.each([false, true])(
    'has tensors in several files, whole and in parts (snappy: %s)',
    async (snappy) => {
      const bundle = await open(writeBundle(stored, { shards: 2, snappy }));
      expect(await bundle.read('a/kernel')).toEqual({ dtype: 'FP32', shape: [2, 3], data: row });
      expect(await bundle.read('a/kernel/2')).toEqual({ dtype: 'INT64', shape: [2], data: longs });
      expect((await bundle.read('wörter')).data).toEqual(['', 'ö', 'words']);
      const { shape, data } = await bundle.read('parted');
      expect([shape, [...(data as Float32Array)]]).toEqual([
        [3, 2],
        [1, 2, 3, 4, 5, 6],
      ]);
      expect(bundle.has('nothing')).toBe(false);
      await expect(bundle.read('nothing')).rejects.toThrow(DamagedModel);
    },
  );

  it('gives parts of tensors', async () => {
    const bundle = await open(writeBundle(stored, { shards: 2 }));
    const slice = parseSlice('2 3 -:1,2');
    expect(await bundle.read('a/kernel', slice)).toEqual({
      dtype: 'FP32',
      shape: [2, 2],
      data: Float32Array.from([-2, 3.5, 5, 6]),
    });
    await expect(bundle.read('a/kernel', parseSlice('2 3 1,2:-'))).rejects.toThrow(DamagedModel);
  });

  it('may be of a big-endian machine', async () => {
    const turned = Uint8Array.from(bytesOf(row));
    for (let at = 0; at < turned.length; at += 4) turned.subarray(at, at + 4).reverse();
    const written = { row: { type: FLOAT, shape: [6], bytes: turned } };
    const bundle = await open(writeBundle(written, { bigEndian: true }));
    expect((await bundle.read('row')).data).toEqual(row);
  });

  it('says which file is missing', async () => {
    const { index, data } = writeBundle(stored, { shards: 2 });
    const some = files({ index, data });
    some.delete('v.data-00001-of-00002');
    const bundle = await TensorBundle.open(some, 'v');
    await expect(bundle?.read('a/kernel/2')).rejects.toThrow(/data file 1 of 2 .* is missing/);
    expect(await TensorBundle.open(new Map(), 'v')).toBeUndefined();
  });

  it('is read as before or refused, whichever bit is another', async () => {
    const written = writeBundle(stored, { shards: 2 });
    await unchangedOrRefused(written, Object.keys(tensors));
  });

  it('is read as before or refused, whichever bit is another, when TensorFlow wrote it', async () => {
    const folder = join('test', 'fixtures', 'saved-model', 'module-signatures', 'variables');
    const index = new Uint8Array(readFileSync(join(folder, 'variables.index')));
    const data = new Uint8Array(readFileSync(join(folder, 'variables.data-00000-of-00001')));
    const keys = ['w', 'b', 'k', 'frozen'].map((name) => `${name}/.ATTRIBUTES/VARIABLE_VALUE`);
    const known = await open({ index, data: [data] });
    const there = keys.filter((key) => known.has(key));
    expect(there.length).toBeGreaterThan(0);
    await unchangedOrRefused({ index, data: [data] }, there);
  });
});

/** Flips bits and cuts ends: what is still read is what was there. */
async function unchangedOrRefused(
  written: { index: Uint8Array; data: Uint8Array[] },
  keys: string[],
): Promise<void> {
  const whole = await open(written);
  const wanted = new Map<string, unknown>();
  for (const key of keys) wanted.set(key, await whole.read(key));
  const sizes = [written.index, ...written.data].map(({ length }) => length);
  const place = fc.nat(sizes.length - 1).chain((file) =>
    fc.record({
      file: fc.constant(file),
      at: fc.nat(Math.max(0, (sizes[file] ?? 1) - 1)),
      bit: fc.integer({ min: 0, max: 8 }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(place, async ({ file, at, bit }) => {
      const parts = [written.index, ...written.data].map((bytes) => Uint8Array.from(bytes));
      const [damaged] = parts.splice(file, 1);
      if (!damaged) return;
      // The ninth bit is a cut.
      if (bit < 8 && damaged.length > 0) damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
      parts.splice(file, 0, bit < 8 ? damaged : damaged.subarray(0, at));
      const [index = new Uint8Array(), ...data] = parts;
      const read = await attempt(async () => open({ index, data }));
      if (!read) return;
      for (const key of keys) {
        const tensor = await attempt(() => read.read(key));
        if (tensor) expect(tensor).toEqual(wanted.get(key));
      }
    }),
    { numRuns: 400 },
  );
}

async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof DamagedModel || error instanceof UnsupportedModel) return undefined;
    throw error;
  }
}

describe('CRC-32C', () => {
  it('has the check values of its definition', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  it('may be computed piece by piece', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, at) => {
        const first = crc32c(bytes.subarray(0, at));
        expect(crc32c(bytes.subarray(at), first)).toBe(crc32c(bytes));
      }),
    );
  });
});

describe('keys of slices', () => {
  it('are in the ordered code of TensorFlow', () => {
    const key = sliceKey('v\u0000\u00ff', [
      { start: 64, length: 3 },
      { start: 0, length: undefined },
    ]);
    expect([...Buffer.from(key, 'latin1')]).toEqual([
      0, 0x76, 0, 0xff, 0xff, 0, 0, 1, 1, 2, 0xc0, 0x40, 0x83, 0x80, 0x7f,
    ]);
  });

  it('are not made of texts that are none', () => {
    expect(parseSlice('4 3 0,2:-')).toEqual([
      { start: 0, length: 2 },
      { start: 0, length: undefined },
    ]);
    for (const text of ['4 3 0,2', '4 0,2:-', '4 3 x:-', '-1,2', ' ']) {
      expect(parseSlice(text)).toBeUndefined();
    }
  });
});
