import snappy from 'snappyjs';
import { DamagedModel } from '../importer.js';
import { crc32c, masked } from './crc32c.js';

/** Entries that the index of a checkpoint may have; one a variable. */
const MOST_ENTRIES = 1_000_000;
/** Bytes that keys and values may have together, uncompressed. */
const MOST_BYTES = 256 * 2 ** 20;

const FOOTER = 48;
const MAGIC = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
/** Behind each block: how it is compressed, and its CRC. */
const TRAILER = 5;

/**
 * Reads all entries of a sorted string table, as LevelDB defines it (`doc/table_format.md`) and TensorFlow writes it: blocks of
 * keys that leave out what they share with the key before, plain or compressed with Snappy. Keys are answered as one character
 * a byte. Throws DamagedModel where anything is not as it must be, wrong CRCs too. `name` is the file's.
 */
export function readSortedTable(bytes: Uint8Array, name: string): Map<string, Uint8Array> {
  const table = new SortedTable(bytes, name);
  return table.entries();
}

class SortedTable {
  private left = MOST_BYTES;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly name: string,
  ) {}

  entries(): Map<string, Uint8Array> {
    const { bytes } = this;
    if (bytes.length < FOOTER) this.fail('it is too short');
    const footer = bytes.subarray(bytes.length - FOOTER);
    if (MAGIC.some((byte, i) => footer[FOOTER - 8 + i] !== byte))
      this.fail('it does not end with the mark of a sorted table');
    const handles = new Cursor(footer, this.fail);
    handles.number();
    handles.number();
    const index = this.block(handles);
    const entries = new Map<string, Uint8Array>();
    let last: string | undefined;
    for (const [, handle] of this.entriesOf(index))
      for (const [key, value] of this.entriesOf(this.block(new Cursor(handle, this.fail)))) {
        if (last !== undefined && key <= last) this.fail('its keys are not in order');
        if (entries.size >= MOST_ENTRIES) this.fail(`it has more than ${MOST_ENTRIES} entries`);
        entries.set(key, value);
        last = key;
      }
    return entries;
  }

  private block(handle: Cursor): Uint8Array {
    const offset = handle.number();
    const size = handle.number();
    if (offset + size + TRAILER > this.bytes.length) this.fail('a block lies behind its end');
    const stored = this.bytes.subarray(offset, offset + size + 1);
    const wanted = uint32(this.bytes, offset + size + 1);
    if (masked(crc32c(stored)) !== wanted) this.fail(`the CRC of the block at ${offset} is wrong`);
    const content = stored.subarray(0, size);
    const compression = stored[size] ?? 0;
    if (compression > 1) this.fail(`its compression ${compression} is not known`);
    const plain = compression === 1 ? this.uncompressed(content) : content;
    this.left -= plain.length;
    if (this.left < 0) this.fail(`its blocks have more than ${MOST_BYTES} bytes`);
    return plain;
  }

  private uncompressed(content: Uint8Array): Uint8Array {
    try {
      // A Buffer would be answered with one; a copy is what the library's own checks want.
      return snappy.uncompress(Uint8Array.from(content), this.left);
    } catch (error) {
      return this.fail(
        `a block is no Snappy: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  private *entriesOf(block: Uint8Array): Iterable<[string, Uint8Array]> {
    if (block.length < 4) this.fail('a block is too short');
    const restarts = uint32(block, block.length - 4);
    const end = block.length - 4 - 4 * restarts;
    if (end < 0) this.fail('a block is too short for its restarts');
    const cursor = new Cursor(block.subarray(0, end), this.fail);
    let key = '';
    while (cursor.left > 0) {
      const shared = cursor.number();
      const unshared = cursor.number();
      const length = cursor.number();
      if (shared > key.length) this.fail('a key shares more than the key before has');
      this.left -= shared;
      if (this.left < 0) this.fail(`its keys have more than ${MOST_BYTES} bytes`);
      key = key.slice(0, shared) + latin1(cursor.take(unshared));
      yield [key, cursor.take(length)];
    }
  }

  private readonly fail = (reason: string): never => {
    throw new DamagedModel(`${this.name} is damaged: ${reason}.`);
  };
}

/** Reads varints and bytes in turn. */
export class Cursor {
  private at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly fail: (reason: string) => never,
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** A varint that a double holds. */
  number(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) this.fail('it ends in the middle of a number');
      value += ((byte ?? 0) & 0x7f) * scale;
      if ((byte ?? 0) < 0x80) return value;
    }
    return this.fail('a number is too large');
  }

  take(count: number): Uint8Array {
    if (count > this.left) this.fail('it ends in the middle of an entry');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}

function uint32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(at, true);
}

/** Bytes as a string of one character each. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
