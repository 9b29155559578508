import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { readSnapshot } from './read-document.js';

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

describe('readSnapshot', () => {
  it('finds the model beside its configuration', () => {
    const { model, config } = readSnapshot(text({ Config: { a: 1 }, Model: { learner: {} } }));
    expect(model.has('learner')).toBe(true);
    expect(config?.field('a').number()).toBe(1);
  });

  it('takes a model alone', () => {
    expect(readSnapshot(text({ learner: {} })).model.has('learner')).toBe(true);
  });

  it('refuses an offset beyond its end', () => {
    const bytes = new Uint8Array(40);
    bytes.set(new TextEncoder().encode('CONFIG-offset:'));
    new DataView(bytes.buffer).setBigUint64(14, 2n ** 40n, true);
    expect(() => readSnapshot(bytes)).toThrow(/cut off/);
  });

  it('throws nothing but what names the damage', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('', '{', '{"', '{L', 'CONFIG-offset:', 'binf'),
        fc.uint8Array({ maxLength: 300 }),
        (head, tail) => {
          try {
            readSnapshot(new Uint8Array([...new TextEncoder().encode(head), ...tail]));
          } catch (error) {
            expect([DamagedModel, UnsupportedModel]).toContain((error as Error).constructor);
          }
        },
      ),
    );
  });
});
