import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { DomainError } from '#platform';
import { type Checkpoint, type SavedStaging, type Staging } from './artifact-store.js';
import { type BlockWriter, DirectWriter, GatheringWriter } from './block-writer.js';
import { digestOf, type Digest } from './digest.js';
import { isSealed, sealOf } from './seal.js';
import { closing, ifPresent, openFile, orClose, reachable } from './store-files.js';

/** Bytes between two checkpoints of an upload: what a kill -9 may cost at most. */
const CHECKPOINT_SIZE = 32 * 1024 * 1024;

export interface Place {
  path: string;
  /** Where a blob belongs. */
  target: (digest: Digest) => string;
  /** Whether the blob is there in parts of others. */
  lies: (digest: Digest, size: number) => Promise<boolean>;
  expectFolders: () => Promise<void>;
}

/** A file that is written at the offset where the acknowledged bytes end; what lies behind that is cut off first. */
export class StagedFile implements Staging {
  size: number;

  constructor(
    private readonly place: Place,
    private saved: number,
  ) {
    this.size = saved;
  }

  private get path(): string {
    return this.place.path;
  }

  async append(content: AsyncIterable<Buffer>, checkpoint: Checkpoint): Promise<void> {
    const chunks = content[Symbol.asyncIterator]();
    const first = await chunks.next();
    // Nothing is opened for no bytes: after a crash in a commit the file may be at its place as a blob already.
    if (first.done) return;
    try {
      const file = await reachable(() => this.openAtEnd());
      await closing(file, () => this.write(file, first.value, chunks, checkpoint));
    } finally {
      await chunks.return?.();
    }
  }

  async save(): Promise<SavedStaging> {
    if (this.saved !== this.size) {
      const file = await ifPresent(open(this.path, 'r+'));
      if (!file) throw await this.contentLost();
      await closing(file, () => this.sync(file, this.size));
    }
    return this.snapshot();
  }

  async read(): Promise<Readable> {
    if (this.saved === 0) return Readable.from([]);
    const stream = await openFile(this.path, 'an upload', { length: this.saved });
    if (!stream) throw await this.contentLost();
    return stream;
  }

  async commit(digest: Digest, checkpoint: Checkpoint, { replace = false } = {}): Promise<void> {
    const target = this.place.target(digest);
    if (!replace && (await this.place.lies(digest, this.size))) return this.discard();
    // An upload of no bytes has no file yet.
    if (this.size === 0) await reachable(async () => (await this.openAtEnd()).close());
    const file = await ifPresent(open(this.path, 'r+'));
    if (!file) return this.wasCommitted(digest, target);
    await closing(file, async () => {
      await reachable(() => file.truncate(this.size));
      await this.sync(file, this.size);
      // A seal that a loss of power takes away is set again by the first who reads and compares.
      await reachable(() => file.utimes(sealOf(digest), sealOf(digest)));
    });
    // When the file has moved, nothing but this says how much of it there was.
    await checkpoint(this.snapshot());
    await reachable(async () => {
      if (await makeFolder(dirname(target))) await syncFolder(dirname(dirname(target)));
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
    // Since then it was found to lie in others.
    if (!found && (await this.place.lies(digest, this.size))) return;
    throw await this.contentLost();
  }

  private async write(
    file: FileHandle,
    first: Buffer,
    others: AsyncIterator<Buffer>,
    checkpoint: Checkpoint,
  ): Promise<void> {
    let writer: BlockWriter = new GatheringWriter(file, this.size);
    let syncing: Promise<void> = Promise.resolve();
    try {
      let checked = this.size;
      let next: IteratorResult<Buffer> = { value: first };
      for (; !next.done; next = await others.next()) {
        const { value: chunk } = next;
        await reachable(() => writer.write(chunk));
        if (writer.written - checked < CHECKPOINT_SIZE) continue;
        // The disk syncs what it has while the next bytes come.
        await syncing;
        checked = writer.written;
        syncing = this.sync(file, checked).then(() => checkpoint(this.snapshot()));
        syncing.catch(() => undefined);
        if (writer instanceof DirectWriter) continue;
        // What is smaller is mostly read again at once, to be compiled and served.
        await reachable(() => writer.flush());
        writer = (await DirectWriter.open(file, this.path, writer.written)) ?? writer;
      }
      await reachable(() => writer.flush());
      await syncing;
      this.size = writer.written;
    } finally {
      await writer.settled();
      await syncing.catch(() => undefined);
    }
  }

  /** The name of a new file is made durable with it: acknowledged bytes in a nameless file would be lost bytes. */
  private async openAtEnd(): Promise<FileHandle> {
    const present = await ifPresent(open(this.path, 'r+'));
    if (present) {
      await orClose(present, async () => {
        if ((await present.stat()).size < this.size) throw await this.contentLost();
        await present.truncate(this.size);
      });
      return present;
    }
    if (this.size > 0) throw await this.contentLost();
    await this.place.expectFolders();
    const file = await open(this.path, 'w');
    await orClose(file, () => syncFolder(dirname(this.path)));
    return file;
  }

  /** Given up by another request, or taken away by somebody. @throws DomainError where the folder of all uploads is gone */
  private async contentLost(): Promise<DomainError> {
    await this.place.expectFolders();
    return DomainError.notFound('The content of the upload', 'Begin a new upload.');
  }

  private async sync(file: FileHandle, size: number): Promise<void> {
    await reachable(() => file.datasync());
    this.saved = size;
  }

  private snapshot(): SavedStaging {
    return { received: this.saved, state: {} };
  }
}

/** @returns whether it was not there before */
export async function makeFolder(path: string): Promise<boolean> {
  return mkdir(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
}

/** A rename is durable only when its folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await closing(folder, () => folder.sync());
}
