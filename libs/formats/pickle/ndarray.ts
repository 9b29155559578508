import { fromFloat16, type TypedArray } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { DType } from './dtype.js';
import { PyTuple, type PyValue } from './records.js';

/** numpy's own limit was 32 and is 64. */
const MOST_DIMENSIONS = 32;
/** Elements without bytes cost the file nothing. */
const MOST_EMPTY_ELEMENTS = 65_536;
const MOST_ELEMENTS = 2 ** 40;

type NumberArray = Exclude<TypedArray, readonly string[]>;

/** A numpy array over bytes of the file, or over a list of objects. What it answers is in C order. */
export class NdArray {
  /** Before it is filled it is what numpy's `_reconstruct` makes: an empty array of int8. */
  dtype: DType = DType.parse('i1');
  shape: number[] = [0];
  /** `module.name` of the subclass of ndarray, where it is one. */
  subclass: string | undefined;
  private fortran = false;
  private bytes: Uint8Array = new Uint8Array(0);
  /** In C order whatever `fortran` says: numpy pickles objects through an iterator. */
  private list: PyValue[] = [];
  private filled = false;

  static of(
    dtype: DType,
    shape: number[],
    content: Uint8Array | PyValue[],
    fortran = false,
  ): NdArray {
    return new NdArray().fill(dtype, shape, content, fortran);
  }

  /** Says what it is, once. `content` must be exactly what dtype and shape need. Throws DamagedModel. */
  fill(dtype: DType, shape: number[], content: Uint8Array | PyValue[], fortran: boolean): this {
    if (this.filled) throw new DamagedModel('an array is given its content twice');
    const size = sizeOf(shape);
    if (dtype.hasObjects && dtype.kind !== 'O') {
      throw new UnsupportedModel('an array of records with objects in them is not supported');
    }
    if (Array.isArray(content)) {
      if (dtype.kind !== 'O' || content.length !== size) {
        throw new DamagedModel(
          `an array of shape [${shape}] and dtype ${dtype.code} has a list of ${content.length}`,
        );
      }
      this.list = content;
    } else {
      if (dtype.kind === 'O' || content.length !== size * dtype.itemSize) {
        throw new DamagedModel(
          `an array of shape [${shape}] and dtype ${dtype.code} has ${content.length} bytes`,
        );
      }
      if (dtype.itemSize === 0 && size > MOST_EMPTY_ELEMENTS) {
        throw new DamagedModel(`an array has ${size} elements without bytes`);
      }
      this.bytes = content;
    }
    this.dtype = dtype;
    this.shape = shape;
    this.fortran = fortran && shape.length > 1;
    this.filled = true;
    return this;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Numbers and booleans as float64. Integers beyond 2^53: throws UnsupportedModel; other kinds: DamagedModel. */
  numbers(): Float64Array {
    const typed = this.typed();
    if (typed instanceof Float64Array) return typed;
    const numbers = new Float64Array(typed.length);
    if (typed instanceof BigInt64Array || typed instanceof BigUint64Array) {
      for (let i = 0; i < numbers.length; i++) {
        numbers[i] = Number(typed[i]);
        if (!Number.isSafeInteger(numbers[i])) {
          throw new UnsupportedModel(`the integer ${typed[i]} of an array is beyond 2^53`);
        }
      }
      return numbers;
    }
    numbers.set(typed);
    return numbers;
  }

  /**
   * Numbers as they are stored: booleans as Uint8Array, float16 as Float32Array, datetimes as BigInt64Array. A view of the
   * file where order and alignment allow one: never write to it.
   */
  typed(): NumberArray {
    const { kind, itemSize } = this.dtype;
    const make = ELEMENTS[`${kind}${itemSize}`];
    if (!make) throw new DamagedModel(`an array of ${this.describe()} is not one of numbers`);
    return make(this.nativeBytes(itemSize));
  }

  /** Of dtype object. */
  objects(): PyValue[] {
    if (this.dtype.kind !== 'O') {
      throw new DamagedModel(`an array of ${this.describe()} is not one of objects`);
    }
    return this.list;
  }

  /** Of the kinds U and S (which must be UTF-8). */
  strings(): string[] {
    const { kind, itemSize } = this.dtype;
    if (kind !== 'U' && kind !== 'S') {
      throw new DamagedModel(`an array of ${this.describe()} is not one of texts`);
    }
    const bytes = this.nativeBytes(kind === 'U' ? 4 : 1);
    const texts: string[] = [];
    for (let i = 0; i < this.size; i++) {
      const element = bytes.subarray(i * itemSize, (i + 1) * itemSize);
      texts.push(kind === 'U' ? utf32(element) : utf8(element));
    }
    return texts;
  }

  /** The bytes of every element, of any kind but object. */
  elements(): Uint8Array[] {
    const { itemSize } = this.dtype;
    const bytes = this.orderedBytes();
    return Array.from({ length: this.size }, (_, i) =>
      bytes.subarray(i * itemSize, (i + 1) * itemSize),
    );
  }

  hasField(name: string): boolean {
    return this.dtype.fields?.some((field) => field.name === name) ?? false;
  }

  /** One column of a structured array, copied; a field of arrays appends their shape. */
  field(name: string): NdArray {
    const field = this.dtype.fields?.find((each) => each.name === name);
    if (!field) throw new DamagedModel(`an array of ${this.describe()} has no field "${name}"`);
    const column = gather(
      this.bytes,
      this.size,
      this.dtype.itemSize,
      field.offset,
      field.dtype.itemSize,
    );
    const { subarray } = field.dtype;
    if (!subarray) return NdArray.of(field.dtype, this.shape, column, this.fortran);
    if (this.fortran)
      throw new UnsupportedModel('records of arrays in Fortran order are not supported');
    return NdArray.of(subarray.dtype, [...this.shape, ...subarray.shape], column);
  }

  private describe(): string {
    const { kind, itemSize, fields } = this.dtype;
    return fields ? 'records' : `dtype ${kind}${itemSize}`;
  }

  /** Little-endian, C order, aligned for typed arrays. */
  private nativeBytes(elementBytes: number): Uint8Array {
    let bytes = this.orderedBytes();
    if (this.dtype.bigEndian && elementBytes > 1) bytes = swapped(bytes, elementBytes);
    return bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
  }

  private orderedBytes(): Uint8Array {
    return this.fortran ? transposed(this.bytes, this.shape, this.dtype.itemSize) : this.bytes;
  }
}

/** A shape from a file: throws DamagedModel unless it is one that memory could hold. */
export function checkShape(given: PyValue | undefined): number[] {
  const lengths = typeof given === 'number' ? [given] : given;
  const list = lengths instanceof PyTuple ? lengths.items : lengths;
  if (!Array.isArray(list) || list.length > MOST_DIMENSIONS)
    throw new DamagedModel('a shape is not one');
  const shape = list.map((length) => {
    if (typeof length === 'number' && Number.isSafeInteger(length) && length >= 0) return length;
    throw new DamagedModel('a shape has a length that is no count');
  });
  // Zero times a huge length is still a huge length for whoever looks at one axis.
  if (shape.some((length) => length > MOST_ELEMENTS) || sizeOf(shape) > MOST_ELEMENTS) {
    throw new DamagedModel(`an array of shape [${shape}] is too large`);
  }
  return shape;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

const over =
  <Made>(made: {
    new (buffer: ArrayBufferLike, offset: number, length: number): Made;
    BYTES_PER_ELEMENT: number;
  }) =>
  (bytes: Uint8Array): Made =>
    new made(bytes.buffer, bytes.byteOffset, bytes.length / made.BYTES_PER_ELEMENT);

const ELEMENTS: Partial<Record<string, (bytes: Uint8Array) => NumberArray>> = {
  b1: over(Uint8Array),
  i1: over(Int8Array),
  i2: over(Int16Array),
  i4: over(Int32Array),
  i8: over(BigInt64Array),
  u1: over(Uint8Array),
  u2: over(Uint16Array),
  u4: over(Uint32Array),
  u8: over(BigUint64Array),
  f2: (bytes) => Float32Array.from(over(Uint16Array)(bytes), fromFloat16),
  f4: over(Float32Array),
  f8: over(Float64Array),
  M8: over(BigInt64Array),
  m8: over(BigInt64Array),
};

function utf32(bytes: Uint8Array): string {
  const points = over(Uint32Array)(bytes);
  let length = points.length;
  while (length > 0 && points[length - 1] === 0) length -= 1;
  let text = '';
  for (let i = 0; i < length; i++) {
    const point = points[i] ?? 0;
    if (point > 0x10ffff)
      throw new DamagedModel('a text of an array has a character beyond Unicode');
    text += String.fromCodePoint(point);
  }
  return text;
}

function utf8(bytes: Uint8Array): string {
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length -= 1;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      bytes.subarray(0, length),
    );
  } catch {
    throw new UnsupportedModel('an array of bytes holds what is not UTF-8');
  }
}

