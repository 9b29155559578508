import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Sha256 } from './sha256.js';

function expected(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('Sha256', () => {
  it('agrees with OpenSSL, however the bytes are cut', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });
    fc.assert(
      fc.property(pieces, (parts) => {
        const hash = new Sha256();
        for (const part of parts) hash.update(part);
        expect(hash.hex()).toBe(expected(Buffer.concat(parts)));
      }),
      { numRuns: 500 },
    );
  });

  it('agrees at every length around the padding', () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = new Uint8Array(length).fill(length);
      expect(new Sha256().update(bytes).hex()).toBe(expected(bytes));
    }
  });
});
