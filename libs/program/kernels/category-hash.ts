import { CATEGORY_KERNEL } from '../generated/category-kernel.js';

/** Rows that are combined at once. */
export const HASHED_AT_ONCE = 512;
const HASHES = 1024;
const VALUES = HASHES + HASHED_AT_ONCE * 8;
const TEXT = VALUES + HASHED_AT_ONCE * 4;
const PAGE = 65_536;

/** The hashes that CatBoost gives to categories and to combinations of them, computed in a memory of its own. */
export class CategoryHasher {
  private readonly memory = new WebAssembly.Memory({ initial: 1 });
  private readonly city: (at: number, length: number) => number;
  private readonly combineRows: (hashes: number, values: number, count: number) => void;
  private readonly encoder = new TextEncoder();

  constructor() {
    compiled ??= new WebAssembly.Module(
      Uint8Array.from(atob(CATEGORY_KERNEL), (c) => c.charCodeAt(0)),
    );
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory: this.memory } });
    const { city, combine } = exports;
    if (typeof city !== 'function' || typeof combine !== 'function') {
      throw new Error('the category kernel does not export what it must');
    }
    this.city = (at, length) => Number(city(at, length));
    this.combineRows = (hashes, values, count) => void combine(hashes, values, count);
  }

  /** The lower half of CityHash64 (1.0) of a text's UTF-8, signed. */
  hash(text: string | Uint8Array): number {
    const bytes = typeof text === 'string' ? this.encoder.encode(text) : text;
    // The hash reads eight bytes at a time.
    const missing = TEXT + bytes.byteLength + 8 - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    new Uint8Array(this.memory.buffer, TEXT, bytes.byteLength).set(bytes);
    return this.city(TEXT, bytes.byteLength) | 0;
  }

  /**
   * Combines columns of values, row by row: for at most `HASHED_AT_ONCE` rows, `fill` writes the values of each of the
   * columns, and the answer are the lower and upper halves of the hashes, in turn, until the next call.
   */
  combine(
    columns: number,
    count: number,
    fill: (column: number, values: Int32Array) => void,
  ): Uint32Array {
    const hashes = new Uint32Array(this.memory.buffer, HASHES, 2 * count).fill(0);
    const values = new Int32Array(this.memory.buffer, VALUES, count);
    for (let column = 0; column < columns; column++) {
      fill(column, values);
      this.combineRows(HASHES, VALUES, count);
    }
    return hashes;
  }
}

let compiled: WebAssembly.Module | undefined;
