import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { UploadedFile } from '../importer.js';
import { findPickled, rootPackage } from './root-package.js';

function fileOf(path: string, bytes: Uint8Array): UploadedFile {
  return {
    path,
    size: bytes.length,
    read: (offset = 0, length = bytes.length) =>
      Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}

const latin1 = (text: string) => Buffer.from(text, 'latin1');
/** As `copyreg._reconstructor` makes it, without a state. */
const PROTOCOL_0 = latin1(
  'ccopy_reg\n_reconstructor\n(cxgboost.sklearn\nXGBModel\nc__builtin__\nobject\nNtR.',
);
const PROTOCOL_2 = latin1('\x80\x02clightgbm.sklearn\nLGBMModel\n)\x81}b.');
const PROTOCOL_4 = latin1('\x80\x04\x8c\x0dcatboost.core\x8c\x08CatBoost\x93)\x81}b.');

describe('rootPackage', () => {
  it.each([
    ['xgboost', PROTOCOL_0],
    ['lightgbm', PROTOCOL_2],
    ['catboost', PROTOCOL_4],
  ])('is %s, also of a compressed or cut file', async (name, bytes) => {
    expect(await rootPackage(fileOf('model', bytes))).toBe(name);
    expect(await rootPackage(fileOf('model', bytes.subarray(0, -2)))).toBe(name);
    expect(await rootPackage(fileOf('model.joblib', deflateSync(bytes)))).toBe(name);
    expect(await rootPackage(fileOf('model.pkl.gz', gzipSync(bytes)))).toBe(name);
    // What nobody calls a pickle is not decompressed.
    expect(await rootPackage(fileOf('data.bin', gzipSync(bytes)))).toBeUndefined();
  });

  it('is the package of the outermost object alone', async () => {
    const inner = latin1(
      '\x80\x02csklearn.pipeline\nPipeline\n)\x81}X\x01\x00\x00\x00acxgboost.core\nBooster\n)\x81sb.',
    );
    const file = fileOf('model.pkl', inner);
    expect(await rootPackage(file)).toBe('sklearn');
    expect(await findPickled([file], 'xgboost')).toEqual([]);
    expect(await findPickled([file], 'sklearn')).toEqual([file]);
  });

  it('is undefined for anything else, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const found = await rootPackage(fileOf('model.pkl', bytes));
        expect(['string', 'undefined']).toContain(typeof found);
      }),
    );
    expect(await rootPackage(fileOf('model.pkl', latin1('\x80\x04}.')))).toBeUndefined();
  });
});
