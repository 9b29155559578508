import { statSync } from 'node:fs';
import { createRequire } from 'node:module';

// Its types are those of its CommonJS form only.
const { default: TestSequencer } = createRequire(import.meta.url)(
  '@jest/test-sequencer',
) as typeof import('@jest/test-sequencer');

/**
 * The proofs first, which take longest, so that in the end no worker waits for another; what is left by the size of the
 * file. Always the same order, also on a machine that has not run them before.
 */
export default class LongestFirst extends TestSequencer {
  override sort<T extends { path: string }>(tests: T[]): T[] {
    const weight = ({ path }: T) =>
      statSync(path).size *
      (path.includes('/test/proof/') ? 100 : path.includes('/test/') ? 10 : 1);
    return tests.toSorted((a, b) => weight(b) - weight(a));
  }
}
