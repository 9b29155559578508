import type { Dirent, Stats } from 'node:fs';
import { randomUUID } from 'node:crypto';
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
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
import { makeFolder, StagedFile, syncFolder } from './folder-staging.js';
import { isSealed, sealOf } from './seal.js';
import { closing, ifPresent, openFile, reachable, streamOf } from './store-files.js';

/** What the name of a list of parts ends with, beside where the bytes would be. */
const PARTS = '.parts';
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Blobs in a folder: `blobs/sha256/ab/abcdef…`, with `.parts` where they lie in parts of others, and `uploads/{id}` while they are staged, on one file system.
 * The folders are made once, by who checks the store or writes. Where they are missing later (a volume that is not mounted any
 * more), that is an outage: a new, empty store in their place would say that blobs are gone, and take bytes that nobody finds
 * when the volume is back.
 */
export class FolderArtifactStore extends ArtifactStore {
  private readonly root: string;
  private made: Promise<void> | undefined;

  /** @param root made where it is missing */
  constructor(root: string) {
    super();
    this.root = resolve(root);
  }

  override async check(): Promise<void> {
    await this.makeOnce();
    await reachable(async () => {
      await access(this.blobs, constants.W_OK | constants.X_OK);
      await access(this.uploads, constants.W_OK | constants.X_OK);
    });
  }

  override async stat(digest: Digest): Promise<{ size: number } | undefined> {
    const { size, parts } = await this.layout(digest);
    if (size === undefined && !parts) await this.expectFolders();
    return size === undefined ? parts && { size: sizeOfParts(parts) } : { size };
  }

  override async read(digest: Digest, range?: ByteRange): Promise<Readable> {
    const stream = await openFile(this.path(digest), digest, range);
    if (stream) return stream;
    const parts = await this.partsOf(digest);
    if (parts) return this.readJoined(digest, parts, range);
    await this.expectFolders();
    throw DomainError.notFound(`Blob ${digest}`);
  }

  override async layout(digest: Digest): Promise<{ size?: number; parts?: BlobPart[] }> {
    const found = await ifPresent(stat(this.path(digest)));
    const parts = await this.partsOf(digest);
    return { ...(found && { size: found.size }), ...(parts && { parts }) };
  }

  override async compose(digest: Digest, parts: readonly BlobPart[]): Promise<void> {
    await this.makeOnce();
    await this.expectFolders();
    const path = this.path(digest);
    const list = join(this.uploads, randomUUID());
    await reachable(async () => {
      const file = await open(list, 'wx');
      await closing(file, async () => {
        await file.writeFile(writeParts(parts));
        await file.sync();
      });
      if (await makeFolder(dirname(path))) await syncFolder(dirname(dirname(path)));
      await rename(list, path + PARTS);
      await syncFolder(dirname(path));
      await rm(path, { force: true });
      await syncFolder(dirname(path));
    });
  }

  override async forgetParts(digest: Digest): Promise<void> {
    await reachable(() => rm(this.path(digest) + PARTS, { force: true }));
  }

  override async readSealed(
    digest: Digest,
    size: number,
    { offset = 0, length = size - offset }: ByteRange = {},
  ): Promise<Readable | undefined> {
    const path = this.path(digest);
    const file = await ifPresent(open(path, 'r'));
    if (!file) return undefined;
    const found = await file.stat();
    if (found.size === size && isSealed(found, digest)) {
      // A write into the file while it is read has broken the seal by the end.
      return streamOf(file, digest, { offset, length }, () => this.expectSeal(digest));
    }
    await file.close();
    return undefined;
  }

  override async readToSeal(
    digest: Digest,
    size: number,
  ): Promise<{ stream: Readable; seal: () => Promise<void> }> {
    const path = this.path(digest);
    const before = await ifPresent(stat(path));
    const stream = await this.read(digest, { length: size });
    const seal = async (): Promise<void> => {
      const after = await ifPresent(stat(path));
      if (!before || !after || !isSameFile(before, after) || after.size !== size) return;
      // Where it may not be set, the bytes are compared each time.
      await utimes(path, sealOf(digest), sealOf(digest)).catch(() => undefined);
    };
    return { stream, seal };
  }

