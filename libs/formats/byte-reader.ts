import { DamagedModel } from './importer.js';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads little-endian numbers, arrays and texts in turn out of a file from outside. It never reads past the end, and nothing
 * is made that the bytes do not pay for. Every fault is a {@link DamagedModel} that says what was read, and where.
 */
export class ByteReader {
  private readonly view: DataView;
  private at = 0;

  /** `what` names the file in faults. */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly what: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  fail(message: string): never {
    throw new DamagedModel(`${this.what}, byte ${this.at}: ${message}`);
  }

  skip(count: number, what: string): void {
    this.take(count, what);
  }

  uint8(what: string): number {
    return this.view.getUint8(this.take(1, what));
  }

  int32(what: string): number {
    return this.view.getInt32(this.take(4, what), true);
  }

  uint32(what: string): number {
    return this.view.getUint32(this.take(4, what), true);
  }

  float32(what: string): number {
    return this.view.getFloat32(this.take(4, what), true);
  }

  /** A count of 8 bytes that are followed by so many items of at least `itemBytes`. */
  count64(what: string, itemBytes: number): number {
    const count = Number(this.view.getBigUint64(this.take(8, what), true));
    return count * itemBytes <= this.left
      ? count
      : this.fail(`${what} has ${count} items, which the file is too short for`);
  }

  /** A text with its length in 8 bytes in front. */
  text64(what: string): string {
    return this.text(this.count64(what, 1), what);
  }

  text(length: number, what: string): string {
    const start = this.take(length, what);
    try {
      return utf8.decode(this.bytes.subarray(start, start + length));
    } catch {
      return this.fail(`${what} is not UTF-8 or too long`);
    }
  }

  /** The next `count` bytes, without a copy. */
  view8(count: number, what: string): Uint8Array {
    const start = this.take(count, what);
    return this.bytes.subarray(start, start + count);
  }

  float32s(count: number, what: string): Float32Array {
    const start = this.take(4 * count, what);
    return Float32Array.from({ length: count }, (_, i) =>
      this.view.getFloat32(start + 4 * i, true),
    );
  }

  float64s(count: number, what: string): Float64Array {
    const start = this.take(8 * count, what);
    return Float64Array.from({ length: count }, (_, i) =>
      this.view.getFloat64(start + 8 * i, true),
    );
  }

  int32s(count: number, what: string): Int32Array {
    const start = this.take(4 * count, what);
    return Int32Array.from({ length: count }, (_, i) => this.view.getInt32(start + 4 * i, true));
  }

  uint32s(count: number, what: string): Uint32Array {
    const start = this.take(4 * count, what);
    return Uint32Array.from({ length: count }, (_, i) => this.view.getUint32(start + 4 * i, true));
  }

  /** Counts of 8 bytes each. */
  uint64s(count: number, what: string): Float64Array {
    const start = this.take(8 * count, what);
    return Float64Array.from({ length: count }, (_, i) =>
      Number(this.view.getBigUint64(start + 8 * i, true)),
    );
  }

  end(): void {
    if (this.left > 0) this.fail(`${this.left} bytes follow the model`);
  }

  /** Moves over `count` bytes and answers where they begin. */
  private take(count: number, what: string): number {
    if (!(count >= 0) || count > this.left) {
      this.fail(`${what} needs ${count} bytes, and ${this.left} are left`);
    }
    const start = this.at;
    this.at += count;
    return start;
  }
}
