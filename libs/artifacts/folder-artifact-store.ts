import { createHash } from 'node:crypto';
import { createReadStream, type Dirent, type Stats } from 'node:fs';
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  utimes,
} from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { DomainError } from '#platform';
import {
  ArtifactStore,
  CHUNK_SIZE,
  type ByteRange,
  type Checkpoint,
  type SavedStaging,
  type StagedContent,
  type Staging,
  type StoredBlob,
} from './artifact-store.js';
import { digestOf, hexOf, isDigest, type Digest } from './digest.js';
import { ExactStream } from './exact-stream.js';
import { isSealed, sealOf } from './seal.js';

/** Bytes between two checkpoints of an upload: what a kill -9 may cost at most. */
const CHECKPOINT_SIZE = 32 * 1024 * 1024;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Blobs in a folder: `blobs/sha256/ab/abcdef…`, and `uploads/{id}` while they are staged, on one file system. */
export class FolderArtifactStore extends ArtifactStore {
  private readonly root: string;

  /** @param root made where it is missing */
  constructor(root: string) {
    super();
    this.root = resolve(root);
  }

  override async check(): Promise<void> {
    await reachable(async () => {
      await mkdir(this.blobs, { recursive: true });
      await mkdir(this.uploads, { recursive: true });
      await access(this.uploads, constants.W_OK | constants.X_OK);
    });
  }

  override async stat(digest: Digest): Promise<{ size: number } | undefined> {
    const found = await ifPresent(stat(this.path(digest)));
    return found && { size: found.size };
  }

  override async read(digest: Digest, range?: ByteRange): Promise<Readable> {
    const stream = await openFile(this.path(digest), digest, range);
    if (!stream) throw DomainError.notFound(`Blob ${digest}`);
    return stream;
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
  }

  override async *list(): AsyncIterable<StoredBlob> {
    for (const folder of await entries(this.blobs)) {
      for (const file of await entries(join(this.blobs, folder.name))) {
        const digest = `sha256:${file.name}`;
        const found = await ifPresent(stat(join(this.blobs, folder.name, file.name)));
        // The time of modification is the seal.
        if (found && isDigest(digest)) yield { digest, size: found.size, modifiedAt: found.ctime };
      }
    }
  }

  override stage(id: string, saved?: SavedStaging): Staging {
    if (!uuid.test(id)) throw new Error(`"${id}" is not the id of an upload`);
    return new StagedFile(
      join(this.uploads, id),
      (digest) => this.path(digest),
      saved?.received ?? 0,
    );
  }

  override async *listStaged(): AsyncIterable<StagedContent> {
    for (const { name } of await entries(this.uploads)) {
      const found = await ifPresent(stat(join(this.uploads, name)));
      if (!found || !uuid.test(name)) continue;
      yield { id: name, saved: { received: found.size, state: {} }, modifiedAt: found.ctime };
    }
  }

