import type { Hash } from 'node:crypto';
import { DomainError } from '#platform';

/** The name of a blob: `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = `sha256:${string}`;

const pattern = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && pattern.test(text);
}

/**
 * @param pointer where in the request the text stands
 * @throws DomainError INVALID_ARGUMENT
 */
export function parseDigest(text: unknown, pointer = '/digest'): Digest {
  if (isDigest(text)) return text;
  const given = typeof text === 'string' ? `"${text.slice(0, 100)}"` : 'nothing';
  throw DomainError.invalid(
    pointer,
    `A digest is "sha256:" and 64 lower-case hexadecimal digits; given was ${given}.`,
  );
}

/** What the hash has seen so far, as a digest; the hash can still be updated after it. */
export function digestOf(hash: Hash): Digest {
  return `sha256:${hash.copy().digest('hex')}`;
}

/** The hexadecimal part, which both drivers make their keys from. */
export function hexOf(digest: Digest): string {
  return parseDigest(digest).slice('sha256:'.length);
}
