import { DamagedModel } from '../importer.js';

/** Depth of nesting; XGBoost's own models have 8. */
const MOST_DEPTH = 64;

/** Markers of numbers: their bytes, and how a value and an array of them are read. */
const NUMBERS: Record<string, NumberType> = {
  i: { size: 1, one: (view, at) => view.getInt8(at), array: (n) => new Int8Array(n) },
  U: { size: 1, one: (view, at) => view.getUint8(at), array: (n) => new Uint8Array(n) },
  I: { size: 2, one: (view, at) => view.getInt16(at), array: (n) => new Int16Array(n) },
  l: { size: 4, one: (view, at) => view.getInt32(at), array: (n) => new Int32Array(n) },
  L: {
    size: 8,
    one: (view, at) => Number(view.getBigInt64(at)),
    array: (n) => new Float64Array(n),
  },
  d: { size: 4, one: (view, at) => view.getFloat32(at), array: (n) => new Float32Array(n) },
  D: { size: 8, one: (view, at) => view.getFloat64(at), array: (n) => new Float64Array(n) },
};

interface NumberType {
  size: number;
  one(view: DataView, at: number): number;
  array(
    length: number,
  ): Int8Array | Uint8Array | Int16Array | Int32Array | Float32Array | Float64Array;
}

/**
 * Parses UBJSON (draft 12, big-endian, with the typed arrays that XGBoost writes) to the values that JSON would give;
 * arrays of one type of number become typed arrays. Nothing is made that the bytes do not pay for. Throws DamagedModel with
 * the offset.
 */
export function parseUbjson(bytes: Uint8Array): unknown {
  const reader = new UbjsonReader(bytes);
  const value = reader.value(reader.marker(), 0);
  reader.end();
  return value;
}

class UbjsonReader {
  private readonly view: DataView;
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The next marker; no-ops are skipped. */
  marker(): string {
    for (;;) {
      const marker = String.fromCharCode(this.view.getUint8(this.take(1)));
      if (marker !== 'N') return marker;
    }
  }

  value(marker: string, depth: number): unknown {
    const type = numberType(marker);
    if (type) return type.one(this.view, this.take(type.size));
    switch (marker) {
      case 'Z':
        return null;
      case 'T':
        return true;
      case 'F':
        return false;
      case 'C':
        return String.fromCharCode(this.view.getUint8(this.take(1)));
      case 'S':
      case 'H':
        return this.text();
      case '[':
        return this.array(depth + 1);
      case '{':
        return this.object(depth + 1);
      default:
        return this.damaged(`"${marker}" is not a marker of UBJSON`);
    }
  }

  end(): void {
    while (this.at < this.bytes.length) {
      if (this.bytes[this.at] !== 0x4e) this.damaged('something follows the document');
      this.at += 1;
    }
  }

  /** Moves over `count` bytes and answers where they begin. */
  private take(count: number): number {
    const start = this.at;
    if (start + count > this.bytes.length) this.damaged('the file ends here, cut off');
    this.at += count;
    return start;
  }

  private damaged(message: string): never {
    throw new DamagedModel(`UBJSON, byte ${this.at}: ${message}`);
  }

  private length(): number {
    const marker = this.marker();
    const type = numberType(marker);
    if (!type || marker === 'd' || marker === 'D')
      return this.damaged('a length must be an integer');
    const length = type.one(this.view, this.take(type.size));
    return length >= 0 ? length : this.damaged(`a length cannot be ${length}`);
  }

  private text(): string {
    const length = this.length();
    const start = this.take(length);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.bytes.subarray(start, this.at));
    } catch {
      return this.damaged('a text is not UTF-8 or too long');
    }
  }

  /** `$` and a type, `#` and a count, each where it is given. */
  private head(depth: number): { type?: string; count?: number } {
    if (depth > MOST_DEPTH) this.damaged(`nested more than ${MOST_DEPTH} deep`);
    const type = this.skip('$') ? this.marker() : undefined;
    if (!this.skip('#')) {
      return type === undefined ? {} : this.damaged('a type is given without a count');
    }
    const count = this.length();
    // A value without bytes could be repeated any number of times for free.
    const free = type !== undefined && 'ZTF'.includes(type);
    if (count > (free ? 0 : this.bytes.length - this.at))
      this.damaged(`${count} items are too many`);
    return type === undefined ? { count } : { type, count };
  }

  private skip(marker: string): boolean {
    if (this.bytes[this.at] !== marker.charCodeAt(0)) return false;
    this.at += 1;
    return true;
  }

  private array(depth: number): unknown {
    const { type, count } = this.head(depth);
    const numbers = type === undefined ? undefined : numberType(type);
    if (numbers && count !== undefined) return this.numbers(numbers, count);
    const items: unknown[] = [];
    if (count !== undefined) {
      for (let i = 0; i < count; i++) items.push(this.value(type ?? this.marker(), depth));
      return items;
    }
    for (let marker = this.marker(); marker !== ']'; marker = this.marker()) {
      items.push(this.value(marker, depth));
    }
    return items;
  }

  private numbers(type: NumberType, count: number): ArrayLike<number> {
    const start = this.take(count * type.size);
    const array = type.array(count);
    for (let i = 0; i < count; i++) array[i] = type.one(this.view, start + i * type.size);
    return array;
  }

  private object(depth: number): Record<string, unknown> {
    const { type, count } = this.head(depth);
    const entries: [string, unknown][] = [];
    if (count !== undefined) {
      for (let i = 0; i < count; i++) {
        entries.push([this.text(), this.value(type ?? this.marker(), depth)]);
      }
    } else {
      while (!this.skip('}')) {
        if (!this.skip('N')) entries.push([this.text(), this.value(this.marker(), depth)]);
      }
    }
    return Object.fromEntries(entries);
  }
}

function numberType(marker: string): NumberType | undefined {
  return Object.hasOwn(NUMBERS, marker) ? NUMBERS[marker] : undefined;
}
