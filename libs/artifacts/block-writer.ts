import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CHUNK_SIZE } from './artifact-store.js';

/** Writes what comes in small chunks (a socket gives 64 KiB at a time) in blocks of about 1 MiB. */
export interface BlockWriter {
  /** The offset in the file where the next byte goes; all before it are written. */
  readonly written: number;
  /** Takes a chunk; a block is written while the next one comes. @throws what this write or the one before it failed with */
  write(chunk: Buffer): Promise<void>;
  /** Resolves when all is written. */
  flush(): Promise<void>;
  /** Resolves when nothing is under way, however it went; nothing may be written after it. */
  settled(): Promise<void>;
}

/** Gathers chunks and writes them as they are. */
export class GatheringWriter implements BlockWriter {
  private chunks: Buffer[] = [];
  private gathered = 0;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly file: FileHandle,
    public written: number,
  ) {}

  async write(chunk: Buffer): Promise<void> {
    this.chunks.push(chunk);
    this.gathered += chunk.length;
    if (this.gathered < CHUNK_SIZE) return;
    await this.writing;
    this.begin();
  }

  async flush(): Promise<void> {
    await this.writing;
    this.begin();
    await this.writing;
  }

  async settled(): Promise<void> {
    await this.writing.catch(() => undefined);
  }

  private begin(): void {
    const { chunks } = this;
    this.chunks = [];
    this.gathered = 0;
    this.writing = this.writeAll(chunks);
    this.writing.catch(() => undefined);
  }

  private async writeAll(chunks: Buffer[]): Promise<void> {
    let rest = chunks;
    while (rest.length > 0) {
      const { bytesWritten } = await this.file.writev(rest, this.written);
      this.written += bytesWritten;
      rest = after(rest, bytesWritten);
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

/**
 * Goes around the page cache (`O_DIRECT`, open(2)): a large file then neither costs the kernel a copy and pages, which is most
 * of the processor time of an upload, nor pushes out what others read. Only whole blocks go that way, from memory that is
 * aligned as disks want it; the bytes before the first one and after the last one are written through the file as it is.
 */
export class DirectWriter implements BlockWriter {
  private static present = 0;

  /** A MiB of the file each; one is filled while those before it wait to be written, one after the other. */
  private readonly blocks: readonly Uint8Array[];
  private turns = 0;
  /** In the present block: what is written already, or not ours, ends at `from`, and what came at `to`. */
  private from: number;
  private to: number;
  /** Of the last {@link BLOCKS} blocks, the oldest first. */
  private readonly writing: Promise<void>[] = [];

  private constructor(
    private readonly file: FileHandle,
    private direct: FileHandle | undefined,
    public written: number,
  ) {
    this.from = written % CHUNK_SIZE;
    this.to = this.from;
    // A page of WebAssembly begins where a page of memory does, which nothing else in JavaScript is sure to do.
    const { buffer } = new WebAssembly.Memory({ initial: (BLOCKS * CHUNK_SIZE) / WASM_PAGE });
    this.blocks = Array.from(
      { length: BLOCKS },
      (_, i) => new Uint8Array(buffer, i * CHUNK_SIZE, CHUNK_SIZE),
    );
  }

  /** @returns undefined where the file system knows no such thing, or many write so already */
  static async open(
    file: FileHandle,
    path: string,
    written: number,
  ): Promise<DirectWriter | undefined> {
    if (process.platform !== 'linux' || DirectWriter.present >= MOST_DIRECT) return undefined;
    const direct = await open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
    if (!direct) return undefined;
    DirectWriter.present += 1;
    return new DirectWriter(file, direct, written);
  }

  async write(chunk: Buffer): Promise<void> {
    for (let rest = chunk; rest.length > 0;) {
      const part = rest.subarray(0, CHUNK_SIZE - this.to);
      this.blocks[this.turns % BLOCKS]?.set(part, this.to);
      this.to += part.length;
      rest = rest.subarray(part.length);
      if (this.to === CHUNK_SIZE) await this.turn();
    }
  }

  async flush(): Promise<void> {
    if (this.to > this.from) await this.turn();
    await this.writing.at(-1);
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.writing);
    if (this.direct) DirectWriter.present -= 1;
    await this.direct?.close().catch(() => undefined);
    this.direct = undefined;
  }

  /** Has the present block written, and waits until the next one is free. */
  private async turn(): Promise<void> {
    const bytes = this.blocks[this.turns % BLOCKS]?.subarray(this.from, this.to);
    const before = this.writing.at(-1);
    const writing =
      bytes && (before ? before.then(() => this.writeAll(bytes)) : this.writeAll(bytes));
    if (writing) {
      writing.catch(() => undefined);
      this.writing.push(writing);
    }
    this.turns += 1;
    this.from = this.to % CHUNK_SIZE;
    this.to = this.from;
    if (this.writing.length === BLOCKS) await this.writing.shift();
  }

  private async writeAll(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const through = rest.length === CHUNK_SIZE && this.direct ? this.direct : this.file;
      const { bytesWritten } = await through.write(rest, 0, rest.length, this.written);
      this.written += bytesWritten;
      rest = rest.subarray(bytesWritten);
    }
  }
}

const BLOCKS = 8;
/** Writers that may go around the page cache at once; each has memory for its blocks. */
const MOST_DIRECT = 16;
const WASM_PAGE = 65_536;
