import { isNode } from './environment.js';
import { Sha256 } from './sha256.js';

/** Takes bytes, gives their digest `sha256:…`. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): string;
}

/** A hasher over Node's crypto, and over our own SHA-256 elsewhere, since WebCrypto does not stream. */
export async function createHasher(): Promise<Hasher> {
  if (isNode()) return (await import('./node/hasher.js')).createNodeHasher();
  const hash = new Sha256();
  return { update: (bytes) => void hash.update(bytes), digest: () => `sha256:${hash.hex()}` };
}
