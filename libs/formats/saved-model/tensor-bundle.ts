import { elementCount, elementSize, type DType, type TensorData } from '#program';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import { WireReader, type ReadBudget } from '../protobuf.js';
import type { TfTensor, TfType } from '../tensorflow/tf-graph.js';
import { isTensorType, typeOfNumber } from '../tensorflow/tf-types.js';
import { crc32c, masked } from './crc32c.js';
import { Cursor, readSortedTable } from './sorted-table.js';
import { numbersOf, readShape, textOf } from './tensor-proto.js';
import { copyPart, fullSlice, sliceKey, type Slice } from './tensor-slice.js';

const MOST_INDEX_BYTES = 256 * 2 ** 20;
/** Bytes of all tensors that may be read of one checkpoint. */
const MOST_READ_BYTES = 2 * 2 ** 30;
const MOST_MESSAGES = 8_000_000;
const FORMAT = 'TensorFlow checkpoint';

interface Entry {
  dtype: TfType;
  shape: number[] | undefined;
  shard: number;
  offset: number;
  size: number;
  crc: number;
  /** A partitioned tensor has no bytes of its own: its slices are entries of other keys. */
  slices: Slice[];
}

/**
 * A checkpoint in TensorFlow's bundle format (`tensor_bundle.proto`, `tensor_bundle.cc` of TensorFlow 2): an index and the files
 * that it points into. Tensors are read when they are asked for, and the CRC of each is checked.
 */
export class TensorBundle {
  private left = MOST_READ_BYTES;

  private constructor(
    private readonly prefix: string,
    private readonly entries: ReadonlyMap<string, Entry>,
    private readonly shards: readonly (UploadedFile | undefined)[],
    private readonly bigEndian: boolean,
  ) {}

  /** Opens `${prefix}.index` among the files; undefined where there is none. Throws DamagedModel. */
  static async open(
    files: ReadonlyMap<string, UploadedFile>,
    prefix: string,
  ): Promise<TensorBundle | undefined> {
    const index = files.get(`${prefix}.index`);
    if (!index) return undefined;
    if (index.size > MOST_INDEX_BYTES)
      throw new UnsupportedModel(
        `${index.path} has ${index.size} bytes; ${MOST_INDEX_BYTES} are supported.`,
      );
    const budget: ReadBudget = { messages: MOST_MESSAGES };
    const entries = new Map<string, Entry>();
    let header: Header | undefined;
    for (const [key, value] of readSortedTable(await index.read(), index.path)) {
      const reader = WireReader.open(value, index.path, budget, FORMAT);
      if (key === '') header = readHeader(reader);
      else entries.set(key, readEntry(reader));
    }
    if (!header) throw new DamagedModel(`${index.path} is damaged: it has no header.`);
    if (header.shards < 1 || header.shards > 99_999)
      throw new DamagedModel(`${index.path} is damaged: it names ${header.shards} data files.`);
    const number = (value: number) => String(value).padStart(5, '0');
    const shards = Array.from({ length: header.shards }, (_, i) =>
      files.get(`${prefix}.data-${number(i)}-of-${number(header.shards)}`),
    );
    return new TensorBundle(prefix, entries, shards, header.bigEndian);
  }

  has(key: string): boolean {
    return this.entries.has(latin1OfText(key));
  }

  /** A tensor, or the part of it that `slice` says. Throws DamagedModel and UnsupportedModel. */
  async read(key: string, slice?: Slice): Promise<TfTensor> {
    const entry = this.entry(latin1OfText(key), key);
    const { shape } = entry;
    if (!shape || shape.includes(-1)) return this.fail(key, 'its shape is not known');
    const whole = entry.slices.length > 0 ? await this.joined(key, entry, shape) : undefined;
    const data = whole ?? (await this.readEntry(key, entry, shape));
    const tensor: TfTensor = { dtype: entry.dtype, shape, data };
    return slice ? partOf(tensor, slice) : tensor;
  }

  private async joined(key: string, entry: Entry, shape: number[]): Promise<TensorData> {
    const { dtype } = entry;
    if (!isTensorType(dtype) || dtype === 'BYTES')
      throw new UnsupportedModel(
        `The partitioned variable ${JSON.stringify(key)} is of ${dtype}; numbers are supported.`,
      );
    const count = elementCount(shape);
    this.spend(key, count * elementSize(dtype));
    const bytes = new Uint8Array(count * elementSize(dtype));
    const data = numbersOf(bytes, dtype, count);
    let covered = 0;
    for (const slice of entry.slices) {
      const extent = fullSlice(slice, shape) ?? this.fail(key, 'a slice lies outside of it');
      const part = this.entry(sliceKey(latin1OfText(key), slice), key);
      const size = extent.map(({ length }) => length);
      if (part.dtype !== dtype) this.fail(key, 'its slices are of different types');
      const elements = await this.readEntry(key, part, size);
      copyPart(elements, size, data, shape, extent);
      covered += elementCount(size);
    }
    // Slices never lie upon each other in what TensorFlow writes; then these are all elements.
    return covered === count ? data : this.fail(key, 'its slices are not all of it');
  }