  override async unseal(digest: Digest): Promise<void> {
    await utimes(this.path(digest), new Date(), new Date()).catch(() => undefined);
  }

  override async delete(digest: Digest): Promise<void> {
    await reachable(() => rm(this.path(digest), { force: true }));
    await this.forgetParts(digest);
  }

  override async *list(): AsyncIterable<StoredBlob> {
    for (const folder of await entries(this.blobs)) {
      for (const file of await entries(join(this.blobs, folder.name))) {
        const digest = `sha256:${file.name.replace(PARTS, '')}`;
        const found = await ifPresent(stat(join(this.blobs, folder.name, file.name)));
        // The time of modification is the seal.
        if (found && isDigest(digest)) yield { digest, size: found.size, modifiedAt: found.ctime };
      }
    }
  }

  override stage(id: string, saved?: SavedStaging): Staging {
    if (!uuid.test(id)) throw new Error(`"${id}" is not the id of an upload`);
    const place = {
      path: join(this.uploads, id),
      target: (digest: Digest) => this.path(digest),
      lies: async (digest: Digest, size: number) => {
        const found = await this.layout(digest);
        return found.size === undefined && !!found.parts && sizeOfParts(found.parts) === size;
      },
      expectFolders: async () => {
        await this.makeOnce();
        await this.expectFolders();
      },
    };
    return new StagedFile(place, saved?.received ?? 0);
  }

  override async *listStaged(): AsyncIterable<StagedContent> {
    for (const { name } of await entries(this.uploads)) {
      const found = await ifPresent(stat(join(this.uploads, name)));
      if (!found || !uuid.test(name)) continue;
      yield { id: name, saved: { received: found.size, state: {} }, modifiedAt: found.ctime };
    }
  }

  private async partsOf(digest: Digest): Promise<BlobPart[] | undefined> {
    const stored = await ifPresent(readFile(this.path(digest) + PARTS));
    return stored && readParts(stored, digest);
  }

  private async readJoined(
    digest: Digest,
    parts: BlobPart[],
    range?: ByteRange,
  ): Promise<Readable> {
    for (const part of new Set(parts.map((each) => each.digest))) {
      if (await ifPresent(stat(this.path(part)))) continue;
      await this.expectFolders();
      throw DomainError.notFound(`A part of the blob ${digest}`);
    }
    const read = async (part: Digest, { offset, length }: Required<ByteRange>) => {
      const stream = await openFile(this.path(part), digest, { offset, length });
      if (stream) return stream;
      throw DomainError.notFound(`A part of the blob ${digest}`);
    };
    return joinParts(parts, read, digest, range);
  }

  /** A file that is gone, or that another took the place of, was not changed while it was read. */
  private async expectSeal(digest: Digest): Promise<void> {
    const found = await ifPresent(stat(this.path(digest)));
    if (!found || isSealed(found, digest)) return;
    throw new DomainError('UNAVAILABLE', `The file of ${digest} was changed while it was read.`, {
      retryAfter: 1,
    });
  }

  /**
   * Called before anything is said to be missing. Who only reads makes no folders.
   * @throws DomainError UNAVAILABLE where the folders themselves are missing
   */
  private async expectFolders(): Promise<void> {
    await reachable(async () => {
      await access(this.blobs);
      await access(this.uploads);
    });
  }

  private async makeOnce(): Promise<void> {
    this.made ??= reachable(async () => {
      await mkdir(this.blobs, { recursive: true });
      await mkdir(this.uploads, { recursive: true });
    });
    try {
      await this.made;
    } catch (error) {
      this.made = undefined;
      throw error;
    }
  }

  private get blobs(): string {
    return join(this.root, 'blobs', 'sha256');
  }

  private get uploads(): string {
    return join(this.root, 'uploads');
  }

  private path(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.blobs, hex.slice(0, 2), hex);
  }
}

/** Whether nothing was written to a file, nor another one put in its place, between two looks at it. */
function isSameFile(before: Stats, after: Stats): boolean {
  return (
    before.ino === after.ino && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs
  );
}

async function entries(folder: string): Promise<Dirent[]> {
  return (await ifPresent(readdir(folder, { withFileTypes: true }))) ?? [];
}
