import { DamagedModel } from './importer.js';

/** What may still be read of one file; shared by all readers of it. */
export interface ReadBudget {
  /** Embedded messages that may still be opened. */
  messages: number;
}

/** The deepest nesting that protobuf libraries accept. */
export const MAX_DEPTH = 100;

const Wire = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;
type Wire = (typeof Wire)[keyof typeof Wire];

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads the protobuf wire format (https://protobuf.dev/programming-guides/encoding) within bounds: it never reads past
 * its end, opens at most `budget.messages` messages and nests at most {@link MAX_DEPTH} deep. Anything else than the
 * canonical encoding of a tag is refused, so that nobody else can read something different out of the same bytes.
 * Every fault is a {@link DamagedModel} that says where.
 */
export class WireReader {
  /** Number and wire type of the field that {@link next} found. */
  field = 0;
  wire: Wire = Wire.Varint;
  /** Offset of the tag of that field in the file. */
  tagAt = 0;

  private constructor(
    private readonly bytes: Uint8Array,
    private position: number,
    private readonly end: number,
    private readonly depth: number,
    private readonly budget: ReadBudget,
    private readonly what: string,
    private readonly format: string,
  ) {}

  /** `format` names what the file should be in faults. */
  static open(
    bytes: Uint8Array,
    what: string,
    budget: ReadBudget,
    format = 'ONNX model',
  ): WireReader {
    return new WireReader(bytes, 0, bytes.length, 0, budget, what, format);
  }

  /** Moves to the next field; false at the end. The field must then be read or skipped. */
  next(): boolean {
    if (this.position >= this.end) return false;
    this.tagAt = this.position;
    const tag = this.size();
    this.field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (this.field === 0 || this.field > 0x1fffffff) this.fail('a field number is out of range');
    if (wire !== 0 && wire !== 1 && wire !== 2 && wire !== 5)
      this.fail(`wire type ${wire} is not used`);
    if (this.position - this.tagAt !== varintLength(tag)) this.fail('a tag is encoded too long');
    this.wire = wire;
    return true;
  }

  skip(): void {
    if (this.wire === Wire.Varint) this.varint();
    else if (this.wire === Wire.Fixed64) this.advance(8);
    else if (this.wire === Wire.Fixed32) this.advance(4);
    else this.view();
  }

  /** A field of 64 bits, signed. */
  int64(): bigint {
    this.expect(Wire.Varint);
    const { low, high } = this.varint();
    return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
  }

  /** A field of 64 bits that must lie within what a double holds exactly. */
  integer(): number {
    const value = this.int64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER))
      this.fail(`${value} is out of range`);
    return Number(value);
  }

  /** The elements of a repeated varint field, packed or one by one. */
  int64s(into: bigint[]): void {
    if (this.wire === Wire.Varint) {
      into.push(this.int64());
      return;
    }
    const packed = this.packed();
    while (packed.position < packed.end) {
      const { low, high } = packed.varint();
      into.push(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)));
    }
  }

  /** The same as {@link int64s} as the nearest doubles: quicker for long lists. */
  integers(into: number[]): void {
    const list = this.wire === Wire.Varint ? undefined : this.packed();
    const from = list ?? this;
    do {
      if (list && list.position >= list.end) return;
      const { low, high } = from.varint();
      // Negative numbers have all bits from the sign on.
      into.push((high | 0) * 0x1_0000_0000 + low);
    } while (list);
  }

  /** The elements of a repeated field of floats, packed or one by one. */
  float32s(into: number[]): void {
    if (this.wire !== Wire.Bytes) {
      into.push(this.float32());
      return;
    }
    const bytes = this.view();
    if (bytes.length % 4 !== 0) this.fail('a packed list is cut off');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += 4) into.push(view.getFloat32(at, true));
  }

  /** How many elements a repeated varint field adds, packed or one by one, without keeping them. */
  countVarints(): number {
    if (this.wire === Wire.Varint) {
      this.varint();
      return 1;
    }
    const view = this.view();
    let count = 0;
    for (const byte of view) if (byte < 0x80) count++;
    if (view.length > 0 && (view[view.length - 1] ?? 0) >= 0x80)
      this.fail('a packed list is cut off');
    return count;
  }

  /** How many elements of `width` bytes a repeated fixed field adds. */
  countFixed(width: 4 | 8): number {
    if (this.wire !== Wire.Bytes) {
      this.expect(width === 4 ? Wire.Fixed32 : Wire.Fixed64);
      this.advance(width);
      return 1;
    }
    const { length } = this.view();
    if (length % width !== 0) this.fail('a packed list is cut off');
    return length / width;
  }

  /** The bytes that a repeated fixed field adds, packed or one by one. */
  fixedBytes(width: 4 | 8): Uint8Array {
    if (this.wire === Wire.Bytes) return this.view();
    const start = this.position;
    this.countFixed(width);
    return this.bytes.subarray(start, this.position);
  }

  /** The bytes of a length-delimited field, without a copy. */
  view(): Uint8Array {
    this.expect(Wire.Bytes);
    const length = this.size();
    const start = this.position;
    this.advance(length);
    return this.bytes.subarray(start, start + length);
  }

  /** All bytes of this message. */
  whole(): Uint8Array {
    return this.bytes.subarray(this.position, this.end);
  }

  /** A field of 4 bytes as a float. */
  float32(): number {
    return this.fixed(4).getFloat32(0, true);
  }

  /** A field of 8 bytes as a float. */
  float64(): number {
    return this.fixed(8).getFloat64(0, true);
  }

  text(): string {
    try {
      return utf8.decode(this.view());
    } catch (error) {
      if (error instanceof DamagedModel) throw error;
      return this.fail('a text is not UTF-8');
    }
  }

  /** A reader of the embedded message; `what` names it in faults. */
  message(what: string): WireReader {
    if (this.depth + 1 > MAX_DEPTH) this.fail(`messages are nested more than ${MAX_DEPTH} deep`);
    if (--this.budget.messages < 0) this.fail('it has too many parts');
    const inner = this.packed();
    const { bytes, depth, budget, format } = this;
    return new WireReader(bytes, inner.position, inner.end, depth + 1, budget, what, format);
  }

  fail(reason: string): never {
    throw new DamagedModel(
      `The file is not a readable ${this.format}: in ${this.what}, byte ${this.tagAt}: ${reason}.`,
    );
  }

  private fixed(width: 4 | 8): DataView {
    this.expect(width === 4 ? Wire.Fixed32 : Wire.Fixed64);
    const start = this.position;
    this.advance(width);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + start, width);
  }

  private packed(): WireReader {
    this.expect(Wire.Bytes);
    const length = this.size();
    const start = this.position;
    this.advance(length);
    const { bytes, depth, budget, what, format } = this;
    return new WireReader(bytes, start, start + length, depth, budget, what, format);
  }

  private expect(wire: Wire): void {
    if (this.wire !== wire) this.fail(`field ${this.field} has wire type ${this.wire}`);
  }

  private advance(count: number): void {
    if (count > this.end - this.position)
      this.fail(`${count} bytes are promised, ${this.end - this.position} are there`);
    this.position += count;
  }

  /** A length or tag: a varint that fits a double. */
  private size(): number {
    const { low, high } = this.varint();
    if (high > 0x1fffff) this.fail('a length is out of range');
    return high * 0x1_0000_0000 + low;
  }

  private varint(): { low: number; high: number } {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) this.fail('the file ends in the middle of a number');
      const byte = this.bytes[this.position++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else if (bits > 1) this.fail('a number has more than 64 bits');
      else high |= bits << 31;
      if (byte < 0x80) return { low: low >>> 0, high: high >>> 0 };
    }
    return this.fail('a number has more than ten bytes');
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) length++;
  return length;
}

const encoder = new TextEncoder();

/** The bytes of a varint field. */
export function varintField(field: number, value: number | bigint): number[] {
  return [...varint(field * 8), ...varint(value)];
}

/** The bytes of a length-delimited field: a text, or a message made of the bytes of its fields. */
export function bytesField(field: number, content: string | Iterable<number>): number[] {
  const bytes = typeof content === 'string' ? [...encoder.encode(content)] : [...content];
  return [...varint(field * 8 + Wire.Bytes), ...varint(bytes.length), ...bytes];
}

function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return bytes;
}
