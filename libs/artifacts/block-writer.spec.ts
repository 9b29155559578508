import { type FileHandle, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type BlockWriter, DirectWriter, GatheringWriter } from './block-writer.js';

const MiB = 2 ** 20;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-blocks-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Noise that differs from byte to byte and from block to block. */
function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, x = seed + 1; i < length; i++) {
    x = (x * 1103515245 + 12345) % 2 ** 31;
    bytes[i] = x >> 16;
  }
  return bytes;
}

type Open = (file: FileHandle, path: string, written: number) => Promise<BlockWriter | undefined>;
const writers: [string, Open][] = [
  ['GatheringWriter', async (file, _, written) => new GatheringWriter(file, written)],
  ['DirectWriter', (...given) => DirectWriter.open(...given)],
];

describe.each(writers)('%s', (name, openWriter) => {
  it('writes what comes behind what is there, in whatever pieces', async () => {
    const path = join(folder, name);
    const there = fc.integer({ min: 0, max: 2 * MiB });
    const pieces = fc.array(fc.integer({ min: 1, max: MiB + 70_000 }), { maxLength: 14 });
    let direct = true;
    await fc.assert(
      fc.asyncProperty(there, pieces, fc.nat(13), async (start, sizes, flushAfter) => {
        const before = bytesOf(start, 7);
        await writeFile(path, before);
        const file = await open(path, 'r+');
        const writer = await openWriter(file, path, start);
        if (!writer) {
          direct = false;
          return file.close();
        }
        const chunks = sizes.map(bytesOf);
        for (const [i, chunk] of chunks.entries()) {
          await writer.write(chunk);
          if (i === flushAfter) await writer.flush();
        }
        await writer.flush();
        await writer.settled();
        await file.close();
        const expected = Buffer.concat([before, ...chunks]);
        expect(writer.written).toBe(expected.length);
        expect((await readFile(path)).equals(expected)).toBe(true);
      }),
      { numRuns: 12 },
    );
    if (!direct) process.stderr.write('LEFT OUT: this file system has no O_DIRECT\n');
  });

  it('fails where the file cannot take more', async () => {
    const path = join(folder, `${name}-closed`);
    await writeFile(path, '');
    const file = await open(path, 'r');
    const writer = await openWriter(file, path, 1);
    // The first block goes through the file itself, which is open for reading only.
    await writer?.write(bytesOf(MiB, 1));
    if (writer) await expect(writer.flush()).rejects.toThrow('EBADF');
    await writer?.settled();
    await file.close();
  });
});
