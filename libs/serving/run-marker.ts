import { readSync, writeSync } from 'node:fs';

/** What a process is doing on its event loop, so that whoever ends it when it does not come back knows why. */
export interface RunMark {
  /** Digest of the Program that runs; undefined where a body is read or written. */
  program: string | undefined;
  /** How long (ms) it may take beyond what is usual, such as for a large body. */
  allowance: number;
}

const SIZE = 40;
const RUNNING = 1;
const CODING = 2;
const idle = Buffer.alloc(SIZE);

/**
 * A mark in a file that two processes have open: written before and after each run that may be long (two short writes to the
 * page cache, about 2 µs), read when the writer has frozen or died. It outlives a SIGKILL, which shared memory of a thread would not.
 */
export class RunMarker {
  #idle = true;
  #loading = 0;

  constructor(private readonly descriptor: number) {}

  /** The mark of a Program, to be made once. */
  static markOf(program: string): Buffer {
    const mark = Buffer.alloc(SIZE);
    mark.writeUInt32LE(RUNNING, 0);
    mark.write(program.replace('sha256:', ''), 8, 'hex');
    return mark;
  }

  begin(mark: Buffer): void {
    this.#idle = false;
    writeSync(this.descriptor, mark, 0, SIZE, 0);
  }

  end(): void {
    if (this.#idle) return;
    this.#idle = true;
    writeSync(this.descriptor, idle, 0, SIZE, 0);
  }

  /** Says that a version is built from its weights, which may hold the event loop for `allowance` ms; 0 when it is done. */
  loading(allowance: number): void {
    this.#loading = Math.max(0, this.#loading + (allowance || -this.#loading));
    const mark = Buffer.alloc(4);
    mark.writeUInt32LE(Math.ceil(this.#loading), 0);
    writeSync(this.descriptor, mark, 0, 4, SIZE);
  }

  /** Marks work on a body that is large enough to hold the event loop for `allowance` ms. */
  coding(allowance: number): void {
    const mark = Buffer.alloc(SIZE);
    mark.writeUInt32LE(CODING, 0);
    mark.writeUInt32LE(Math.ceil(allowance), 4);
    this.begin(mark);
  }
}

/** The mark that another process has left. */
export function readMark(descriptor: number): RunMark {
  // What was never written reads as zeros: idle.
  const mark = Buffer.alloc(SIZE + 4);
  readSync(descriptor, mark, 0, mark.length, 0);
  const program =
    mark.readUInt32LE(0) === RUNNING ? `sha256:${mark.toString('hex', 8, SIZE)}` : undefined;
  return { program, allowance: Math.max(mark.readUInt32LE(4), mark.readUInt32LE(SIZE)) };
}

/** Wipes the mark of a process that has ended. */
export function clearMark(descriptor: number): void {
  writeSync(descriptor, Buffer.alloc(SIZE + 4), 0, SIZE + 4, 0);
}
