import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import type { BlobService } from '#artifacts';
import { DomainError } from '#platform';

export interface BlobToSend {
  digest: string;
  size: number;
  /** What a browser saves it as. */
  filename: string;
  /** Default `application/octet-stream`. */
  type?: string;
  /** True where the address is the digest itself: the bytes there never change. */
  immutable?: boolean;
}

/** Milliseconds for which a client may take nothing. */
const STALL = 120_000;

/**
 * Answers GET and HEAD with the bytes of a blob: Range (one), If-Range, If-None-Match; always as a download, so that no
 * browser takes it for a page of this origin. `Repr-Digest` lets the client compare the whole.
 * @throws DomainError before the first byte (NOT_FOUND, RANGE_NOT_SATISFIABLE, UNAVAILABLE); a failure after it breaks
 * the connection, so that nobody takes a part for the whole
 */
export async function sendBlob(
  blobs: BlobService,
  request: Request,
  response: Response,
  { digest, size, filename, type = 'application/octet-stream', immutable = false }: BlobToSend,
): Promise<void> {
  const etag = `"${digest}"`;
  response.setHeader('ETag', etag);
  response.setHeader('Repr-Digest', reprDigest(digest));
  response.setHeader('Accept-Ranges', 'bytes');
  // A name such as `versions/@champion` or that of a deleted model may lead to other bytes one day.
  const cache = immutable ? 'private, max-age=31536000, immutable' : 'private, no-cache';
  response.setHeader('Cache-Control', cache);
  if (matches(request.headers['if-none-match'], etag)) {
    response.status(304).end();
    return;
  }
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Disposition', attachment(filename));
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Security-Policy', "default-src 'none'; sandbox");
  const range = rangeOf(request, etag, size);
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${size}`);
    throw new DomainError(
      'RANGE_NOT_SATISFIABLE',
      `The blob has ${size} bytes; there is nothing at "${request.headers.range?.slice(0, 60)}".`,
    );
  }
  response.setHeader('Content-Length', range?.length ?? size);
  if (range) {
    const last = range.offset + range.length - 1;
    response.status(206).setHeader('Content-Range', `bytes ${range.offset}-${last}/${size}`);
  }
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const content = await blobs.open(digest, range);
  response.setTimeout(STALL, () => response.destroy());
  await pipeline(content, response).catch((error: unknown) => {
    // Where the client has gone there is nobody left to tell.
    if (content.errored instanceof DomainError) throw error;
  });
}

/** RFC 9530: the digest of the whole, also on an answer that is a part of it. */
function reprDigest(digest: string): string {
  const [, hex = ''] = digest.split(':');
  return `sha-256=:${Buffer.from(hex, 'hex').toString('base64')}:`;
}

/** `*` or a list of entity tags, weak ones included (RFC 9110, 13.1.2). */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')));
}

/**
 * The one range of the request (RFC 9110, 14.2). Several ranges, other units and what is no range at all are answered
 * with the whole, as a server may.
 */
function rangeOf(
  { method, headers }: Request,
  etag: string,
  size: number,
): { offset: number; length: number } | 'unsatisfiable' | undefined {
  const condition = headers['if-range'];
  if (method !== 'GET' || (condition !== undefined && condition !== etag)) return undefined;
  const [, first = '', last = ''] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(headers.range ?? '') ?? [];
  if (!first && !last) return undefined;
  if (first && last && Number(last) < Number(first)) return undefined;
  const offset = first ? Number(first) : Math.max(0, size - Number(last));
  const end = first && last ? Math.min(Number(last), size - 1) : size - 1;
  return offset <= end ? { offset, length: end - offset + 1 } : 'unsatisfiable';
}

/** RFC 6266, with the name in ASCII for old clients and in full (RFC 8187) for all others. */
export function attachment(filename: string): string {
  // Half a surrogate pair has no UTF-8 and would be refused by encodeURIComponent.
  const name = Buffer.from(filename).toString();
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  if (ascii === name) return `attachment; filename="${name}"`;
  const full = encodeURIComponent(name).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${full}`;
}
