import { DomainError } from '#platform';

/** The ETag of a resource that counts its changes in `revision`. */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/**
 * Compares an `If-Match` header with the revision of a resource.
 * @throws DomainError ETAG_MISMATCH when the resource was changed since the caller read it
 */
export function checkEtag(ifMatch: string | undefined, revision: number, what: string): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return;
  const wanted = ifMatch.split(',').map((tag) => tag.trim());
  if (wanted.includes(etagOf(revision))) return;
  throw new DomainError(
    'ETAG_MISMATCH',
    `The ${what} was changed since you read it: its ETag is ${etagOf(revision)}, If-Match says ${ifMatch}. Read it again and repeat the change.`,
  );
}
