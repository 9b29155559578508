import { DamagedModel } from '../importer.js';

/**
 * Reads tables of a FlatBuffer (https://flatbuffers.dev/internals) without trusting any offset. Everything read is counted, so
 * that tables which share their parts cannot make a small file cost much: at most `MOST_READS` times the bytes of the buffer.
 */
export class FlatBuffer {
  private readonly view: DataView;
  private left: number;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly name: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.left = bytes.byteLength * MOST_READS + 1024;
  }

  root(): FlatTable {
    return this.tableAt(this.follow(0, this.name), this.name);
  }

  damaged(path: string, message: string): never {
    throw new DamagedModel(`${path}: ${message}`);
  }

  /** The address, where `length` bytes lie inside. */
  inside(at: number, length: number, path: string): number {
    if (at < 0 || length < 0 || at + length > this.bytes.byteLength) {
      this.damaged(path, `points outside of the ${this.bytes.byteLength} bytes of ${this.name}`);
    }
    this.left -= length;
    if (this.left < 0) this.damaged(path, 'the file refers to the same bytes again and again');
    return at;
  }

  int8(at: number, path: string): number {
    return this.view.getInt8(this.inside(at, 1, path));
  }

  uint16(at: number, path: string): number {
    return this.view.getUint16(this.inside(at, 2, path), true);
  }

  int32(at: number, path: string): number {
    return this.view.getInt32(this.inside(at, 4, path), true);
  }

  uint32(at: number, path: string): number {
    return this.view.getUint32(this.inside(at, 4, path), true);
  }

  float32(at: number, path: string): number {
    return this.view.getFloat32(this.inside(at, 4, path), true);
  }

  float64(at: number, path: string): number {
    return this.view.getFloat64(this.inside(at, 8, path), true);
  }

  /** Offsets lead forward only, so that nothing contains itself. */
  follow(at: number, path: string): number {
    const offset = this.uint32(at, path);
    if (offset === 0) this.damaged(path, 'is empty');
    return at + offset;
  }

  tableAt(at: number, path: string): FlatTable {
    const vtable = at - this.int32(at, path);
    const size = this.uint16(vtable, path);
    if (size < 4 || size % 2 !== 0) this.damaged(path, 'is no table');
    this.inside(vtable, size, path);
    return new FlatTable(this, at, vtable, (size - 4) / 2, path);
  }

  /** A copy, for its alignment and so that it does not keep the file. */
  copy(at: number, length: number, path: string): Uint8Array {
    this.inside(at, length, path);
    // Not `slice`, which makes a view where the bytes are a Buffer.
    return Uint8Array.from(this.bytes.subarray(at, at + length));
  }
}

const MOST_READS = 8;

/** A table: its fields by their numbers in the schema. */
export class FlatTable {
  constructor(
    private readonly buffer: FlatBuffer,
    private readonly at: number,
    private readonly vtable: number,
    private readonly fields: number,
    readonly path: string,
  ) {}

  damaged(message: string): never {
    return this.buffer.damaged(this.path, message);
  }

  int8(field: number, otherwise: number): number {
    const at = this.find(field);
    return at === undefined ? otherwise : this.buffer.int8(at, this.path);
  }

  int32(field: number, otherwise: number): number {
    const at = this.find(field);
    return at === undefined ? otherwise : this.buffer.int32(at, this.path);
  }

  float32(field: number, otherwise: number): number {
    const at = this.find(field);
    return at === undefined ? otherwise : this.buffer.float32(at, this.path);
  }

  float64(field: number, otherwise: number): number {
    const at = this.find(field);
    return at === undefined ? otherwise : this.buffer.float64(at, this.path);
  }

  table(field: number, name: string): FlatTable {
    return this.optionalTable(field, name) ?? this.damaged(`has no ${name}`);
  }

  optionalTable(field: number, name: string): FlatTable | undefined {
    const at = this.find(field);
    const path = `${this.path}.${name}`;
    return at === undefined ? undefined : this.buffer.tableAt(this.buffer.follow(at, path), path);
  }

  text(field: number, name: string): string | undefined {
    const at = this.find(field);
    const path = `${this.path}.${name}`;
    return at === undefined ? undefined : this.textAt(this.buffer.follow(at, path), path);
  }

  texts(field: number, name: string): string[] {
    const { start, length, path } = this.vector(field, name, 4);
    return Array.from({ length }, (_, i) => {
      const item = `${path}[${i}]`;
      return this.textAt(this.buffer.follow(start + 4 * i, item), item);
    });
  }

  tables(field: number, name: string): FlatTable[] {
    const { start, length, path } = this.vector(field, name, 4);
    return Array.from({ length }, (_, i) => {
      const item = `${path}[${i}]`;
      return this.buffer.tableAt(this.buffer.follow(start + 4 * i, item), item);
    });
  }

  /** How many items a vector has. */
  count(field: number, name: string): number {
    return this.vector(field, name, 1).length;
  }

  /** The bytes of a vector of items of `size` bytes each; none where there is no vector. */
  bytes(field: number, name: string, size: number): Uint8Array {
    const { start, length, path } = this.vector(field, name, size);
    return this.buffer.copy(start, length * size, path);
  }

  int32s(field: number, name: string): Int32Array {
    return new Int32Array(this.bytes(field, name, 4).buffer);
  }

  uint32s(field: number, name: string): Uint32Array {
    return new Uint32Array(this.bytes(field, name, 4).buffer);
  }

  float32s(field: number, name: string): Float32Array {
    return new Float32Array(this.bytes(field, name, 4).buffer);
  }

  float64s(field: number, name: string): Float64Array {
    return new Float64Array(this.bytes(field, name, 8).buffer);
  }

  private vector(field: number, name: string, size: number) {
    const path = `${this.path}.${name}`;
    const at = this.find(field);
    if (at === undefined) return { start: 0, length: 0, path };
    const start = this.buffer.follow(at, path);
    const length = this.buffer.uint32(start, path);
    this.buffer.inside(start + 4, length * size, path);
    return { start: start + 4, length, path };
  }

  private textAt(start: number, path: string): string {
    const length = this.buffer.uint32(start, path);
    const bytes = this.buffer.copy(start + 4, length, path);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.buffer.damaged(path, 'is not UTF-8');
    }
  }

  /** Where a field's value lies; undefined where the table leaves it out. */
  private find(field: number): number | undefined {
    if (field >= this.fields) return undefined;
    const offset = this.buffer.uint16(this.vtable + 4 + 2 * field, this.path);
    return offset === 0 ? undefined : this.at + offset;
  }
}