  private async readEntry(key: string, entry: Entry, shape: number[]): Promise<TensorData> {
    const { dtype, shard, offset, size } = entry;
    const file = this.shards[shard];
    if (!file)
      throw new DamagedModel(
        `The data file ${shard} of ${this.shards.length} of the checkpoint ${this.prefix} is missing; ${JSON.stringify(key)} is in it.`,
      );
    if (offset < 0 || size < 0 || offset + size > file.size)
      this.fail(key, `it lies behind the end of ${file.path}`);
    if (!isTensorType(dtype))
      throw new UnsupportedModel(`The tensor ${JSON.stringify(key)} is of the type ${dtype}.`);
    const count = elementCount(shape);
    if (dtype !== 'BYTES' && count * elementSize(dtype) !== size)
      this.fail(key, `${size} bytes are no ${dtype} [${shape.join(', ')}]`);
    if (dtype === 'BYTES' && count > size) this.fail(key, 'it is too short for its strings');
    this.spend(key, dtype === 'BYTES' ? size * 8 : size);
    const bytes = await file.read(offset, size);
    if (dtype === 'BYTES') return this.strings(key, entry, bytes, count);
    if (masked(crc32c(bytes)) !== entry.crc) this.fail(key, 'its CRC is wrong');
    if (this.bigEndian) swapBytes(bytes, elementSize(dtype));
    return numbersOf(bytes, dtype, count);
  }

  /** Lengths, their CRC, and the strings behind each other. */
  private strings(key: string, entry: Entry, bytes: Uint8Array, count: number): TensorData {
    if (this.bigEndian)
      throw new UnsupportedModel(
        `${JSON.stringify(key)} holds strings in a checkpoint of a big-endian machine.`,
      );
    const cursor = new Cursor(bytes, (reason) => this.fail(key, reason));
    const lengths = Array.from({ length: count }, () => cursor.number());
    const sized = new DataView(new ArrayBuffer(8));
    let crc = 0;
    for (const length of lengths) {
      const wide = length > 0xffffffff;
      if (wide) sized.setBigUint64(0, BigInt(length), true);
      else sized.setUint32(0, length, true);
      crc = crc32c(new Uint8Array(sized.buffer, 0, wide ? 8 : 4), crc);
    }
    const stored = cursor.take(4);
    const wanted = new DataView(stored.buffer, stored.byteOffset, 4).getUint32(0, true);
    if (masked(crc) !== wanted) this.fail(key, 'the CRC of the lengths of its strings is wrong');
    crc = crc32c(stored, crc);
    const texts = lengths.map((length) => {
      const text = cursor.take(length);
      crc = crc32c(text, crc);
      return textOf(text);
    });
    if (masked(crc) !== entry.crc) this.fail(key, 'its CRC is wrong');
    return texts;
  }

  private spend(key: string, bytes: number): void {
    this.left -= bytes;
    if (this.left < 0)
      throw new UnsupportedModel(
        `The variables have more than ${MOST_READ_BYTES / 2 ** 30} GiB, at last ${JSON.stringify(key)}.`,
      );
  }

  private entry(stored: string, key: string): Entry {
    return this.entries.get(stored) ?? this.fail(key, 'the checkpoint does not have it');
  }

  private fail(key: string, reason: string): never {
    throw new DamagedModel(
      `The checkpoint ${this.prefix} is damaged, at ${JSON.stringify(key.slice(0, 200))}: ${reason}.`,
    );
  }
}

interface Header {
  shards: number;
  bigEndian: boolean;
}

function readHeader(reader: WireReader): Header {
  const header: Header = { shards: 0, bigEndian: false };
  while (reader.next())
    if (reader.field === 1) header.shards = reader.integer();
    else if (reader.field === 2) header.bigEndian = reader.integer() === 1;
    else reader.skip();
  return header;
}

function readEntry(reader: WireReader): Entry {
  const entry: Entry = {
    dtype: 'DT_INVALID',
    shape: [],
    shard: 0,
    offset: 0,
    size: 0,
    crc: 0,
    slices: [],
  };
  while (reader.next()) {
    if (reader.field === 1) entry.dtype = typeOfNumber(reader.integer());
    else if (reader.field === 2) entry.shape = readShape(reader.message('the shape of a tensor'));
    else if (reader.field === 3) entry.shard = reader.integer();
    else if (reader.field === 4) entry.offset = reader.integer();
    else if (reader.field === 5) entry.size = reader.integer();
    else if (reader.field === 6) entry.crc = uint32(reader.fixedBytes(4));
    else if (reader.field === 7) entry.slices.push(readSlice(reader.message('a slice')));
    else reader.skip();
  }
  return entry;
}

function uint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true);
}

function readSlice(reader: WireReader): Slice {
  const slice: Slice = [];
  while (reader.next())
    if (reader.field === 1) {
      const extent = reader.message('the extent of a slice');
      let start = 0;
      let length: number | undefined;
      while (extent.next())
        if (extent.field === 1) start = extent.integer();
        else if (extent.field === 2) length = extent.integer();
        else extent.skip();
      slice.push({ start, length });
    } else reader.skip();
  return slice;
}

function partOf(tensor: TfTensor, slice: Slice): TfTensor {
  const extent = fullSlice(slice, tensor.shape);
  if (!extent || Array.isArray(tensor.data))
    throw new DamagedModel('A part of a variable lies outside of the stored one.');
  const shape = extent.map(({ length }) => length);
  if (shape.every((length, axis) => length === tensor.shape[axis])) return tensor;
  const { data } = tensor;
  const dtype = tensor.dtype as Exclude<DType, 'BYTES'>;
  const count = elementCount(shape);
  const cut = numbersOf(new Uint8Array(count * elementSize(dtype)), dtype, count);
  const starts = extent.map(({ start }) => start);
  copyPart(data, tensor.shape, cut, shape, undefined, starts);
  return { dtype, shape, data: cut };
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let at = 0; at + size <= bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

const encoder = new TextEncoder();

/** A key as the index has it: one character a byte of UTF-8. */
function latin1OfText(text: string): string {
  let key = '';
  for (const byte of encoder.encode(text)) key += String.fromCharCode(byte);
  return key;
}
