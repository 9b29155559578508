import { createHash, hash } from 'node:crypto';

/** A piece of content, cut out where the content says so. */
export interface Piece {
  /** The first 64 bits of the SHA-256 of its bytes. */
  hash: bigint;
  length: number;
}

/** Pieces are about 64 KiB long. */
const LEAST = 16 * 1024;
const USUAL = 64 * 1024;
const MOST = 256 * 1024;

/** Two bits more before the usual length and two fewer after it ("normalised chunking"), so that most lengths are near it. */
const STRICT = topBits(18);
const LOOSE = topBits(14);

const BYTES = 12;

/**
 * Cuts content into pieces at places that depend on the bytes around them alone, so that two files have the same pieces
 * wherever they have the same bytes, whatever stands before: FastCDC (Xia et al., USENIX ATC 2016) with a rolling hash of
 * the last 32 bytes.
 */
export class PieceCutter {
  readonly pieces: Piece[] = [];
  private held: Buffer[] = [];
  /** Bytes of the piece that is not cut yet. */
  private length = 0;
  private rolling = 0;

  update(bytes: Buffer): void {
    let from = 0;
    for (let at = 0; at < bytes.length;) {
      const { end, isCut } = this.scan(bytes, at);
      at = end;
      if (!isCut) continue;
      this.cut(bytes.subarray(from, at));
      from = at;
    }
    // The caller may use its buffer again.
    if (from < bytes.length) this.held.push(Buffer.from(bytes.subarray(from)));
  }

  /** No bytes follow. */
  finish(): Piece[] {
    if (this.length > 0) this.cut(Buffer.alloc(0));
    return this.pieces;
  }

  /** Goes on to the end of the present piece, or of the bytes. */
  private scan(bytes: Buffer, start: number): { end: number; isCut: boolean } {
    // What lies further back than the hash remembers decides nothing.
    const skip = Math.min(bytes.length - start, Math.max(0, LEAST - 32 - this.length));
    let at = start + skip;
    let { rolling } = this;
    let length = this.length + skip;
    let isCut = false;
    while (at < bytes.length && !isCut) {
      rolling = ((rolling << 1) + (gears[bytes[at] ?? 0] ?? 0)) | 0;
      at += 1;
      length += 1;
      if (length < LEAST) continue;
      isCut = (rolling & (length < USUAL ? STRICT : LOOSE)) === 0 || length >= MOST;
    }
    this.rolling = rolling;
    this.length = length;
    return { end: at, isCut };
  }

  private cut(last: Buffer): void {
    const bytes = this.held.length > 0 ? Buffer.concat([...this.held, last]) : last;
    this.pieces.push({ hash: hashOf(bytes), length: bytes.length });
    this.held = [];
    this.length = 0;
    this.rolling = 0;
  }
}

/** Hashes that stand for all pieces: files that share many pieces share some of these. */
export function sketchOf(pieces: readonly Piece[]): bigint[] {
  const hashes = [...new Set(pieces.map((piece) => piece.hash))];
  return hashes.toSorted((a, b) => (a < b ? -1 : 1)).slice(0, SKETCH);
}

const SKETCH = 128;

export function packPieces(pieces: readonly Piece[]): Buffer {
  const packed = Buffer.alloc(pieces.length * BYTES);
  for (const [i, piece] of pieces.entries()) {
    packed.writeBigInt64LE(piece.hash, i * BYTES);
    packed.writeUInt32LE(piece.length, i * BYTES + 8);
  }
  return packed;
}

export function unpackPieces(packed: Buffer): Piece[] {
  return Array.from({ length: packed.length / BYTES }, (_, i) => ({
    hash: packed.readBigInt64LE(i * BYTES),
    length: packed.readUInt32LE(i * BYTES + 8),
  }));
}

function hashOf(bytes: Buffer): bigint {
  return hash('sha256', bytes, 'buffer').readBigInt64LE();
}

/** The highest bits of the hash depend on the most bytes. */
function topBits(count: number): number {
  return -(2 ** (32 - count)) | 0;
}

/** A random number for each byte; the same for ever, or no piece is found again. */
const gears = Int32Array.from({ length: 256 }, (_, byte) =>
  createHash('sha256').update(`slipway piece ${byte}`).digest().readInt32LE(),
);
