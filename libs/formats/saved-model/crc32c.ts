/** Eight tables of 256 entries: eight bytes are taken at a time (M. Kounavis and F. Berry, 2005, "slicing-by-8"). */
const tables = new Uint32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  tables[byte] = crc >>> 0;
}
for (let i = 256; i < tables.length; i++) {
  const before = tables[i - 256] ?? 0;
  tables[i] = ((before >>> 8) ^ (tables[before & 0xff] ?? 0)) >>> 0;
}

/** CRC-32C (Castagnoli) of the bytes, continuing that of the bytes before them. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  let at = 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const t = tables;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low = crc ^ view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    crc =
      (t[0x700 + (low & 0xff)] ?? 0) ^
      (t[0x600 + ((low >>> 8) & 0xff)] ?? 0) ^
      (t[0x500 + ((low >>> 16) & 0xff)] ?? 0) ^
      (t[0x400 + (low >>> 24)] ?? 0) ^
      (t[0x300 + (high & 0xff)] ?? 0) ^
      (t[0x200 + ((high >>> 8) & 0xff)] ?? 0) ^
      (t[0x100 + ((high >>> 16) & 0xff)] ?? 0) ^
      (t[high >>> 24] ?? 0);
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ (t[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return ~crc >>> 0;
}

/** How LevelDB and TensorFlow store a CRC of bytes that may hold CRCs themselves. */
export function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