  /** A file that is gone, or that another took the place of, was not changed while it was read. */
  private async expectSeal(digest: Digest): Promise<void> {
    const found = await ifPresent(stat(this.path(digest)));
    if (!found || isSealed(found, digest)) return;
    throw new DomainError('UNAVAILABLE', `The file of ${digest} was changed while it was read.`, {
      retryAfter: 1,
    });
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

/** A file that is written at the offset where the acknowledged bytes end; what lies behind that is cut off first. */
class StagedFile implements Staging {
  size: number;

  constructor(
    private readonly path: string,
    private readonly target: (digest: Digest) => string,
    private saved: number,
  ) {
    this.size = saved;
  }

  async append(content: AsyncIterable<Buffer>, checkpoint: Checkpoint): Promise<void> {
    // Nothing is opened for no bytes: after a crash in a commit the file may be at its place as a blob already.
    let file: FileHandle | undefined;
    let syncing: Promise<void> = Promise.resolve();
    try {
      let writer: GatheringWriter | undefined;
      let checked = this.size;
      for await (const chunk of content) {
        file ??= await reachable(() => this.openAtEnd());
        const gathering = (writer ??= new GatheringWriter(file, this.size));
        await reachable(() => gathering.write(chunk));
        if (gathering.written - checked < CHECKPOINT_SIZE) continue;
        // The disk syncs what it has while the next bytes come.
        await syncing;
        checked = gathering.written;
        syncing = this.sync(file, checked).then(() => checkpoint(this.snapshot()));
        syncing.catch(() => undefined);
      }
      await reachable(async () => writer?.flush());
      await syncing;
      if (writer) this.size = writer.written;
    } finally {
      await syncing.catch(() => undefined);
      await file?.close();
    }
  }

  async save(): Promise<SavedStaging> {
    if (this.saved !== this.size) {
      const file = await ifPresent(open(this.path, 'r+'));
      if (!file) throw contentLost();
      try {
        await this.sync(file, this.size);
      } finally {
        await file.close();
      }
    }
    return this.snapshot();
  }

  async read(): Promise<Readable> {
    if (this.saved === 0) return Readable.from([]);
    const stream = await openFile(this.path, 'an upload', { length: this.saved });
    if (!stream) throw contentLost();
    return stream;
  }

  async commit(digest: Digest, checkpoint: Checkpoint): Promise<void> {
    const target = this.target(digest);
    // An upload of no bytes has no file yet.
    if (this.size === 0) await (await reachable(() => this.openAtEnd())).close();
    const file = await ifPresent(open(this.path, 'r+'));
    if (!file) return this.wasCommitted(digest, target);
    try {
      await reachable(() => file.truncate(this.size));
      await this.sync(file, this.size);
      // A seal that a loss of power takes away is set again by the first who reads and compares.
      await reachable(() => file.utimes(sealOf(digest), sealOf(digest)));
    } finally {
      await file.close();
    }
    // When the file has moved, nothing but this says how much of it there was.
    await checkpoint(this.snapshot());
    await reachable(async () => {
      if (await mkdir(dirname(target), { recursive: true }))
        await syncFolder(dirname(dirname(target)));
      await rename(this.path, target);
      await syncFolder(dirname(target));
    });
  }

  async discard(): Promise<void> {
    await reachable(() => rm(this.path, { force: true }));
  }

  private async wasCommitted(digest: Digest, target: string): Promise<void> {
    const found = await ifPresent(stat(target));
    if (found?.size === this.size) {
      if (isSealed(found, digest)) return;
      const hash = createHash('sha256');
      for await (const chunk of (await openFile(target, digest)) ?? [])
        hash.update(chunk as Buffer);
      if (digestOf(hash) === digest) return;
    }
    throw contentLost();
  }

  /** The name of a new file is made durable with it: acknowledged bytes in a nameless file would be lost bytes. */
  private async openAtEnd(): Promise<FileHandle> {
    const present = await ifPresent(open(this.path, 'r+'));
    if (present) {
      const { size } = await present.stat();
      if (size >= this.size) {
        await present.truncate(this.size);
        return present;
      }
      await present.close();
    }
    if (this.size > 0) {
      throw contentLost();
    }
    await mkdir(dirname(this.path), { recursive: true });
    const file = await open(this.path, 'w');
    await syncFolder(dirname(this.path));
    return file;
  }

  private async sync(file: FileHandle, size: number): Promise<void> {
    await reachable(() => file.datasync());
    this.saved = size;
  }

  private snapshot(): SavedStaging {
    return { received: this.saved, state: {} };
  }
}

/** Gathers small chunks (a socket gives 64 KiB at a time) into writes of at least 1 MiB. */
class GatheringWriter {
  private chunks: Buffer[] = [];
  private gathered = 0;

  /** @param written the offset in the file where the next byte goes */
  constructor(
    private readonly file: FileHandle,
    public written: number,
  ) {}

  async write(chunk: Buffer): Promise<void> {
    this.chunks.push(chunk);
    this.gathered += chunk.length;
    if (this.gathered >= CHUNK_SIZE) await this.flush();
  }

  async flush(): Promise<void> {
    let chunks = this.chunks;
    this.chunks = [];
    this.gathered = 0;
    while (chunks.length > 0) {
      const { bytesWritten } = await this.file.writev(chunks, this.written);
      this.written += bytesWritten;
      chunks = after(chunks, bytesWritten);
    }
  }
}

/** What a short write has left over. */
function after(chunks: Buffer[], written: number): Buffer[] {
  let skip = written;
  const rest: Buffer[] = [];
  for (const chunk of chunks) {
    if (skip < chunk.length) rest.push(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
  return rest;
}

async function openFile(
  path: string,
  what: string,
  range: ByteRange = {},
): Promise<Readable | undefined> {
  const file = await ifPresent(open(path, 'r'));
  if (!file) return undefined;
  const offset = range.offset ?? 0;
  const length = range.length ?? Math.max(0, (await file.stat()).size - offset);
  return streamOf(file, what, { offset, length });
}

/** Closes the file at its end. */
async function streamOf(
  file: FileHandle,
  what: string,
  { offset, length }: Required<ByteRange>,
  approve?: () => Promise<void>,
): Promise<Readable> {
  if (length === 0) {
    await file.close();
    return Readable.from([]);
  }
  const stream = createReadStream('', {
    fd: file,
    start: offset,
    end: offset + length - 1,
    highWaterMark: CHUNK_SIZE,
  });
  return new ExactStream(stream, length, what, approve);
}

/** Whether nothing was written to a file, nor another one put in its place, between two looks at it. */
function isSameFile(before: Stats, after: Stats): boolean {
  return (
    before.ino === after.ino && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs
  );
}

/** Given up by another request, or taken away by somebody. */
function contentLost(): DomainError {
  return DomainError.notFound('The content of the upload', 'Begin a new upload.');
}

async function entries(folder: string): Promise<Dirent[]> {
  return (await ifPresent(readdir(folder, { withFileTypes: true }))) ?? [];
}

/** A rename is durable only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function ifPresent<T>(asked: Promise<T>): Promise<T | undefined> {
  return reachable(() =>
    asked.catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw cause;
    }),
  );
}

/** What the file system refuses (no space, no right, a broken disk) is an outage of the store, with its reason. */
async function reachable<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof DomainError || !isSystemError(cause)) throw cause;
    const reason =
      cause.code === 'ENOSPC' || cause.code === 'EDQUOT' ? 'is full' : `failed (${cause.code})`;
    throw new DomainError(
      'UNAVAILABLE',
      `The artifact store ${reason}. Nothing was changed; try again later.`,
      {
        cause,
        retryAfter: 5,
      },
    );
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return typeof error === 'object' && error !== null && 'code' in error && 'syscall' in error;
}
