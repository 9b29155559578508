import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { DamagedModel, importers, UnsupportedModel, type UploadedFile } from '#formats';
import { loadProgram, ProgramError } from '#program';
import { folderOf, ownTreeFolder, uploadOf } from './support/tree-fixtures.js';

const MOST_MILLISECONDS = 2_000;
const MOST_MESSAGE = 2_000;

/** What becomes of an upload: anything but a verdict or an error of the importers' kinds fails, as does what takes long. */
async function compile(format: string, files: UploadedFile[]): Promise<string> {
  const importer = importers.find((candidate) => candidate.format === format);
  const begun = process.cpuUsage();
  try {
    const verdict = await importer?.compile(files, {});
    if (verdict?.state !== 'servable') return String(verdict?.state);
    await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
    return verdict.state;
  } catch (error) {
    const isKnown =
      error instanceof DamagedModel ||
      error instanceof UnsupportedModel ||
      (error instanceof ProgramError && error.code === 'INVALID_PROGRAM');
    if (!isKnown) throw error;
    expect(error.message.length).toBeLessThan(MOST_MESSAGE);
    return error.name;
  } finally {
    const { user, system } = process.cpuUsage(begun);
    expect((user + system) / 1000).toBeLessThan(MOST_MILLISECONDS);
  }
}

const own = (path: string) => readFileSync(join(ownTreeFolder, path));
const REFUSED = expect.stringMatching(/^(DamagedModel|UnsupportedModel)$/);
const LIES = [-1, 0, 1, 0x7fff_ffff, -0x8000_0000, 0x0100_0000];

describe('files that lie about what is in them', () => {
  it.each([
    ['catboost', 'catboost/1.2.10/classes_count.cbm'],
    ['treelite', 'treelite/4.8.1/built_target_softmax_float32.treelite'],
  ])(
    '%s: any number of 4 bytes may be another',
    async (format, path) => {
      const bytes = own(path);
      for (let at = 0; at + 4 <= bytes.length; at += 8 * LIES.length) {
        for (const [i, lie] of LIES.entries()) {
          const changed = Uint8Array.from(bytes);
          new DataView(changed.buffer).setInt32(Math.min(at + 8 * i, bytes.length - 4), lie, true);
          await compile(format, [uploadOf('model', changed)]);
        }
      }
      expect(await compile(format, [uploadOf('model', bytes)])).toBe('servable');
    },
    120_000,
  );

  it('treelite: a file that ends anywhere is no model', async () => {
    const bytes = own('treelite/4.8.1/built_target_softmax_float32.treelite');
    for (let end = 0; end < bytes.length; end += 37) {
      expect(await compile('treelite', [uploadOf('model', bytes.subarray(0, end))])).toEqual(
        REFUSED,
      );
    }
  });

  it.each(['ydf/0.16.1/cart', 'ydf/0.16.1/isolation_small_texts'])(
    '%s: nodes that end anywhere are no model',
    async (path) => {
      const files = folderOf(join(ownTreeFolder, path));
      const nodes = own(`${path}/nodes-00000-of-00001`);
      const others = files.filter((file) => !file.path.startsWith('nodes'));
      for (let end = 0; end < nodes.length; end += 7) {
        const short = uploadOf('nodes-00000-of-00001', nodes.subarray(0, end));
        expect(await compile('ydf', [...others, short])).toEqual(REFUSED);
      }
    },
  );
});

describe('files that are larger than they look', () => {
  it('ydf: nodes that unpack to a thousand times their size', async () => {
    const files = folderOf(join(ownTreeFolder, 'ydf/0.16.1/cart'));
    const head = Uint8Array.of(0x42, 0x53, 1, 0, 1, 0, 0, 0);
    const bomb = Buffer.concat([head, gzipSync(new Uint8Array(2 ** 27))]);
    const others = files.filter((file) => !file.path.startsWith('nodes'));
    const upload = [...others, uploadOf('nodes-00000-of-00001', bomb)];
    expect(await compile('ydf', upload)).toBe('DamagedModel');
  });

  it('ydf: millions of nodes that belong to no tree', async () => {
    const files = folderOf(join(ownTreeFolder, 'ydf/0.16.1/cart'));
    const head = Uint8Array.of(0x42, 0x53, 0, 0, 0, 0, 0, 0);
    const nodes = own('ydf/0.16.1/cart/nodes-00000-of-00001').subarray(head.length);
    const many = Buffer.concat([head, nodes, new Uint8Array(2 ** 25)]);
    const others = files.filter((file) => !file.path.startsWith('nodes'));
    const upload = [...others, uploadOf('nodes-00000-of-00001', many)];
    expect(await compile('ydf', upload)).toBe('DamagedModel');
  });

  it.each([10_000, 30_000])('catboost: a tree %p deep', async (depth) => {
    const model = JSON.parse(own('catboost/1.2.10/binary_bools.json').toString('utf8')) as object;
    const rest = JSON.stringify({ ...model, oblivious_trees: undefined }).slice(1);
    const tree = `${'{"split":{"split_index":0},"right":{"value":1},"left":'.repeat(depth)}{"value":"?"}${'}'.repeat(depth)}`;
    const upload = uploadOf('model.json', Buffer.from(`{"trees":[${tree}],${rest}`));
    expect(await compile('catboost', [upload])).toBe('DamagedModel');
  });

  it('catboost: many trees of one number', async () => {
    const model = JSON.parse(own('catboost/1.2.10/binary_bools.json').toString('utf8')) as object;
    const rest = JSON.stringify({ ...model, oblivious_trees: undefined }).slice(1);
    const trees = '{"leaf_values":[1],"splits":null},'.repeat(100_000);
    const upload = uploadOf(
      'model.json',
      Buffer.from(`{"oblivious_trees":[${trees}{"leaf_values":[1]}],${rest}`),
    );
    expect(await compile('catboost', [upload])).toBe('servable');
  });
});
