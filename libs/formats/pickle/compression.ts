import { gunzipSync, inflateSync } from 'node:zlib';
import lz4 from 'lz4js';
import { decompress as decompressLzma } from 'lzma1';
import bzip2 from 'seek-bzip';
import xzDecompress from 'xz-decompress';
import { DamagedModel } from '../importer.js';

/** How joblib compresses; `zfile` is its own form before 0.10. */
export type Compression = 'zlib' | 'gzip' | 'bz2' | 'lzma' | 'xz' | 'lz4' | 'zfile';

/** joblib's own files shrink 2 to 20 times. */
const MOST_RATIO = 200;
const FREE_BYTES = 16 * 2 ** 20;
/** What a small file may become at most: more than the limit of memory of the process would be its end anyway. */
const MOST_OF_SMALL = 384 * 2 ** 20;
/** These take up to 30 ms a MiB. */
const MOST_RATIO_SLOW = 24;
const MOST_LZMA_DICTIONARY = 128 * 2 ** 20;

/** By the first bytes, of which 6 are enough. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const begins = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  if (begins(0x1f, 0x8b)) return 'gzip';
  if (begins(0x42, 0x5a, 0x68)) return 'bz2';
  if (begins(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return 'xz';
  if (begins(0x5d, 0x00, 0x00)) return 'lzma';
  if (begins(0x04, 0x22, 0x4d, 0x18)) return 'lz4';
  if (begins(0x5a, 0x46, 0x30, 0x78)) return 'zfile';
  const zlib = head[0] === 0x78 && (0x7800 | (head[1] ?? 1)) % 31 === 0;
  return zlib ? 'zlib' : undefined;
}

/** The bytes inside; refuses what grows beyond all measure. Throws DamagedModel. */
export async function decompress(bytes: Uint8Array, compression: Compression): Promise<Uint8Array> {
  const most = Math.min(
    MOST_RATIO * bytes.length + FREE_BYTES,
    Math.max(MOST_OF_SMALL, MOST_RATIO_SLOW * bytes.length),
    2 ** 31,
  );
  const slow = Math.min(most, MOST_RATIO_SLOW * bytes.length + FREE_BYTES);
  try {
    switch (compression) {
      case 'zlib':
        return plain(inflateSync(bytes, { maxOutputLength: most }));
      case 'gzip':
        return plain(gunzipSync(bytes, { maxOutputLength: most }));
      case 'zfile':
        return inflateZFile(bytes);
      case 'lz4':
        return lz4Frame(bytes, most);
      case 'xz':
        return await xz(bytes, most);
      case 'lzma':
        return lzma(bytes, slow);
      case 'bz2':
        return bz2(bytes, slow);
    }
  } catch (error) {
    if (error instanceof DamagedModel) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw new DamagedModel(
      isTooLong(error) ? tooLong(compression, most) : `The ${compression} data is damaged: ${text}`,
    );
  }
}

/** joblib's "ZF" file: its length in hexadecimal, 19 characters long, sometimes one more, then zlib. */
export function inflateZFile(bytes: Uint8Array): Uint8Array {
  const start = bytes[21] === 0x20 ? 22 : 21;
  const most = Math.min(MOST_RATIO * bytes.length + FREE_BYTES, MOST_OF_SMALL);
  try {
    return plain(inflateSync(bytes.subarray(start), { maxOutputLength: most }));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new DamagedModel(
      isTooLong(error) ? tooLong('zfile', most) : `The joblib "ZF" data is damaged: ${text}`,
    );
  }
}

function isTooLong(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    error.code === 'ERR_BUFFER_TOO_LARGE'
  );
}

function tooLong(compression: Compression, most: number): string {
  return `The ${compression} data has more than ${most} bytes inside; that is the limit for a file of its size.`;
}

function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One frame; its blocks say how much is in them at most. */
function lz4Frame(bytes: Uint8Array, most: number): Uint8Array {
  const length = Number(lz4.decompressBound(bytes));
  if (!(length <= most)) throw new DamagedModel(tooLong('lz4', most));
  const out = new Uint8Array(length);
  const used = lz4.decompressFrame(bytes, out);
  if (!(used <= length)) throw new DamagedModel('The lz4 data is damaged.');
  return out.subarray(0, used);
}

async function xz(bytes: Uint8Array, most: number): Promise<Uint8Array> {
  const input = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  const output = new GrowingBytes('xz', most);
  for await (const chunk of new xzDecompress.XzReadableStream(input)) output.add(chunk);
  return output.bytes();
}

/** The header says how long the content is, or not: then it is made to say the limit, and one that reaches it is refused. */
function lzma(bytes: Uint8Array, most: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 13) throw new DamagedModel('The lzma data is damaged: it is cut off.');
  if (view.getUint32(1, true) > MOST_LZMA_DICTIONARY) {
    throw new DamagedModel(
      'The lzma data needs a dictionary of more than 128 MiB; that is the limit.',
    );
  }
  const length = view.getBigInt64(5, true);
  if (length > BigInt(most)) throw new DamagedModel(tooLong('lzma', most));
  const known = new Uint8Array(bytes);
  if (length < 0n) new DataView(known.buffer).setBigInt64(5, BigInt(most + 1), true);
  const out = decompressLzma(known);
  if (out.length > most) throw new DamagedModel(tooLong('lzma', most));
  return out;
}

function bz2(bytes: Uint8Array, most: number): Uint8Array {
  const output = new GrowingBytes('bz2', most);
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  bzip2.decode(input, { writeByte: (byte) => output.addByte(byte), flush: () => undefined }, true);
  return output.bytes();
}

/** Grows by half, up to a limit. */
class GrowingBytes {
  private buffer = new Uint8Array(1 << 16);
  private length = 0;

  constructor(
    private readonly compression: Compression,
    private readonly most: number,
  ) {}

  add(chunk: Uint8Array): void {
    this.reserve(chunk.length);
    this.buffer.set(chunk, this.length);
    this.length += chunk.length;
  }

  addByte(byte: number): void {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length++] = byte;
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed > this.most) throw new DamagedModel(tooLong(this.compression, this.most));
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(Math.min(this.most, Math.max(needed, Math.ceil(needed * 1.5))));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}
