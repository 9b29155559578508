import { ProgramError } from '../program-error.js';
import { elementOf, type Bytes } from './byte-texts.js';

/** What one feature of a tf.Example has; none of the lists: it is there without a kind, which counts as missing. */
export interface Feature {
  BYTES?: Bytes[];
  FP32?: number[];
  INT64?: bigint[];
}

/** The features of a tf.Example (tensorflow/core/example/example.proto). Throws INVALID_INPUT where the bytes are none. */
export function readExample(bytes: Uint8Array, what: string): Map<string, Feature> {
  const features = new Map<string, Feature>();
  const reader = new Reader(bytes, what);
  while (reader.next())
    if (reader.is(1, 2)) readFeatures(reader.inner(), features);
    else reader.skip();
  return features;
}

function readFeatures(reader: Reader, into: Map<string, Feature>): void {
  // Of several of the same name the last counts, as in every map of protobuf.
  for (const [name, value] of entriesOf(reader)) into.set(name, readFeature(value));
}

/** The entries of a map in field 1. */
function* entriesOf(reader: Reader): Iterable<[string, Reader]> {
  while (reader.next()) {
    if (!reader.is(1, 2)) {
      reader.skip();
      continue;
    }
    const entry = reader.inner();
    let name = '';
    let value = new Reader(new Uint8Array(0), reader.what);
    while (entry.next())
      if (entry.is(1, 2)) name = String(entry.element());
      else if (entry.is(2, 2)) value = entry.inner();
      else entry.skip();
    yield [name, value];
  }
}

function readFeature(reader: Reader): Feature {
  let feature: Feature = {};
  while (reader.next()) {
    if (reader.is(1, 2)) feature = { BYTES: bytesIn(reader.inner()) };
    else if (reader.is(2, 2)) feature = { FP32: floatsIn(reader.inner()) };
    else if (reader.is(3, 2)) feature = { INT64: integersIn(reader.inner()) };
    else reader.skip();
  }
  return feature;
}

function bytesIn(list: Reader): Bytes[] {
  const elements: Bytes[] = [];
  while (list.next())
    if (list.is(1, 2)) elements.push(list.element());
    else list.skip();
  return elements;
}

function floatsIn(list: Reader): number[] {
  const numbers: number[] = [];
  while (list.next())
    if (list.is(1, 2))
      for (const packed = list.inner(); !packed.ended;) numbers.push(packed.float());
    else if (list.is(1, 5)) numbers.push(list.float());
    else list.skip();
  return numbers;
}

function integersIn(list: Reader): bigint[] {
  const numbers: bigint[] = [];
  while (list.next())
    if (list.is(1, 2))
      for (const packed = list.inner(); !packed.ended;) numbers.push(packed.integer());
    else if (list.is(1, 0)) numbers.push(list.integer());
    else list.skip();
  return numbers;
}

/** Reads the wire format of protobuf and never leaves its bytes. */
class Reader {
  private at = 0;
  private field = 0;
  private wire = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    readonly what: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get ended(): boolean {
    return this.at >= this.bytes.length;
  }

  next(): boolean {
    if (this.ended) return false;
    const tag = this.size();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field === 0) this.fail();
    return true;
  }

  is(field: number, wire: number): boolean {
    return this.field === field && this.wire === wire;
  }

  skip(): void {
    if (this.wire === 0) this.integer();
    else if (this.wire === 1) this.take(8);
    else if (this.wire === 2) this.take(this.size());
    else if (this.wire === 5) this.take(4);
    else this.fail();
  }

  inner(): Reader {
    return new Reader(this.take(this.size()), this.what);
  }

  element(): Bytes {
    return elementOf(this.take(this.size()));
  }

  float(): number {
    this.take(4);
    return this.view.getFloat32(this.at - 4, true);
  }

  integer(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++] ?? this.fail();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    return this.fail();
  }

  private size(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const byte = this.bytes[this.at++] ?? this.fail();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    return this.fail();
  }

  private take(length: number): Uint8Array {
    const start = this.at;
    if (!(length <= this.bytes.length - start)) this.fail();
    this.at += length;
    return this.bytes.subarray(start, this.at);
  }

  private fail(): never {
    throw ProgramError.input('/inputs', `${this.what} is no serialised tf.Example.`);
  }
}
