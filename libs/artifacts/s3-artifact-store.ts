import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { DomainError } from '#platform';
import {
  ArtifactStore,
  type ByteRange,
  type SavedStaging,
  type StagedContent,
  type Staging,
  type StoredBlob,
} from './artifact-store.js';
import { type BlobPart, joinParts, readParts, sizeOfParts, writeParts } from './blob-parts.js';
import { hexOf, isDigest, type Digest } from './digest.js';
import { ExactStream } from './exact-stream.js';
import { S3Bucket, type S3Settings } from './s3-bucket.js';
import { S3Staging } from './s3-staging.js';

/** What the key of a list of parts ends with, beside that of the bytes. */
const PARTS = '.parts';
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Blobs in a bucket of any server that speaks S3: `{prefix}blobs/sha256/ab/abcdef…`, `{prefix}uploads/{id}/…`. */
export class S3ArtifactStore extends ArtifactStore {
  private readonly bucket: S3Bucket;
  private readonly prefix: string;

  /** @param prefix of all keys, such as `team/slipway`; may be empty */
  constructor(settings: S3Settings, prefix = '') {
    super();
    this.bucket = new S3Bucket(settings);
    const trimmed = prefix.replace(/^\/+|\/+$/g, '');
    this.prefix = trimmed && `${trimmed}/`;
  }

  override async check(): Promise<void> {
    await this.bucket.check();
  }

  override async stat(digest: Digest): Promise<{ size: number } | undefined> {
    const found = await this.bucket.stat(this.key(digest));
    if (found) return found;
    const parts = await this.partsOf(digest);
    return parts && { size: sizeOfParts(parts) };
  }

  override async read(digest: Digest, range?: ByteRange): Promise<Readable> {
    const stream = await this.readOwn(digest, range);
    if (stream) return stream;
    const parts = await this.partsOf(digest);
    if (!parts) throw DomainError.notFound(`Blob ${digest}`);
    for (const part of new Set(parts.map((each) => each.digest))) {
      if (await this.bucket.stat(this.key(part))) continue;
      throw DomainError.notFound(`A part of the blob ${digest}`);
    }
    const read = async (part: Digest, { offset, length }: Required<ByteRange>) => {
      const found = await this.readOwn(part, { offset, length });
      if (found) return found;
      throw DomainError.notFound(`A part of the blob ${digest}`);
    };
    return joinParts(parts, read, digest, range);
  }

  override async layout(digest: Digest): Promise<{ size?: number; parts?: BlobPart[] }> {
    const found = await this.bucket.stat(this.key(digest));
    const parts = await this.partsOf(digest);
    return { ...found, ...(parts && { parts }) };
  }

  override async compose(digest: Digest, parts: readonly BlobPart[]): Promise<void> {
    await this.bucket.put(this.key(digest) + PARTS, writeParts(parts));
    await this.bucket.remove([this.key(digest)]);
  }

  override async forgetParts(digest: Digest): Promise<void> {
    await this.bucket.remove([this.key(digest) + PARTS]);
  }

  private async partsOf(digest: Digest): Promise<BlobPart[] | undefined> {
    const found = await this.bucket.get(this.key(digest) + PARTS);
    return found && readParts(await buffer(found.body), digest);
  }

  private async readOwn(digest: Digest, range?: ByteRange): Promise<Readable | undefined> {
    // S3 has no range of no bytes.
    const empty = range?.length === 0;
    const found = await this.bucket.get(this.key(digest), empty ? { offset: 0 } : range);
    if (!found) return undefined;
    if (!empty) return new ExactStream(found.body, found.length, digest);
    found.body.destroy();
    return Readable.from([]);
  }

  override async delete(digest: Digest): Promise<void> {
    await this.bucket.remove([this.key(digest), this.key(digest) + PARTS]);
  }

  override async *list(): AsyncIterable<StoredBlob> {
    for await (const { key, size, modifiedAt } of this.bucket.list(`${this.prefix}blobs/sha256/`)) {
      const digest = `sha256:${key.slice(key.lastIndexOf('/') + 1).replace(PARTS, '')}`;
      if (isDigest(digest)) yield { digest, size, modifiedAt };
    }
  }

  override stage(id: string, saved?: SavedStaging): Staging {
    if (!uuid.test(id)) throw new Error(`"${id}" is not the id of an upload`);
    return new S3Staging(
      this.bucket,
      `${this.prefix}uploads/${id}/`,
      (digest) => this.key(digest),
      async (digest) => (await this.partsOf(digest)) !== undefined,
      saved,
    );
  }

  override async *listStaged(): AsyncIterable<StagedContent> {
    yield* this.listStagedParts();
    // Of a commit that was cut off; begun by an upload that may be gone, so it stands for itself.
    for await (const upload of this.bucket.listMultiparts(`${this.prefix}blobs/`)) {
      const multipart = { key: upload.key, uploadId: upload.uploadId };
      yield {
        id: randomUUID(),
        saved: { received: 0, state: { multipart } },
        modifiedAt: upload.begunAt,
      };
    }
  }

  /** One item an upload: its parts lie beside each other in a list. */
  private async *listStagedParts(): AsyncIterable<StagedContent> {
    const folder = `${this.prefix}uploads/`;
    let last: StagedContent | undefined;
    for await (const { key, modifiedAt } of this.bucket.list(folder)) {
      const id = key.slice(folder.length).split('/')[0] ?? '';
      if (!uuid.test(id)) continue;
      if (last?.id === id) {
        if (modifiedAt > last.modifiedAt) last.modifiedAt = modifiedAt;
        continue;
      }
      if (last) yield last;
      last = { id, saved: { received: 0, state: {} }, modifiedAt };
    }
    if (last) yield last;
  }

  private key(digest: Digest): string {
    const hex = hexOf(digest);
    return `${this.prefix}blobs/sha256/${hex.slice(0, 2)}/${hex}`;
  }
}
