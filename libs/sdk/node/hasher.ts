import { createHash } from 'node:crypto';
import type { Hasher } from '../hasher.js';

/** SHA-256 by OpenSSL, some ten times as fast as our own. */
export function createNodeHasher(): Hasher {
  const hash = createHash('sha256');
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => `sha256:${hash.digest('hex')}`,
  };
}
