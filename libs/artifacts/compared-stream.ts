import { pipeline, type Readable, Transform, type TransformCallback } from 'node:stream';
import { crc32 } from 'node:zlib';
import { CHUNK_SIZE } from './artifact-store.js';
import { CHECKSUM_SIZE, type ContentHash } from './content-hash.js';

/**
 * Passes on all bytes of a blob and keeps back the last piece until `approve` has found them right, so that nobody ever
 * has the whole of wrong bytes. Destroying it destroys the source, and what the source fails with, it fails with.
 * @param approve throws where the hash has seen other bytes than it should
 */
export function compareWhole(
  source: Readable,
  hash: ContentHash,
  approve: () => Promise<void>,
): Readable {
  return onward(source, new WholeStream(hash, approve));
}

export interface ComparedRange {
  /** Of the MiB that the range touches, and of no others; see {@link ContentHash}. */
  checksums: Buffer;
  /** Bytes of the source before the range. */
  skip: number;
  /** Bytes of the range. */
  length: number;
  wrong: () => Error;
}

/**
 * Passes on a part of a blob, a whole MiB at a time once its checksum was found right.
 * @param source begins with the first byte of a MiB, and ends with the last one of a MiB or of the blob
 */
export function compareRange(source: Readable, range: ComparedRange): Readable {
  return onward(source, new RangeStream(range));
}

function onward(source: Readable, compared: Transform): Readable {
  pipeline(source, compared, () => undefined);
  return compared;
}

class WholeStream extends Transform {
  private held: Buffer | undefined;

  constructor(
    private readonly hash: ContentHash,
    private readonly approve: () => Promise<void>,
  ) {
    super({ highWaterMark: CHUNK_SIZE });
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.hash.update(chunk);
    const { held } = this;
    this.held = chunk;
    done(null, held);
  }

  override _flush(done: TransformCallback): void {
    this.approve().then(() => done(null, this.held), done);
  }
}

class RangeStream extends Transform {
  private gathered: Buffer[] = [];
  private size = 0;
  private crc = 0;
  private chunk = 0;
  private skip: number;
  private left: number;

  constructor(private readonly range: ComparedRange) {
    super({ highWaterMark: CHUNK_SIZE });
    this.skip = range.skip;
    this.left = range.length;
  }

  override _transform(bytes: Buffer, _encoding: string, done: TransformCallback): void {
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, CHUNK_SIZE - this.size);
      this.gathered.push(part);
      this.crc = crc32(part, this.crc);
      this.size += part.length;
      rest = rest.subarray(part.length);
      if (this.size === CHUNK_SIZE && !this.passChunk()) return done(this.range.wrong());
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    const right = (this.size === 0 || this.passChunk()) && this.left === 0;
    done(right ? null : this.range.wrong());
  }

  private passChunk(): boolean {
    const at = this.chunk * CHECKSUM_SIZE;
    const { checksums } = this.range;
    if (checksums.length < at + CHECKSUM_SIZE || checksums.readUInt32BE(at) !== this.crc)
      return false;
    for (const part of this.gathered) {
      const wanted = part.subarray(this.skip).subarray(0, this.left);
      this.skip = Math.max(0, this.skip - part.length);
      this.left -= wanted.length;
      if (wanted.length > 0) this.push(wanted);
    }
    this.gathered = [];
    this.size = 0;
    this.crc = 0;
    this.chunk += 1;
    return true;
  }
}