function swapped(bytes: Uint8Array, elementBytes: number): Uint8Array {
  const copy = bytes.slice();
  for (let at = 0; at < copy.length; at += elementBytes) {
    copy.subarray(at, at + elementBytes).reverse();
  }
  return copy;
}

/** `count` parts of `length` bytes, `stride` apart, side by side. */
function gather(
  bytes: Uint8Array,
  count: number,
  stride: number,
  offset: number,
  length: number,
): Uint8Array {
  const out = new Uint8Array(count * length);
  if (length === 8 || length === 4) {
    const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const words = new Uint32Array(out.buffer);
    const each = length / 4;
    for (let i = 0; i < count; i++) {
      words[i * each] = from.getUint32(i * stride + offset, true);
      if (each === 2) words[i * 2 + 1] = from.getUint32(i * stride + offset + 4, true);
    }
    return out;
  }
  for (let i = 0; i < count; i++) {
    const at = i * stride + offset;
    for (let j = 0; j < length; j++) out[i * length + j] = bytes[at + j] ?? 0;
  }
  return out;
}

/** From Fortran order to C order. */
function transposed(bytes: Uint8Array, shape: readonly number[], length: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const size = sizeOf(shape);
  const strides: number[] = [];
  let stride = length;
  for (const extent of shape) {
    strides.push(stride);
    stride *= extent;
  }
  const at = shape.map(() => 0);
  let from = 0;
  const words = length % 4 === 0 && bytes.byteOffset % 4 === 0;
  const source = words ? over(Uint32Array)(bytes) : bytes;
  const target = words ? over(Uint32Array)(out) : out;
  const unit = words ? 4 : 1;
  const each = length / unit;
  for (let i = 0; i < size; i++) {
    const start = from / unit;
    for (let j = 0; j < each; j++) target[i * each + j] = source[start + j] ?? 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const extent = shape[d] ?? 1;
      const step = strides[d] ?? 0;
      const next = (at[d] ?? 0) + 1;
      from += step;
      if (next < extent) {
        at[d] = next;
        break;
      }
      at[d] = 0;
      from -= step * extent;
    }
  }
  return out;
}
