const encoder = new TextEncoder();

/**
 * A protobuf message that is being written (https://protobuf.dev/programming-guides/encoding). Messages may be large: what is
 * put into another one is not copied before the end.
 */
export class Message {
  private readonly parts: Uint8Array[] = [];
  size = 0;

  /** A field of an integer. */
  integer(field: number, value: number | bigint): this {
    return this.push(varints([field * 8, value]));
  }

  /** A repeated field of integers, packed. */
  integers(field: number, values: ArrayLike<number>): this {
    return this.bytes(field, varints(values));
  }

  /** Fields of floats, one by one. */
  float32s(field: number, values: number[]): this {
    for (const value of values)
      this.push(varints([field * 8 + 5])).push(new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    return this.push(varints([field * 8 + 2, value.length])).push(value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  message(field: number, value: Message): this {
    this.push(varints([field * 8 + 2, value.size]));
    for (const part of value.parts) this.push(part);
    return this;
  }

  /** Puts the fields of another message behind these. */
  append(value: Message): this {
    for (const part of value.parts) this.push(part);
    return this;
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  private push(part: Uint8Array): this {
    this.parts.push(part);
    this.size += part.length;
    return this;
  }
}

function varints(values: ArrayLike<number | bigint>): Uint8Array {
  // A negative number takes ten bytes, as 64 bits have it.
  const bytes = new Uint8Array(values.length * 10);
  let at = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
      let rest = value;
      for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 128;
      bytes[at++] = rest;
      continue;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest >= 128n; rest >>= 7n) bytes[at++] = Number(rest & 127n) | 128;
    bytes[at++] = Number(rest);
  }
  return bytes.slice(0, at);
}
