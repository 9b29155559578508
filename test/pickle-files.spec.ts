import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { ZipFile } from 'yazl';
import { readPythonFile } from '../libs/formats/pickle/python-file.js';
import {
  NdArray,
  PyDict,
  PyFloat,
  PyObject,
  PyTuple,
  type PyValue,
} from '../libs/formats/pickle/records.js';
import { scanFile } from '../libs/formats/pickle/scan.js';
import { fileOf } from '../libs/formats/pickle/zip-file.js';
import { pickle } from './support/hostile-pickles.js';
import { ownPickle, pickleFixtures, uploadOfPath } from './support/pickle-fixtures.js';

const compressions = ['none', 'zlib', 'gzip', 'bz2', 'lzma', 'xz', 'lz4'];

function array(value: PyValue | undefined): NdArray {
  if (value instanceof NdArray) return value;
  throw new Error('not an array');
}

describe('files of Python', () => {
  const fixtures = pickleFixtures();

  it(`reads all ${fixtures.length} fixtures, and finds nothing in them that is not safe`, async () => {
    for (const path of fixtures) {
      const { root } = await readPythonFile(uploadOfPath(path), []);
      expect([path, root instanceof PyObject || root instanceof PyDict]).toEqual([path, true]);
      expect([path, await scanFile(uploadOfPath(path))]).toEqual([
        path,
        { verdict: 'safe', names: [] },
      ]);
    }
  }, 120_000);

  it.each(compressions)('reads what joblib compressed: %s', async (compression) => {
    const { root } = await readPythonFile(ownPickle(`x.${compression}.joblib`), []);
    if (!(root instanceof PyDict)) throw new Error('not a dict');
    expect(array(root.get('o')).objects()).toEqual([1, 'a', null, new PyFloat(2.5)]);
    expect(array(root.get('F')).shape).toEqual([3, 4]);
    expect([...array(root.get('F')).numbers()]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(array(root.get('s')).strings()).toEqual(['a', 'bcé']);
    const forest = root.get('m');
    expect(
      forest instanceof PyObject &&
        forest.state instanceof PyDict &&
        forest.state.has('estimators_'),
    ).toBe(true);
  });

  it.each(compressions.slice(1))(
    'names what is damaged in compressed data: %s',
    async (compression) => {
      const file = ownPickle(`x.${compression}.joblib`);
      const bytes = await file.read();
      await expect(
        readPythonFile(fileOf(file.path, bytes.subarray(0, bytes.length / 2)), []),
      ).rejects.toMatchObject({
        name: 'DamagedModel',
      });
    },
  );

  it('reads fields of records', async () => {
    const { root } = await readPythonFile(ownPickle('x.none.joblib'), []);
    const tree = find(root, (value) => value instanceof NdArray && value.hasField('left_child'));
    const nodes = array(tree);
    const left = nodes.field('left_child').numbers();
    const features = nodes.field('feature').numbers();
    expect(left).toHaveLength(nodes.size);
    expect([...left].every((child, i) => (child === -1) === (features[i] === -2))).toBe(true);
    expect(nodes.field('threshold').typed()).toBeInstanceOf(Float64Array);
  });

  it('reads joblib before 0.10: arrays in files of their own, compressed or not', async () => {
    const npy = pickle(
      '\x93NUMPY\x01\x00',
      header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"),
      new Uint8Array(Float64Array.of(1.5, -2).buffer),
    );
    const main = pickle(
      '\x80\x02cjoblib.numpy_pickle\nNDArrayWrapper\n)\x81}(U\x08filenameU\x0em.pkl_01.npy\0\0\0U\x08subclasscnumpy\nndarray\nub.'.replace(
        '\x0em.pkl_01.npy\0\0\0',
        '\x0cm.pkl_01.npy',
      ),
    );
    const files = [fileOf('a/m.pkl_01.npy', npy), fileOf('other/m.pkl_01.npy', new Uint8Array(3))];
    const { root } = await readPythonFile(fileOf('a/m.pkl', main), files);
    expect([...array(root).numbers()]).toEqual([1.5, -2]);
    await expect(readPythonFile(fileOf('b/m.pkl', main), files)).rejects.toThrow(
      '"m.pkl_01.npy" is missing',
    );

    const content = deflateSync(Buffer.from(Float64Array.of(3, 4).buffer));
    const z = pickle('ZF', '0x10'.padEnd(19), content);
    const state =
      '(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89t';
    const zMain = pickle(
      '\x80\x02cjoblib.numpy_pickle\nZNDArrayWrapper\n)\x81}(U\x08filenameU\x09m_01.npy.zU\x05state',
      state,
      'U\x09init_argscnumpy\nndarray\nK\x00\x85U\x01b\x87ub.',
    )
      .toString('latin1')
      .replace('U\x09m_01.npy.z', 'U\x0am_01.npy.z');
    const read = await readPythonFile(fileOf('m', pickle(zMain)), [fileOf('m_01.npy.z', z)]);
    expect([...array(read.root).numbers()]).toEqual([3, 4]);
  });

  it('keeps objects that nobody makes', async () => {
    const { root, globals } = await readPythonFile(
      fileOf('x.pkl', pickle('cos\nsystem\n(S"id"\ntR.')),
      [],
    );
    expect(root).toMatchObject({
      how: 'reduce',
      class: { id: 'os.system' },
      args: new PyTuple(['id']),
    });
    expect(globals).toEqual([
      { module: 'os', name: 'system', id: 'os.system', called: true, position: 11 },
    ]);
  });
});

function header(text: string): Buffer {
  const padded = `${text.padEnd(117)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(padded.length);
  return Buffer.concat([length, Buffer.from(padded)]);
}

/** The first value for which `wanted` holds, wherever it lies. */
function find(root: PyValue, wanted: (value: PyValue) => boolean): PyValue | undefined {
  const seen = new Set<unknown>();
  const queue: PyValue[] = [root];
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (wanted(value)) return value;
    if (seen.has(value)) continue;
    seen.add(value);
    if (Array.isArray(value)) queue.push(...value);
    else if (value instanceof PyTuple) queue.push(...value.items);
    else if (value instanceof PyDict) queue.push(...value.entries.flat());
    else if (value instanceof PyObject)
      queue.push(value.args, ...(value.state === undefined ? [] : [value.state]));
    else if (value instanceof NdArray && value.dtype.kind === 'O') queue.push(...value.objects());
  }
  return undefined;
}

describe('the scan', () => {
  const call = 'cos\nsystem\n(S"id"\ntR.';
  const verdict = (path: string, ...parts: (string | Uint8Array)[]) =>
    scanFile(fileOf(path, pickle(...parts)));

  it('names what needs code', async () => {
    expect(await verdict('m.pkl', call)).toEqual({ verdict: 'code', names: ['os.system'] });
    expect(
      await verdict('m.pkl', '\x80\x04ccloudpickle.cloudpickle\n_make_function\n)R.'),
    ).toMatchObject({ names: ['cloudpickle.cloudpickle._make_function'] });
    expect(await verdict('m.pkl', 'c__main__\nMy\n)\x81}b.')).toMatchObject({
      verdict: 'code',
      names: ['__main__.My'],
    });
    expect(
      await verdict('m.pkl', 'csklearn.linear_model._logistic\nLogisticRegression\n)\x81}b.'),
    ).toEqual({ verdict: 'safe', names: [] });
    expect(await verdict('m.pkl', 'csklearn.datasets._base\nfetch_file\n)R.')).toMatchObject({
      verdict: 'code',
    });
  });

  it('goes by content, not by name', async () => {
    expect(await verdict('weights.dat', call)).toMatchObject({ verdict: 'code' });
    expect(await verdict('weights.dat', '\x80\x04', call)).toMatchObject({ verdict: 'code' });
    expect(await verdict('weights.dat', deflateSync(Buffer.from(call)))).toMatchObject({
      verdict: 'code',
    });
    expect(await verdict('README.md', 'cat\ndog\nmouse\n')).toBeUndefined();
    expect(
      await verdict('requirements.txt', 'cloudpickle==2.2\nscikit-learn==1.2\n'),
    ).toBeUndefined();
    expect(await verdict('model.pkl', 'no pickle at all')).toMatchObject({
      verdict: 'unreadable',
      reason: expect.stringContaining('at byte 0'),
    });
  });

  it('reads all pickles in a row', async () => {
    expect(await verdict('m.pkl', '\x80\x02N.', '\x80\x02', call)).toMatchObject({
      verdict: 'code',
    });
    expect(await verdict('m.pkl', '\x80\x02N.', call)).toMatchObject({ verdict: 'code' });
    expect(await verdict('m.pkl', '\x80\x02N.', '\x80\x02N.')).toEqual({
      verdict: 'safe',
      names: [],
    });
    expect(await verdict('m.pkl', '\x80\x02N.', '\x80\x02NNN')).toMatchObject({
      verdict: 'unreadable',
    });
  });

  it('names what came before the place where a file is damaged', async () => {
    expect(await verdict('m.pkl', 'cos\nsystem\n(S"id"\ntR\xff')).toMatchObject({
      verdict: 'code',
      names: ['os.system'],
      reason: expect.stringContaining('0xff'),
    });
  });

  it('looks into arrays of objects and into zips', async () => {
    const npy = pickle(
      '\x93NUMPY\x01\x00',
      header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
      call,
    );
    expect(await verdict('a.npy', npy)).toMatchObject({ verdict: 'code' });
    const zip = async (entries: Record<string, Buffer>) => {
      const archive = new ZipFile();
      for (const [name, bytes] of Object.entries(entries)) archive.addBuffer(bytes, name);
      archive.end();
      return buffer(archive.outputStream);
    };
    const torch = await zip({
      'archive/data.pkl': pickle('\x80\x02', call),
      'archive/data/0': Buffer.alloc(100),
    });
    expect(await verdict('model.bin', torch)).toMatchObject({
      verdict: 'code',
      names: ['os.system'],
    });
    expect(await verdict('outer.zip', await zip({ 'x.pt': torch }))).toMatchObject({
      verdict: 'code',
    });
    expect(await verdict('a.npz', await zip({ 'x.npy': npy }))).toMatchObject({ verdict: 'code' });
    expect(
      await verdict('data.zip', await zip({ 'a.csv': Buffer.from('a,b\n1,2\n') })),
    ).toBeUndefined();
    expect(
      await verdict('data.dat', Buffer.concat([Buffer.from('anything'), torch])),
    ).toMatchObject({ verdict: 'unreadable' });
  });

  it('knows plain data', async () => {
    const bytes = readFileSync(ownPickle('gnb.p4.pkl').path);
    expect(await verdict('anything', bytes)).toEqual({ verdict: 'safe', names: [] });
  });
});
