import { ImageFault } from './image.js';

/** A Huffman table of a JPEG: for each length of a code its first code, and where its symbols begin. */
export interface HuffmanTable {
  /** For 8 bits ahead: length of the code · 256 + its symbol, 0 where the code is longer. */
  quick: Uint16Array;
  /** By length, 1 to 16: the last code (−1: none), and what to add to a code for the place of its symbol. */
  last: Int32Array;
  shift: Int32Array;
  symbols: Uint8Array;
}

/** The table of `counts` codes of each length 1 to 16 (ITU-T T.81, annex C). */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable {
  const table: HuffmanTable = {
    quick: new Uint16Array(256),
    last: new Int32Array(17).fill(-1),
    shift: new Int32Array(17),
    symbols,
  };
  let [code, place] = [0, 0];
  for (let length = 1; length <= 16; length++) {
    const count = counts[length - 1] ?? 0;
    table.shift[length] = place - code;
    for (let i = 0; i < count; i++, code++, place++) {
      if (length > 8) continue;
      const entry = (length << 8) | (symbols[place] ?? 0);
      const first = code << (8 - length);
      table.quick.fill(entry, first, first + (1 << (8 - length)));
    }
    if (code > 1 << length) throw new ImageFault('a Huffman table is wrong');
    if (count > 0) table.last[length] = code - 1;
    code <<= 1;
  }
  return table;
}

/** The bits of a scan of a JPEG, without the zeros that are stuffed into them. */
export class JpegBits {
  private held = 0;
  private count = 0;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  bit(): number {
    return this.bits(1);
  }

  bits(length: number): number {
    while (this.count < length) this.fill();
    this.count -= length;
    return (this.held >>> this.count) & ((1 << length) - 1);
  }

  /** A number of so many bits with its sign (T.81, F.2.2.1). */
  signed(length: number): number {
    if (length === 0) return 0;
    const value = this.bits(length);
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value;
  }

  symbol(table: HuffmanTable): number {
    if (this.count < 8) this.fill(true);
    if (this.count >= 8) {
      const entry = table.quick[(this.held >>> (this.count - 8)) & 255] ?? 0;
      if (entry > 0) {
        this.count -= entry >> 8;
        return entry & 255;
      }
    }
    let code = 0;
    for (let length = 1; length <= 16; length++) {
      code = (code << 1) | this.bit();
      const last = table.last[length] ?? -1;
      if (code <= last) return table.symbols[code + (table.shift[length] ?? 0)] ?? 0;
    }
    throw new ImageFault('it has a code that stands for nothing');
  }

  /** Leaves the bits that are left of a byte and the marker RSTn that follows. */
  restart(): void {
    this.count = 0;
    const [first, second = 0] = this.bytes.subarray(this.at, this.at + 2);
    if (first !== 0xff || second < 0xd0 || second > 0xd7)
      throw new ImageFault('a restart marker is missing');
    this.at += 2;
  }

  /** One more byte; at a marker or the end there is none. `ahead`: it may not be needed. */
  private fill(ahead = false): void {
    const byte = this.bytes[this.at];
    const isMarker = byte === 0xff && this.bytes[this.at + 1] !== 0;
    if (byte === undefined || isMarker) {
      if (ahead) return;
      throw new ImageFault('it is cut off');
    }
    this.at += byte === 0xff ? 2 : 1;
    this.held = ((this.held << 8) | byte) & 0xff_ffff;
    this.count += 8;
  }
}
