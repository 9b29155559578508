import snappy from 'snappyjs';
import { bytesField, varintField } from '../../libs/formats/protobuf.js';
import { crc32c, masked } from '../../libs/formats/saved-model/crc32c.js';
import { sliceKey } from '../../libs/formats/saved-model/tensor-slice.js';

/** A tensor of a checkpoint, or one that is put together of parts. */
export interface WrittenTensor {
  /** DataType of TensorFlow. */
  type: number;
  shape: number[];
  bytes?: Uint8Array;
  shard?: number;
  parts?: { extents: { start: number; length: number | undefined }[]; bytes: Uint8Array }[];
}

interface Layout {
  shards?: number;
  snappy?: boolean;
  bigEndian?: boolean;
  /** Entries of a block. */
  perBlock?: number;
}

/** Writes a checkpoint as TensorFlow does (`tensor_bundle.cc`): its index and the data of each shard. */
export function writeBundle(
  tensors: Record<string, WrittenTensor>,
  { shards = 1, snappy: compressed = false, bigEndian = false, perBlock = 3 }: Layout = {},
): { index: Uint8Array; data: Uint8Array[] } {
  const data = Array.from({ length: shards }, () => [] as number[]);
  const store = (type: number, shape: number[], bytes: Uint8Array, shard = 0): number[] => {
    const into = data[shard] ?? [];
    const offset = into.length;
    for (const byte of bytes) into.push(byte);
    return [
      ...described(type, shape),
      ...varintField(3, shard),
      ...varintField(4, offset),
      ...varintField(5, bytes.length),
      ...crcField(crcOf(type, shape, bytes)),
    ];
  };
  const header = [...varintField(1, shards), ...(bigEndian ? varintField(2, 1) : [])];
  const entries: [string, number[]][] = [['', header]];
  for (const [name, { type, shape, bytes, shard, parts }] of Object.entries(tensors)) {
    if (bytes) entries.push([name, store(type, shape, bytes, shard)]);
    if (!parts) continue;
    const slices = parts.flatMap(({ extents }) => bytesField(7, extents.flatMap(extentField)));
    entries.push([name, [...described(type, shape), ...slices]]);
    parts.forEach((part, i) => {
      const size = part.extents.map(({ length }, axis) => length ?? shape[axis] ?? 0);
      const stored = store(type, size, part.bytes, i % shards);
      entries.push([sliceKey(name, part.extents), stored]);
    });
  }
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const index = sortedTable(entries, perBlock, compressed);
  return { index, data: data.map((bytes) => Uint8Array.from(bytes)) };
}

function described(type: number, shape: number[]): number[] {
  const dimensions = shape.flatMap((size) => bytesField(2, varintField(1, size)));
  return [...varintField(1, type), ...bytesField(2, dimensions)];
}

function extentField({ start, length }: { start: number; length: number | undefined }): number[] {
  const own = [
    ...(start ? varintField(1, start) : []),
    ...(length === undefined ? [] : varintField(2, length)),
  ];
  return bytesField(1, own);
}

function crcField(crc: number): number[] {
  return [6 * 8 + 5, ...fixed32(crc)];
}

function fixed32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

const STRING = 7;

/** That of strings goes over their lengths as numbers of 32 bits, not over the bytes of these as they are written. */
function crcOf(type: number, shape: number[], bytes: Uint8Array): number {
  if (type !== STRING) return masked(crc32c(bytes));
  const count = shape.reduce((product, size) => product * size, 1);
  const lengths = bytes.subarray(0, count);
  const crc = crc32c(Uint8Array.from([...lengths].flatMap((length) => fixed32(length))));
  return masked(crc32c(bytes.subarray(count), crc));
}

/** The bytes of a tensor of strings of fewer than 128 bytes each. */
export function stringBytes(texts: Uint8Array[]): Uint8Array {
  const lengths = texts.map(({ length }) => length);
  const crc = crc32c(Uint8Array.from(lengths.flatMap((length) => fixed32(length))));
  return Uint8Array.from([...lengths, ...fixed32(masked(crc)), ...texts.flatMap((t) => [...t])]);
}

function sortedTable(
  entries: [string, number[]][],
  perBlock: number,
  compressed: boolean,
): Uint8Array {
  const file: number[] = [];
  const add = (content: number[]): number[] => {
    const plain = Uint8Array.from(content);
    const stored = [...(compressed ? snappy.compress(plain) : plain), compressed ? 1 : 0];
    const handle = [...number(file.length), ...number(stored.length - 1)];
    for (const byte of stored) file.push(byte);
    file.push(...fixed32(masked(crc32c(Uint8Array.from(stored)))));
    return handle;
  };
  const handles: [string, number[]][] = [];
  for (let at = 0; at < entries.length; at += perBlock) {
    const some = entries.slice(at, at + perBlock);
    handles.push([some.at(-1)?.[0] ?? '', add(block(some))]);
  }
  const meta = add(block([]));
  const index = add(block(handles));
  const footer = [...meta, ...index];
  while (footer.length < 40) footer.push(0);
  const magic = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
  return Uint8Array.from([...file, ...footer, ...magic]);
}

/** Keys leave out what they share with the key before. */
function block(entries: [string, number[]][]): number[] {
  let last = '';
  const bytes = entries.flatMap(([key, value]) => {
    let shared = 0;
    while (shared < last.length && key[shared] === last[shared]) shared++;
    last = key;
    const rest = Array.from(key.slice(shared), (character) => character.charCodeAt(0));
    return [...number(shared), ...number(rest.length), ...number(value.length), ...rest, ...value];
  });
  return [...bytes, ...fixed32(0), ...fixed32(1)];
}

function number(value: number): number[] {
  return varintField(0, value).slice(1);
}
