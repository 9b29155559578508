import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { CHUNK_SIZE } from './artifact-store.js';
import { digestOf, type Digest } from './digest.js';

/** Bytes of one checksum. */
export const CHECKSUM_SIZE = 4;

/**
 * Takes the bytes of a blob as they pass by. Gives their digest, and a CRC32 of each MiB: a part of a blob can be compared
 * with these, where comparing it with the digest would take the whole.
 */
export class ContentHash {
  private readonly sha = createHash('sha256');
  private readonly whole: number[] = [];
  private crc = 0;
  /** Bytes so far of the MiB that is not full yet. */
  private filled = 0;

  update(bytes: Buffer): void {
    this.sha.update(bytes);
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, CHUNK_SIZE - this.filled);
      this.crc = crc32(part, this.crc);
      this.filled += part.length;
      rest = rest.subarray(part.length);
      if (this.filled < CHUNK_SIZE) continue;
      this.whole.push(this.crc);
      this.crc = 0;
      this.filled = 0;
    }
  }

  /** Of all bytes so far; more may follow. */
  get digest(): Digest {
    return digestOf(this.sha);
  }

  /** CRC32 (that of zlib, big-endian) of each MiB so far, the last one of what is left. */
  get checksums(): Buffer {
    const sums = this.filled > 0 ? [...this.whole, this.crc] : this.whole;
    const bytes = Buffer.alloc(sums.length * CHECKSUM_SIZE);
    for (const [i, sum] of sums.entries()) bytes.writeUInt32BE(sum, i * CHECKSUM_SIZE);
    return bytes;
  }
}
